"""The staged tree of a package (SAGE_DESTDIR) between its scripts and its transaction."""

from __future__ import annotations

import os
from pathlib import Path

from sage_pkginstall.engine.files import current_umask
from sage_pkginstall.engine.staged import open_modes
from sage_pkginstall.errors import PackageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sage_pkginstall.spkg.variables import PackageVariables

__all__ = ["finish", "listed", "open_for_scripts", "python_files", "refuse_python", "strays"]

_IMPORTABLE = (".py", ".pyc", ".so", ".pyd", ".pth", ".egg-link", ".dylib")
_INFO = (".dist-info", ".egg-info")
_SHOWN = 3


def open_for_scripts(place: PackageVariables) -> None:
    """Make the staged tree, with a link ``lib64 -> lib``: one directory for libraries."""
    (place.destdir_tree / "lib").mkdir(parents=True, exist_ok=True)
    link = place.destdir_tree / "lib64"
    if not os.path.lexists(link):
        link.symlink_to("lib")


def finish(place: PackageVariables) -> None:
    """Remove from the staged tree what is not to be installed, and let us into all of it.

    That is our ``lib64``, the libtool files ``lib/*.la``, and ``lib`` if it is empty.  What
    SAGE_SUDO made has its modes until SAGE_SUDO copies it.
    """
    is_ours = place.destdir.is_dir() and not place.destdir.is_symlink()
    if is_ours and not place.common.sudo:
        open_modes(os.fspath(place.destdir), current_umask())
    link, lib = place.destdir_tree / "lib64", place.destdir_tree / "lib"
    if link.is_symlink():
        link.unlink()
    if lib.is_dir() and not lib.is_symlink():
        for file in lib.glob("*.la"):
            if not file.is_dir():
                file.unlink()
        if not any(lib.iterdir()):
            lib.rmdir()


def refuse_python(place: PackageVariables, sites: Iterable[Path]) -> str | None:
    """Refuse Python distributions in the staged tree, files that must come as wheels.

    ``sites`` are the directories of the target's distributions.  Returns a warning instead
    where SAGE_STAGED_PYTHON=warn lets them through.  Raises PackageError.
    """
    found = [path for site in sites for path in python_files(place.destdir, site)]
    if not found:
        return None
    names = ", ".join(found[:_SHOWN]) + (" ..." if len(found) > _SHOWN else "")
    what = f"its staged tree holds Python modules or distributions ({names})"
    if place.common.staged_python:
        return f"{what}; SAGE_STAGED_PYTHON=warn lets them through"
    remedy = "build a wheel and install it with sdh_pip_install (SAGE_STAGED_PYTHON=warn allows it)"
    raise PackageError(place.name, f"{what}; {remedy}")


def python_files(destdir: Path, site: Path) -> tuple[str, ...]:
    """Return what is staged in ``site`` and could be imported or claims to be a distribution.

    The paths are relative to ``site``.
    """
    root = Path(f"{destdir}{site}")
    return tuple(
        path
        for path in listed(root)
        if path.endswith(_IMPORTABLE) or path.partition("/")[0].endswith(_INFO)
    )


def strays(place: PackageVariables) -> tuple[str, ...]:
    """Return the files that were staged outside of the tree; nobody installs them."""
    below = os.fspath(place.tree).strip("/") + "/"
    return tuple(
        path
        for path in listed(place.destdir)
        if not path.startswith(below) and not (place.destdir / path).is_dir()
    )


def listed(root: Path) -> tuple[str, ...]:
    """Return everything below ``root`` but directories that are not empty, relative to it.

    The names are sorted; undecodable bytes are surrogates.  Raises OSError for a directory
    that cannot be read; nothing is there if ``root`` is not.
    """
    return tuple(sorted(_walk(os.fspath(root), "")))


def _walk(root: str, directory: str) -> Iterator[str]:
    try:
        with os.scandir(os.path.join(root, directory)) as scan:  # noqa: PTH118 -- many
            entries = list(scan)
    except (FileNotFoundError, NotADirectoryError):
        return
    if directory and not entries:
        yield directory
    for entry in entries:
        path = f"{directory}/{entry.name}" if directory else entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(root, path)
        else:
            yield path
