"""Plans: what a transaction will do to the prefix, and what it is asked to do.  Values."""

from __future__ import annotations

import os
import stat

from sage_pkginstall.engine.clock import file_time, is_settled
from sage_pkginstall.values import NamedTuple, Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal, TypeAlias

__all__ = [
    "Evidence",
    "Kind",
    "NoOwners",
    "Notice",
    "Operation",
    "Ownership",
    "Plan",
    "PlanRequest",
]

Conflicts: TypeAlias = "Literal['warn', 'error']"
Kind: TypeAlias = "Literal['place', 'swap', 'remove', 'prune']"
KINDS = ("place", "swap", "remove", "prune")


class Operation(NamedTuple):
    """One step of a plan.

    ``place``: the entry at ``slot`` goes to ``path``, which must not exist.
    ``swap``: the entries at ``slot`` and ``path`` change places.
    ``remove``: the entry at ``path`` goes to ``slot``.
    ``prune``: the directory ``path`` is removed if it is empty.

    ``path`` and ``slot`` are relative to the prefix; a slot on a volume of the workspace that
    lies elsewhere is absolute.  ``inode`` is that of the staged
    entry, or of the one that is removed: by it "already done" is told from the disk, and what
    somebody put at the path since; ``time`` (of modification,
    in nanoseconds) and ``size`` (-1: a directory) tell it in a copy of the prefix, where
    inodes are others.  ``mode`` is that of a directory to be pruned, so that it can be made
    again.
    """

    kind: Kind
    path: str
    slot: str = ""
    inode: int = 0
    mode: int = 0
    time: int = 0
    size: int = 0

    def on(self, status: os.stat_result) -> Operation:
        """Return the same operation, on the entry of this status."""
        size = -1 if stat.S_ISDIR(status.st_mode) else status.st_size
        return self._replace(inode=status.st_ino, time=status.st_mtime_ns, size=size)


class Evidence(NamedTuple):
    """A directory that a plan was made from, and the state it was in before it was read.

    The change is that of the inode: copying may set the time of modification back.  Moving a
    directory changes its inode, and not when its entries were ``modified``.
    """

    directory: str
    device: int
    inode: int
    changed: int  # st_ctime_ns
    now: int  # see clock.py
    modified: int = 0  # st_mtime_ns

    @classmethod
    def of(cls, directory: str) -> Evidence:
        """Return the state of a directory.  Raises OSError."""
        now = file_time()
        status = os.stat(directory)
        change = status.st_ctime_ns
        return cls(directory, status.st_dev, status.st_ino, change, now, status.st_mtime_ns)

    def holds(self) -> bool:
        """Tell whether the directory is certainly still as it was."""
        try:
            status = os.stat(self.directory)
        except OSError:
            return False
        now = (status.st_dev, status.st_ino, status.st_ctime_ns)
        return is_settled(self.changed, self.now) and now == (self.device, self.inode, self.changed)


class Notice(NamedTuple):
    """Something about a path that the user should know: see ``message``."""

    path: str
    message: str
    owners: frozenset[str] = frozenset()


class Plan(NamedTuple):
    """Operations in the order in which they are carried out, and what they rest on.

    Directories that are moved as a whole hold nothing but what is ``replaced``, and its
    byte-code.
    """

    operations: tuple[Operation, ...]
    notices: tuple[Notice, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    replaced: frozenset[str] = frozenset()

    def holds(self) -> bool:
        """Tell whether every directory that the plan was made from is unchanged."""
        return all(evidence.holds() for evidence in self.evidence)


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
