"""Lines under a prefix, on the terminal and in a log file.

`LineCopier` copies what comes through pipes, line by line: each line is written whole,
so that lines of jobs that run at once do not mix.  What is longer than a megabyte is no
line, and comes in pieces.  `logged_command` runs a command under it (sage-logger), `logged`
takes over the output of this very process (sage-spkg).

A process that a command leaves behind may keep its end of the pipe for ever.  Nobody
waits for it: what was written before the command ended is copied, and that is all.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import signal
import subprocess
import sys
import termios
from array import array

from sage_pkginstall.builds.descendants import descendants
from sage_pkginstall.builds.threads import started
from sage_pkginstall.spkg.programs import exit_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Literal, NoReturn

__all__ = ["LOGGED", "WATCHED", "LineCopier", "logged", "logged_command"]

LOGGED = "SAGE_PKGINSTALL_LOGGED"
"""Set by sage-logger for what it runs: that has a prefix and a log already."""

WATCHED = "SAGE_PKGINSTALL_WATCHED"
"""Set by ``watch`` for what it runs: it shows what goes on, the log alone has the lines."""

_CHUNK = 1 << 16
_LONGEST = 1 << 20


class LineCopier:
    """Copies lines from pipes to descriptors, and all of them to a log file.

    ``log`` is the descriptor of the log, opened for appending; ``outputs`` maps the end
    of a pipe that is read to where its lines go (None: only to the log).
    """

    def __init__(self, prefix: bytes, log: int | None, outputs: Mapping[int, int | None]) -> None:
        self.prefix = prefix
        self.log = log
        self.outputs = outputs
        self._rests: dict[int, bytes] = {}
        self._failed: set[int] = set()

    def copy_until(self, stop: int) -> None:
        """Copy until ``stop`` (a pipe) can be read, then what is there at that moment."""
        with selectors.DefaultSelector() as selector:
            selector.register(stop, selectors.EVENT_READ)
            for pipe in self.outputs:
                os.set_blocking(pipe, False)
                selector.register(pipe, selectors.EVENT_READ)
            while stop not in (ready := [key.fd for key, _ in selector.select()]):
                for pipe in ready:
                    if self._copy(pipe) == "end":
                        selector.unregister(pipe)
        for pipe in self.outputs:
            self._copy_what_waits(pipe)
            rest = self._rests.pop(pipe, b"")
            if rest:
                self._write(pipe, [rest])

    def _copy(self, pipe: int) -> Literal["copied", "nothing", "end"]:
        """Copy what can be read at once."""
        try:
            data = os.read(pipe, _CHUNK)
        except BlockingIOError:
            return "nothing"
        if not data:
            return "end"
        self._take(pipe, data)
        return "copied"

    def _copy_what_waits(self, pipe: int) -> None:
        """Copy what is in the pipe now, and not what others write meanwhile: they may never end."""
        waiting = array("i", [0])
        fcntl.ioctl(pipe, termios.FIONREAD, waiting)
        left = waiting[0]
        while left > 0:
            data = os.read(pipe, left)
            self._take(pipe, data)
            left -= len(data)

    def _take(self, pipe: int, data: bytes) -> None:
        *lines, rest = (self._rests.get(pipe, b"") + data).split(b"\n")
        if len(rest) > _LONGEST:
            lines.append(rest)
            rest = b""
        self._rests[pipe] = rest
        if lines:
            self._write(pipe, lines)

    def _write(self, pipe: int, lines: Sequence[bytes]) -> None:
        text = b"".join(self.prefix + line + b"\n" for line in lines)
        for descriptor in (self.log, self.outputs[pipe]):
            if descriptor is not None and descriptor not in self._failed:
                try:
                    _write_all(descriptor, text)
                except OSError:  # a full disk, a terminal that is gone: the build goes on
                    self._failed.add(descriptor)


def logged_command(
    command: Sequence[str], prefix: str, log: Path, *, quiet: bool, variables: Mapping[str, str]
) -> int:
    """Run ``command``, its output under ``prefix`` in ``log`` and on stdout (unless quiet).

    Returns its exit status, 128 + N after signal N.  Ctrl-C is for the command, and so is
    SIGTERM, which make sends to us alone: what it still has to say is copied.  As Ctrl-C in a
    terminal does, that reaches all that the command has started, compilers say.
    """
    out = None if quiet else sys.stdout.fileno()
    with (
        _opened(log) as descriptor,
        _started(command, variables) as (process, reading),
        _stopper(process) as stop,
        _left_to(process),
    ):
        LineCopier(os.fsencode(prefix), descriptor, {reading: out}).copy_until(stop)
    return exit_status(process.wait())


@contextlib.contextmanager
def _started(
    command: Sequence[str], variables: Mapping[str, str]
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start a command; give it, and the end of the pipe that all its output comes from."""
    reading, writing = os.pipe()
    try:
        try:
            process = subprocess.Popen(
                command, stdout=writing, stderr=writing, env=dict(variables), close_fds=False
            )
        finally:
            os.close(writing)
        yield process, reading
    finally:
        os.close(reading)


