"""Where the processor time of a command goes: Python's start, imports, the kernel, and the work.

    python -m benchmarks.profile [--rounds N]

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

from benchmarks.environments import remove
from benchmarks.places import Places
from benchmarks.table import markdown
from benchmarks.wheels import Wheels

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

_START = """import sys
sys.path[:0] = sys.argv[1:3]
del sys.argv[1:3]
from sage_pkginstall.cli.main import program
program()"""
_IMPORT = re.compile(r"^import time:\s+(\d+) \|\s+\d+ \|\s+([\w.]+)$", re.MULTILINE)
_LIBRARIES = {"installer", "packaging", "filelock"}
_HEAD = (
    "command", "all", "start of Python", "its library", "installer", "own modules", "the rest",
    "in the kernel",
)  # fmt: skip
_BARE = ("-c", "pass")


@dataclass(frozen=True)
class Ran:
    """The milliseconds that a run took, those of the kernel, and what was said on stderr."""

    took: float
    kernel: float
    said: str


@dataclass(frozen=True)
class Command:
    """Words for the tool; before each run its environment and its cache are as they are to be.

    What is not ``cold`` finds in the cache what the commands before it have left there.
    """

    name: str
    words: tuple[str, ...]
    cold: bool = False
    installed: str = ""
    links: bool = False


class Yard:
    """A directory with environments, one of them copied before each run, and a cache."""

    def __init__(self, root: Path, wheels: Mapping[str, Path]) -> None:
        self.root = root
        self.environment = root / "env"
        self.places = Places()
        venv.EnvBuilder(symlinks=True).create(root / "bare")
        for name, wheel in wheels.items():
            self.prepare(Command("", ()))
            self.run(self.tool(("pip-install", "-q", str(wheel))))
            shutil.copytree(self.environment, root / f"with-{name}", symlinks=True)

    def tool(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return what runs the tool as build/bin does, without the shell."""
        here = map(str, (self.places.checkout, self.places.packages))
        return ("-c", _START, *here, *words)

    def prepare(self, command: Command) -> None:
        """Have the environment as ``command`` is to find it; no cache for a cold one."""
        remove(self.environment)
        template = self.root / (f"with-{command.installed}" if command.installed else "bare")
        shutil.copytree(template, self.environment, symlinks=True)
        if command.cold:
            remove(self.root / "cache")
        else:
            self.run(self.tool(("list",)))  # so that the environment is known

    def run(self, words: Sequence[str], *, links: bool = False) -> Ran:
        """Run our Python to its end."""
        variables = {
            **self.places.variables(),
            "SAGE_VENV": str(self.environment),
            "SAGE_PKGINSTALL_CACHE": str(self.root / "cache"),
            "SAGE_PKGINSTALL_LINK_MODE": "hardlink" if links else "copy",
        }
        command = [sys.executable, "-I", "-S", *words]
        with tempfile.TemporaryFile("w+") as said:
            ended = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=said)
            _, status, used = os.wait4(ended.pid, 0)
            said.seek(0)
            text = said.read()
        if status:
            raise SystemExit(f"cannot measure: {command} failed: {text}")
        return Ran(1000 * (used.ru_utime + used.ru_stime), 1000 * used.ru_stime, text)


def main() -> int:
    """Print a table: milliseconds of the processors."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=15)
    rounds = options.parse_args().rounds
    wheels = Wheels(Places())
    wheels.fetch()
    known = {wheel.name.partition("-")[0]: wheel for wheel in wheels.real()}
    measured = {name: known[name] for name in ("six", "sympy")}
    with tempfile.TemporaryDirectory() as name:
        yard = Yard(Path(name), measured)
        print(markdown(_HEAD, _rows(yard, list(_commands(measured)), rounds), right=1))
    return 0


def _commands(wheels: Mapping[str, Path]) -> Iterator[Command]:
    for name, wheel in wheels.items():
        install = ("pip-install", "-q", str(wheel))
        plain = (*install, "--no-compile")
        yield Command(f"{name}, cache empty", install, cold=True)
        yield Command(f"{name} again", install)
        yield Command(f"{name}, cache empty, no byte-code", plain, cold=True)
        yield Command(f"{name} again, no byte-code", plain)
        yield Command(f"{name} again, no byte-code, hard links", plain, links=True)
        yield Command(f"uninstall {name}", ("pip-uninstall", "-q", "-y", name), installed=name)
    yield Command("uninstall what is not there", ("pip-uninstall", "-q", "-y", "nothing"))


def _rows(yard: Yard, commands: Sequence[Command], rounds: int) -> Iterator[tuple[str, ...]]:
    always = {module for _, module in _IMPORT.findall(yard.run(("-X", "importtime", *_BARE)).said)}
    bare: list[float] = []
    whole: dict[str, list[Ran]] = {command.name: [] for command in commands}
    parts: dict[str, list[tuple[float, float, float]]] = {c.name: [] for c in commands}
    for _ in range(rounds):
        bare.append(yard.run(_BARE).took)
        for command in commands:
            words = yard.tool(command.words)
            yard.prepare(command)
            whole[command.name].append(yard.run(words, links=command.links))
            yard.prepare(command)
            said = yard.run(("-X", "importtime", *words), links=command.links).said
            parts[command.name].append(_imports(said, always))
    start = median(bare)
    for name, runs in whole.items():
        total = median(ran.took for ran in runs)
        imports = [min(column) for column in zip(*parts[name], strict=True)]
        rest = total - start - sum(imports)
        figures = (total, start, *imports, rest, median(ran.kernel for ran in runs))
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
