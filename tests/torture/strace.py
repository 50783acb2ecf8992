"""strace: which system calls of a command change the file system, and kills at each.

``when=N`` counts per process and per name of a system call; with ``--seccomp-bpf`` and
``-f`` together, strace 6.1 silently injects nothing, so that option is not used.
"""

from __future__ import annotations

import collections
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Point", "changing_calls", "recording"]

# Those that change the file system, or order what does: a kill before each of them is
# a kill after the one before.
_CALLS = """
    open openat openat2 creat mkdir mkdirat rmdir rename renameat renameat2 link linkat
    symlink symlinkat unlink unlinkat mknod mknodat write writev pwrite64 pwritev sendfile
    copy_file_range truncate ftruncate fallocate chmod fchmod fchmodat fchmodat2 chown fchown
    lchown fchownat utime utimes utimensat futimesat setxattr lsetxattr fsetxattr removexattr
    fsync fdatasync sync syncfs flock ioctl
"""
_LINE = re.compile(r"^(\d+) +(\w+)\((.*)$")
_WRITES = ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC")
_FICLONE = "FICLONE"


@dataclass(frozen=True)
class Point:
    """The ``number``-th call of ``call`` in a process."""

    call: str
    number: int

    def kill(self) -> list[str]:
        """Return the words that kill a command there, before the call is carried out."""
        inject = f"inject={self.call}:signal=SIGKILL:when={self.number}"
        quiet = ["strace", "-f", "-qqq", "-o", "/dev/null"]
        return [*quiet, "-e", f"trace={self.call}", "-e", inject]

    def fail(self, error: str) -> list[str]:
        """Return the words that let the call fail there, without carrying it out."""
        inject = f"inject={self.call}:error={error}:when={self.number}"
        quiet = ["strace", "-f", "-qqq", "-o", "/dev/null"]
        return [*quiet, "-e", f"trace={self.call}", "-e", inject]


def recording(log: Path) -> list[str]:
    """Return the words that record the changing calls of a command in ``log``."""
    names = ",".join(f"?{name}" for name in _CALLS.split())
    return ["strace", "-f", "-qqq", "-y", "-s", "0", "-o", str(log), "-e", f"trace={names}"]


def changing_calls(log: Path, below: Path) -> tuple[Point, ...]:
    """Return the recorded calls that change something ``below`` a directory, in order."""
    seen: collections.Counter[tuple[str, str]] = collections.Counter()
    points: dict[Point, None] = {}
    for line in log.read_text(errors="replace").splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        process, call, rest = match.groups()
        seen[process, call] += 1
        if str(below) in rest and _changes(call, rest):
            points[Point(call, seen[process, call])] = None
    return tuple(points)


def _changes(call: str, rest: str) -> bool:
    if call.startswith("open"):
        return any(flag in rest for flag in _WRITES)
    if call == "ioctl":
        return _FICLONE in rest
    return True
