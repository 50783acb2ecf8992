"""The prefix as one plan finds it: whose a directory is, whether it can move, where links lead.

Nothing is changed here.  Directories that a plan rests on are noted with their state.
"""

from __future__ import annotations

import os
from pathlib import Path

from sage_pkginstall.engine import files
from sage_pkginstall.engine.links import followed
from sage_pkginstall.engine.paths import bytecode_source, is_within, join
from sage_pkginstall.engine.plan import Evidence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from sage_pkginstall.engine.plan import PlanRequest
    from sage_pkginstall.engine.workspace import Workspace

__all__ = ["Ground", "nobody_fills"]

_LONGEST = 4000  # about PATH_MAX: what has a longer name nobody can look into
_LOWER = "abcdefghijklmnopqrstuvwxyz"
_OTHER_CASE = str.maketrans(_LOWER + _LOWER.upper(), _LOWER.upper() + _LOWER)


class Ground:
    """What one plan is made on.

    ``led_to`` are directories to which links of the prefix lead what is staged.  They are not
    moved as a whole, nor is one above them: what comes through the link would go with the old
    one.
    """

    def __init__(
        self, workspace: Workspace, request: PlanRequest, led_to: Collection[str] = ()
    ) -> None:
        self.workspace = workspace
        self.request = request
        self.prefix = os.fspath(workspace.prefix)
        self.below = self.prefix.rstrip("/") + "/"
        self.evidence: dict[str, Evidence] = {}
        self.led_to = set(led_to)

    def is_ours(self, directory: str) -> bool:
        """Tell whether all that ``directory`` holds belongs to what is replaced, alone.

        See `nobody_fills` for what holds nothing.  Something that is replaced lies in it, too:
        where only directories are (``share``), somebody else may be making his at any moment.
        """
        return nobody_fills(self.hollow(directory)) and self._has_own(directory)

    def _has_own(self, directory: str) -> bool:
        names = os.listdir(self.absolute(directory))
        return any(f"{directory}/{name}" in self.request.replaced for name in names)

    def hollow(self, directory: str) -> list[str] | None:
        """Return the directories there that hold nothing; None beside others'.

        ``directory`` may be one of them.  What is no others' is all of what is replaced.
        """
        lasting = (*self.request.lasting, *self.led_to, *self.workspace.mounts)
        if any(is_within(path, directory) for path in lasting):
            return None
        if self.owners(directory) or self.request.ownership.others_within(directory):
            return None
        try:
            device = os.stat(self.absolute(os.path.dirname(directory))).st_dev
            return self._hollow(directory, device)
        except (FileNotFoundError, NotADirectoryError):  # who removed something is at work there
            return None

    def _hollow(self, directory: str, device: int) -> list[str] | None:
        found: list[str] = []
        filled: set[str] = set()
        pending = [directory]
        while pending:  # others may have made directories of any depth
            below = pending.pop()  # the last: what is others' mostly lies deep
            found.append(below)
            if len(self.absolute(below)) > _LONGEST or self.see(below) != device:
                return None
            with os.scandir(self.absolute(below)) as entries:
                for entry in entries:
                    path = f"{below}/{entry.name}"
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(path)
                    elif self._is_replaced(path):
                        filled.add(below)
                    else:
                        return None
        return _hollow_of(found, filled.union(self.request.replaced.intersection(found)))

    def _is_replaced(self, path: str) -> bool:
        return path in self.request.replaced or bytecode_source(path) in self.request.replaced

    def see(self, directory: str) -> int:
        """Note the state of a directory that the plan rests on; return its device."""
        absolute = self.absolute(directory)
        if absolute not in self.evidence:
            self.evidence[absolute] = Evidence.of(absolute)
        return self.evidence[absolute].device

    def owners(self, path: str) -> frozenset[str]:
        """Return who else owns exactly this file."""
        return self.request.ownership.owners(path)

    def can_move(self, directory: str) -> bool:
        """Tell whether a directory can be renamed at all (see files.py)."""
        obstacle = self.workspace.obstacle(self.above(directory))
        return files.can_move_directory(self.absolute(directory), obstacle)

    def above(self, path: str) -> Path:
        """Return the directory that ``path`` lies in."""
        return Path(os.path.dirname(self.absolute(path)))

    def absolute(self, path: str) -> str:
        """Return a path of the prefix for the operating system."""
        return self.below + path if path else self.prefix

    def relative(self, path: str | Path) -> str:
        """Return a slot as plans name it: relative to the prefix if it lies there."""
        return os.fspath(path).removeprefix(self.below)

    def slot_for_removal(self, path: str, name: str) -> str:
        """Return where ``path`` goes if it is removed, by a name of the plan's own."""
        return self.relative(self.workspace.slot_for_removal(self.above(path), name))

    def canonical(self, directory: str) -> str:
        """Return ``directory`` without links, as far as these stay in the prefix (lib64 → lib)."""
        if not directory or not self.has_link(directory):
            return directory
        name = followed(self.prefix, self.absolute(directory))
        return directory if name is None else name

    def spelt(self, path: str, status: os.stat_result) -> str:
        """Return the name by which the prefix has an entry of this status, which is at ``path``.

        It is another one where the file system takes upper and lower case for one.
        """
        directory, _, name = path.rpartition("/")
        other = files.lstat(self.absolute(join(directory, name.translate(_OTHER_CASE))))
        if other is None or not os.path.samestat(status, other):
            return path
        names = os.listdir(self.absolute(directory))
        if name in names:
            return path
        alike = (found for found in names if found.casefold() == name.casefold())
        return join(directory, next(alike, name))

    def has_link(self, directory: str) -> bool:
        """Tell whether the prefix has a link there."""
        return os.path.islink(self.absolute(directory))


def nobody_fills(hollow: list[str] | None) -> bool:
    """Tell whether a directory with these that hold nothing can be moved, or has others' (None).

    Who has made one may be about to fill it, without our lock, and would lose what he writes if
    it were moved.  Where it keeps byte-code, Python does without what it finds no room for.
    """
    return hollow is not None and all(one.endswith("/__pycache__") for one in hollow)


def _hollow_of(found: list[str], filled: set[str]) -> list[str]:
    """Return which directories, each after that it lies in, have nothing ``filled`` within."""
    for directory in reversed(found):
        if directory in filled:
            filled.add(os.path.dirname(directory))
    return [one for one in found if one not in filled]
