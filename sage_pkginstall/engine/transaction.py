"""Carry out a journal: all of it or nothing, even across a crash.

On disk, for each operation: before it, the new entry lies at its slot in the workspace
and the old one at its path; after it, the other way round.  Each operation tells from
the disk whether it is done already, so applying a journal twice equals applying it
once.  A reader sees, at each path, the old entry or the new one; without
``RENAME_EXCHANGE``, and only where a file takes the place of a directory (or the other
way round) or hard links are missing, the path is absent for some microseconds.

In a copy of the prefix (made after a kill, and before anybody recovered) inodes are others
and hard links may be two files.  There the new entry of a swap is known by its time and
size, and what cannot be told so is not touched.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from sage_pkginstall.engine import files
from sage_pkginstall.engine.paths import bytecode_source
from sage_pkginstall.engine.signals import signals_deferred
from sage_pkginstall.errors import JournalError, TransactionError
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sage_pkginstall.engine.journal import Journal, JournalFile
    from sage_pkginstall.engine.plan import Operation

__all__ = ["LostError", "Recovery", "carry_out", "describe", "recover"]

_SECOND = 1_000_000_000


class LostError(FileNotFoundError):
    """A staged entry is gone: what is planned without it would be less than was asked for."""


class Recovery(NamedTuple):
    """What a dead process had begun: it is finished now, or undone as that was impossible."""

    label: str
    undone: bool


class _Applier:
    """Applies the operations of a journal to a prefix, or their inverses."""

    def __init__(self, prefix: Path, journal: Journal, *, copied: bool) -> None:
        self.below = os.path.join(prefix, "")
        self.workspace = journal.workspace
        self.undoing = journal.undoing
        self.copied = copied

    def require_slots(self, operations: Iterable[Operation]) -> None:
        """Refuse to go on where a file system is not mounted that some of the entries lie on.

        Nothing is at their slots then, nor at their paths: removals would look like done.
        """
        slots = (self._slot(operation) for operation in operations if operation.slot)
        for directory in dict.fromkeys(map(self._directory_of, slots)):
            if not os.path.isdir(directory):
                raise _MissingError(directory)

    def _slot(self, operation: Operation) -> str:
        slot = operation.slot
        if not slot.startswith("/"):
            return self.below + slot
        if self.copied:
            raise _CopiedError(self.below + operation.path)  # the slot is the original's
        return slot

    def _directory_of(self, slot: str) -> str:
        """Return the workspace, or the directory of it on another file system, of a slot."""
        root, _, _ = slot.partition(f"{self.workspace}/")
        return root + self.workspace

    def apply(self, number: int, operation: Operation) -> None:
        """Apply the ``number``-th operation of the journal."""
        path = self.below + operation.path
        slot = self._slot(operation)
        if operation.kind == "swap":
            self._swap(path, slot, self._aside(slot, number), operation)
        elif operation.kind == "prune":
            self._prune(path, operation.mode)
        elif (operation.kind == "place") is not self.undoing:
            self._move_in(path, slot)
        else:
            self._move_out(path, slot, operation)

    def _prune(self, path: str, mode: int) -> None:
        if not self.undoing:
            files.remove_if_empty(path)
            return
        status = files.lstat(path)
        if status is None:
            _make_above(path)
            files.make_directory(path, mode)
            status = os.lstat(path)
        # Not only then: who made it may have been killed before it had its mode.
        if stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) != mode:
            os.chmod(path, mode)

    def _move_in(self, path: str, slot: str) -> None:
        # Nearly always nothing has been done yet, and one call is enough.
        try:
            files.rename_new(slot, path)
        except (FileNotFoundError, FileExistsError):
            self._move_in_rest(path, slot)

    def _move_in_rest(self, path: str, slot: str) -> None:
        if files.lstat(slot) is None:
            if files.lstat(path) is None and not self.undoing:
                message = f"neither {path} nor its staged entry {slot} exists"
                raise LostError(message)
        elif self._is_linked(path, slot):  # killed between link and unlink
            files.unlink(slot)
        elif not self.undoing:
            self._move_onto(path, slot)
        elif files.lstat(path) is None:  # what somebody put there since stays
            _bring_back(slot, path)

    def _move_onto(self, path: str, slot: str) -> None:
        """Place an entry where somebody, without our lock, has put one since we looked.

        Byte-code is only what a program that imports the source, which has come already, made
        of it.
        """
        directories = _is_directory(path), _is_directory(slot)
        if all(directories):
            raise _MetError
        if bytecode_source(path) and not any(directories):
            files.rename(slot, path)
        else:
            files.rename_new(slot, path)

    def _move_out(self, path: str, slot: str, operation: Operation) -> None:
        status = files.lstat(path)
        if files.lstat(slot) is not None:
            if self._is_linked(path, slot):  # killed between link and unlink
                files.unlink(path)
        elif status is not None and not self._is_replaced(status, operation):
            files.rename(path, slot)

    def _is_replaced(self, status: os.stat_result, operation: Operation) -> bool:
        """Tell whether somebody put another entry in the place of one that is to be moved out.

        A file may get the inode of the one that was deleted for it.  A directory has another
        time as soon as a program that runs writes its byte-code there; what is staged may get
        one after it was planned, by another name of it, and after a power failure have an
        earlier one.  Byte-code is no such entry: who imports a source puts it there, and it goes
        with that.
        """
        has_come = operation.kind != "remove" and status.st_ino == operation.inode
        unit = _SECOND if has_come else 1  # file systems may round a time that was set
        if self.copied or not operation.inode or _is_staged(status, operation, unit):
            return False
        if bytecode_source(operation.path):
            return False
        is_same = status.st_ino == operation.inode
        if stat.S_ISDIR(status.st_mode):
            return not is_same
        if operation.kind == "remove" or not is_same:
            return True
        return status.st_nlink == 1 and _is_written_since(status, operation)

    def _is_linked(self, path: str, slot: str) -> bool:
        one, other = files.lstat(path), files.lstat(slot)
        if one is None or other is None:
            return False
        if os.path.samestat(one, other):
            return True
        return self.copied and not _is_directory(path) and files.same_content(path, slot)

    def _aside(self, slot: str, number: int) -> str:
        """Return a name on the file system of a slot that no other operation has.

        Beside the slot it could be that of another staged entry, or too long for one.
        """
        return f"{self._directory_of(slot)}/aside-{number}"

    def _swap(self, path: str, slot: str, aside: str, operation: Operation) -> None:
        """Exchange; the staged entry ends at ``path``, or at ``slot`` when undoing."""
        if not self._complete_steps(path, slot, aside):
            return  # somebody has put another entry at the path since, and that stays
        if self._is_swapped(path, slot, operation) or self._is_needless(path, slot, operation):
            return
        if self._is_foreign(path, operation):
            return
        if self.undoing and files.lstat(path) is None and files.lstat(slot) is not None:
            _bring_back(slot, path)  # somebody removed the new entry since
            return
        for entry, error in ((slot, LostError), (path, FileNotFoundError)):
            if files.lstat(entry) is None:
                raise error(errno.ENOENT, os.strerror(errno.ENOENT), entry)
        if not files.exchange(slot, path):
            _exchange_by_steps(path, slot, aside)

    def _complete_steps(self, path: str, slot: str, aside: str) -> bool:
        """After a kill within `_exchange_by_steps`, have both entries in place again.

        Return False if something else than was there is at ``path`` now.
        """
        if files.lstat(aside) is None:
            return True
        if files.lstat(slot) is None:
            files.rename(aside, slot)
        elif files.lstat(path) is None:
            files.rename(aside, path)
        elif self._is_linked(path, aside):
            files.unlink(aside)
        else:
            return False
        return True

    def _is_swapped(self, path: str, slot: str, operation: Operation) -> bool:
        if self.undoing:
            path, slot = slot, path
        if self.copied:
            return self._is_swapped_in_copy(path, slot, operation)
        inodes = files.inode(path), files.inode(slot)
        if None in inodes or operation.inode in inodes:
            return inodes[0] == operation.inode
        # Somebody replaced the new entry since, and what is there stays: the old one lies in the
        # slot, where nobody else puts anything.  Should a file system have given out other
        # numbers, that is seen by the time of the staged one.
        return not _is_staged(files.lstat(slot), operation, 1)

    def _is_swapped_in_copy(self, path: str, slot: str, operation: Operation) -> bool:
        for unit in (1, _SECOND):  # many ways to copy keep times in whole seconds
            found = [_is_staged(files.lstat(entry), operation, unit) for entry in (path, slot)]
            if found[0] != found[1]:
                return found[0]
        raise _CopiedError(path)

    def _is_needless(self, path: str, slot: str, operation: Operation) -> bool:
        """Tell whether a swap to be undone was never made: its staged entry is gone, not the old.

        A copy of the prefix does not tell which one is there.
        """
        if not self.undoing or self.copied or files.lstat(slot) is not None:
            return False
        return files.inode(path) not in {None, operation.inode}

    def _is_foreign(self, path: str, operation: Operation) -> bool:
        """Tell whether a swap to be undone has another file at its path, of the inode of the new.

        That stays, as any that somebody put there since.
        """
        status = files.lstat(path) if self.undoing else None
        if status is None or status.st_ino != operation.inode:
            return False
        return self._is_replaced(status, operation)


def _bring_back(slot: str, path: str) -> None:
    """Put an old entry where it was, also if somebody removed the directory since."""
    _make_above(path)
    files.rename_new(slot, path)


def _make_above(path: str) -> None:
    directory = os.path.dirname(path)
    if files.lstat(directory) is None:
        _make_above(directory)
        files.make_directory(directory)


class _MetError(Exception):
    """A directory is to be placed where there is one by now."""


class _CopiedError(Exception):
    """What is done in a copy of the prefix cannot be told at one path."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class _MissingError(Exception):
    """A directory of the workspace is not there."""

    def __init__(self, directory: str) -> None:
        super().__init__(directory)
        self.directory = directory


