"""What goes from the prefix: what old records list, and the staged tree does not bring again.

Of that stays what others own, what is theirs behind a link out of the prefix, and each
directory that is not empty afterwards.
"""

from __future__ import annotations

import os
import stat
from functools import cached_property

from sage_pkginstall.engine import files
from sage_pkginstall.engine.ground import nobody_fills
from sage_pkginstall.engine.links import links_at_top
from sage_pkginstall.engine.paths import bytecode_source, is_within, join
from sage_pkginstall.engine.plan import Notice, Operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sage_pkginstall.engine.arrivals import Arrivals
    from sage_pkginstall.engine.ground import Ground

__all__ = ["Removals"]


class _Listing:
    """Files, and the directories above them, by the directory that they lie in."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.files: dict[str, list[str]] = {}
        self.directories: dict[str, list[str]] = {}
        self.known: set[str] = set()
        for path in paths:
            self.files.setdefault(path[: max(path.rfind("/"), 0)], []).append(path)
        for directory in self.files:
            self._add(directory)

    def _add(self, directory: str) -> None:
        while directory and directory not in self.known:
            self.known.add(directory)
            above = os.path.dirname(directory)
            self.directories.setdefault(above, []).append(directory)
            directory = above


class Removals:
    """The operations that remove what is replaced, once it is known what comes."""

    def __init__(self, ground: Ground, arrivals: Arrivals) -> None:
        self.ground = ground
        self.arrivals = arrivals
        self.operations: list[Operation] = []
        self.notices: list[Notice] = []
        self.emptied: set[str] = set()
        self.bytecode: dict[str, dict[str, list[str]]] = {}  # by its directory and its source
        self.whole = set(arrivals.whole)  # directories placed, swapped or removed as a whole

    def remove_replaced(self) -> None:
        """Plan the removal of what old records list and the staged tree lacks.

        So goes all byte-code of what is replaced that does not come anew.  It need not be found
        out of date: some has nothing in it by which that could be (PEP 552).
        """
        self._remove_below(_Listing(self.ground.request.replaced), "")
        for one in self.arrivals.operations:
            if one.kind in {"swap", "remove"} and one.path.endswith(".py"):
                self._remove_bytecode(one.path)

    def prunes(self) -> list[Operation]:
        """Return the removal of each directory that may have become empty, the deepest first."""
        found = [(path, files.lstat(self.ground.absolute(path))) for path in self._prunable()]
        return [
            Operation("prune", path, mode=stat.S_IMODE(status.st_mode))
            for path, status in found
            if status is not None  # others may have removed what held nothing
        ]

    def _remove_below(self, listing: _Listing, directory: str) -> None:
        # Directories first: what is removed within one that goes as a whole would be pruned
        # there, and undoing the prune would make what undoing the removal brings back.
        for path in sorted(listing.directories.get(directory, ())):
            if path not in self.whole:
                self._remove_directory(listing, path)
        for path in sorted(listing.files.get(directory, ())):
            if path not in self.whole and path not in listing.known:
                self._remove_file(path)

    def _remove_directory(self, listing: _Listing, path: str) -> None:
        status = files.lstat(self.ground.absolute(path))
        if status is None:
            return
        if stat.S_ISLNK(status.st_mode):
            self._remove_through(listing, path)
        elif stat.S_ISDIR(status.st_mode) and not self._remove_whole(listing, path):
            self._remove_below(listing, path)

    def _remove_whole(self, listing: _Listing, path: str) -> bool:
        """Remove a directory that is ours as a whole; tell whether it is.

        If it is but for some that hold nothing, these go by rmdir(2), as pip has it: from where
        something was recorded, not from what lies beside such a directory.
        """
        if path not in listing.files or path in self.arrivals.staged or self._is_kept(path):
            return False
        hollow = self.ground.hollow(path)
        if nobody_fills(hollow) and self.ground.can_move(path):
            self._remove(path)
            self.whole.add(path)
            self.emptied.difference_update(hollow or ())
            return True
        self.emptied.update(hollow or ())
        return False

    def _remove_through(self, listing: _Listing, link: str) -> None:
        """Remove what came through a link out of the prefix; others are listed by another name."""
        is_directory = os.path.isdir(self.ground.absolute(link))
        leads_out = is_directory and self.ground.canonical(link) == link
        if not leads_out or any(one.path == link for one in self.arrivals.operations):
            return
        if self.ground.request.through(link) and not self._has_twin(link):
            self._remove_below(listing, link)
        else:
            what = "it leads out of the prefix, and what it leads to stays"
            self.notices.append(Notice(link, f"{link} is a link: {what}", frozenset()))

    def _has_twin(self, link: str) -> bool:
        """Tell whether a link beside this one leads to the same place: both name one file there."""
        place, directory = os.path.realpath(self.ground.absolute(link)), os.path.dirname(link)
        with os.scandir(self.ground.absolute(directory)) as entries:
            links = [join(directory, entry.name) for entry in entries if entry.is_symlink()]
        same = (one for one in links if os.path.realpath(self.ground.absolute(one)) == place)
        return any(one != link and self.ground.canonical(one) == one for one in same)

    def _is_kept(self, path: str) -> bool:
        """Tell whether a directory stays, or one within, whatever is removed there."""
        linked = any(is_within(directory, path) for directory in self._linked)
        return linked or self._is_lasting(path)

    def _remove_file(self, path: str) -> None:
        if path in self.arrivals.staged or not self._exists(path):
            return
        if self.ground.owners(path):
            return
        if stat.S_ISDIR(os.lstat(self.ground.absolute(path)).st_mode):
            self.emptied.add(path)  # recorded as a directory that was staged empty
            return
        self._remove(path)
        if path.endswith(".py"):
            self._remove_bytecode(path)

    def _remove_bytecode(self, source: str) -> None:
        cache = join(os.path.dirname(source), "__pycache__")
        if cache in self.whole:
            return
        if cache not in self.bytecode:
            self.bytecode[cache] = self._bytecode_in(cache)
        for path in self.bytecode[cache].get(source, ()):
            request = self.ground.request
            recorded = (request.replaced, request.kept, self.arrivals.staged)
            if not any(path in paths for paths in recorded) and not self.ground.owners(path):
                self._remove(path)

    def _bytecode_in(self, cache: str) -> dict[str, list[str]]:
        """Return the byte-code in a directory by its source.

        Behind a link there may be others', which has the same names, and what is recorded has
        another one.
        """
        if self.ground.has_link(cache):
            return {}
        try:
            names = sorted(os.listdir(self.ground.absolute(cache)))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        found: dict[str, list[str]] = {}
        for path in (join(cache, name) for name in names):
            found.setdefault(bytecode_source(path) or "", []).append(path)
        return found

    def _remove(self, path: str) -> None:
        directory = os.path.dirname(path)
        self.ground.see(directory)
        slot = self.ground.slot_for_removal(path, str(len(self.operations) + 1))
        removal = Operation("remove", path, slot)
        self.operations.append(removal.on(os.lstat(self.ground.absolute(path))))
        self.emptied.add(directory)

    def _prunable(self) -> Iterator[str]:
        """Yield the directories that may become empty, the deepest first."""
        directories: set[str] = set()
        for emptied in self.emptied:
            directory = emptied
            while directory and directory not in directories and not self._stays(directory):
                directories.add(directory)
                directory = os.path.dirname(directory)
        yield from sorted(directories, key=lambda d: (-d.count("/"), d))

    def _stays(self, directory: str) -> bool:
        """Tell whether a directory is to be there even when it is empty: if staged so, say.

        One that we may not remove stays, too: rmdir(2) fails there, empty or not.
        """
        above = self.ground.absolute(os.path.dirname(directory))
        return (
            directory in self.arrivals.staged
            or directory in self._linked
            or self.ground.has_link(directory)
            or self._is_lasting(directory)
            or not os.access(above, os.W_OK | os.X_OK)
        )

    def _is_lasting(self, directory: str) -> bool:
        """Tell whether a directory stays even when empty; another may have brought it so."""
        return directory in self.ground.request.lasting or bool(self.ground.owners(directory))

    def _exists(self, path: str) -> bool:
        return files.lstat(self.ground.absolute(path)) is not None

    @cached_property
    def _linked(self) -> frozenset[str]:
        """The directories to which links at the top of the prefix lead that do not go.

        ``man -> share/man``: without that directory, nothing could come by the link any more.
        """
        links = (os.path.basename(link) for _, link in links_at_top(self.ground.prefix))
        return frozenset(
            self.ground.canonical(link)
            for link in links
            if link not in self.ground.request.replaced
        )
