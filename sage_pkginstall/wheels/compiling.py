"""Compile sources that arrive one by one, in as many processes as there are processors.

This file runs in two places: here, and, where the target is another Python than ours, as a
program of the target.  So it uses nothing but the standard library of Python 3.8 and looks
at nobody's site-packages.
"""

# ruff: noqa: PTH100, PTH102, PTH106, PTH108, PTH116, PTH118, PTH120, PTH123
# (os.path, since it is fast for thousands of files and the same in any Python)
from __future__ import annotations

import contextlib
import errno
import importlib.util
import marshal
import os
import stat
import struct
import sys

from sage_pkginstall.wheels.workers import Workers, names_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

__all__ = [
    "Compilation",
    "Task",
    "code_of",
    "header_of",
    "make_directory",
    "write_new",
]

_CACHE_TAG = sys.implementation.cache_tag or ""

_SMALL = 200_000
"""Bytes of source that are compiled sooner than a process is forked (some 50 ms).

A source that is not as small may be made so that the compiler overflows the stack, and crashes.
"""


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
        self._workers.heavy = _SMALL
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
    except Exception:  # noqa: BLE001 -- SyntaxError, RecursionError, MemoryError, OverflowError ...
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
            for name in names_from(sys.stdin.fileno()):
                compilation.add(name)
            written = compilation.finish()
    except OSError as error:
        sys.exit(str(error))
    sys.stdout.buffer.write(b"".join(os.fsencode(name) + b"\0" for name in written))


if __name__ == "__main__":
    _main()
