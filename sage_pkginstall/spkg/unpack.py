"""Unpack an archive of sources; nothing of it may leave its directory.

The rules are those of tarfile's filter ``data`` (PEP 706), also on a Python that has no
filters: no absolute paths, no ``..``, no link to the outside, no devices, no set-id bits.
"""

from __future__ import annotations

import os
import stat
import tarfile
import zipfile

from sage_pkginstall.builds.damage import DAMAGE
from sage_pkginstall.errors import PkgInstallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["unpack"]

_DAMAGE: tuple[type[Exception], ...] = (tarfile.TarError, *DAMAGE)


def unpack(archive: Path, destination: Path) -> None:
    """Unpack ``archive`` into the directory ``destination``, which is made.

    If all that it holds is one directory, ``destination`` is that directory.  Raises
    PkgInstallError for an archive that is damaged or leaves its directory.
    """
    scratch = destination.with_name(f".{destination.name}.unpacking")
    scratch.mkdir()
    try:
        # A zip file is known by its end, so a tar whose last member is one looks like one.
        if zipfile.is_zipfile(archive) and not tarfile.is_tarfile(archive):
            _unpack_zip(archive, scratch)
        else:
            _unpack_tar(archive, scratch)
    except _DAMAGE as error:
        why = str(error).partition("\n")[0].removesuffix(":")
        remedy = "if it is not what upstream offers, delete it and mend checksums.ini"
        raise PkgInstallError(f"cannot unpack {archive}: {why}; {remedy}") from error
    tops = list(scratch.iterdir())
    if len(tops) == 1 and tops[0].is_dir() and not tops[0].is_symlink():
        tops[0].rename(destination)
        scratch.rmdir()
    else:
        scratch.rename(destination)


def _unpack_tar(archive: Path, directory: Path) -> None:
    with tarfile.open(archive) as tar:
        if hasattr(tarfile, "data_filter"):
            tar.extractall(directory, filter="data")
        else:  # Python 3.10.0-3.10.11 and 3.11.0-3.11.3
            tar.extractall(directory, members=_checked(tar, directory))  # noqa: S202


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
        member.mode = _harmless(member)
        yield member


def _harmless(member: tarfile.TarInfo) -> int:
    if member.isdir():
        return 0o755
    return (member.mode & 0o755 | 0o600) if member.isreg() else member.mode


def _unpack_zip(archive: Path, directory: Path) -> None:
    with zipfile.ZipFile(archive) as content:
        for info in content.infolist():
            if ".." in info.filename.split("/") or info.filename.startswith("/"):
                raise zipfile.BadZipFile(f"{info.filename} leaves the directory")
            mode = info.external_attr >> 16
            if stat.S_ISLNK(mode):
                raise zipfile.BadZipFile(f"{info.filename} is a link")
            path = content.extract(info, directory)
            if mode & 0o111 and not info.is_dir():
                os.chmod(path, 0o755)  # noqa: PTH101, S103 -- a program is to be run by all
