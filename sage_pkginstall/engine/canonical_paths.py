"""One name for each path of a prefix in which links lead from one directory to another."""

from __future__ import annotations

import os
import posixpath

from sage_pkginstall.engine.links import followed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CanonicalPaths", "canonical_directory"]


def canonical_directory(prefix: Path, directory: str) -> str:
    """Return the one name of ``directory`` in ``prefix``; see `CanonicalPaths`."""
    return CanonicalPaths(prefix).directory(directory)


_LONGEST = 4096  # PATH_MAX: nothing that is there has a longer name


class CanonicalPaths:
    """The one name, relative to a prefix, of each path in it.

    A link to a directory is followed as far as it stays in the prefix (``lib64 -> lib``); a link
    to the outside keeps its name, and so does what is not there.  ``.`` and ``..`` vanish
    as text.  What is known of a directory is remembered, so one object serves one task.
    """

    def __init__(self, prefix: Path) -> None:
        self._root = os.fspath(prefix).rstrip("/")
        self._known = {"": ""}

    def directory(self, directory: str) -> str:
        """Return the name of a directory; ValueError if it leaves the prefix."""
        known = self._known.get(directory)
        if known is not None:
            return known
        normal = posixpath.normpath(directory.lstrip("/"))
        if normal == ".." or normal.startswith("../"):
            raise ValueError(f"{directory!r} leaves the prefix")
        name = "" if normal == "." else self._name(normal)
        self._known[directory] = name
        return name

    def file(self, path: str) -> str:
        """Return the name of a file or link, which is itself not followed.

        Raises ValueError if it leaves the prefix or is no file's name.
        """
        head, _, name = path.rpartition("/")
        if name in {"", ".", ".."}:
            raise ValueError(f"{path!r} is no file")
        parent = self.directory(head)
        return f"{parent}/{name}" if parent else name

    def _name(self, directory: str) -> str:
        if len(directory) > _LONGEST:
            return directory
        at, below = directory, []
        while at not in self._known:  # from the nearest one that is known; records hold any depth
            at, _, part = at.rpartition("/")
            below.append(part)
        known = self._known[at]
        for part in reversed(below):
            at = f"{at}/{part}" if at else part
            known = self._followed(f"{known}/{part}" if known else part)
            self._known[at] = known
        return known

    def _followed(self, name: str) -> str:
        path = f"{self._root}/{name}"
        if not os.path.islink(path):
            return name
        inside = followed(self._root, path)
        return name if inside is None else inside
