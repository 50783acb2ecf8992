"""Copy a directory as scripts read it: with what its links lead to.

So the copy may be changed, and it does not matter from where it is read.  Left out is what
nobody can read as a file: links that lead nowhere, pipes, sockets, devices.
"""

from __future__ import annotations

import shutil

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

__all__ = ["copy_followed"]


def copy_followed(source: Path, copy: Path) -> None:
    """Make the directory ``copy`` of the directory ``source``, with modes and times.

    A link to a directory that it lies in, or that the copy lies in, has no end: what stands for it
    in the copy is a link to that directory.
    """
    places = (source.parent.resolve(), copy.parent.resolve())
    above = {_identity(one) for place in places for one in (place, *place.parents)}
    _copy(source, copy, above)


def _copy(source: Path, copy: Path, above: Collection[tuple[int, int]]) -> None:
    here = _identity(source)
    if here in above:
        copy.symlink_to(source.resolve(), target_is_directory=True)
        return
    copy.mkdir()
    for entry in sorted(source.iterdir()):
        if entry.is_dir():
            _copy(entry, copy / entry.name, {*above, here})
        elif entry.is_file():
            shutil.copy2(entry, copy / entry.name)
    shutil.copystat(source, copy)


def _identity(directory: Path) -> tuple[int, int]:
    status = directory.stat()
    return status.st_dev, status.st_ino
