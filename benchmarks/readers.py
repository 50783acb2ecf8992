"""What readers see while a package is upgraded: by pip, by uv, by installer, by us.

    python -m benchmarks.readers [--upgrades N]

Two loops of fresh interpreters import a package of twenty modules and ask for its version,
while it is upgraded and downgraded in turn.
"""

# ruff: noqa: T201 - a program that prints what it measured

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conftest import START
from tests.torture.readers import foo_wheels, measure
from tests.torture.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Measure each installer in an environment of its own, and print one line each."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--upgrades", type=int, default=100)
    count = options.parse_args().upgrades
    with tempfile.TemporaryDirectory() as name:
        wheels = foo_wheels(Path(name))
        for installer, command in _installers():
            directory = Path(name) / installer
            stage = Stage.build(directory, [("install", str(wheels[1]))])
            upgrade = _upgrade(command(stage.prefix), wheels)
            seen = measure(stage.prefix / "bin" / "python3", upgrade, count)
            print(f"{installer:16} {seen.figures()}", flush=True)
    return 0


def _upgrade(command: Sequence[str], wheels: Sequence[Path]) -> Callable[[int], None]:
    def upgrade(number: int) -> None:
        words = [*command, str(wheels[number % 2])]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    return upgrade


def _installers() -> Iterator[tuple[str, Callable[[Path], list[str]]]]:
    python = sys.executable
    tool = [python, "-I", "-c", START, str(ROOT), "install", "--quiet", "--prefix"]
    yield "sage-pkginstall", lambda prefix: [*tool, str(prefix)]
    pip = ["install", "--no-index", "--no-deps", "--force-reinstall", "--quiet"]
    yield "pip", lambda prefix: [python, "-m", "pip", "--python", _python(prefix), *pip]
    uv = shutil.which("uv", path=str(Path(python).parent)) or shutil.which("uv")
    if uv:
        words = [uv, "--offline", "--no-cache", "pip", "install", "--no-deps", "--reinstall"]
        yield "uv", lambda prefix: [*words, "--python", _python(prefix)]
    installer = ["-m", "installer", "--overwrite-existing", "--compile-bytecode", "0", "--prefix"]
    yield "installer", lambda prefix: [python, *installer, str(prefix)]


def _python(prefix: Path) -> str:
    return str(prefix / "bin" / "python3")


if __name__ == "__main__":
    sys.exit(main())
