"""Lay other trees into a staged tree: renamed where possible, copied where not."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from typing import TYPE_CHECKING

from sage_pkginstall.errors import ConflictError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["lay_in", "open_modes"]


def lay_in(source: Path, staged: Path, *, move: bool) -> None:
    """Lay the entries of ``source`` into a staged tree, which may have some already.

    With ``move`` they are renamed where the file system allows it, else copied: modes,
    times, links and hard links stay.  Afterwards the owner may write everything and
    others read what the umask lets them (`open_modes`).  Raises `ConflictError` if both
    trees have an entry that is not a directory in both.
    """
    copied: dict[tuple[int, int], str] = {}
    _lay_directory(os.fspath(source), os.fspath(staged), copied, move=move)
    open_modes(os.fspath(staged), _umask())


def _lay_directory(
    source: str, target: str, copied: dict[tuple[int, int], str], *, move: bool
) -> None:
    with os.scandir(source) as entries:
        for entry in entries:
            place = os.path.join(target, entry.name)
            is_directory = entry.is_dir(follow_symlinks=False)
            if not os.path.lexists(place):
                _lay_entry(entry, place, copied, move=move)
            elif is_directory and os.path.isdir(place) and not os.path.islink(place):
                _lay_directory(entry.path, place, copied, move=move)
            else:
                raise ConflictError(entry.name, f"both {entry.path} and {place} are staged")


def _lay_entry(
    entry: os.DirEntry[str], place: str, copied: dict[tuple[int, int], str], *, move: bool
) -> None:
    if move:
        try:
            os.rename(entry.path, place)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EACCES, errno.EPERM):
                raise
        else:
            return
    if entry.is_dir(follow_symlinks=False):
        os.mkdir(place, 0o700)
        _lay_directory(entry.path, place, copied, move=False)
        shutil.copystat(entry.path, place, follow_symlinks=False)
        os.chmod(place, stat.S_IMODE(entry.stat().st_mode) | stat.S_IRWXU)
    else:
        _copy_file(entry, place, copied)


def _copy_file(entry: os.DirEntry[str], place: str, copied: dict[tuple[int, int], str]) -> None:
    status = entry.stat(follow_symlinks=False)
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
        raise ConflictError(entry.path, "it is neither file, link nor directory")
    key = (status.st_dev, status.st_ino)
    if status.st_nlink > 1 and key in copied:
        os.link(copied[key], place, follow_symlinks=False)
        return
    shutil.copy2(entry.path, place, follow_symlinks=False)
    copied[key] = place


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def open_modes(directory: str, umask: int) -> None:
    """Let the owner read and write everything below, and others read as ``umask`` allows.

    A read-only directory could not be renamed by its owner, nor upgraded; set-id bits
    and everything else of the modes stay.
    """
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_symlink():
                continue
            mode = stat.S_IMODE(entry.stat(follow_symlinks=False).st_mode)
            if entry.is_dir(follow_symlinks=False):
                wanted = mode | 0o700 | (0o055 & ~umask)
                _change_mode(entry.path, mode, wanted)
                open_modes(entry.path, umask)
            else:
                _change_mode(entry.path, mode, mode | 0o600 | (0o044 & ~umask))


def _change_mode(path: str, mode: int, wanted: int) -> None:
    if mode != wanted:
        os.chmod(path, wanted)
