"""Work (e): a staged tree of 20,000 files, merged by us, ``cp -Rp`` and ``tar | tar``.

Once into an empty prefix, and once into one where every directory is there already and has
files of somebody else.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from benchmarks.case import Case, Outcome, Work
from benchmarks.completeness import Found, IncompleteError
from benchmarks.environments import remove
from benchmarks.measuring import Job
from benchmarks.works.lock import forget_times, logged_times

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.bench import Bench
    from benchmarks.measuring import Command

__all__ = ["merges"]

_DIRECTORIES, _FILES = 200, 100  # 100 in each
_PIPE = 'tar -cf - -C "$1" . | tar -xpf - -C "$2"'


def merges(bench: Bench) -> tuple[Work, ...]:
    """Return the works "into an empty prefix" and "into a prefix with those directories"."""
    total = f"{_DIRECTORIES * _FILES:,} staged files"
    return (
        _work(bench, "e-new", f"{total} into an empty prefix", shared=False),
        _work(bench, "e-shared", f"{total} into directories of others", shared=True),
    )


def _work(bench: Bench, key: str, title: str, *, shared: bool) -> Work:
    staged, prefix = bench.places.root / "staged", bench.places.environment
    ours = str(bench.places.checkout / "build" / "bin" / "sage-pkginstall")
    commands: dict[str, Command] = {
        "cp -Rp": ("cp", "-Rp", f"{staged}/.", str(prefix)),
        "tar | tar": ("sh", "-c", _PIPE, "sh", str(staged), str(prefix)),
        "ours": (ours, "merge", "--move", "--quiet", "--prefix", str(prefix), str(staged)),
    }
    variables = {
        **bench.places.variables(),
        "SAGE_PKGINSTALL_CACHE": str(bench.places.cache("ours", "e")),
        "SAGE_LOGS": str(bench.places.transactions),
    }

    def prepare() -> None:
        _copy(_tree(bench.places.made / "staged", "mine"), staged)
        remove(prefix)
        if shared:
            _copy(_tree(bench.places.made / "others", "theirs"), prefix)
        else:
            prefix.mkdir()
        forget_times(bench.places.transactions)

    def check() -> Outcome:
        found = sum(1 for path in prefix.rglob("mine*") if path.stat().st_size)
        if found != _DIRECTORIES * _FILES:
            raise IncompleteError(f"{found} files were merged")
        return Outcome(Found(found, 0), logged_times(bench.places.transactions))

    cases = (Case(name, prepare, Job((c,), variables), check) for name, c in commands.items())
    return Work(key, title, tuple(cases))


def _tree(directory: Path, name: str) -> Path:
    """Return a tree of files called ``name``..., made if it is not there."""
    if directory.exists():
        return directory
    partial = directory.with_name(f"{directory.name}.partial")
    remove(partial)
    for number in range(_DIRECTORIES):
        below = partial / "share" / f"part{number % 10}" / f"section{number}"
        below.mkdir(parents=True)
        for file in range(_FILES):
            text = f"{name} {number} {file}\n" * (1 + 30 * file % 500)
            (below / f"{name}{file}.txt").write_text(text)
    partial.rename(directory)
    return directory


def _copy(source: Path, target: Path) -> None:
    remove(target)
    subprocess.run(["cp", "-a", os.fspath(source), os.fspath(target)], check=True)  # noqa: S607
