"""Compile sources that arrive one by one, in as many processes as there are processors.

This file runs in two places: here, and, where the target is another Python than ours, as a
program of the target.  So it uses nothing but the standard library of Python 3.8 and looks
at nobody's site-packages.

Work is handed to forked processes, since ``compile`` holds the interpreter's lock; they
start as soon as there is enough to do, while sources are still being staged.
``multiprocessing`` and ``concurrent.futures`` would do the same for 20 to 30 ms more CPU
for each of many short runs.  Between the processes there are two pipes for each:

    to it      relative paths of sources, each ended by NUL; no more at the end of the file
    from it    one byte for each, in their order: compiled, or without byte-code;
               after an error, which ends it: NUL, errno, NUL, path

A process is handed a few sources at a time, so that nobody waits long for another in the end,
and no pipe is ever full.
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
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType
    from typing import NoReturn

__all__ = ["Compilation", "Task", "code_of", "header_of", "make_directory", "write_new"]

_CACHE_TAG = sys.implementation.cache_tag or ""

_SMALL = 200_000
"""Bytes of source that are compiled sooner than a process is forked (some 50 ms)."""

_AT_ONCE = 8
"""Sources that a process has been handed and has not compiled yet."""

_COMPILED, _WITHOUT, _FAILED = b"+", b"-", b"\0"


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

    Use ``with``: after an error no process is left.  There may be a hundred thousand sources,
    so of each that waits only its size and its path below the root are kept.
    """

    def __init__(self, root: str, final: str, jobs: int) -> None:
        self._root = os.path.join(os.path.abspath(root), "")
        self._final = os.path.join(final, "")
        self._jobs = jobs
        self._waiting: list[tuple[int, str]] = []
        self._seen = 0  # bytes of all sources so far
        self._workers: list[_Worker] = []
        self._written: list[str] = []
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
        for worker in self._workers:
            worker.kill()

    def add(self, source: str) -> None:
        """Have a source compiled, now or later; it stays as it is until `finish` returned."""
        size = os.stat(self._root + source).st_size
        directory = os.path.dirname(code_of(source))
        if directory not in self._directories:
            make_directory(self._root + directory)
            self._directories.add(directory)
        self._waiting.append((size, source))
        self._seen += size
        if len(self._workers) + 1 < min(self._jobs, self._seen // _SMALL):
            worker = _Worker(self._root, self._final)
            self._workers.append(worker)
            worker.start(self._workers)
        self._hand_out()

    def settle(self, source: str) -> None:
        """Have nothing more to do with ``source``, which is about to be replaced."""
        if not source.endswith(".py"):
            return
        self._compile_waiting()
        for worker in self._workers:
            self._written += worker.idle()
        if code_of(source) in self._written:
            self._written.remove(code_of(source))

    def finish(self) -> tuple[str, ...]:
        """Compile the rest; return the files that are there now, relative to the root, sorted.

        What cannot be compiled has no byte-code, silently, as with pip.  Raises OSError
        where byte-code cannot be written.
        """
        self._compile_waiting()
        for worker in self._workers:
            self._written += worker.finish()
        empty = self._directories.difference(map(os.path.dirname, self._written))
        _remove_empty(self._root + directory for directory in empty)
        self._written.sort()
        return tuple(self._written)

    def _compile_waiting(self) -> None:
        self._waiting.sort()  # the largest are taken first
        with _compiling():
            while self._waiting:
                self._hand_out()
                if self._waiting:
                    self._compile(self._waiting.pop()[1])

    def _compile(self, source: str) -> None:
        if compile_one(Task(self._root + source, self._final + source)):
            self._written.append(code_of(source))

    def _hand_out(self) -> None:
        for worker in self._workers:
            if self._waiting:
                self._written += worker.written()
                worker.take(self._waiting)


class _Worker:
    """A process that compiles what it is handed, and says of each source that it has."""

    def __init__(self, root: str, final: str) -> None:
        self._root = root
        self._final = final
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
            with _compiling():
                for name in _names(given):
                    if os.getppid() != parent:
                        break
                    task = Task(self._root + name, self._final + name)
                    os.write(telling, _COMPILED if compile_one(task) else _WITHOUT)
            status = 0
        except OSError as error:
            os.write(telling, _FAILED + os.fsencode(f"{error.errno or 0}\0{error.filename or ''}"))
        finally:
            os._exit(status)

    def take(self, waiting: list[tuple[int, str]]) -> None:
        """Hand it a few of the sources, from the end of the list."""
        while waiting and len(self._handed) < _AT_ONCE:
            _, source = waiting.pop()
            self._handed.append(source)
            with contextlib.suppress(BrokenPipeError):  # `finish` tells why it died
                os.write(self.pipes[0], os.fsencode(source) + b"\0")

    def written(self) -> list[str]:
        """Return the byte-code that it has written since this was asked last."""
        try:
            said = os.read(self.pipes[1], 2 * _AT_ONCE)
        except BlockingIOError:
            return []
        return self.finish(said) if _FAILED in said else self._results(said)

    def idle(self) -> list[str]:
        """Wait until it has compiled all that it was handed; return what it has written."""
        written: list[str] = []
        while self._handed:
            os.set_blocking(self.pipes[1], True)
            try:
                said = os.read(self.pipes[1], 2 * _AT_ONCE)
            finally:
                os.set_blocking(self.pipes[1], False)
            if not said or _FAILED in said:
                return written + self.finish(said)
            written += self._results(said)
        return written

    def finish(self, said: bytes = b"") -> list[str]:
        """Let it end; return what it has written.  ``said`` was read already.

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
            number, _, name = os.fsdecode(error).partition("\0")
            raise OSError(int(number), os.strerror(int(number)), name)
        if self._handed:
            reason = f"the process that compiled it and others died (status {status:#x})"
            raise OSError(errno.ECHILD, reason, self._root + self._handed[0])
        return written

    def _results(self, said: bytes) -> list[str]:
        done = [(self._handed.popleft(), result) for result in said]
        return [code_of(source) for source, result in done if result == _COMPILED[0]]

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
def _compiling() -> Iterator[None]:
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
