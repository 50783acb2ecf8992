"""Runs commands, several at once, and tells what they and all their descendants used.

A program of its own, run by ``python -I -S``, so that it is small: Linux counts the memory
of who starts a process as that process's own (some 12 MiB here, the least that is ever
told).  It reads one JSON object from stdin and prints one::

    {"commands": [[WORD, ...], ...], "slots": N, "environment": {...}, "log": FILE}
    {"cpu": SECONDS, "wall": SECONDS, "memory": MIB, "failed": [[NUMBER, STATUS], ...]}

``cpu`` is user and system time of all processes, those that outlive their parents, too;
``wall`` ends with the last command, not with what it left running; ``memory`` is the
largest resident set of any one process.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import sys
import time
from typing import Any

_PR_SET_CHILD_SUBREAPER = 36


def main() -> int:
    """Do what stdin asks for; return 0, whatever became of the commands."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    json.dump(run(json.load(sys.stdin)), sys.stdout)
    return 0


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Run the commands of ``job``; return what the module's head says."""
    waiting = list(enumerate(job["commands"]))[::-1]
    running: dict[int, int] = {}
    failed: list[tuple[int, int]] = []
    cpu, memory, started = 0.0, 0, time.monotonic()
    ended = started
    while waiting or running:
        while waiting and len(running) < job["slots"]:
            number, command = waiting.pop()
            running[_start(command, job)] = number
        pid, status, usage = os.wait4(-1, 0)
        cpu, memory = cpu + usage.ru_utime + usage.ru_stime, max(memory, usage.ru_maxrss)
        if pid in running:
            ended = time.monotonic()
            number = running.pop(pid)
            if status:
                failed.append((number, os.waitstatus_to_exitcode(status)))
    for usage in _orphans():
        cpu, memory = cpu + usage.ru_utime + usage.ru_stime, max(memory, usage.ru_maxrss)
    return {"cpu": cpu, "wall": ended - started, "memory": memory / 1024, "failed": failed}


def _start(command: list[str], job: dict[str, Any]) -> int:
    log = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, job["log"], log, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    return os.posix_spawnp(command[0], command, job["environment"], file_actions=actions)


def _orphans() -> list[Any]:
    """Wait for what the commands left running; return what each process used."""
    usages = []
    with contextlib.suppress(ChildProcessError):  # there is none any more
        while True:
            usages.append(os.wait4(-1, 0)[2])
    return usages


if __name__ == "__main__":
    sys.exit(main())
