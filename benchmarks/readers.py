"""What readers see while a package is upgraded: by pip, by uv, by installer, by us.

    python -m benchmarks.readers [--upgrades N]

Two loops of fresh interpreters import a package of twenty modules and ask for its version,
while it is upgraded and downgraded in turn.
"""

# ruff: noqa: T201 - a program that prints what it measured

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.installers import installers
from tests.torture.readers import foo_wheels, measure
from tests.torture.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def main() -> int:
    """Measure each installer in an environment of its own, and print one line each."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--upgrades", type=int, default=100)
    count = options.parse_args().upgrades
    with tempfile.TemporaryDirectory() as name:
        wheels = foo_wheels(Path(name))
        for number, known in enumerate(installers(Path())):
            stage = Stage.build(Path(name) / known.name, [("install", str(wheels[1]))])
            installer = list(installers(stage.prefix))[number]
            upgrade = _upgrade(installer.replace, wheels)
            seen = measure(stage.prefix / "bin" / "python3", upgrade, count)
            print(f"{installer.name:16} {seen.figures()}", flush=True)
    return 0


def _upgrade(command: Sequence[str], wheels: Sequence[Path]) -> Callable[[int], None]:
    def upgrade(number: int) -> None:
        words = [*command, str(wheels[number % 2])]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    return upgrade


if __name__ == "__main__":
    sys.exit(main())
