"""Plans: what a transaction will do to the prefix.  A value, not an action."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Literal, get_args

__all__ = ["Evidence", "Kind", "Notice", "Operation", "Plan"]

Kind = Literal["place", "swap", "remove", "prune"]
KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True)
class Operation:
    """One step of a plan.

    ``place``: the entry at ``slot`` goes to ``path``, which must not exist.
    ``swap``: the entries at ``slot`` and ``path`` change places.
    ``remove``: the entry at ``path`` goes to ``slot``.
    ``prune``: the directory ``path`` is removed if it is empty.

    ``path`` and ``slot`` are relative to the prefix; a slot on a volume of the workspace that
    lies elsewhere is absolute.  ``inode`` is that of the staged
    entry of a swap, by which "already done" is told from the disk; ``mode`` is that of a
    directory to be pruned, so that it can be made again.
    """

    kind: Kind
    path: str
    slot: str = ""
    inode: int = 0
    mode: int = 0


@dataclass(frozen=True)
class Evidence:
    """A directory that a plan was made from, and the state it was in."""

    directory: str
    inode: int
    changed: int  # st_mtime_ns

    def holds(self) -> bool:
        """Tell whether the directory is still as it was."""
        try:
            status = os.stat(self.directory)
        except OSError:
            return False
        return status.st_ino == self.inode and status.st_mtime_ns == self.changed


@dataclass(frozen=True)
class Notice:
    """Something about a path that the user should know: see ``message``."""

    path: str
    message: str
    owners: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Plan:
    """Operations in the order in which they are carried out, and what they rest on."""

    operations: tuple[Operation, ...]
    notices: tuple[Notice, ...] = ()
    evidence: tuple[Evidence, ...] = ()

    def holds(self) -> bool:
        """Tell whether every directory that the plan was made from is unchanged."""
        return all(evidence.holds() for evidence in self.evidence)
