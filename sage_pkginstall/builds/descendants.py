"""Which processes a process has started, directly or not, and are there now; and their end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["descendants", "terminate"]

_PROC = "/proc"
_PATIENCE = 1.0
"""Seconds that a process has to end after SIGTERM, which it may handle."""


def descendants(process: int) -> tuple[int, ...]:
    """Return the numbers of the processes below one; none where the system does not tell.

    What has lost its parent, as daemons have, is not among them.
    """
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    found: list[int] = []
    pending = [process]
    while pending:
        below = children.pop(pending.pop(), [])
        found += below
        pending += below
    return tuple(found)


def terminate(process: subprocess.Popen[bytes]) -> None:
    """Have ``process`` ended, and all below it told to end."""
    below = descendants(process.pid)
    process.terminate()
    for one in below:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # ended, or root's
            os.kill(one, signal.SIGTERM)
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        pass
    finally:  # a second Ctrl-C, say
        process.kill()


def _parents() -> Iterator[tuple[int, int]]:
    """Yield each process with its parent."""
    if os.path.exists(f"{_PROC}/self/stat"):  # noqa: PTH110 - Linux, where ps may be missing
        for name in filter(str.isdecimal, os.listdir(_PROC)):  # noqa: PTH208 - names are wanted
            with contextlib.suppress(OSError):  # it has ended
                yield int(name), _parent_of(name)
        return
    with contextlib.suppress(OSError):
        command = ["ps", "-A", "-o", "pid=", "-o", "ppid="]
        told = subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout
        for line in told.splitlines():
            child, parent = line.split()
            yield int(child), int(parent)


def _parent_of(name: str) -> int:
    with open(f"{_PROC}/{name}/stat", "rb") as file:  # noqa: PTH123 - many at once
        stat = file.read()
    return int(stat.rpartition(b")")[2].split()[1])  # the command may hold anything
