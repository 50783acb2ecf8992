"""What a job costs: processor time, wall time, memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Command", "Job", "JobFailedError", "Usage", "measure"]

Command = tuple[str, ...]
_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_SHOWN = 500  # characters of a command, or of its log


class JobFailedError(Exception):
    """A command that was to be measured failed; the figures would mean nothing."""


@dataclass(frozen=True)
class Job:
    """Commands, of which ``slots`` run at once, with nothing but ``environment`` set."""

    commands: tuple[Command, ...]
    environment: Mapping[str, str]
    slots: int = 1


@dataclass(frozen=True)
class Usage:
    """Seconds of all processors, seconds on the wall, MiB of the largest process."""

    cpu: float
    wall: float
    memory: float


def measure(job: Job, log: Path) -> Usage:
    """Run a job, its output in ``log``, and return what it used; see `supervisor`.

    What others still had to write is on the disk before, so that nobody pays for it.
    Raises `JobFailedError` if a command fails.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    wanted = {
        "commands": job.commands,
        "slots": job.slots,
        "environment": dict(job.environment),
        "log": os.fspath(log),
    }
    os.sync()
    words = [getattr(sys, "_base_executable", sys.executable), "-I", "-S", str(_SUPERVISOR)]
    told = subprocess.run(
        words, input=json.dumps(wanted), capture_output=True, text=True, check=False
    )
    if told.returncode:
        raise JobFailedError(f"cannot measure {job.commands[0]}: {told.stderr.strip()}")
    used = json.loads(told.stdout)
    if used["failed"]:
        number, status = used["failed"][0]
        said = log.read_text(errors="replace")[-_SHOWN:]
        command = " ".join(job.commands[number])[:_SHOWN]
        raise JobFailedError(f"status {status} of: {command}\n{said}")
    return Usage(used["cpu"], used["wall"], used["memory"])
