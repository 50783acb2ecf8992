"""Compile sources that arrive one by one, in as many processes as there are processors.

This file runs in two places: here, and, where the target is another Python than ours, as a
program of the target.  So it uses nothing but the standard library of Python 3.8 and looks
at nobody's site-packages.

Work is handed to forked processes, since ``compile`` holds the interpreter's lock; they
start as soon as there is enough to do, while sources are still being staged.
``multiprocessing`` and ``concurrent.futures`` would do the same for 20 to 30 ms more CPU
for each of many short runs.  Between the processes there are two pipes for each:

    to it      names (relative paths of sources), each ended by NUL, until the end of the file
    from it    one byte for each, in their order: something was written for it, or nothing;
               after an error, which ends it: NUL, errno, NUL, reason, NUL, path

A process is handed a few names at a time, so that nobody waits long for another in the end,
and its answers always fit into the pipe.
"""

# ruff: noqa: PTH100, PTH102, PTH106, PTH108, PTH116, PTH118, PTH120, PTH123
# (os.path, since it is fast for thousands of files and the same in any Python)
from __future__ import annotations

import contextlib
import errno
import gc
import importlib.util
import marshal
import os
import stat
import struct
import sys
import warnings
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import TracebackType
    from typing import NoReturn

__all__ = [
    "Compilation",
    "Task",
    "Workers",
    "code_of",
    "header_of",
    "make_directory",
    "write_new",
]

_CACHE_TAG = sys.implementation.cache_tag or ""

_SMALL = 200_000
"""Bytes of source that are compiled sooner than a process is forked (some 50 ms)."""

_MOST_HANDED = 8
"""Names that a process has been handed and has not worked on yet, but see `Workers`."""

_WRITTEN, _WITHOUT, _FAILED = b"+", b"-", b"\0"


class Task:
    """A source, the path it will have, and where its byte-code goes."""

    __slots__ = ("final", "source", "status", "target")

    def __init__(self, source: str, final: str, tag: str = _CACHE_TAG) -> None:
        self.source = source
        self.final = final
        self.status = os.stat(source)
        self.target = code_of(source, tag)


def code_of(source: str, tag: str = _CACHE_TAG) -> str:
    """Return where the byte-code of a source goes.

    `importlib.util.cache_from_source` obeys PYTHONPYCACHEPREFIX, which is about another run.
    """
    directory, name = os.path.split(source)
    stem = name[:-3] or "py"  # as it does for ".py"
    return os.path.join(directory, "__pycache__", f"{stem}.{tag}.pyc")


class Compilation:
    """Writes byte-code beside sources below ``root``, for the same paths below ``final``.

    Use ``with``: after an error no process is left.
    """

    def __init__(self, root: str, final: str, jobs: int) -> None:
        self._root = os.path.join(os.path.abspath(root), "")
        self._final = os.path.join(final, "")
        self._workers = Workers(self._compile, self._root.__add__, jobs=jobs, least=_SMALL)
        self._directories: set[str] = set()

    # `settle` is rare, so nothing is remembered for it: it waits for all there is.

    def __enter__(self) -> Compilation:  # noqa: PYI034 -- Self came with 3.11
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._workers.kill()

    def _compile(self, source: str) -> bool:
        return compile_one(Task(self._root + source, self._final + source))

    def add(self, source: str) -> None:
        """Have a source compiled, now or later; it stays as it is until `finish` returned."""
        size = os.stat(self._root + source).st_size
        directory = os.path.dirname(code_of(source))
        if directory not in self._directories:
            make_directory(self._root + directory)
            self._directories.add(directory)
        self._workers.add(size, source)

    def settle(self, source: str) -> None:
        """Have nothing more to do with ``source``, which is about to be replaced."""
        if source.endswith(".py"):
            self._workers.settle(source)

    def finish(self) -> tuple[str, ...]:
        """Compile the rest; return the files that are there now, relative to the root, sorted.

        What cannot be compiled has no byte-code, silently, as with pip.  Raises OSError
        where byte-code cannot be written.
        """
        written = sorted(map(code_of, self._workers.finish()))
        empty = self._directories.difference(map(os.path.dirname, written))
        _remove_empty(self._root + directory for directory in empty)
        return tuple(written)


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
        self._waiting: list[tuple[int, str]] = []
        self._seen = 0  # weight of all names so far
        self._workers: list[_Worker] = []
        self._written: list[str] = []

    def add(self, weight: int, name: str) -> None:
        """Have the work done on a name, now or later."""
        self._waiting.append((weight, name))
        self._seen += weight
        if len(self._workers) + 1 < min(self._jobs, self._seen // self._least):
            most = max(_MOST_HANDED, 2 * self._batch)
            worker = _Worker(self._work, self._place, most)
            self._workers.append(worker)
            worker.start(self._workers)
        if len(self._waiting) >= self._batch:
            self._hand_out()

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
                    _, name = self._waiting.pop()
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
        given, giving, told, telling = (*os.pipe(), *os.pipe())
        self.pipes = giving, told
        parent = os.getpid()
        os.set_blocking(told, False)
        if hasattr(gc, "freeze"):
            gc.freeze()  # the processes share what is there: nothing of it is written to
        try:
            with _signals_held():
                self._process = os.fork()
            if not self._process:
                self._work(given, telling, parent, [d for other in others for d in other.pipes])
        finally:
            os.close(given)
            os.close(telling)
            if hasattr(gc, "unfreeze"):
                gc.unfreeze()

    def _work(self, given: int, telling: int, parent: int, foreign: Sequence[int]) -> NoReturn:
        """Be the process; without its ``parent`` it has nobody to do it for."""
        status = 1
        try:
            for descriptor in foreign:
                os.close(descriptor)
            with _working():
                for name in _names(given):
                    if os.getppid() != parent:
                        break
                    os.write(telling, _WRITTEN if self._do(name) else _WITHOUT)
            status = 0
        except OSError as error:
            said = f"{error.errno or 0}\0{error.strerror or error}\0{error.filename or ''}"
            os.write(telling, _FAILED + os.fsencode(said))
        finally:
            os._exit(status)

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


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Have no signal delivered until a process is forked and known.

    What a handler raises within a fork, in Python's own hooks, is printed and lost.
    """
    import signal  # noqa: PLC0415 -- not for small wheels

    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _names(descriptor: int) -> Iterator[str]:
    """Yield what ends with a NUL, as it arrives."""
    rest = b""
    while True:
        data = os.read(descriptor, 1 << 16)
        if not data:
            return
        *names, rest = (rest + data).split(b"\0")
        yield from map(os.fsdecode, names)


@contextlib.contextmanager
def _working() -> Iterator[None]:
    collecting = gc.isenabled()
    gc.disable()  # code objects are all reachable: looking for rubbish among them costs a fifth
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if collecting:
            gc.enable()


def make_directory(directory: str) -> None:
    """Make a ``__pycache__`` directory if it is missing; what else is there is refused."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(directory)
    if not stat.S_ISDIR(os.lstat(directory).st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), directory)


