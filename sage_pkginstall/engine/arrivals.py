"""What comes into the prefix: the staged tree, placed, exchanged or merged.

A staged entry may get another place or time, so that the plan can be carried out, and told
to be.  What cannot be brought is refused here.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from sage_pkginstall.engine import files
from sage_pkginstall.engine.paths import bytecode_source, join
from sage_pkginstall.engine.plan import Notice, Operation
from sage_pkginstall.errors import ConflictError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sage_pkginstall.engine.ground import Ground

__all__ = ["Arrivals"]


class Arrivals:
    """The operations that bring a staged tree.

    ``staged`` is all that they bring, except below ``whole``, the directories that come as such.
    """

    def __init__(self, ground: Ground, *, exchange: bool) -> None:
        self.ground = ground
        self.exchange = exchange
        self.operations: list[Operation] = []
        self.notices: list[Notice] = []
        self.staged: set[str] = set()
        self.whole: set[str] = set()
        self.beside: set[str] = set()  # directories on the file system of the staged tree

    def merge(self, staged_directory: Path, directory: str) -> None:
        """Plan the entries of a staged directory into an existing one of the prefix."""
        canonical = self.ground.canonical(directory)
        if canonical != directory:
            directory = canonical
            self.ground.led_to.add(directory)
        self.ground.see(directory)
        with os.scandir(staged_directory) as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                self._merge_entry(entry, join(directory, entry.name))

    def _merge_entry(self, entry: os.DirEntry[str], path: str) -> None:
        existing = files.lstat(self.ground.absolute(path))
        if existing is not None:
            spelt = self.ground.spelt(path, existing)
            if spelt != path and self._can_go(spelt, existing):
                self._remove(spelt, existing)
                existing = None
            else:
                path = spelt
        if path in self.staged:
            raise ConflictError(path, "two staged entries lead to this one path")
        self.staged.add(path)
        staged_directory = entry.is_dir(follow_symlinks=False)
        if existing is None:
            self._place(entry, path)
        elif staged_directory and self._is_directory(path, existing):
            self._merge_directory(entry, path, existing)
        elif staged_directory or (
            self._is_directory(path, existing)
            and (stat.S_ISDIR(existing.st_mode) or not entry.is_symlink())
        ):
            self._change_type(entry, path, existing)
        else:
            self._replace_file(entry, path)

    def _can_go(self, path: str, status: os.stat_result) -> bool:
        """Tell whether an entry is what is replaced, and nothing else."""
        if stat.S_ISDIR(status.st_mode):
            hollow = self.ground.hollow(path)
            return hollow is not None and path not in hollow and self.ground.can_move(path)
        return path in self.ground.request.replaced and not self.ground.owners(path)

    def _remove(self, path: str, status: os.stat_result) -> None:
        """Remove what comes anew by another spelling, which an exchange would not bring."""
        slot = self.ground.slot_for_removal(path, f"spelt-{len(self.operations) + 1}")
        self.operations.append(Operation("remove", path, slot).on(status))
        self.staged.add(path)
        self.whole.add(path)

    def _place(self, entry: os.DirEntry[str], path: str) -> None:
        self._add(Operation("place", path, self._slot(entry, path)))
        if entry.is_dir(follow_symlinks=False):
            self.whole.add(path)

    def _merge_directory(
        self, entry: os.DirEntry[str], path: str, existing: os.stat_result
    ) -> None:
        if stat.S_ISLNK(existing.st_mode):
            if path in self.ground.request.replaced and not self.ground.owners(path):
                self._swap(entry, path)
            else:
                self.merge(Path(entry.path), path)
        elif self._can_swap(entry, path):
            self._swap(entry, path)
            self.whole.add(path)
        else:
            self.merge(Path(entry.path), path)

    def _can_swap(self, entry: os.DirEntry[str], path: str) -> bool:
        return (
            self.exchange
            and os.listdir(entry.path) != []
            and self.ground.is_ours(path)
            and self.ground.workspace.can_exchange(self.ground.above(path))
            and self.ground.can_move(path)
        )

    def _change_type(self, entry: os.DirEntry[str], path: str, existing: os.stat_result) -> None:
        """A file where the prefix has a directory or a link to one, or the other way round."""
        old_is_directory = stat.S_ISDIR(existing.st_mode)
        if old_is_directory:
            allowed = self.ground.hollow(path) is not None
        else:
            allowed = path in self.ground.request.replaced and not self.ground.owners(path)
        if not allowed:
            kinds = ("a directory", "a file")
            if entry.is_dir(follow_symlinks=False):
                kinds = ("a file", "a directory")
            owners = ", ".join(sorted(self.ground.owners(path))) or "no known package"
            reason = f"it is {kinds[0]} of {owners}, not {kinds[1]}; remove or rename one of them"
            raise ConflictError(path, reason)
        if old_is_directory and not self.ground.can_move(path):
            what = "it is a directory that cannot be moved, as those of a container's image"
            raise ConflictError(path, f"{what}; uninstall what has it, then repeat")
        self._swap(entry, path)
        if entry.is_dir(follow_symlinks=False) or old_is_directory:
            self.whole.add(path)

    def _replace_file(self, entry: os.DirEntry[str], path: str) -> None:
        owners = self.ground.owners(path)
        if owners or not (path in self.ground.request.replaced or path in self.ground.request.kept):
            self._note_foreign(entry, path, owners)
        if not self._is_there(entry, path):
            self._swap(entry, path)

    def _is_there(self, entry: os.DirEntry[str], path: str) -> bool:
        """Tell whether the prefix has the staged file itself, by another hard link of it."""
        new = entry.stat(follow_symlinks=False)
        return new.st_nlink > 1 and os.path.samestat(new, os.lstat(self.ground.absolute(path)))

    def _note_foreign(self, entry: os.DirEntry[str], path: str, owners: frozenset[str]) -> None:
        """Say that a file which is not (only) ours is about to be overwritten."""
        source = bytecode_source(path)
        if source is not None or files.same_content(entry.path, self.ground.absolute(path)):
            return
        if owners and self.ground.request.conflicts == "error":
            names = ", ".join(sorted(owners))
            raise ConflictError(path, f"{names} owns it with another content")
        what = f"it belongs to {', '.join(sorted(owners))}" if owners else "no package owns it"
        self.notices.append(Notice(path, f"{path} is overwritten: {what}", owners))

    def _swap(self, entry: os.DirEntry[str], path: str) -> None:
        slot = self._slot(entry, path)
        staged = os.path.join(self.ground.prefix, slot)
        if files.inode(staged) == files.inode(self.ground.absolute(path)):
            # The layers of an overlay may be file systems with inode numbers of their own;
            # by its number a swap tells from the disk whether it is done.
            self.ground.workspace.renew(Path(staged))
        self._tell_apart(staged, self.ground.absolute(path))
        self._add(Operation("swap", path, slot))

    def _add(self, operation: Operation) -> None:
        staged = os.path.join(self.ground.prefix, operation.slot)
        self.operations.append(operation.on(os.lstat(staged)))

    def _tell_apart(self, staged: str, existing: str) -> None:
        """Let no staged entry have the second of the one that it replaces.

        A copy of the prefix tells them apart by that.  (Sources: see freshness.py.)
        """
        new, old = os.lstat(staged), os.lstat(existing)
        if int(new.st_mtime) == int(old.st_mtime) and not staged.endswith(".py"):
            if new.st_nlink > 1 and not stat.S_ISDIR(new.st_mode):  # in a cache, say
                self.ground.workspace.renew(Path(staged))
            seconds = int(old.st_mtime) + 1
            os.utime(staged, (seconds, seconds), follow_symlinks=False)

    def _slot(self, entry: os.DirEntry[str], path: str) -> str:
        directory = path.rpartition("/")[0]
        if directory not in self.beside:
            place = Path(self.ground.absolute(directory))
            staged = self.ground.workspace.move_to_volume(Path(entry.path), place)
            if os.fspath(staged) != entry.path:
                return self.ground.relative(staged)
            self.beside.add(directory)
        return self.ground.relative(entry.path)

    def _is_directory(self, path: str, status: os.stat_result) -> bool:
        if stat.S_ISLNK(status.st_mode):
            return os.path.isdir(self.ground.absolute(path))
        return stat.S_ISDIR(status.st_mode)
