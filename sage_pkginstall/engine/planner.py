"""Make a plan: compare a staged tree, what it replaces, and the prefix.

Nothing of the prefix is changed here; a staged entry may get another place or time, so that
the plan can be carried out, and told to be.  What cannot be done is refused here, before the
journal exists; what the user should know becomes a notice of the plan.
"""

from __future__ import annotations

import os
import stat
from functools import cached_property
from pathlib import Path

from sage_pkginstall.engine import files
from sage_pkginstall.engine.links import followed, links_at_top
from sage_pkginstall.engine.plan import Evidence, Notice, Operation, Plan
from sage_pkginstall.errors import ConflictError
from sage_pkginstall.values import NamedTuple, Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from typing import Literal, TypeAlias

    from sage_pkginstall.engine.workspace import Workspace

__all__ = ["NoOwners", "Ownership", "PlanRequest", "bytecode_source", "make_plan"]

Conflicts: TypeAlias = "Literal['warn', 'error']"


class Ownership(Protocol):
    """Who else owns what: everybody but those whose files the request replaces."""

    def owners(self, path: str) -> frozenset[str]:
        """Return the other owners of exactly this file."""

    def others_within(self, directory: str) -> bool:
        """Tell whether another owner has a file somewhere below ``directory``."""


class NoOwners:
    """The ownership of a prefix without records."""

    def owners(self, path: str) -> frozenset[str]:  # noqa: ARG002 - part of the protocol
        """Return nobody."""
        return frozenset()

    def others_within(self, directory: str) -> bool:  # noqa: ARG002 - part of the protocol
        """Return False."""
        return False


class PlanRequest(NamedTuple):
    """What a transaction is to bring about, in terms of paths.

    Everything in the staged tree of the workspace comes to the prefix; of ``replaced``
    (the files of old records) goes what nobody else owns and the staged tree lacks; what is
    ``kept`` stays then, and is no stranger's if the staged tree has it, too.
    ``rank`` orders the operations: low ranks are placed first and removed last.
    Directories in ``lasting`` are never moved, removed or exchanged as a whole.  ``through``
    tells of a link that leads out of the prefix whether what is ``replaced`` behind it goes.
    """

    replaced: frozenset[str] = frozenset()
    ownership: Ownership = NoOwners()
    lasting: frozenset[str] = frozenset()
    rank: Callable[[str], int] = lambda _path: 0
    through: Callable[[str], bool] = lambda _link: True
    conflicts: Conflicts = "warn"
    kept: frozenset[str] = frozenset()


def bytecode_source(path: str) -> str | None:
    """Return the source that ``DIR/__pycache__/NAME.TAG[.opt-N].pyc`` was made from (PEP 3147)."""
    directory, _, name = path.rpartition("/")
    package, _, cache = directory.rpartition("/")
    if not name.endswith(".pyc") or cache != "__pycache__":
        return None
    stem = name.removesuffix(".pyc")
    head, _, last = stem.rpartition(".")
    if last.startswith("opt-"):
        stem = head
    module = stem.rpartition(".")[0]
    return join(package, f"{module}.py") if module else None


def join(directory: str, name: str) -> str:
    """Join two relative paths; the prefix itself is the empty path."""
    return f"{directory}/{name}" if directory else name


def make_plan(workspace: Workspace, request: PlanRequest, *, exchange: bool) -> Plan:
    """Plan how the staged tree of ``workspace`` comes into the prefix.

    ``exchange`` tells whether the file system of the prefix can exchange entries; others in
    it are asked.  Raises `ConflictError` for what is refused, `OSError` for what cannot be read.
    """
    planner = _Planner(workspace, request, exchange=exchange)
    planner.merge(workspace.tree, "")
    if planner.led_to:
        planner = _Planner(workspace, request, exchange=exchange, led_to=planner.led_to)
        planner.merge(workspace.tree, "")
    planner.remove_replaced()
    return planner.plan()


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


