"""Are installers safe to be run at once in one environment?  pip, uv, both, and ours.

    python -m benchmarks.concurrency [--rounds N] [--seed N]

In each round, an environment has versions 1 of some of eight small distributions, which
have scripts and a namespace (PEP 420) in common, but no file.  Six commands are released
together; each installs or upgrades two or three of the distributions, or uninstalls one,
and most of them overlap.  Whatever their order: each command should succeed, and leave an
environment of which RECORDs, disk, metadata and imports agree.  The same commands one after
another are the control: they must leave a whole environment, or the check is at fault.
"""

# ruff: noqa: T201 - a program that prints what it measured

from __future__ import annotations

import argparse
import collections
import random
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.installers import Installer, installers
from benchmarks.race import GATE, together
from tests.torture.stage import Stage
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES = tuple(f"part{number}" for number in range(8))
THERE = NAMES[:4]
WRITERS = 6
MODULES = 12
VERSIONS = ("1.0", "2.0")


@dataclass
class Tally:
    """What came of the rounds of one way: how many had which faults, and the first of each."""

    rounds: int = 0
    commands_failed: int = 0
    broken: int = 0
    kinds: collections.Counter[str] = field(default_factory=collections.Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def count(self, failures: Sequence[str], faults: Sequence[tuple[str, str]]) -> None:
        """Count one round: what its failed commands said, and the faults afterwards."""
        self.rounds += 1
        self.commands_failed += bool(failures)
        self.broken += bool(faults)
        found = [*(("command failed", said) for said in failures), *faults]
        self.kinds.update({kind for kind, _ in found})
        for kind, text in found:
            self.examples.setdefault(kind, text)


def main() -> int:
    """Measure each way in an environment of its own, and print a table."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=40)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        wheels = {part: _wheels(Path(name), part) for part in NAMES}
        for way in ("sage-pkginstall", "pip", "uv", "pip and uv"):
            stage = Stage.build(Path(name) / way, [])
            tools = [tool for tool in installers(stage.prefix) if tool.name in way.split(" and ")]
            if not tools:
                print(f"{way:16} is not there")
                continue
            ground = Ground(stage, tools, wheels)
            _print(way, "one by one", _measure(ground, given.seed, 3, at_once=False))
            _print(way, "at once", _measure(ground, given.seed, given.rounds, at_once=True))
    return 0


def _wheels(directory: Path, part: str) -> tuple[Path, Path]:
    one, two = (_wheel(directory, part, version) for version in VERSIONS)
    return one, two


def _wheel(directory: Path, part: str, version: str) -> Path:
    files = {f"{part}/m{number}.py": f"x = {version!r}\n" for number in range(MODULES)}
    files |= {
        f"{part}/__init__.py": f"version = {version!r}\n",
        f"{part}/only_{version.replace('.', '_')}.py": "",
        f"common/{part}.py": f"version = {version!r}\n",
    }
    return make_wheel(directory, part, version, files, scripts={part: f"{part}.m0:x"})


@dataclass(frozen=True)
class Ground:
    """An environment that is made anew for each round, the tools that change it, the wheels."""

    stage: Stage
    tools: Sequence[Installer]
    wheels: dict[str, tuple[Path, Path]]

    def reset(self) -> None:
        """Have versions 1 of some distributions there, installed by the first tool."""
        self.stage.restore()
        wheels = [str(self.wheels[name][0]) for name in THERE]
        subprocess.run([*self.tools[0].install, *wheels], check=True, capture_output=True)

    def commands(self, chance: random.Random) -> list[list[str]]:
        """Return the commands of a round: installs of two or three, one uninstall."""
        commands = []
        for number in range(WRITERS - 1):
            names = chance.sample(NAMES, chance.randint(2, 3))
            wheels = [str(chance.choice(self.wheels[name])) for name in names]
            commands.append([*self.tools[number % len(self.tools)].install, *wheels])
        tool = self.tools[-1]
        commands.append([*tool.uninstall, chance.choice(THERE)])
        return commands

    def faults(self) -> list[tuple[str, str]]:
        """Return what is wrong with the environment: kind and text of each fault."""
        found = [("RECORD, disk or imports disagree", text) for text in self.stage.faults()]
        (site,) = self.stage.prefix.glob("lib/python*/site-packages")
        names = collections.Counter(
            path.name.partition("-")[0] for path in site.glob("*.dist-info")
        )
        found += [("metadata twice", name) for name, count in names.items() if count > 1]
        python = str(self.stage.prefix / "bin" / "python3")
        check = [sys.executable, "-m", "pip", "--python", python, "check"]
        ended = subprocess.run(check, capture_output=True, text=True, check=False)
        if ended.returncode:
            found.append(("pip check fails", ended.stdout + ended.stderr))
        return found


def _measure(ground: Ground, seed: int, rounds: int, *, at_once: bool) -> Tally:
    chance = random.Random(seed)  # noqa: S311 - to be repeated
    tally = Tally()
    for _ in range(rounds):
        ground.reset()
        commands = ground.commands(chance)
        if at_once:
            ended = together([*GATE, *command] for command in commands)
        else:
            ended = [_run(command) for command in commands]
        tally.count([said for status, said in ended if _failed(status, said)], ground.faults())
    return tally


def _run(command: Sequence[str]) -> tuple[int, str]:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stderr.strip()


def _failed(status: int, said: str) -> bool:
    """Tell whether a command failed; that there is nothing to uninstall is no failure."""
    return status != 0 and "not installed" not in said


def _print(way: str, when: str, tally: Tally) -> None:
    counts = (
        f"{tally.rounds} rounds: a command failed in {tally.commands_failed},"
        f" a broken environment after {tally.broken}"
    )
    print(f"{way:16} {when:10} {counts}", flush=True)
    for kind, number in tally.kinds.most_common():
        lines = tally.examples[kind].strip().splitlines() or [""]
        print(f"{'':16} {'':10} {number:3} {kind}; first: {lines[-1][:150]}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
