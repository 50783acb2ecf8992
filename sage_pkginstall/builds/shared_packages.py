"""Packages that several wheels of a build environment have parts of, laid together.

Each wheel lies in a directory of its own there.  Python looks for the parts of a namespace package
in all of them (PEP 420), but for those of a package with an ``__init__.py`` only where it finds
that first.  In an environment that pip fills, all parts lie in one directory; so here

    PREFIX/lib/pythonX.Y/site-packages/NAME/    has links to what the wheels have in NAME
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

__all__ = ["lay_together"]

_INIT = "__init__."
_LIBRARIES = ".libs"
"""End of the directory, beside packages, in which auditwheel puts libraries of their modules."""


def lay_together(sites: Sequence[Path], place: Path) -> None:
    """Make one directory of links, in ``place``, of each package that several ``sites`` have.

    Of a namespace package, that is done for the packages in it.  Where several have a file of
    one name, it is that of the first.
    """
    if not _lay_together(sites, place):
        return
    for site in sites:  # modules look for their libraries from where they are found
        for path in site.glob(f"*{_LIBRARIES}"):
            if not os.path.lexists(place / path.name):
                (place / path.name).symlink_to(path)


def _lay_together(parts: Iterable[Path], place: Path) -> bool:
    """Do that, and tell whether there was anything to do."""
    done = False
    for name, found in _by_name(parts).items():
        if len(found) < 2 or not name.isidentifier() or name == "__pycache__":  # noqa: PLR2004
            continue
        if not all(map(os.path.isdir, found)):
            continue
        if any(map(_is_regular, found)):
            _link(found, place / name)
            done = True
        else:
            done |= _lay_together(found, place / name)
    return done


def _by_name(parts: Iterable[Path]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for part in parts:
        for name in sorted(os.listdir(part)):  # noqa: PTH208 -- names are wanted
            found.setdefault(name, []).append(part / name)
    return found


def _is_regular(package: Path) -> bool:
    return any(name.startswith(_INIT) for name in os.listdir(package))  # noqa: PTH208


def _link(parts: Sequence[Path], place: Path) -> None:
    place.mkdir(parents=True)
    for name, found in _by_name(parts).items():
        if len(found) > 1 and all(map(os.path.isdir, found)):
            _link(found, place / name)
        else:
            (place / name).symlink_to(found[0])
