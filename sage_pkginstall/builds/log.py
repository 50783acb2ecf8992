"""The log of a build: what its programs said, for the reader of an error."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from sage_pkginstall.builds.threads import started
from sage_pkginstall.errors import BuildError
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["BuildLog", "log_file"]

_LONGEST = 500
"""Bytes of a line, where the end of a log is looked for."""

_LEFT_BEHIND = 1.0
"""Seconds to wait for the end of output that a daemon of the build may keep open."""


class BuildLog(NamedTuple):
    """A file that everything is appended to, and somebody who may watch it grow.

    ``echo`` gets the same bytes as the file, in pieces of any size, from a thread.
    ``cached`` is told how many build requirements were in the cache, and how many were not,
    ``taken`` whether the wheel itself came from there.  What stands before the byte ``began``
    is of another build.  What the disk has no room for is lacking in the file; the build goes on.
    """

    path: Path
    echo: Callable[[bytes], object] | None = None
    cached: Callable[[int, int], object] = lambda _hits, _misses: None
    taken: Callable[[bool], object] = lambda _taken: None
    began: int = 0

    def begun(self) -> BuildLog:
        """Return this log for a build that begins now."""
        return self._replace(began=self.path.stat().st_size if self.path.exists() else 0)

    def write(self, line: str) -> None:
        """Append a line of our own."""
        data = (line + "\n").encode(errors="replace")
        with self.path.open("ab") as file:
            _append(file.fileno(), data)
        if self.echo is not None:
            self.echo(data)

    @contextmanager
    def sink(self) -> Iterator[int]:
        """Yield a descriptor for a program's output; it is in the log at the end."""
        with self.path.open("ab") as file:
            if self.echo is None:
                yield file.fileno()
                return
            reading, writing = os.pipe()
            try:
                thread = started(partial(_copy, reading, file.fileno(), self.echo), daemon=True)
            except OSError:
                os.close(reading)
                os.close(writing)
                raise
            try:
                yield writing
            finally:
                os.close(writing)
                thread.join(_LEFT_BEHIND)

    def tail(self, count: int) -> tuple[str, ...]:
        """Return the last ``count`` lines of this build that are not blank.

        A terminal, a pipe or a device is no file that could be read again: it has none.
        """
        if not self.path.is_file():
            return ()
        with self.path.open("rb") as file:
            most = _LONGEST * count
            file.seek(max(self.began, os.fstat(file.fileno()).st_size - most))
            text = file.read(most).decode(errors="replace")
        lines = [line.rstrip() for line in text.splitlines() if line.strip()]
        return tuple(lines[-count:])


@contextmanager
def log_file(given: Path | None, *, named: bool = False) -> Iterator[Path]:
    """Yield where a build is logged: ``given``, or a temporary file.

    The latter stays only where somebody hears of it: from a `BuildError` that names it, or by the
    result, if it is ``named`` there.
    """
    if given is not None:
        yield given
        return
    import tempfile  # noqa: PLC0415 - who only reads one makes none

    descriptor, name = tempfile.mkstemp(prefix="sage-build-", suffix=".log")
    os.close(descriptor)
    try:
        yield Path(name)
    except BuildError as error:
        named = name in error.reason
        raise
    except BaseException:
        named = False
        raise
    finally:
        if not named:
            Path(name).unlink(missing_ok=True)


def _append(file: int, data: bytes) -> None:
    view = memoryview(data)
    with suppress(OSError):  # a full disk: the build goes on, as with sage-logger
        while view:
            view = view[os.write(file, view) :]


def _copy(reading: int, file: int, echo: Callable[[bytes], object]) -> None:
    # Its own descriptor: the log may be closed while a daemon still writes.
    copy = os.dup(file)
    try:
        while data := os.read(reading, 65536):
            _append(copy, data)
            echo(data)
    finally:
        os.close(copy)
        os.close(reading)
