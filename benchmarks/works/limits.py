"""The physical limits beside (a), (b): what no installer can do without.

Unpacking by libarchive, a bare loop of `compile()` and `marshal` in one and two processes,
both after one another, and hard links of a tree that was unpacked before (``cp -al``).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.case import Case, Outcome
from benchmarks.completeness import Found, IncompleteError
from benchmarks.environments import remove
from benchmarks.measuring import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.bench import Bench
    from benchmarks.measuring import Command

__all__ = ["limits"]

_COMPILE = Path(__file__).with_name("bare_compile.py")
_UNZIP = 'for wheel; do bsdtar -xf "$wheel" || exit; done'


def limits(bench: Bench, key: str, wheels: Sequence[Path]) -> tuple[Case, ...]:
    """Return a case for each limit; none without bsdtar."""
    if not shutil.which("bsdtar"):
        return ()
    # The wheels of a work may have been others when it was run before.
    names = "\n".join(wheel.name for wheel in wheels)
    made = f"unpacked-{key}-{hashlib.sha256(names.encode()).hexdigest()[:12]}"
    source, target = bench.places.made / made, bench.places.environment

    def emptied() -> None:
        if not source.exists():
            _unpack(source, wheels)
        remove(target)
        target.mkdir()

    def case(name: str, *commands: Command) -> Case:
        check = Outcome if name.startswith("compile") else _same_count(source, target)
        return Case(name, emptied, Job(commands, bench.places.variables()), check)

    python = str(bench.places.programs / "python3")
    unzip = _unzip(target, wheels)
    link = ("sh", "-c", 'cp -al "$1/." "$2"', "sh", str(source), str(target))

    def compile_of(directory: Path, processes: int) -> Command:
        return (python, "-I", "-S", str(_COMPILE), str(directory), str(processes))

    return (
        case("unzip", unzip),
        case("compile, 1 process", compile_of(source, 1)),
        case("compile, 2 processes", compile_of(source, 2)),
        case("unzip, compile, 2 processes", unzip, compile_of(target, 2)),
        case("cp -al", link),
    )


def _unpack(directory: Path, wheels: Sequence[Path]) -> None:
    """Make a directory with what the wheels hold; killed, it is not there."""
    partial = directory.with_name(f"{directory.name}.partial")
    remove(partial)
    partial.mkdir(parents=True)
    subprocess.run(_unzip(partial, wheels), check=True)
    partial.rename(directory)


def _unzip(target: Path, wheels: Sequence[Path]) -> Command:
    return ("sh", "-c", f'cd "$0" && {_UNZIP}', str(target), *map(str, wheels))


def _same_count(source: Path, target: Path) -> Callable[[], Outcome]:
    def check() -> Outcome:
        wanted, found = _files(source), _files(target)
        if wanted != found:
            raise IncompleteError(f"{found} files instead of {wanted}")
        return Outcome(Found(found, 0))

    return check


def _files(directory: Path) -> int:
    return sum(len(names) for _, _, names in os.walk(directory))
