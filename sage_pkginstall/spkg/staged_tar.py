"""A staged tree in one file, so that it can be kept and laid out again as it was.

A tar that is not compressed: directories, files with their modes, times and hard links, and
links with their text, whatever that is.  Links are laid out last, so nothing is written
through them.
"""

from __future__ import annotations

import os
import shutil
import stat
import tarfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

__all__ = ["CannotPackError", "lay_out", "names_below", "pack"]

_BITS = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
_LOST = ("security.capability", "system.posix_acl_", "user.")
"""Extended attributes that somebody gave a file; others are the file system's business."""


class CannotPackError(Exception):
    """A staged tree has what its tar would not bring back; the text says what."""


def pack(tree: Path, archive: Path, names: Iterable[str]) -> None:
    """Write ``names``, relative to ``tree``, to ``archive``; a directory goes before its entries.

    Raises CannotPackError if there is no file, or one whose owner or rights would be lost.
    """
    count = 0
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for name in names:
            path = tree / name
            _check(path, name)
            member = tar.gettarinfo(path, name)
            if member.isreg():
                with path.open("rb") as file:
                    tar.addfile(member, file)
            else:
                tar.addfile(member)
            count += not member.isdir()
    if not count:
        raise CannotPackError("its scripts staged no file")


def names_below(tree: Path, directory: str, left_out: Collection[str]) -> Iterator[str]:
    """Yield all that ``directory`` holds, relative to ``tree``; what ``left_out`` names is not."""
    with os.scandir(tree / directory) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        name = f"{directory}/{entry.name}" if directory else entry.name
        if name in left_out:
            continue
        yield name
        if entry.is_dir(follow_symlinks=False):
            yield from names_below(tree, name, left_out)


def lay_out(archive: Path, tree: Path) -> None:
    """Lay out in the directory ``tree`` what `pack` packed; directories above it are there.

    Raises ValueError for a name that leads elsewhere, OSError and tarfile.TarError.
    """
    links: list[tarfile.TarInfo] = []
    directories: list[tarfile.TarInfo] = []
    with tarfile.open(archive, "r:") as tar:
        for member in tar:
            if member.name.startswith("/") or ".." in member.name.split("/"):
                raise ValueError(f"{member.name!r} leads elsewhere")
            if member.issym():
                links.append(member)
            elif member.isdir():
                (tree / member.name).mkdir(exist_ok=True)
                directories.append(member)
            else:
                _lay_file(tar, member, tree)
    for member in links:
        (tree / member.name).symlink_to(member.linkname)
    for member in reversed(directories):  # when nothing is put there any more
        _keep(member, tree / member.name)


def _check(path: Path, name: str) -> None:
    status = path.lstat()
    mode = status.st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
        raise CannotPackError(f"{name} is neither file, directory nor link")
    if mode & _BITS:
        raise CannotPackError(f"{name} has a set-id or sticky bit")
    if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
        raise CannotPackError(f"{name} belongs to another user or group")
    lost = [attribute for attribute in _attributes(path) if attribute.startswith(_LOST)]
    if lost:
        raise CannotPackError(f"{name} has the extended attribute {lost[0]}")


def _attributes(path: Path) -> list[str]:
    try:
        return os.listxattr(path, follow_symlinks=False)
    except (AttributeError, OSError):  # macOS; a file system without
        return []


def _lay_file(tar: tarfile.TarFile, member: tarfile.TarInfo, tree: Path) -> None:
    place = tree / member.name
    if member.islnk():
        if member.linkname.startswith("/") or ".." in member.linkname.split("/"):
            raise ValueError(f"{member.linkname!r} leads elsewhere")
        os.link(tree / member.linkname, place, follow_symlinks=False)
        return
    content = tar.extractfile(member)
    if content is None:
        raise ValueError(f"{member.name!r} is neither file, directory nor link")
    with content, place.open("xb") as file:
        shutil.copyfileobj(content, file)
    _keep(member, place)


def _keep(member: tarfile.TarInfo, place: Path) -> None:
    """Give what was laid out its mode and its time, with which caches (of icons, say) compare."""
    place.chmod(member.mode)
    os.utime(place, (member.mtime, member.mtime))
