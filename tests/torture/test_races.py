"""Many jobs at once on overlapping sets of distributions, readers and compilers among them."""

from __future__ import annotations

import collections
import random
import subprocess
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.torture.scenes import INIT
from tests.torture.stage import Stage
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.torture.conftest import TellFigures

NAMES = [f"n{number}" for number in range(8)]
SIZES = [
    pytest.param(8, 2, marks=pytest.mark.slow, id="8 jobs"),
    pytest.param(64, 10, marks=pytest.mark.torture, id="64 jobs"),
]
READ = """
import importlib, importlib.metadata, sys
for name in sys.argv[1:]:
    try:
        version = importlib.metadata.version("shared." + name)
    except importlib.metadata.PackageNotFoundError:
        continue
    try:
        importlib.import_module("shared." + name)
    except ModuleNotFoundError as error:
        print("absent", error.name)
"""


@dataclass
class Crowd:
    """Jobs that install and uninstall, and readers; what came of them."""

    stage: Stage
    wheels: dict[str, list[str]]
    ends: collections.Counter[str] = field(default_factory=collections.Counter)
    errors: list[str] = field(default_factory=list)

    def job(self, seed: int, turns: int) -> None:
        """Change some of the distributions, in an order of its own."""
        chance = random.Random(seed)  # noqa: S311 - to be repeated
        for _ in range(turns):
            names = chance.sample(NAMES, chance.randint(1, 3))
            if chance.random() < 0.3:
                ended = self.stage.run(("uninstall", *(f"shared.{name}" for name in names)))
                missing = "it is not installed" in ended.stderr
                self.note("uninstall", ended, fine=ended.returncode == 0 or missing)
            else:
                wheels = [chance.choice(self.wheels[name]) for name in names]
                ended = self.stage.run(("install", *wheels))
                self.note("install", ended, fine=ended.returncode == 0)

    def read(self, over: threading.Event) -> None:
        """Import what is there, or compile it, until the jobs are done."""
        python = str(self.stage.prefix / "bin" / "python3")
        commands = [
            [python, "-I", "-c", READ, *NAMES],
            [python, "-I", "-m", "compileall", "-q", str(self.stage.prefix / "lib")],
        ]
        number = 0
        while not over.is_set():
            number += 1
            ended = subprocess.run(
                commands[number % 4 == 0], capture_output=True, text=True, check=False
            )
            fine = number % 4 == 0 or (ended.returncode == 0)
            self.note("read", ended, fine=fine)

    def note(self, what: str, ended: subprocess.CompletedProcess[str], *, fine: bool) -> None:
        """Count how a process ended."""
        self.ends[what] += 1
        if not fine:
            self.errors.append(f"{what}: {ended.returncode}: {ended.stderr}")


def crowd_on(directory: Path) -> Crowd:
    wheels = {
        name: [
            str(
                make_wheel(
                    directory,
                    f"shared.{name}",
                    version,
                    {"shared/__init__.py": INIT, f"shared/{name}.py": f"x = {version}\n"},
                )
            )
            for version in ("1", "2")
        ]
        for name in NAMES
    }
    return Crowd(Stage.build(directory, [("install", *(w[0] for w in wheels.values()))]), wheels)


@pytest.mark.parametrize(("jobs", "turns"), SIZES)
def test_crowd_leaves_a_whole_prefix(
    tmp_path: Path, jobs: int, turns: int, tell_figures: TellFigures
) -> None:
    crowd = crowd_on(tmp_path)
    over = threading.Event()
    readers = [threading.Thread(target=crowd.read, args=(over,)) for _ in range(2)]
    workers = [threading.Thread(target=crowd.job, args=(seed, turns)) for seed in range(jobs)]
    for thread in [*readers, *workers]:
        thread.start()
    for worker in workers:
        worker.join()
    over.set()
    for reader in readers:
        reader.join()
    counts = ", ".join(f"{count} {what}s" for what, count in sorted(crowd.ends.items()))
    tell_figures(f"{jobs} jobs at once: {counts}; {len(crowd.errors)} failures")
    assert crowd.errors == []
    assert crowd.stage.debris() == []
    assert crowd.stage.faults() == []
    listed = crowd.stage.run(("list",)).stdout.split()[::2]
    assert len(listed) == len(set(listed))  # one version of each
