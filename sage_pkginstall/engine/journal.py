"""The journal: the plan of the transaction in progress, on disk.

On disk: ``TREE/var/tmp/sage/journal`` exists exactly while a transaction is being
carried out.  It appears by one rename, which is the commit point; it vanishes by one
unlink, after the last operation.  If an operation fails, one more rename makes it
``undo``, the same plan to be carried out backwards: that needs no space on the disk.
Whoever finds either while holding the lock finds the work of a dead process, and
carries it out again: that is all there is to recovery.
"""

from __future__ import annotations

import json
import os
import re

from sage_pkginstall.engine import files
from sage_pkginstall.engine.plan import KINDS, Kind, Operation
from sage_pkginstall.engine.trust import open_trusted
from sage_pkginstall.errors import JournalError
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

__all__ = ["NO_IDENTITY", "Journal", "JournalFile", "identity_of"]

NO_IDENTITY = (0, 0)
_FORMAT = 3
_OTHER_VERSION = (
    "run 'sage-pkginstall recover' of the version that wrote it, or see 'sage-pkginstall recover"
    " --help'"
)
_WORKSPACE = re.compile(r"T-[0-9]+-[0-9a-f]{8}")  # see workspace.py


class Journal(NamedTuple):
    """What is to be carried out (or undone), for whom, from which workspace.

    ``identity`` is that of the workspace, which a copy of it does not have.
    """

    label: str
    workspace: str
    operations: tuple[Operation, ...]
    identity: tuple[int, int] = NO_IDENTITY
    undoing: bool = False

    def spread(self, index: int, slot: str) -> Journal:
        """Return the same, but of a directory that is placed, now at ``slot``, each entry is."""
        one = self.operations[index]
        with os.scandir(slot) as entries:
            found = sorted((e.name, e.stat(follow_symlinks=False)) for e in entries)
        instead = (
            Operation("place", f"{one.path}/{name}", f"{one.slot}/{name}").on(status)
            for name, status in found
        )
        before, after = self.operations[:index], self.operations[index + 1 :]
        return self._replace(operations=(*before, *instead, *after))

    def to_bytes(self) -> bytes:
        """Return the journal as it stands on disk; odd bytes in names survive."""
        document = {
            "format": _FORMAT,
            "label": self.label,
            "workspace": self.workspace,
            "identity": self.identity,
            "operations": self.operations,
        }
        return json.dumps(document).encode()

    @classmethod
    def from_bytes(cls, data: bytes, path: Path, *, undoing: bool = False) -> Journal:
        """Read what `to_bytes` wrote; raise `JournalError` for anything else."""
        try:
            document: dict[str, Any] = json.loads(data)
            if document["format"] != _FORMAT:
                other = f"its format is {document['format']!r}, not {_FORMAT}"
                raise JournalError(path, f"{other}; {_OTHER_VERSION}")
            workspace = _workspace(document["workspace"])
            inode, changed = map(int, document["identity"])
            operations = tuple(_operation(row, workspace) for row in document["operations"])
            return cls(str(document["label"]), workspace, operations, (inode, changed), undoing)
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            reason = f"it is damaged ({error}); see 'sage-pkginstall recover --help'"
            raise JournalError(path, reason) from error


def identity_of(workspace: Path) -> tuple[int, int]:
    """Return what tells a workspace from a copy: inode and time of change of its lock file.

    That file is never written nor renamed, and no program can set the time of change.
    """
    status = files.lstat(f"{workspace}.lock")
    return NO_IDENTITY if status is None else (status.st_ino, status.st_ctime_ns)


def _workspace(name: object) -> str:
    if not isinstance(name, str) or not _WORKSPACE.fullmatch(name):
        message = f"{name!r} is no workspace"
        raise ValueError(message)
    return name


def _operation(row: list[Any], workspace: str) -> Operation:
    kind: Kind
    kind, path, slot, *numbers = row
    if kind not in KINDS:
        message = f"unknown operation {kind!r}"
        raise ValueError(message)
    volume = f"/.{workspace}/"  # see workspace.py; it may lie outside
    for name in (str(path), str(slot).partition(volume)[2] or str(slot)):
        if name.startswith("/") or ".." in name.split("/"):
            message = f"path {name!r} leaves the prefix"
            raise ValueError(message)
        if b"\0" in os.fsencode(name):  # which raises ValueError for what no name can hold
            message = f"path {name!r} has a NUL"
            raise ValueError(message)
    inode, mode, time, size = map(int, numbers)
    return Operation(kind, str(path), str(slot), inode, mode, time, size)


class JournalFile:
    """The journal's place in a staging area, ``TREE/var/tmp/sage``."""

    def __init__(self, area: Path) -> None:
        self.prefix = area.parents[2]
        self.path = area / "journal"
        self.undo_path = area / "undo"

    def exists(self) -> bool:
        """Tell whether there is a journal, or seems to be: nothing is read.

        Without the lock it may be that of another user at work, which we may not read.
        """
        return os.path.lexists(self.path) or os.path.lexists(self.undo_path)

    def is_undoing(self) -> bool:
        """Tell whether what the journal says is to be undone."""
        return self.undo_path.exists()

    def place(self) -> Path:
        """Return where the journal lies: that of what is to be undone has another name."""
        return self.undo_path if self.is_undoing() else self.path

    def read(self) -> Journal | None:
        """Return the journal on disk, if there is one.

        Raises `JournalError` if it is damaged, cannot be read by us, or is the work of
        somebody who is not trusted (see trust.py).
        """
        for path in (self.undo_path, self.path):
            try:
                with open(open_trusted(path, os.O_RDONLY, self.prefix), "rb") as file:
                    data = file.read()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise JournalError(path, error.strerror or str(error)) from error
            return Journal.from_bytes(data, path, undoing=path == self.undo_path)
        return None

    def is_copied(self, journal: Journal) -> bool:
        """Tell whether the journal lies in a copy of the prefix that it was written for."""
        return identity_of(self.path.parent / journal.workspace) != journal.identity

    def draft(self, journal: Journal, *, durable: bool) -> None:
        """Write what `publish` puts in place; an earlier draft of the workspace goes.

        Nobody reads a draft, so this needs no lock.
        """
        draft = self._draft(journal)
        if files.lstat(draft) is not None:
            files.unlink(draft)
        files.write_new(draft, journal.to_bytes(), mode=0o600, durable=durable)

    def publish(self, journal: Journal, *, durable: bool) -> None:
        """Put the draft of the journal in place, atomically; it counts from then on."""
        files.rename(self._draft(journal), self.path)
        if durable:
            self.flush()

    def flush(self) -> None:
        """Have what became of the journal written to the disk."""
        files.flush(self.path.parent)

    def _draft(self, journal: Journal) -> Path:
        return self.path.parent / journal.workspace / "journal"

    def turn_round(self, *, durable: bool) -> bool:
        """Have the journal undone from now on; return False if there is none."""
        if not self.path.exists():
            return False
        files.rename(self.path, self.undo_path)
        if durable:
            self.flush()
        return True

    def delete(self) -> None:
        """Remove the journal: the transaction is over."""
        files.unlink(self.place())
