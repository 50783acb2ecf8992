"""Byte-code of staged sources, as the target's own ``compileall`` would write it later.

A ``.pyc`` is put beside its staged source and carries the path that the source will have
in the prefix.  It is valid there because a rename keeps the source's time and size
(or, where SOURCE_DATE_EPOCH is set, by the hash of the source: PEP 552).

Code of this file runs in two places.  Where the target is the same Python as ours, the
work is done here; where it is another one, the target runs this very file as a program,
so it uses nothing but the standard library of Python 3.8 at the top, and the target's
site-packages are never looked at.

Work is shared out to forked processes, since ``compile`` holds the interpreter's lock.
``multiprocessing`` and ``concurrent.futures`` would do the same for 20 to 30 ms more CPU
for each of many short runs; there is nothing to be sent back but errors: what was
compiled is told by the files.
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

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import TypeAlias

    from sage_pkginstall.environment import Environment

    Run: TypeAlias = Callable[[Sequence[str], bytes], subprocess.CompletedProcess[bytes]]
    """Runs a program to its end with these bytes on stdin."""

__all__ = ["Task", "compile_staged", "header_of", "make_directories", "write_new"]

_CACHE_TAG = sys.implementation.cache_tag or ""

_SMALL = 200_000
"""Bytes of source that are compiled sooner than a process is forked (some 50 ms)."""


def compile_staged(
    root: Path,
    sources: Sequence[str],
    environment: Environment,
    *,
    jobs: int | None = None,
    run: Run | None = None,
) -> tuple[str, ...]:
    """Compile ``sources`` (relative to ``root``) in ``jobs`` processes; return the new files.

    By default there are as many processes as this one may use processors.  What cannot be
    compiled has no byte-code, silently, as with pip.  Raises OSError where byte-code
    cannot be written, EnvironmentFactsError where the target interpreter fails.
    """
    if not sources:
        return ()
    above = os.path.join(os.path.abspath(root), "")
    final = os.path.join(environment.prefix, "")
    places = [(above + source, final + source) for source in sources]
    wanted = jobs or _processors()
    if _is_like_ours(environment):
        written = compile_all(places, wanted)
    else:
        written = _compile_by_target(environment, places, wanted, run or _run)
    start = len(above)
    return tuple(path[start:] for path in written)


def _is_like_ours(environment: Environment) -> bool:
    return (
        environment.implementation == sys.implementation.name
        and environment.cache_tag == sys.implementation.cache_tag
        and environment.magic == importlib.util.MAGIC_NUMBER
    )


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _compile_by_target(
    environment: Environment, places: Sequence[tuple[str, str]], jobs: int, run: Run
) -> list[str]:
    """Run this file in the target interpreter: the list on its stdin, the new files on stdout."""
    from sage_pkginstall.errors import EnvironmentFactsError  # noqa: PLC0415 -- not in the target

    given = b"".join(os.fsencode(name) + b"\0" for place in places for name in place)
    interpreter = os.fspath(environment.interpreter)
    # -I -S: nothing of the target's site-packages, no .pth file, no PYTHON* variable.
    ended = run([interpreter, "-I", "-S", "-B", "-c", _own_source(), str(jobs)], given)
    if ended.returncode != 0:
        said = ended.stderr.decode(errors="replace").strip().splitlines() or ["it says nothing"]
        reason = f"it cannot compile: {said[-1]} (exit status {ended.returncode})"
        raise EnvironmentFactsError(environment.interpreter, reason)
    return [os.fsdecode(name) for name in ended.stdout.split(b"\0")[:-1]]


def _own_source() -> str:
    """Return the text of this file, which may lie in a zip file."""
    import inspect  # noqa: PLC0415 -- seldom needed

    return inspect.getsource(sys.modules[__name__])


def _run(command: Sequence[str], given: bytes) -> subprocess.CompletedProcess[bytes]:
    import subprocess  # noqa: PLC0415 -- seldom needed

    return subprocess.run(command, input=given, capture_output=True, check=False, cwd="/")


def _main() -> None:
    """Be the program that `_compile_by_target` runs."""
    names = [os.fsdecode(name) for name in sys.stdin.buffer.read().split(b"\0")[:-1]]
    try:
        written = compile_all(list(zip(names[::2], names[1::2])), int(sys.argv[1]))  # noqa: B905 -- 3.10
    except OSError as error:
        sys.exit(str(error))
    sys.stdout.buffer.write(b"".join(os.fsencode(name) + b"\0" for name in written))


# ---------------------------------------------------------------------- in either interpreter


def compile_all(places: Sequence[tuple[str, str]], jobs: int) -> list[str]:
    """Compile the pairs (source, path to be embedded); return the files now there."""
    tasks = [Task(staged, final) for staged, final in places]
    made = make_directories(tasks)
    shares = _shares(tasks, jobs)
    collecting = gc.isenabled()
    gc.disable()  # code objects are all reachable: looking for rubbish among them costs a fifth
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _compile_shares(shares)
    finally:
        if collecting:
            gc.enable()
    written = [task.target for task in tasks if os.path.lexists(task.target)]
    _remove_empty(made.difference(map(os.path.dirname, written)))
    return written


class Task:
    """A source, the path it will have, and where its byte-code goes."""

    __slots__ = ("final", "source", "status", "target")

    def __init__(self, source: str, final: str, tag: str = _CACHE_TAG) -> None:
        directory, name = os.path.split(source)
        stem = name[:-3] or "py"  # as importlib.util.cache_from_source does for ".py"
        self.source = source
        self.final = final
        self.status = os.stat(source)
        # Not cache_from_source: it obeys PYTHONPYCACHEPREFIX, which is about another run.
        self.target = os.path.join(directory, "__pycache__", f"{stem}.{tag}.pyc")


def make_directories(tasks: Sequence[Task]) -> set[str]:
    """Make the missing ``__pycache__`` directories; return them all, made or not."""
    needed = {os.path.dirname(task.target) for task in tasks}
    for directory in needed:
        with contextlib.suppress(FileExistsError):
            os.mkdir(directory)
        if not stat.S_ISDIR(os.lstat(directory).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), directory)
    return needed


def _remove_empty(directories: set[str]) -> None:
    for directory in directories:
        with contextlib.suppress(OSError):  # there may be others in it
            os.rmdir(directory)


def _shares(tasks: Sequence[Task], jobs: int) -> list[list[Task]]:
    """Deal the tasks out, the largest first, each to the share with least to do."""
    total = sum(task.status.st_size for task in tasks)
    count = max(1, min(jobs, total // _SMALL, len(tasks)))
    shares: list[list[Task]] = [[] for _ in range(count)]
    loads = [0] * count
    for task in sorted(tasks, key=lambda task: -task.status.st_size):
        least = loads.index(min(loads))
        shares[least].append(task)
        loads[least] += task.status.st_size + 1000  # opening and writing costs like 1000 bytes
    return shares


def _compile_shares(shares: list[list[Task]]) -> None:
    """Compile the first share here, each other one in a process of its own."""
    children = []
    try:
        if len(shares) > 1 and hasattr(gc, "freeze"):
            gc.freeze()  # the processes share what is there: nothing of it is written to
        for share in shares[1:]:
            children.append((share, *_fork(share)))  # noqa: PERF401 -- kept if a fork fails
        _compile_share(shares[0])
    except BaseException:
        for _, child, _ in children:
            os.kill(child, 9)
        raise
    finally:
        if len(shares) > 1 and hasattr(gc, "unfreeze"):
            gc.unfreeze()
        errors = [_wait(*child) for child in children]
    for error in errors:
        if error is not None:
            raise error


def _fork(share: list[Task]) -> tuple[int, int]:
    """Start a process that compiles ``share``; return it and where it says what failed."""
    reading, writing = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    status = 1
    try:
        _compile_share(share, parent)
        status = 0
    except OSError as error:
        os.write(writing, os.fsencode(f"{error.errno or 0}\0{error.filename or ''}"))
    finally:
        os._exit(status)


def _wait(share: list[Task], child: int, reading: int) -> OSError | None:
    """Wait for a process to end; return what went wrong in it."""
    with os.fdopen(reading, "rb") as pipe:
        said = os.fsdecode(pipe.read())
    _, status = os.waitpid(child, 0)
    if status == 0:
        return None
    number, _, name = said.partition("\0")
    if number:
        return OSError(int(number), os.strerror(int(number)), name)
    reason = f"the process that compiled it and others died (status {status:#x})"
    return OSError(errno.ECHILD, reason, share[0].source)


def _compile_share(share: list[Task], parent: int = 0) -> None:
    """Compile these sources; a process without its ``parent`` has nobody to do it for."""
    by_hash = bool(os.environ.get("SOURCE_DATE_EPOCH"))
    for task in share:
        if parent and os.getppid() != parent:
            break
        _compile_one(task, by_hash=by_hash)


def _compile_one(task: Task, *, by_hash: bool) -> None:
    """Write the byte-code of one source, or see to it that there is none."""
    with open(task.source, "rb") as file:
        source = file.read()
        status = os.fstat(file.fileno())
    try:
        # The same call that importlib.machinery.SourceLoader.source_to_code makes.
        code = compile(source, task.final, "exec", dont_inherit=True, optimize=0)
        data = marshal.dumps(code)
    except Exception:  # noqa: BLE001 -- SyntaxError, RecursionError, MemoryError, OverflowError …
        _remove(task.target)
        return
    header = header_of(importlib.util.MAGIC_NUMBER, status, source if by_hash else None)
    write_new(task.target, (status.st_mode | 0o200) & 0o666, header + data)


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
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


if __name__ == "__main__":
    _main()
