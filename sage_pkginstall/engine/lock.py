"""The lock of a tree: one exclusive flock(2), held for the commit only.

On disk: ``TREE/var/lock/pip3.lock`` is never removed and always empty; whoever holds a
flock on it may change the tree.  ``pip3.lock.holder`` beside it says who that is, see
holder.py.  ``pip3.lock.nested`` is the lock of those who work below a ``sage-flock`` that
holds the first one for them; once it is there, all others take it as well.

The lock belongs to the process that works: the descriptor is not inherited (PEP 446),
and the kernel drops the lock with the process.  Where the file system has no flock the
lock is refused; nothing goes on unlocked.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sys
import time

from sage_pkginstall.engine.holder import describe, last_holder, record_end, record_holder
from sage_pkginstall.engine.trust import make_closed, open_trusted
from sage_pkginstall.errors import LockError, LockTimeoutError
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sage_pkginstall.engine.holder import Changed, Holder

__all__ = [
    "HELD_VARIABLE",
    "Held",
    "LockSettings",
    "TreeLock",
    "has_nested",
    "held_as_well",
    "is_held",
    "is_held_for_us",
    "nested_lock",
    "open_lock",
    "refuse_to_wait_for_ancestors",
]

HELD_VARIABLE = "SAGE_FLOCK_HELD"
"""Lines ``LOCK:TOKEN``, each set by a sage-flock for its command; the last by the innermost."""

_BUSY = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES})
_POLL_INTERVAL = 0.002  # seconds; a commit takes little longer
_LONGEST_INTERVAL = 0.01  # seconds; thirty who look more often take half of a processor
_MODE = 0o600
_SHARED = "shared-"  # in place of a token: by that process
_SHORT_WAIT = 0.1  # seconds, as some commits of others take
_PATIENCE = 1.0  # seconds of waiting that are not worth a line
_MOMENT = 10.0  # seconds of waiting that are not worth importing filelock


class LockSettings(NamedTuple):
    """How long to wait for the lock (seconds, None: for ever) and whom to tell.

    ``notify`` gets a sentence where the wait is worth one; ``waits`` is called when somebody
    else has held the lock for a tenth of a second.
    """

    timeout: float | None = None
    notify: Callable[[str], None] = lambda _message: None
    waits: Callable[[], None] = lambda: None


class Held:
    """A lock while it is held: who held it before, and what to tell who comes next.

    ``recovered``: what a dead holder had begun was finished since.  ``changed`` are the file
    names of the records that were changed, None if it may be any.
    """

    __slots__ = ("changed", "previous", "recovered")

    def __init__(self, previous: Holder | None) -> None:
        self.previous = previous
        self.recovered = False
        self.changed: Changed = None


class TreeLock:
    """The exclusive lock of one tree, for use in a ``with`` statement."""

    def __init__(self, path: Path, label: str, settings: LockSettings) -> None:
        self.path = path
        self.label = label
        self.settings = settings
        self._is_told = False

    @contextlib.contextmanager
    def hold(self, asked: float | None = None) -> Iterator[Held]:
        """Hold the lock; the value tells who held it before.

        ``asked`` is since when we wait (monotonic clock), if not only from now on.

        Raises `LockError` if the lock cannot be had at all, `LockTimeoutError` if
        somebody else kept it for longer than the settings allow.
        """
        asked = time.monotonic() if asked is None else asked
        descriptor = self._open()
        try:
            if self._try_for_a_moment(descriptor, asked) and self._is_current(descriptor):
                with self._recorded() as held, self._alone(asked):
                    yield held
                return
        finally:
            # Unlocked, not only closed: a child between fork and exec has it open, too.
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)
        if is_held_for_us(self.path):
            with self._nested(asked) as held:
                if is_held_for_us(self.path):  # nor did it end while we waited for its others
                    yield held
                    return
        with self._waited(asked) as held:
            yield held

    @contextlib.contextmanager
    def _recorded(self) -> Iterator[Held]:
        """Say who holds the lock, and at the end that this is over."""
        held = Held(last_holder(self.path))
        holder = record_holder(self.path, self.label)
        try:
            yield held
        finally:
            with contextlib.suppress(OSError, LockError):
                record_end(self.path, holder, held.previous, held.changed)

    def _nested(self, asked: float) -> contextlib.AbstractContextManager[Held]:
        """Work below a ``sage-flock`` that holds the lock for us; its children take turns.

        They have a lock and a record of their own: by its record the next one of them
        knows that ``sage-flock`` still holds the lock for it.
        """
        return TreeLock(nested_lock(self.path), self.label, self.settings).hold(asked)

    def _alone(self, asked: float) -> contextlib.AbstractContextManager[Held | None]:
        """Wait for who still works below a ``sage-flock`` that was killed, or left it behind.

        Called when it is on record that we hold the lock: who begins later sees that, and
        does not take ``sage-flock`` for the holder any more.
        """
        return self._nested(asked) if has_nested(self.path) else contextlib.nullcontext()

    @contextlib.contextmanager
    def _waited(self, asked: float) -> Iterator[Held]:
        with self._wait(asked), self._recorded() as held, self._alone(asked):
            yield held

    def _is_current(self, descriptor: int) -> bool:
        """Tell whether the path still names the locked file, which nobody should remove."""
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(descriptor), os.stat(self.path))
        return False

    def _open(self) -> int:
        try:
            make_closed(self.path.parent, self.path.parents[2])
        except OSError as error:
            raise LockError(self.path.parent, error.strerror or str(error)) from error
        descriptor = open_lock(self.path)
        _close_to_others(descriptor)
        return descriptor

    def _try_for_a_moment(self, descriptor: int, asked: float) -> bool:
        """Take the flock if that takes no longer than many commits of others.

        It nearly always does, and costs less than importing `filelock`: 80 ms of processor
        time for each of those who wait would make all of them wait longer, the holder, too.
        """
        if self._try(descriptor):
            return True
        if is_held_for_us(self.path):
            return False
        refuse_to_wait_for_ancestors(self.path)
        timeout = self.settings.timeout
        most = _MOMENT if timeout is None else min(_MOMENT, _until(asked + timeout))
        news = [(_SHORT_WAIT, self.settings.waits), (_PATIENCE, self._tell)]
        start = time.monotonic()
        waited = 0.0
        while waited < most:
            time.sleep(min(_POLL_INTERVAL + waited / 20, _LONGEST_INTERVAL))
            if self._try(descriptor):
                return True
            waited = time.monotonic() - start
            while news and waited >= news[0][0]:
                news.pop(0)[1]()
        return False

    def _tell(self) -> None:
        """Say once for whom we wait."""
        if not self._is_told:
            holder = describe(last_holder(self.path))
            self.settings.notify(f"waiting for the lock {self.path}, held by {holder}")
            self._is_told = True

    def _try(self, descriptor: int) -> bool:
        """Take the flock without waiting, the same one that `filelock` takes."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _BUSY:
                return False
            reason = f"the file system gives no flock ({error.strerror})"
            raise LockError(self.path, reason) from error
        return True

    @contextlib.contextmanager
    def _wait(self, asked: float) -> Iterator[None]:
        """Wait for the lock with `filelock`, and tell for whom.

        It was ``asked`` for at that time of the monotonic clock; so long ago one waits already.
        """
        import filelock  # noqa: PLC0415 - 80 ms of CPU, spent only by who waits anyway

        lock = filelock.FileLock(self.path, mode=_MODE)
        timeout = self.settings.timeout
        seconds = -1.0 if timeout is None else _until(asked + timeout)
        try:
            try:
                lock.acquire(timeout=0.0)
            except filelock.Timeout:
                self._tell()
                lock.acquire(timeout=seconds, poll_interval=_LONGEST_INTERVAL)
        except filelock.Timeout as error:
            reason = (
                f"gave up after {timeout:g} s; it is held by {describe(last_holder(self.path))};"
                " end that process if it hangs, then repeat"
            )
            raise LockTimeoutError(self.path, reason) from error
        try:
            yield
        finally:
            lock.release()


