"""One kind of work on many names, in as many processes as there are processors.

Like `compiling`, this runs in other Pythons, too, and uses nothing but the standard library
of Python 3.8.

Work is handed to forked processes, since ``compile`` holds the interpreter's lock; they
start as soon as there is enough to do, while more of it is still to come.  Beside other
threads nothing is forked: a lock that one of them holds would stay held in the fork.
``multiprocessing`` and ``concurrent.futures`` would do the same for 20 to 30 ms more CPU
for each of many short runs.  Between the processes there are two pipes for each:

    to it      names, each ended by NUL, until the end of the file
    from it    one byte for each, in their order: something was written for it, or nothing;
               after an error, which ends it: NUL, errno, NUL, reason, NUL, path

A process is handed a few names at a time, so that nobody waits long for another in the end,
and its answers always fit into the pipe.
"""

from __future__ import annotations

import _thread
import contextlib
import errno
import gc
import os
import sys
import warnings
from bisect import bisect_left
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import NoReturn

__all__ = ["Workers", "names_from", "without_warnings"]

_MOST_HANDED = 8
"""Names that a process has been handed and has not worked on yet, but see `Workers`."""

_TURN = _thread.allocate_lock()
_WRITTEN, _WITHOUT, _FAILED = b"+", b"-", b"\0"


class Workers:
    """Processes, up to ``jobs`` with this one, that do one kind of work on many names.

    ``work`` tells whether it wrote what it was to write, ``place`` the path that an error
    is to name.  There is another process for each ``least`` of weight, as long as there may
    be one.  It is handed ``batch`` names at once where work on one takes no longer than to
    wake a process.  There may be a hundred thousand names, so of each that waits only that and
    its weight are kept.  Of several groups the one that began last is to finish first: its
    processes hold pipes of the others open.
    """

    def __init__(
        self,
        work: Callable[[str], bool],
        place: Callable[[str], str],
        *,
        jobs: int,
        least: int,
        batch: int = 1,
    ) -> None:
        self._work = work
        self._place = place
        self._jobs = jobs
        self._least = least
        self._batch = batch
        self.heavy: int | None = None
        """What weighs as much may end the process that works on it.

        So that is never this one, unless there may be no other.
        """
        self._waiting: list[tuple[int, str]] = []
        self._seen = 0  # weight of all names so far
        self._workers: list[_Worker] = []
        self._written: list[str] = []

    def add(self, weight: int, name: str) -> None:
        """Have the work done on a name, now or later."""
        self._waiting.append((weight, name))
        self._seen += weight
        wanted = min(self._jobs, self._seen // self._least)
        if self._jobs and self.heavy is not None and weight >= self.heavy:
            wanted += 1  # as this one has no part in that
        if len(self._workers) + 1 < wanted and not _has_threads():
            self._start_another()
        if len(self._waiting) >= self._batch:
            self._hand_out()

    def _start_another(self) -> None:
        """Start another process, unless there may be none: then there are enough."""
        worker = _Worker(self._work, self._place, max(_MOST_HANDED, 2 * self._batch))
        self._workers.append(worker)
        try:
            worker.start(self._workers)
        except OSError:  # the user, or the container, has too many; or too many open files
            self._workers.remove(worker)
            worker.kill()
            self._jobs = 0

    def settle(self, name: str) -> None:
        """Do all that waits, and take ``name`` for one on which nothing was done."""
        self._do_waiting()
        for worker in self._workers:
            self._written += worker.idle()
        if name in self._written:
            self._written.remove(name)

    def finish(self) -> list[str]:
        """Do the rest; return the names for which something was written, in any order.

        Raises OSError where that was impossible, or a process died.
        """
        self._do_waiting()
        for worker in self._workers:
            self._written += worker.finish()
        return self._written

    def kill(self) -> None:
        """End all processes at once."""
        for worker in self._workers:
            worker.kill()

    def _do_waiting(self) -> None:
        self._waiting.sort()  # the largest are taken first
        with _working():
            while self._waiting:
                self._hand_out()
                if self._waiting:
                    self._do_one()

    def _do_one(self) -> None:
        """Do the largest that is for this process, or wait for another if there is none."""
        end = len(self._waiting)
        if self.heavy is not None and self._workers:
            end = bisect_left(self._waiting, (self.heavy,))
        if not end:
            self._written += self._workers[0].idle()
            return
        _, name = self._waiting.pop(end - 1)
        if self._work(name):
            self._written.append(name)

    def _hand_out(self) -> None:
        for worker in self._workers:
            if self._waiting:
                self._written += worker.written()
                worker.take(self._waiting)


class _Worker:
    """A process that works on what it is handed, and says of each name that it has."""

    def __init__(self, work: Callable[[str], bool], place: Callable[[str], str], most: int) -> None:
        self._do = work
        self._place = place
        self._most = most
        self._handed: deque[str] = deque()
        self._process = 0
        self.pipes: tuple[int, ...] = ()

    def start(self, others: Sequence[_Worker]) -> None:
        """Start the process; it closes what is open of ``others``."""
        given, giving = os.pipe()
        self.pipes = (giving,)
        try:
            told, telling = os.pipe()
        except OSError:
            os.close(given)
            raise
        self.pipes = giving, told
        parent = os.getpid()
        foreign = [descriptor for other in others for descriptor in other.pipes]
        os.set_blocking(told, False)
        try:
            with _forked(lambda: self._work(given, telling, parent, foreign)) as self._process:
                pass
        finally:
            os.close(given)
            os.close(telling)

    def _work(self, given: int, telling: int, parent: int, foreign: Sequence[int]) -> int:
        """Be the process; without its ``parent`` it has nobody to do it for."""
        try:
            for descriptor in foreign:
                os.close(descriptor)
            with _working():
                for name in names_from(given):
                    if os.getppid() != parent:
                        break
                    os.write(telling, _WRITTEN if self._do(name) else _WITHOUT)
        except OSError as error:
            said = f"{error.errno or 0}\0{error.strerror or error}\0{error.filename or ''}"
            os.write(telling, _FAILED + os.fsencode(said))
            return 1
        return 0

    def take(self, waiting: list[tuple[int, str]]) -> None:
        """Hand it some of the names, from the end of the list: so many that it has ``most``."""
        names = []
        while waiting and len(self._handed) < self._most:
            _, name = waiting.pop()
            self._handed.append(name)
            names.append(os.fsencode(name) + b"\0")
        data = b"".join(names)
        with contextlib.suppress(BrokenPipeError):  # `finish` tells why it died
            while data:
                data = data[os.write(self.pipes[0], data) :]

    def written(self) -> list[str]:
        """Return the names for which it has written something since this was asked last."""
        try:
            said = os.read(self.pipes[1], 2 * self._most)
        except BlockingIOError:
            return []
        return self.finish(said) if _FAILED in said else self._results(said)

    def idle(self) -> list[str]:
        """Wait until it has done all that it was handed; return as `written` does."""
        written: list[str] = []
        while self._handed:
            os.set_blocking(self.pipes[1], True)
            try:
                said = os.read(self.pipes[1], 2 * self._most)
            finally:
                os.set_blocking(self.pipes[1], False)
            if not said or _FAILED in said:
                return written + self.finish(said)
            written += self._results(said)
        return written

    def finish(self, said: bytes = b"") -> list[str]:
        """Let it end; return as `written` does.  ``said`` was read already.

        Raises OSError if something could not be written, or it died.
        """
        giving, told = self.pipes
        self.pipes = ()
        os.close(giving)
        os.set_blocking(told, True)
        with os.fdopen(told, "rb") as pipe:
            results, _, error = (said + pipe.read()).partition(_FAILED)
        _, status = os.waitpid(self._process, 0)
        self._process = 0
        written = self._results(results)
        if error:
            number, reason, name = os.fsdecode(error).split("\0")
            raise OSError(int(number), reason, *([name] if name else []))
        if self._handed:
            reason = f"the process that worked on it and others died (status {status:#x})"
            raise OSError(errno.ECHILD, reason, self._place(self._handed[0]))
        return written

    def _results(self, said: bytes) -> list[str]:
        done = [(self._handed.popleft(), result) for result in said]
        return [name for name, result in done if result == _WRITTEN[0]]

    def kill(self) -> None:
        """End it at once."""
        if self._process:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):  # just waited for
                os.kill(self._process, 9)
                os.waitpid(self._process, 0)
            self._process = 0
        for descriptor in self.pipes:
            os.close(descriptor)
        self.pipes = ()


