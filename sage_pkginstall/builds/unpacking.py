"""Unpack a tar or zip archive of sources; nothing of it may leave its directory.

The rules are those of tarfile's filter ``data`` (PEP 706), also on a Python that has no
filters: no ``..``, no link to the outside, no devices, no owners but us, and no set-id bits, as
files have the modes that pip gives them, 644 or 755.  Links of a zip archive, which Info-ZIP and
git write, are such as those of a tar; pip makes files of them that hold their targets.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tarfile
import time
import zipfile

from sage_pkginstall.builds.damage import DAMAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["UnpackingError", "extract"]

# These are tarfile's; a KeyError for a hard link to a member that is not there.
_DAMAGE: tuple[type[Exception], ...] = (
    tarfile.TarError,
    KeyError,
    MemoryError,
    OverflowError,
    *DAMAGE,
)
_OF_THE_MACHINE = frozenset(
    {
        errno.EACCES, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EMFILE, errno.ENFILE,
        errno.ENOSPC, errno.EROFS,
    }
)  # fmt: skip
_BLOCK = 1 << 20
_LONGEST_TARGET = 4096  # of a link: PATH_MAX


class UnpackingError(Exception):
    """Why an archive cannot be unpacked; who knows what it is for says which."""


def extract(archive: Path, directory: Path) -> None:
    """Unpack ``archive`` into ``directory``, which exists and is empty.

    Raises UnpackingError if it is no archive, is damaged or leaves the directory, in which
    a part of it may lie then; and OSError for what is no fault of the archive: a full disk, say.
    """
    try:
        # A zip file is known by its end, so a tar whose last member is one looks like one.
        if zipfile.is_zipfile(archive) and not tarfile.is_tarfile(archive):
            _extract_zip(archive, directory)
        else:
            _extract_tar(archive, directory)
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
            place = error.filename or os.fspath(directory)  # a write names no file
            raise OSError(error.errno, error.strerror, place) from error
        raise UnpackingError(_reason(error)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "a name in it is longer than there is memory"
    why = str(error.args[0]) if isinstance(error, KeyError) else str(error)
    return why.partition("\n")[0].removesuffix(":")


def _extract_tar(archive: Path, directory: Path) -> None:
    with tarfile.open(archive) as tar:
        if hasattr(tarfile, "data_filter"):
            tar.extractall(directory, filter=_filtered)  # noqa: S202 -- it calls "data"
        else:  # Python 3.10.0-3.10.11 and 3.11.0-3.11.3
            tar.extractall(directory, members=_checked(tar, directory))  # noqa: S202
        _read_to_its_end(tar)


def _read_to_its_end(tar: tarfile.TarFile) -> None:
    """Raise one of `DAMAGE` if the checksum of a tar that gzip compressed is wrong.

    tarfile stops before that, at the end of the tar: what was damaged on the way would be
    taken for the source.  (The others have checksums that are met before.)  What follows that
    is no part of it: gzip passes it over, and so does tarfile.
    """
    assert tar.fileobj is not None
    try:
        while tar.fileobj.read(_BLOCK):
            pass
    except OSError as error:  # gzip.BadGzipFile, also for the checksum
        if not str(error).startswith("Not a gzipped file"):
            raise


def _checked(tar: tarfile.TarFile, directory: Path) -> Iterator[tarfile.TarInfo]:
    """Yield the members, each refused or made harmless when it is its turn.

    Links that members before made lie on the disk by then, so `os.path.realpath` sees them.
    """
    root = os.path.realpath(directory)
    for member in tar:
        member.name = member.name.lstrip("/")
        place = os.path.join(root, member.name)  # noqa: PTH118
        above = os.path.dirname(place) if member.issym() else root  # noqa: PTH120
        target = os.path.join(above, member.linkname)  # noqa: PTH118
        for path in (place, target) if member.islnk() or member.issym() else (place,):
            real = os.path.realpath(path)
            if real != root and not real.startswith(root + os.sep):
                raise tarfile.ExtractError(f"{member.name} leaves the directory")
        if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
            raise tarfile.ExtractError(f"{member.name} is neither file, link nor directory")
        member.uid, member.gid = os.geteuid(), os.getegid()
        member.uname = member.gname = ""  # root would look them up
        yield _with_mode(member)


def _filtered(member: tarfile.TarInfo, directory: str) -> tarfile.TarInfo:
    return tarfile.data_filter(_with_mode(member), directory)


def _with_mode(member: tarfile.TarInfo) -> tarfile.TarInfo:
    if member.isreg() or member.islnk():
        member.mode = _mode(member.mode)
    elif member.isdir():
        member.mode = 0o755
    return member


def _mode(mode: int) -> int:
    """Return the mode of a file as pip unpacks it: backends put that into wheels."""
    return 0o755 if mode & 0o111 else 0o644


def _extract_zip(archive: Path, directory: Path) -> None:
    links: dict[str, str] = {}
    with zipfile.ZipFile(archive) as content:
        for info in content.infolist():
            if ".." in info.filename.split("/") or info.filename.startswith("/"):
                raise zipfile.BadZipFile(f"{info.filename} leaves the directory")
            mode = info.external_attr >> 16
            if stat.S_ISLNK(mode):
                links[info.filename] = _target(content, info)
                continue
            path = content.extract(info, directory)
            if not info.is_dir():
                os.chmod(path, _mode(mode))  # noqa: PTH101
                _keep_time(path, info)
    _make_links(links, os.path.realpath(directory))


def _target(content: zipfile.ZipFile, info: zipfile.ZipInfo) -> str:
    if info.file_size > _LONGEST_TARGET:
        raise zipfile.BadZipFile(f"{info.filename} is a link of {info.file_size} bytes")
    return os.fsdecode(content.read(info))


def _make_links(links: Mapping[str, str], root: str) -> None:
    """Make links, when all files are there: none is written through one.

    A later one may change where an earlier one leads, so all are looked at again.
    """
    for name, target in links.items():
        above, _, last = os.path.join(root, name).rpartition("/")  # noqa: PTH118
        for path in (above, os.path.join(above, target)):  # noqa: PTH118
            _require_within(root, path, name)
        os.makedirs(above, exist_ok=True)  # noqa: PTH103
        os.symlink(target, os.path.join(above, last))  # noqa: PTH118, PTH211
    for name in links:
        _require_within(root, os.path.join(root, name), name)  # noqa: PTH118


def _require_within(root: str, path: str, name: str) -> None:
    real = os.path.realpath(path)
    if real != root and not real.startswith(root + os.sep):
        raise zipfile.BadZipFile(f"{name} leaves the directory")


def _keep_time(path: str, info: zipfile.ZipInfo) -> None:
    """Give a file its time, as tar and unzip do: make compares those of sources.

    A zip file has local time; what is no time is left at now.
    """
    _year, month, day, *_clock = info.date_time
    if month and day:
        with contextlib.suppress(OverflowError, ValueError):
            when = time.mktime((*info.date_time, 0, 0, -1))
            os.utime(path, (when, when))
