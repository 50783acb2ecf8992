"""Which processes a process has started, directly or not, and are there now; and their end.

What has lost its parent is known by a descriptor that we have let it inherit (on Linux).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["descendants", "end_heirs", "terminate"]

_PROC = "/proc"
_PATIENCE = 1.0
"""Seconds that a process has to end after SIGTERM, which it may handle."""
_POLL = 0.01


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


def end_heirs(descriptor: int) -> None:
    """End all other processes of our group that have inherited ``descriptor``, by this number.

    Jobs that a script runs in the background ignore Ctrl-C, and their parent may be gone.  Daemons
    are in groups of their own.  Nothing happens where the system does not tell.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        for heir in _heirs(descriptor):
            with contextlib.suppress(ProcessLookupError, PermissionError):  # ended, or root's
                os.kill(heir, number)
        patient_until = time.monotonic() + _PATIENCE
        while _heirs(descriptor) and time.monotonic() < patient_until:
            time.sleep(_POLL)


def _heirs(descriptor: int) -> tuple[int, ...]:
    """Return who of our group has ``descriptor`` open; what has ended has nothing open."""
    ours, group = os.fstat(descriptor), os.getpgrp()
    found = []
    for name in _numbers():
        with contextlib.suppress(OSError):  # it has ended, has no such descriptor, or is root's
            theirs = os.stat(f"{_PROC}/{name}/fd/{descriptor}")  # noqa: PTH116 - many at once
            if os.path.samestat(ours, theirs) and os.getpgid(int(name)) == group:
                found.append(int(name))
    return tuple(one for one in found if one != os.getpid())


def _numbers() -> Iterator[str]:
    """Yield the numbers of all processes, nothing where the system has no such list."""
    if os.path.exists(f"{_PROC}/self/stat"):  # noqa: PTH110 - Linux, where ps may be missing
        yield from filter(str.isdecimal, os.listdir(_PROC))  # noqa: PTH208 - names are wanted


def _parents() -> Iterator[tuple[int, int]]:
    """Yield each process with its parent."""
    numbers = tuple(_numbers())
    for name in numbers:
        with contextlib.suppress(OSError):  # it has ended
            yield int(name), _parent_of(name)
    if numbers:
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
