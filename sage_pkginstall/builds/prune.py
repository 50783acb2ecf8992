"""Delete what the cache has not been asked for in a while, and tell how much there is.

CACHE/wheels/ENTRY/, CACHE/built/ENTRY/    by one rename each, then deleted; one that
                                           a build holds (flock) stays
CACHE/building/KEY                         stays while a build holds it
CACHE/asked, last, packs, targets, …        files
CACHE/files/SHA256                         stays while a prefix has it, too
"""

from __future__ import annotations

import contextlib
import fcntl
import os

from sage_pkginstall.engine.files import rename
from sage_pkginstall.engine.workspace import StagingArea
from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.linked_files import last_use as last_use_of_shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Kind", "Pruned", "kinds", "prune"]

_OF_ENTRIES = ("wheels", "built")
_OF_FILES = (
    "asked", "building", "last", "left", "prefixes", "remote-down", "resolved", "targets",
    "tools", "owners", "packs", "files",
)  # fmt: skip
_DAY = 86400


class Pruned(NamedTuple):
    """What was deleted, and its bytes; ``held`` is what was to go, but is in use."""

    entries: tuple[Path, ...]
    bytes: int
    held: tuple[Path, ...]


class Kind(NamedTuple):
    """How many entries of one kind there are, with all their bytes."""

    name: str
    entries: int
    bytes: int


def prune(cache: Path, days: float, now: float) -> Pruned:
    """Delete what was not used in the ``days`` days before ``now`` (seconds since 1970).

    An entry that a build uses stays, whatever its age.
    """
    oldest = now - days * _DAY
    if not cache.is_dir():
        return Pruned((), 0, ())
    gone: list[Path] = []
    kept: list[Path] = []
    size = 0
    area = StagingArea(cache)
    area.collect()
    with area.workspace() as workspace:
        for path in _old(cache, oldest):
            bytes_there = _size(path)
            if _removed(path, oldest, workspace.scratch / f"{path.parent.name}-{path.name}"):
                gone.append(path)
                size += bytes_there
            else:
                kept.append(path)
    return Pruned(tuple(gone), size, tuple(kept))


def kinds(cache: Path) -> tuple[Kind, ...]:
    """Return how much of what there is in ``cache``."""
    found = []
    for name in (*_OF_ENTRIES, *_OF_FILES):
        paths = _entries(cache / name)
        if paths:
            found.append(Kind(name, len(paths), sum(map(_size, paths))))
    return tuple(found)


def _old(cache: Path, oldest: float) -> Iterator[Path]:
    for name in (*_OF_ENTRIES, *_OF_FILES):
        for path in _entries(cache / name):
            with contextlib.suppress(FileNotFoundError):
                if _last_use(path.stat(), name) < oldest:
                    yield path


def _entries(directory: Path) -> list[Path]:
    """Return what lies in a directory of the cache; what a link leads to is somebody else's."""
    if directory.is_symlink() or not directory.is_dir():
        return []
    return sorted(directory.iterdir())


def _last_use(status: os.stat_result, kind: str) -> float:
    if kind == "files":  # whose times are those of files in prefixes
        return last_use_of_shared(status)
    return status.st_mtime


def _removed(path: Path, oldest: float, place: Path) -> bool:
    """Move ``path`` away unless somebody holds it or used it meanwhile; tell which it was."""
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(path, flags)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _last_use(os.fstat(descriptor), path.parent.name) >= oldest:
            return False
        rename(path, place)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _size(path: Path) -> int:
    if not path.is_dir():
        with contextlib.suppress(FileNotFoundError):
            return path.lstat().st_size
        return 0
    total = 0
    for directory, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(os.path.join(directory, name)).st_size  # noqa: PTH118 -- hot
    return total