def _remove_empty(directories: Iterable[str]) -> None:
    for directory in directories:
        with contextlib.suppress(OSError):  # there may be others in it
            os.rmdir(directory)


def compile_one(task: Task) -> bool:
    """Write the byte-code of one source, or see to it that there is none; tell which."""
    with open(task.source, "rb", buffering=0) as file:
        source = file.readall()
        status = os.fstat(file.fileno())
    try:
        # The same call that importlib.machinery.SourceLoader.source_to_code makes.
        code = compile(source, task.final, "exec", dont_inherit=True, optimize=0)
        data = marshal.dumps(code)
    except Exception:  # noqa: BLE001 -- SyntaxError, RecursionError, MemoryError, OverflowError …
        _remove(task.target)
        return False
    by_hash = bool(os.environ.get("SOURCE_DATE_EPOCH"))
    header = header_of(importlib.util.MAGIC_NUMBER, status, source if by_hash else None)
    try:
        write_new(task.target, (status.st_mode | 0o200) & 0o666, header + data)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:  # the source's is some bytes shorter
            raise
        return False
    return True


def header_of(magic: bytes, status: os.stat_result, source: bytes | None) -> bytes:
    """Return what stands before the code: by what it is told that ``source`` has changed.

    Its hash, if it is given, else time and size that are in ``status`` (PEP 552).
    """
    if source is not None:
        return magic + struct.pack("<L", 3) + importlib.util.source_hash(source)
    times = (int(status.st_mtime) & 0xFFFFFFFF, status.st_size & 0xFFFFFFFF)
    return magic + struct.pack("<3L", 0, *times)


def write_new(path: str, mode: int, data: bytes) -> None:
    """Write a new file; one that is there belongs to a source that was replaced."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, mode)
    except FileExistsError:
        os.unlink(path)
        descriptor = os.open(path, flags, mode)
    try:
        with os.fdopen(descriptor, "wb", 0) as file:
            written = file.write(data)
            while written < len(data):
                written += file.write(data[written:])
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENAMETOOLONG):
            raise


def _main() -> None:
    """Be the program of another Python: ROOT FINAL JOBS; sources on stdin, byte-code on stdout."""
    root, final, jobs = sys.argv[1:]
    try:
        with Compilation(root, final, int(jobs)) as compilation:
            for name in _names(sys.stdin.fileno()):
                compilation.add(name)
            written = compilation.finish()
    except OSError as error:
        sys.exit(str(error))
    sys.stdout.buffer.write(b"".join(os.fsencode(name) + b"\0" for name in written))


if __name__ == "__main__":
    _main()
