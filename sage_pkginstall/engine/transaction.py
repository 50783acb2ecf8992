"""Carry out a journal: all of it or nothing, even across a crash.

On disk, for each operation: before it, the new entry lies at its slot in the workspace
and the old one at its path; after it, the other way round.  Each operation tells from
the disk whether it is done already, so applying a journal twice equals applying it
once.  A reader sees, at each path, the old entry or the new one; without
``RENAME_EXCHANGE``, and only where a file takes the place of a directory (or the other
way round) or hard links are missing, the path is absent for some microseconds.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import threading
from typing import TYPE_CHECKING

from sage_pkginstall.engine import files
from sage_pkginstall.errors import JournalError, TransactionError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sage_pkginstall.engine.journal import Journal, JournalFile
    from sage_pkginstall.engine.plan import Operation

__all__ = ["carry_out", "describe", "recover"]

_DEFERRED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Applier:
    """Applies the operations of a journal to a prefix, or their inverses."""

    def __init__(self, prefix: Path, *, undoing: bool) -> None:
        self.below = os.path.join(prefix, "")
        self.undoing = undoing

    def apply(self, operation: Operation) -> None:
        path = self.below + operation.path
        slot = os.path.join(self.below, operation.slot)
        if operation.kind == "swap":
            self._swap(path, slot, operation.inode)
        elif operation.kind == "prune":
            self._prune(path, operation.mode)
        elif (operation.kind == "place") is not self.undoing:
            self._move_in(path, slot)
        else:
            self._move_out(path, slot)

    def _prune(self, path: str, mode: int) -> None:
        if not self.undoing:
            files.remove_if_empty(path)
        elif files.lstat(path) is None:
            files.make_directory(path)
            os.chmod(path, mode)

    def _move_in(self, path: str, slot: str) -> None:
        # Nearly always nothing has been done yet, and one call is enough.
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            files.rename_new(slot, path)
            return
        if files.lstat(slot) is None:
            if files.lstat(path) is None and not self.undoing:
                message = f"neither {path} nor its staged entry {slot} exists"
                raise FileNotFoundError(message)
        elif _same_entry(path, slot):  # killed between link and unlink
            files.unlink(slot)
        else:
            files.rename_new(slot, path)

    @staticmethod
    def _move_out(path: str, slot: str) -> None:
        if files.lstat(slot) is not None:
            if _same_entry(path, slot):  # killed between link and unlink
                files.unlink(path)
        elif files.lstat(path) is not None:
            files.rename(path, slot)

    def _swap(self, path: str, slot: str, inode: int) -> None:
        """Exchange; the staged entry ends at ``path``, or at ``slot`` when undoing."""
        aside = slot + ".aside"
        _complete_steps(path, slot, aside)
        if files.inode(slot if self.undoing else path) == inode:
            return
        for entry in (slot, path):
            if files.lstat(entry) is None:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), entry)
        if not files.exchange(slot, path):
            _exchange_by_steps(path, slot, aside)


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


def _complete_steps(path: str, slot: str, aside: str) -> None:
    """After a kill within `_exchange_by_steps`, have both entries in place again."""
    if files.lstat(aside) is None:
        return
    if files.lstat(slot) is None:
        files.rename(aside, slot)
    elif files.lstat(path) is None:
        files.rename(aside, path)
    else:
        files.unlink(aside)


def _same_entry(first: str, second: str) -> bool:
    one, other = files.lstat(first), files.lstat(second)
    return one is not None and other is not None and os.path.samestat(one, other)


def _is_directory(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _apply(prefix: Path, journal: Journal, *, durable: bool) -> None:
    applier = _Applier(prefix, undoing=journal.undoing)
    operations = journal.operations
    for operation in reversed(operations) if journal.undoing else operations:
        applier.apply(operation)
    if durable:
        paths = [os.path.join(prefix, operation.path) for operation in operations]
        files.flush_directories(sorted({os.path.dirname(path) for path in paths}))


@contextlib.contextmanager
def _signals_deferred() -> Iterator[None]:
    """Let Ctrl-C and friends wait for the few milliseconds that applying takes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _DEFERRED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
    with _signals_deferred():
        try:
            file.publish(journal, durable=durable)
            _apply(prefix, journal, durable=durable)
        except OSError as error:
            _undo(prefix, file, durable=durable)
            raise TransactionError(prefix, describe(error)) from error
        try:
            file.delete(durable=False)
        except OSError as error:
            return f"everything is installed, but {describe(error)}: the next command cleans up"
    return None


def _undo(prefix: Path, file: JournalFile, *, durable: bool) -> None:
    try:
        if file.turn_round(durable=durable):
            _finish(prefix, file, durable=durable)
    except OSError as error:
        raise JournalError(file.path, _remedy(error)) from error


def _finish(prefix: Path, file: JournalFile, *, durable: bool) -> Journal | None:
    journal = file.read()
    if journal is not None:
        _apply(prefix, journal, durable=durable)
        file.delete(durable=durable)
    return journal


def recover(prefix: Path, file: JournalFile, *, durable: bool) -> Journal | None:
    """Finish what a dead process began; return its journal, if there was one.

    The caller holds the lock of the tree.  Raises `JournalError` if that is impossible.
    """
    with _signals_deferred():
        try:
            return _finish(prefix, file, durable=durable)
        except OSError as error:
            if file.is_undoing():
                raise JournalError(file.path, _remedy(error)) from error
        journal = file.read()
        _undo(prefix, file, durable=durable)
    return journal


def describe(error: OSError) -> str:
    """Return an operating system's error for a message: reason and path."""
    if error.filename is None:
        return str(error)
    return f"{error.strerror} at {os.fspath(error.filename)!r}"


def _remedy(error: OSError) -> str:
    return f"{describe(error)}; mend that, then run 'sage-pkginstall recover'"
