"""Sources that replace others get another modification time.

Python takes a ``.pyc`` for valid if it names the source's size and its modification time
in whole seconds (PEP 3147, PEP 552).  A program that compiled the old source may write
its ``.pyc`` after the new source is in place: with equal sizes and seconds that stale
byte-code would be imported for good.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["freshen"]

_HEADER = 16  # bytes: magic, flags, modification time, size (PEP 552)


def freshen(staged: Path, prefix: Path) -> bool:
    """Make each staged source newer than the one of its size that it will replace.

    Staged time-stamped byte-code of a source is kept valid.  Works on the staged tree
    only; both have the same layout.  Returns whether anything was changed.
    """
    return _freshen_directory(os.fspath(staged), os.fspath(prefix))


def _freshen_directory(staged: str, existing: str) -> bool:
    changed = False
    if not os.path.isdir(existing):
        return changed
    with os.scandir(staged) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                changed |= _freshen_directory(entry.path, os.path.join(existing, entry.name))
            elif entry.name.endswith(".py") and entry.is_file(follow_symlinks=False):
                changed |= _freshen_source(entry, os.path.join(existing, entry.name))
    return changed


def _freshen_source(entry: os.DirEntry[str], counterpart: str) -> bool:
    try:
        old = os.lstat(counterpart)
    except FileNotFoundError:
        return False
    new = entry.stat(follow_symlinks=False)
    if old.st_size != new.st_size or int(new.st_mtime) > int(old.st_mtime):
        return False
    seconds = int(old.st_mtime) + 1
    os.utime(entry.path, (seconds, seconds))
    _retime_bytecode(entry, seconds)
    return True


def _retime_bytecode(source: os.DirEntry[str], seconds: int) -> None:
    cache = os.path.join(os.path.dirname(source.path), "__pycache__")
    stem = source.name.removesuffix(".py") + "."
    try:
        names = os.listdir(cache)
    except FileNotFoundError:
        return
    for name in names:
        if name.startswith(stem) and name.endswith(".pyc"):
            _retime(os.path.join(cache, name), seconds)


def _retime(bytecode: str, seconds: int) -> None:
    with open(bytecode, "r+b") as file:
        header = file.read(_HEADER)
        if len(header) == _HEADER and header[4:8] == bytes(4):  # not hash-based
            file.seek(8)
            file.write((seconds & 0xFFFFFFFF).to_bytes(4, "little"))