def _is_staged(status: os.stat_result | None, operation: Operation, unit: int) -> bool:
    """Tell whether an entry is the one that an operation names, by its time and size."""
    if status is None:
        return False
    size = -1 if stat.S_ISDIR(status.st_mode) else status.st_size
    same_time = status.st_mtime_ns // unit == operation.time // unit
    return same_time and size == operation.size


def _is_written_since(status: os.stat_result, operation: Operation) -> bool:
    """Tell whether a file is not any more as an operation names it, but newer."""
    is_later = status.st_mtime_ns // _SECOND > operation.time // _SECOND  # some round what was set
    return is_later or status.st_size != operation.size


def _exchange_by_steps(path: str, slot: str, aside: str) -> None:
    """Exchange without ``RENAME_EXCHANGE``: ``path`` is replaced by one rename.

    ``aside`` is a second name of the old entry meanwhile.  If one entry is a directory
    or the old one cannot be linked, ``path`` is absent between two renames.
    """
    directories = _is_directory(path) or _is_directory(slot)
    if directories or not files.link(path, aside):
        files.rename(path, aside)
    files.rename(slot, path)
    files.rename(aside, slot)


def _is_directory(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _apply(prefix: Path, file: JournalFile, journal: Journal, *, durable: bool) -> Journal:
    """Carry out a journal; return what it was in the end.

    A directory that is to be placed may meet one that somebody has made since we looked, by
    ``mkdir -p`` say.  Then the journal is put in place anew, with what it holds instead, and
    carried out from there.
    """
    applier = _Applier(prefix, journal, copied=file.is_copied(journal))
    try:
        applier.require_slots(journal.operations)
        start = 0
        while (met := _apply_until_met(applier, journal, start)) is not None:
            start = met
            journal = journal.spread(met, os.path.join(prefix, journal.operations[met].slot))
            file.draft(journal, durable=durable)
            file.publish(journal, durable=durable)
    except _MissingError as error:
        reason = (
            f"{error.directory!r}, where its entries lie, is missing; bring it back (mount that"
            " file system, say), then run 'sage-pkginstall recover', or see its --help"
        )
        raise JournalError(file.place(), reason) from error
    except _CopiedError as error:
        reason = (
            f"{prefix} is a copy, made without the times of its files, or got other owners or"
            f" modes, so that {error.path!r} does not tell whether it is old or new;"
            " see 'sage-pkginstall recover --help'"
        )
        raise JournalError(file.place(), reason) from error
    return journal


def _apply_until_met(applier: _Applier, journal: Journal, start: int) -> int | None:
    """Apply operations until one meets a directory; return the index of that."""
    numbered = list(enumerate(journal.operations, 1))[start:]
    number = 0
    try:
        for number, operation in reversed(numbered) if journal.undoing else numbered:
            applier.apply(number, operation)
    except _MetError:
        return number - 1
    return None


def _flush(prefix: Path, journal: Journal) -> None:
    """Have what was carried out written to the disk."""
    changed = {operation.path.rpartition("/")[0] for operation in journal.operations}
    files.flush_directories(os.path.join(prefix, path) for path in sorted(changed))


def carry_out(prefix: Path, file: JournalFile, journal: Journal, *, durable: bool) -> str | None:
    """Commit ``journal``, whose draft is there: all its operations are done then, or none is.

    The caller holds the lock of the tree.  That the journal is gone again needs no flush
    under it: the next one is flushed to the same directory before it counts, and until
    then carrying this one out again changes nothing.  Returns a warning if everything is done but
    the journal could not be removed (the next command does that).  Raises
    `TransactionError` if an operation failed and the prefix is the old one again,
    `JournalError` if not even undoing worked: then the journal stays, and every later
    command tries again.
    """
    with signals_deferred():
        try:
            file.publish(journal, durable=durable)
            journal = _apply(prefix, file, journal, durable=durable)
            if durable:
                _flush(prefix, journal)
        except OSError as error:
            _undo(prefix, file, durable=durable)
            raise TransactionError(prefix, describe(error)) from error
        try:
            file.delete()
        except OSError as error:
            return f"everything is installed, but {describe(error)}: the next command cleans up"
    return None


def _undo(prefix: Path, file: JournalFile, *, durable: bool) -> None:
    """Undo what is on record, and remove the journal."""
    try:
        journal = file.read() if file.turn_round(durable=durable) else None
        if journal is not None:
            _apply(prefix, file, journal, durable=durable)
    except OSError as error:
        raise JournalError(file.place(), _remedy(error)) from error
    if journal is not None:
        _end(prefix, file, journal, durable=durable)


def _end(prefix: Path, file: JournalFile, journal: Journal, *, durable: bool) -> None:
    """Remove the journal, which is carried out, or undone; that stays so, also if this fails.

    Raises `JournalError` then.
    """
    try:
        if durable:
            _flush(prefix, journal)
        file.delete()
    except OSError as error:
        raise JournalError(file.place(), _remedy(error)) from error
    if durable:
        with contextlib.suppress(OSError):  # see `carry_out`
            file.flush()


def recover(prefix: Path, file: JournalFile, *, durable: bool) -> Recovery | None:
    """Finish what a dead process began, or undo it; return which, if there was something.

    It is undone if an operation fails, or failed in that process; not if only the journal cannot
    be removed, as that process may have said that all is done.  The caller holds the lock of the
    tree.  Raises `JournalError` then, and if neither is possible.
    """
    with signals_deferred():
        journal = file.read()
        if journal is None:
            return None
        try:
            journal = _apply(prefix, file, journal, durable=durable)
        except OSError as error:
            if journal.undoing:
                raise JournalError(file.place(), _remedy(error)) from error
            _undo(prefix, file, durable=durable)
            return Recovery(journal.label, undone=True)
        _end(prefix, file, journal, durable=durable)
    return Recovery(journal.label, journal.undoing)


def describe(error: OSError) -> str:
    """Return an operating system's error for a message: reason and path."""
    if error.filename is None:
        return error.strerror or str(error)
    return f"{error.strerror} at {os.fspath(error.filename)!r}"


def _remedy(error: OSError) -> str:
    return f"{describe(error)}; mend that, then run 'sage-pkginstall recover'"