@contextlib.contextmanager
def logged(prefix: str, log: Path) -> Iterator[None]:
    """Put all that this process and its children write under ``prefix``, and into ``log``.

    A process of its own copies the lines: no thread is in the way of later forks, and
    what was written before a kill is copied all the same.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    saved = {number: os.dup(number) for number in (1, 2)}
    pipes = {number: os.pipe() for number in saved}
    stop, stopping = os.pipe()
    with _opened(log) as descriptor:
        outputs = {pipes[number][0]: saved[number] for number in saved}
        copier = LineCopier(os.fsencode(prefix), descriptor, outputs)
        child = os.fork()
        if child == 0:
            _copy_and_exit(copier, stop, [stopping, *(writing for _, writing in pipes.values())])
    for number, (reading, writing) in pipes.items():
        os.dup2(writing, number)
        os.close(writing)
        os.close(reading)
    os.close(stop)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, original in saved.items():
            os.dup2(original, number)
            os.close(original)
        os.close(stopping)
        os.waitpid(child, 0)


def _copy_and_exit(copier: LineCopier, stop: int, others: Iterable[int]) -> NoReturn:
    """Copy until our parent wants no more or is dead; ``others`` are its ends of pipes."""
    status = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM):  # meant for our parent, which tells us
            signal.signal(number, signal.SIG_IGN)
        for descriptor in others:
            os.close(descriptor)
        copier.copy_until(stop)
        status = 0
    finally:
        os._exit(status)


@contextlib.contextmanager
def _left_to(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Let ``process``, and all below it, end by the signals that would end us."""

    def interrupt(_number: int, _frame: object) -> None:
        below = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        for one in below:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # ended, or root's
                os.kill(one, signal.SIGINT)

    handlers: dict[int, Callable[[int, object], None]] = {
        signal.SIGINT: lambda _number, _frame: None,  # the terminal sends it to all
        signal.SIGTERM: interrupt,
    }
    former = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _opened(log: Path) -> Iterator[int]:
    log.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    descriptor = os.open(log, flags, 0o666)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _stopper(process: subprocess.Popen[bytes]) -> Iterator[int]:
    """Give a pipe that can be read once the process has ended."""
    stop, stopping = os.pipe()

    def wait() -> None:
        process.wait()
        os.close(stopping)

    try:
        thread = started(wait)
    except OSError:
        process.terminate()
        wait()
        os.close(stop)
        raise
    try:
        yield stop
    finally:
        thread.join()
        os.close(stop)


def _write_all(descriptor: int, data: bytes) -> None:
    """Write everything, also to a terminal that another program made non-blocking."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:  # noqa: PERF203 -- that is what may happen each time
            with selectors.DefaultSelector() as selector:
                selector.register(descriptor, selectors.EVENT_WRITE)
                selector.select()
