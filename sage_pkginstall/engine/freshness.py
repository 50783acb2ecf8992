"""Sources that replace others get another modification time.

Python takes a ``.pyc`` for valid if it names the source's size and its modification time
in whole seconds (PEP 3147, PEP 552).  A program that compiled the old source may write
its ``.pyc`` after the new source is in place: with equal sizes and seconds that stale
byte-code would be imported for good.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from sage_pkginstall.engine.paths import bytecode_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["freshen"]

_HEADER = 16  # bytes: magic, flags, modification time, size (PEP 552)


def freshen(staged: Path, prefix: Path, renew: Callable[[Path], object]) -> bool:
    """Make each staged source newer than the one of its size that it will replace.

    Staged time-stamped byte-code of a source is kept valid.  Works on the staged tree
    only, through no link; both have the same layout.  What has other names, in a cache, say,
    is changed after ``renew`` has put a copy in its place.  Returns whether anything was changed.
    """
    return _freshen_directory(os.fspath(staged), os.fspath(prefix), renew)


def _freshen_directory(staged: str, existing: str, renew: Callable[[Path], object]) -> bool:
    if not os.path.isdir(existing):
        return False
    changed = False
    fresh: dict[str, int] = {}
    with os.scandir(staged) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                below = os.path.join(existing, entry.name)
                changed |= _freshen_directory(entry.path, below, renew)
            elif entry.name.endswith(".py") and entry.is_file(follow_symlinks=False):
                seconds = _freshen_source(entry, os.path.join(existing, entry.name), renew)
                if seconds is not None:
                    fresh[entry.path] = seconds
    if fresh:
        _retime_bytecode(os.path.join(staged, "__pycache__"), fresh, renew)
    return changed or bool(fresh)


def _freshen_source(
    entry: os.DirEntry[str], counterpart: str, renew: Callable[[Path], object]
) -> int | None:
    """Return the time that a source has from now on, None if it keeps its own."""
    try:
        old = os.lstat(counterpart)
    except FileNotFoundError:
        return None
    new = entry.stat(follow_symlinks=False)
    if old.st_size != new.st_size or int(new.st_mtime) > int(old.st_mtime):
        return None
    if new.st_nlink > 1:
        if os.path.samestat(old, new):  # nothing is replaced: it has no other content
            return None
        renew(Path(entry.path))
    seconds = int(old.st_mtime) + 1
    os.utime(entry.path, (seconds, seconds))
    return seconds


def _retime_bytecode(cache: str, fresh: Mapping[str, int], renew: Callable[[Path], object]) -> None:
    """Let the byte-code in ``cache`` of sources that have another time now name that.

    What a link leads to is somebody else's, and stays as it is.
    """
    if os.path.islink(cache) or not os.path.isdir(cache):
        return
    for name in os.listdir(cache):
        bytecode = os.path.join(cache, name)
        seconds = fresh.get(bytecode_source(bytecode) or "")
        if seconds is None:
            continue
        status = os.lstat(bytecode)
        if stat.S_ISREG(status.st_mode):
            if status.st_nlink > 1:
                renew(Path(bytecode))
                os.chmod(bytecode, stat.S_IMODE(status.st_mode) | stat.S_IWUSR)
            _retime(bytecode, seconds)


def _retime(bytecode: str, seconds: int) -> None:
    with open(bytecode, "r+b") as file:
        header = file.read(_HEADER)
        if len(header) == _HEADER and header[4:8] == bytes(4):  # not hash-based
            file.seek(8)
            file.write((seconds & 0xFFFFFFFF).to_bytes(4, "little"))