def _until(end: float) -> float:
    """Return the seconds that are left until ``end``."""
    return max(0.0, end - time.monotonic())


def open_lock(path: Path) -> int:
    """Return a descriptor of a lock file, which is made at need.

    Others cannot even open it: who can may keep it locked for ever.  It is opened for writing,
    too: NFS gives no exclusive lock otherwise (flock(2)).  Raises `LockError`.
    """
    try:
        return open_trusted(path, os.O_RDWR | os.O_CREAT, path.parent, _MODE)
    except OSError as error:
        raise LockError(path, error.strerror or str(error)) from error


def _close_to_others(descriptor: int) -> None:
    """Let others not even open the lock of a tree, which a program with a umask may have made."""
    status = os.fstat(descriptor)
    if status.st_mode & 0o077 and os.geteuid() in {0, status.st_uid}:
        os.fchmod(descriptor, _MODE)


def nested_lock(lock: Path) -> Path:
    """Return the lock of those who work below a ``sage-flock`` that holds ``lock`` for them."""
    return lock.with_name(lock.name + ".nested")


def has_nested(lock: Path) -> bool:
    """Tell whether anybody ever worked below a ``sage-flock`` that held ``lock``.

    What another user made, root say, and we cannot open, is left alone.
    """
    return os.access(nested_lock(lock), os.R_OK | os.W_OK)


def is_held_for_us(lock: Path) -> bool:
    """Tell whether an ancestor holds ``lock`` while we run: ``sage-flock LOCK COMMAND``.

    It says so in ``SAGE_FLOCK_HELD``; that its token is still the holder's, that it has not
    said that it ended, and that its process is alive, guards against daemons that outlived it.
    """
    holder = last_holder(lock)
    if holder is None or holder.ended:
        return False
    lines = os.environ.get(HELD_VARIABLE, "").split("\n")
    held = (line.rpartition(":") for line in lines)
    if not any(token == holder.token and _is_same_file(path, lock) for path, _, token in held):
        return False
    return _lives(holder.pid)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def refuse_to_wait_for_ancestors(lock: Path) -> None:
    """Raise LockError if a ``sage-flock -s`` above us shares ``lock``, which we want for us alone.

    It waits for us; so who waited for it would do so for ever.
    """
    for line in os.environ.get(HELD_VARIABLE, "").split("\n"):
        path, _, token = line.rpartition(":")
        pid = token.removeprefix(_SHARED)
        if pid != token and pid.isdecimal() and _is_same_file(path, lock) and _lives(int(pid)):
            reason = "a sage-flock -s, which waits for this command, shares it; use -x there"
            raise LockError(lock, reason)


def held_as_well(lock: Path, holder: Holder | None) -> str:
    """Return the variable for a command for which we, ``holder``, hold ``lock``, too.

    Without a holder it is shared.
    """
    line = f"{lock}:{holder.token if holder else f'{_SHARED}{os.getpid()}'}"
    before = os.environ.get(HELD_VARIABLE)
    return f"{before}\n{line}" if before else line


def _is_same_file(path: str, lock: Path) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samefile(path, lock)
    return False


def is_held(lock: Path) -> bool:
    """Tell whether somebody holds ``lock`` now; False where that cannot be told."""
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in _BUSY
    finally:
        os.close(descriptor)
    return False


if sys.platform == "win32":  # pragma: no cover
    message = "flock(2) is needed"
    raise ImportError(message)