class _Planner:
    """Makes one plan.

    ``led_to`` are directories to which links of the prefix lead what is staged.  They are not
    moved as a whole, nor is one above them: what comes through the link would go with the old
    one.  They are known only at the end of `merge`; so if there are any, it is done twice.
    """

    def __init__(
        self,
        workspace: Workspace,
        request: PlanRequest,
        *,
        exchange: bool,
        led_to: Collection[str] = (),
    ) -> None:
        self.workspace = workspace
        self.request = request
        self.exchange = exchange
        self.prefix = os.fspath(workspace.prefix)
        self.below = self.prefix.rstrip("/") + "/"
        self.incoming: list[Operation] = []
        self.outgoing: list[Operation] = []
        self.emptied: set[str] = set()
        self.notices: list[Notice] = []
        self.evidence: dict[str, Evidence] = {}
        self.led_to = set(led_to)
        self.staged: set[str] = set()
        self.whole: set[str] = set()  # directories placed, swapped or removed as a whole
        self.beside: set[str] = set()  # directories on the file system of the staged tree

    # What comes

    def merge(self, staged_directory: Path, directory: str) -> None:
        """Plan the entries of a staged directory into an existing one of the prefix."""
        canonical = self._canonical(directory)
        if canonical != directory:
            directory = canonical
            self.led_to.add(directory)
        self._see(directory)
        with os.scandir(staged_directory) as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                self._merge_entry(entry, join(directory, entry.name))

    def _merge_entry(self, entry: os.DirEntry[str], path: str) -> None:
        if path in self.staged:
            raise ConflictError(path, "two staged entries lead to this one path")
        self.staged.add(path)
        existing = files.lstat(self._absolute(path))
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

    def _place(self, entry: os.DirEntry[str], path: str) -> None:
        slot = self._slot(entry, path)
        self.incoming.append(Operation("place", path, slot))
        if entry.is_dir(follow_symlinks=False):
            self.whole.add(path)

    def _merge_directory(
        self, entry: os.DirEntry[str], path: str, existing: os.stat_result
    ) -> None:
        if stat.S_ISLNK(existing.st_mode):
            if path in self.request.replaced and not self.request.ownership.owners(path):
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
            and self._is_ours(path)
            and self.workspace.can_exchange(self._above(path))
            and self._can_move(path)
        )

    def _change_type(self, entry: os.DirEntry[str], path: str, existing: os.stat_result) -> None:
        """A file where the prefix has a directory or a link to one, or the other way round."""
        old_is_directory = stat.S_ISDIR(existing.st_mode)
        if old_is_directory:
            allowed = self._is_ours(path)
        else:
            allowed = path in self.request.replaced and not self.request.ownership.owners(path)
        if not allowed:
            kinds = ("a directory", "a file")
            if entry.is_dir(follow_symlinks=False):
                kinds = ("a file", "a directory")
            owners = ", ".join(sorted(self._owners(path))) or "no known package"
            reason = f"it is {kinds[0]} of {owners}, not {kinds[1]}; remove or rename one of them"
            raise ConflictError(path, reason)
        if old_is_directory and not self._can_move(path):
            what = "it is a directory that cannot be moved, as those of a container's image"
            raise ConflictError(path, f"{what}; uninstall what has it, then repeat")
        self._swap(entry, path)
        if entry.is_dir(follow_symlinks=False) or old_is_directory:
            self.whole.add(path)

    def _replace_file(self, entry: os.DirEntry[str], path: str) -> None:
        owners = self._owners(path)
        if owners or not (path in self.request.replaced or path in self.request.kept):
            self._note_foreign(entry, path, owners)
        self._swap(entry, path)

    def _note_foreign(self, entry: os.DirEntry[str], path: str, owners: frozenset[str]) -> None:
        """Say that a file which is not (only) ours is about to be overwritten."""
        source = bytecode_source(path)
        if source is not None or files.same_content(entry.path, self._absolute(path)):
            return
        if owners and self.request.conflicts == "error":
            names = ", ".join(sorted(owners))
            raise ConflictError(path, f"{names} owns it with another content")
        what = f"it belongs to {', '.join(sorted(owners))}" if owners else "no package owns it"
        self.notices.append(Notice(path, f"{path} is overwritten: {what}", owners))

    def _swap(self, entry: os.DirEntry[str], path: str) -> None:
        slot = self._slot(entry, path)
        staged = os.path.join(self.prefix, slot)
        if files.inode(staged) == files.inode(self._absolute(path)):
            # The layers of an overlay may be file systems with inode numbers of their own;
            # by its number a swap tells from the disk whether it is done.
            self.workspace.renew(Path(staged))
        self._tell_apart(staged, self._absolute(path))
        new = os.lstat(staged)
        size = -1 if stat.S_ISDIR(new.st_mode) else new.st_size
        self.incoming.append(
            Operation("swap", path, slot, new.st_ino, time=new.st_mtime_ns, size=size)
        )

    def _tell_apart(self, staged: str, existing: str) -> None:
        """Let no staged entry have the second of the one that it replaces.

        A copy of the prefix tells them apart by that.  (Sources: see freshness.py.)
        """
        new, old = os.lstat(staged), os.lstat(existing)
        if int(new.st_mtime) == int(old.st_mtime) and not staged.endswith(".py"):
            seconds = int(old.st_mtime) + 1
            os.utime(staged, (seconds, seconds), follow_symlinks=False)

    def _slot(self, entry: os.DirEntry[str], path: str) -> str:
        directory = path.rpartition("/")[0]
        if directory not in self.beside:
            place = Path(self._absolute(directory))
            staged = self.workspace.move_to_volume(Path(entry.path), place)
            if os.fspath(staged) != entry.path:
                return self._relative(staged)
            self.beside.add(directory)
        return self._relative(entry.path)

    # What goes

    def remove_replaced(self) -> None:
        """Plan the removal of what old records list and the staged tree lacks."""
        self._remove_below(_Listing(self.request.replaced), "")

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
        status = files.lstat(self._absolute(path))
        if status is None:
            return
        if stat.S_ISLNK(status.st_mode):
            self._remove_through(listing, path)
        elif not stat.S_ISDIR(status.st_mode):
            return
        elif path not in self.staged and self._can_remove_whole(path):
            self._remove(path)
            self.whole.add(path)
        else:
            self._remove_below(listing, path)

    def _remove_through(self, listing: _Listing, link: str) -> None:
        """Remove what came through a link out of the prefix; others are listed by another name."""
        leads_out = os.path.isdir(self._absolute(link)) and self._canonical(link) == link
        if not leads_out or any(one.path == link for one in self.incoming):
            return
        if self.request.through(link) and not self._has_twin(link):
            self._remove_below(listing, link)
        else:
            what = "it leads out of the prefix, and what it leads to stays"
            self.notices.append(Notice(link, f"{link} is a link: {what}", frozenset()))

    def _has_twin(self, link: str) -> bool:
        """Tell whether a link beside this one leads to the same place: both name one file there."""
        place, directory = os.path.realpath(self._absolute(link)), os.path.dirname(link)
        with os.scandir(self._absolute(directory)) as entries:
            links = [join(directory, entry.name) for entry in entries if entry.is_symlink()]
        same = (one for one in links if os.path.realpath(self._absolute(one)) == place)
        return any(one != link and self._canonical(one) == one for one in same)

    def _can_remove_whole(self, path: str) -> bool:
        return (
            not self._is_lasting(path)
            and not any(_within(directory, path) for directory in self._linked)
            and self._is_ours(path)
            and self._can_move(path)
        )

    def _remove_file(self, path: str) -> None:
        if path in self.staged or not self._exists(path):
            return
        if self._owners(path):
            return
        if stat.S_ISDIR(os.lstat(self._absolute(path)).st_mode):
            self.emptied.add(path)  # recorded as a directory that was staged empty
            return
        self._remove(path)
        if path.endswith(".py"):
            self._remove_bytecode(path)

    def _remove_bytecode(self, source: str) -> None:
        cache = join(os.path.dirname(source), "__pycache__")
        if cache in self.whole:
            return
        try:
            names = sorted(os.listdir(self._absolute(cache)))
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in names:
            path = join(cache, name)
            recorded = path in self.request.replaced or path in self.staged
            if bytecode_source(path) == source and not recorded:
                self._remove(path)

    def _remove(self, path: str) -> None:
        directory = os.path.dirname(path)
        self._see(directory)
        place, number = Path(self._absolute(directory)), len(self.outgoing) + 1
        slot = self.workspace.slot_for_removal(place, number)
        self.outgoing.append(Operation("remove", path, self._relative(slot)))
        self.emptied.add(directory)

    # The plan

    def plan(self) -> Plan:
        """Return everything planned so far, in the order of DESIGN: new first, then old."""
        rank = self.request.rank
        incoming = sorted(self.incoming, key=lambda o: rank(o.path))
        outgoing = sorted(self.outgoing, key=lambda o: -rank(o.path))
        prunes = [
            Operation("prune", path, mode=stat.S_IMODE(os.stat(self._absolute(path)).st_mode))
            for path in self._prunable()
        ]
        return Plan(
            tuple(incoming + outgoing + prunes),
            tuple(self.notices),
            tuple(self.evidence.values()),
        )

    def _prunable(self) -> Iterator[str]:
        """Yield the directories that may become empty, the deepest first."""
        directories: set[str] = set()
        for emptied in self.emptied:
            directory = emptied
            while directory and not self._stays(directory):
                directories.add(directory)
                directory = os.path.dirname(directory)
        yield from sorted(directories, key=lambda d: (-d.count("/"), d))

    def _stays(self, directory: str) -> bool:
        """Tell whether a directory is to be there even when it is empty: if staged so, say.

        One that we may not remove stays, too: rmdir(2) fails there, empty or not.
        """
        above = self._absolute(os.path.dirname(directory))
        return (
            directory in self.staged
            or directory in self._linked
            or self._has_link(directory)
            or self._is_lasting(directory)
            or not os.access(above, os.W_OK | os.X_OK)
        )

    # Facts

    @cached_property
    def _linked(self) -> frozenset[str]:
        """The directories to which links at the top of the prefix lead that do not go.

        ``man -> share/man``: without that directory, nothing could come by the link any more.
        """
        links = (os.path.basename(link) for _, link in links_at_top(self.prefix))
        return frozenset(
            self._canonical(link) for link in links if link not in self.request.replaced
        )

    def _is_lasting(self, directory: str) -> bool:
        """Tell whether a directory stays even when empty; another may have brought it so."""
        return directory in self.request.lasting or bool(self._owners(directory))

    def _is_ours(self, directory: str) -> bool:
        """Tell whether all that ``directory`` holds belongs to what is replaced, alone."""
        lasting = (*self.request.lasting, *self.led_to, *self.workspace.mounts)
        if any(_within(path, directory) for path in lasting):
            return False
        if self.request.ownership.others_within(directory):
            return False
        device = os.stat(self._absolute(os.path.dirname(directory))).st_dev
        return self._holds_only_ours(directory, device)

    def _holds_only_ours(self, directory: str, device: int) -> bool:
        if self._see(directory) != device:
            return False
        replaced = self.request.replaced
        below = f"{directory}/"
        with os.scandir(self._absolute(directory)) as entries:
            for entry in entries:
                path = below + entry.name
                if entry.is_dir(follow_symlinks=False):
                    if not self._holds_only_ours(path, device):
                        return False
                elif path not in replaced and bytecode_source(path) not in replaced:
                    return False
        return True

    def _see(self, directory: str) -> int:
        """Note the state of a directory that the plan rests on; return its device."""
        absolute = self._absolute(directory)
        if absolute not in self.evidence:
            self.evidence[absolute] = Evidence.of(absolute)
        return self.evidence[absolute].device

    def _owners(self, path: str) -> frozenset[str]:
        return self.request.ownership.owners(path)

    def _can_move(self, directory: str) -> bool:
        obstacle = self.workspace.obstacle(self._above(directory))
        return files.can_move_directory(self._absolute(directory), obstacle)

    def _above(self, path: str) -> Path:
        return Path(os.path.dirname(self._absolute(path)))

    def _is_directory(self, path: str, status: os.stat_result) -> bool:
        if stat.S_ISLNK(status.st_mode):
            return os.path.isdir(self._absolute(path))
        return stat.S_ISDIR(status.st_mode)

    def _exists(self, path: str) -> bool:
        return files.lstat(self._absolute(path)) is not None

    def _absolute(self, path: str) -> str:
        return self.below + path if path else self.prefix

    def _relative(self, path: str | Path) -> str:
        """Return a slot as plans name it: relative to the prefix if it lies there."""
        return os.fspath(path).removeprefix(self.below)

    def _canonical(self, directory: str) -> str:
        """Return ``directory`` without links, as far as these stay in the prefix (lib64 → lib)."""
        if not directory or not self._has_link(directory):
            return directory
        name = followed(self.prefix, self._absolute(directory))
        return directory if name is None else name

    def _has_link(self, directory: str) -> bool:
        return os.path.islink(self._absolute(directory))


def _within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory + "/")
