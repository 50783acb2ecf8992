"""Unpack the tarball of a package into its build directory."""

from __future__ import annotations

from sage_pkginstall.builds.unpacking import UnpackingError, extract
from sage_pkginstall.errors import PkgInstallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["unpack"]


def unpack(archive: Path, destination: Path) -> None:
    """Unpack ``archive`` into the directory ``destination``, which is made.

    If all that it holds is one directory, ``destination`` is that directory.  Raises
    PkgInstallError for an archive that is damaged or leaves its directory.
    """
    scratch = destination.with_name(f".{destination.name}.unpacking")
    scratch.mkdir()
    try:
        extract(archive, scratch)
    except UnpackingError as error:
        remedy = "if it is not what upstream offers, delete it and mend checksums.ini"
        raise PkgInstallError(f"cannot unpack {archive}: {error}; {remedy}") from error
    tops = list(scratch.iterdir())
    if len(tops) == 1 and tops[0].is_dir() and not tops[0].is_symlink():
        tops[0].rename(destination)
        scratch.rmdir()
    else:
        scratch.rename(destination)
