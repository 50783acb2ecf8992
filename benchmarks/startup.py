"""Where the processor time of short commands goes: Python's start, imports, and the work.

    python -m benchmarks.startup [--rounds N]

Each command is run N times, and as often with ``-X importtime``, which says what importing each
module took on the wall: so it wants an idle machine, and the least of each is taken.
"""

# ruff: noqa: T201 - a program that prints what it measured

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.places import Places
from benchmarks.table import markdown
from benchmarks.wheels import Wheels

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

_START = """import sys
sys.path[:0] = sys.argv[1:3]
del sys.argv[1:3]
from sage_pkginstall.cli.main import program
program()"""
_IMPORT = re.compile(r"^import time:\s+(\d+) \|\s+\d+ \|\s+([\w.]+)$", re.MULTILINE)
_LIBRARIES = {"installer", "packaging", "filelock"}
_HEAD = ("command", "all", "start of Python", "its library", "installer", "own modules", "the rest")
_BARE = ("-c", "pass")


@dataclass(frozen=True)
class Command:
    """Words for the tool; before each run its environment and its cache are as they are to be."""

    name: str
    words: tuple[str, ...]
    cold: bool = False
    installed: bool = False


class Yard:
    """A directory with an environment, copied before each run, and caches."""

    def __init__(self, root: Path, six: Path) -> None:
        self.root = root
        self.six = six
        self.environment = root / "env"
        self.places = Places()
        venv.EnvBuilder(symlinks=True).create(root / "bare")
        self.prepare(Command("", ()))
        self.run(self.tool(("pip-install", "-q", str(six))))
        shutil.copytree(self.environment, root / "filled", symlinks=True)

    def tool(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return what runs the tool as build/bin does, without the shell."""
        here = map(str, (self.places.checkout, self.places.packages))
        return ("-c", _START, *here, *words)

    def prepare(self, command: Command) -> None:
        """Have the environment as ``command`` is to find it; no cache for a cold one."""
        shutil.rmtree(self.environment, ignore_errors=True)
        template = self.root / ("filled" if command.installed else "bare")
        shutil.copytree(template, self.environment, symlinks=True)
        if command.cold:
            shutil.rmtree(self.root / "cache", ignore_errors=True)
        else:
            self.run(self.tool(("list",)))  # so that the environment is known

    def run(self, words: Sequence[str]) -> tuple[float, str]:
        """Run our Python; return the milliseconds that it took, and what it said on stderr."""
        variables = {
            **self.places.variables(),
            "SAGE_VENV": str(self.environment),
            "SAGE_PKGINSTALL_CACHE": str(self.root / "cache"),
        }
        command = [sys.executable, "-I", "-S", *words]
        with tempfile.TemporaryFile("w+") as said:
            ended = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=said)
            _, status, used = os.wait4(ended.pid, 0)
            said.seek(0)
            text = said.read()
        if status:
            raise SystemExit(f"cannot measure: {command} failed: {text}")
        return 1000 * (used.ru_utime + used.ru_stime), text


def main() -> int:
    """Print a table: milliseconds of the processors."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=15)
    rounds = options.parse_args().rounds
    wheels = Wheels(Places())
    wheels.fetch()
    (six,) = (wheel for wheel in wheels.real() if wheel.name.startswith("six-"))
    with tempfile.TemporaryDirectory() as name:
        yard = Yard(Path(name), six)
        install = ("pip-install", "-q", str(six))
        commands = [
            Command("install six, cache empty", install, cold=True),
            Command("install six again", install),
            Command("uninstall six", ("pip-uninstall", "-q", "-y", "six"), installed=True),
            Command("uninstall what is not there", ("pip-uninstall", "-q", "-y", "nothing")),
        ]
        print(markdown(_HEAD, _rows(yard, commands, rounds), right=1))
    return 0


def _rows(yard: Yard, commands: Sequence[Command], rounds: int) -> Iterator[tuple[str, ...]]:
    always = {module for _, module in _IMPORT.findall(yard.run(("-X", "importtime", *_BARE))[1])}
    bare: list[float] = []
    whole: dict[str, list[float]] = {command.name: [] for command in commands}
    parts: dict[str, list[tuple[float, float, float]]] = {c.name: [] for c in commands}
    for _ in range(rounds):
        bare.append(yard.run(_BARE)[0])
        for command in commands:
            yard.prepare(command)
            whole[command.name].append(yard.run(yard.tool(command.words))[0])
            yard.prepare(command)
            said = yard.run(("-X", "importtime", *yard.tool(command.words)))[1]
            parts[command.name].append(_imports(said, always))
    start = median(bare)
    for name, totals in whole.items():
        total = median(totals)
        imports = [min(column) for column in zip(*parts[name], strict=True)]
        figures = (total, start, *imports, total - start - sum(imports))
        yield (name, *(f"{figure:.0f}" for figure in figures))


def _imports(said: str, always: Container[str]) -> tuple[float, float, float]:
    """Return the milliseconds that imports of Python's library, of others and of ours took.

    What is in ``always`` any Python imports as it starts.
    """
    library = others = own = 0.0
    for microseconds, module in _IMPORT.findall(said):
        top, took = module.partition(".")[0], int(microseconds) / 1000
        if top == "sage_pkginstall":
            own += took
        elif top in _LIBRARIES:
            others += took
        elif module not in always:
            library += took
    return library, others, own


if __name__ == "__main__":
    sys.exit(main())
