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

__all__ = ["Ground"]

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
        """Tell whether all that ``directory`` holds belongs to what is replaced, alone."""
        lasting = (*self.request.lasting, *self.led_to, *self.workspace.mounts)
        if any(is_within(path, directory) for path in lasting):
            return False
        if self.owners(directory) or self.request.ownership.others_within(directory):
            return False
        device = os.stat(self.absolute(os.path.dirname(directory))).st_dev
        return self._holds_only_ours(directory, device)

    def _holds_only_ours(self, directory: str, device: int) -> bool:
        replaced = self.request.replaced
        pending = [directory]
        while pending:  # others may have made directories of any depth
            directory = pending.pop()
            if len(self.absolute(directory)) > _LONGEST or self.see(directory) != device:
                return False
            below = f"{directory}/"
            with os.scandir(self.absolute(directory)) as entries:
                for entry in entries:
                    path = below + entry.name
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(path)
                    elif path not in replaced and bytecode_source(path) not in replaced:
                        return False
        return True

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