def _has_threads() -> bool:
    """Tell whether there are other threads, whose locks would stay held in a fork."""
    threading = sys.modules.get("threading")  # without it there is the main thread only
    return threading is not None and threading.active_count() > 1


@contextlib.contextmanager
def _forked(child: Callable[[], int]) -> Iterator[int]:
    """Give a new process, which does ``child`` and ends with that status.

    The two share what memory there is, as none of it is looked through for rubbish.  No
    signal is delivered here until the ``with`` is left, so that the process is known to who
    must end it, and there until it does what it is for: what a handler raises within a fork,
    in Python's own hooks, is printed and lost.
    """
    import signal  # noqa: PLC0415 -- not for small wheels

    if hasattr(gc, "freeze"):  # PyPy has none
        gc.freeze()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        process = os.fork()
        if not process:
            _be(child, before)
        yield process
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if hasattr(gc, "unfreeze"):
            gc.unfreeze()


def _be(child: Callable[[], int], mask: Iterable[int]) -> NoReturn:
    import signal  # noqa: PLC0415 -- not for small wheels

    status = 1
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        status = child()
    finally:
        os._exit(status)


def names_from(descriptor: int) -> Iterator[str]:
    """Yield what ends with a NUL, as it arrives."""
    rest = b""
    while True:
        data = os.read(descriptor, 1 << 16)
        if not data:
            return
        *names, rest = (rest + data).split(b"\0")
        yield from map(os.fsdecode, names)


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """Have no warnings shown, of sources that are none of our business.

    Which are shown is said for the whole process, so threads take turns: of two at once, one
    would put back for good what the other one had set.
    """
    with _TURN, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _working() -> Iterator[None]:
    """Have no rubbish looked for, and no warnings shown."""
    with without_warnings():
        collecting = gc.isenabled()
        gc.disable()  # code objects are all reachable: looking among them costs a fifth
        try:
            yield
        finally:
            if collecting:
                gc.enable()
