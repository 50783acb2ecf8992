"""The events of a run of make: what each of its jobs does, for those who watch or look back.

``SAGE_PKGINSTALL_EVENTS`` names the file of a run, and ``SAGE_PKGINSTALL_JOB`` the job that
a process works for; without both of them nothing is told.  On disk, where make has it::

    $SAGE_LOGS/builds/TIME-PID.jsonl      the runs; the latest has the last name
                                          (a run begins by deleting all but some of them)

Each line is a JSON object, appended by one write(2): so lines of many processes never mix (but
on NFS, which appends in two steps), and nobody waits for them.  What cannot be written is not;
no job fails for that.  Besides ``format``, ``time`` (epoch seconds), ``job`` and ``event`` a line
has, by its event:

    begins    package, version, tree, kind, mode, needs (packages), slots (of make -j), log, pid
    phase     name: the phase begins, the one before it is over
    waits     for the lock of a tree
    locked    waited, held (seconds; the lock was released just now), label
    cached    hits, misses: build requirements that lay in the cache, or did not
    wheel     taken: from the cache (true), or built (false)
    ends      result ("done", "failed", "interrupted"), error, and what `Installed` has
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path

from sage_pkginstall.engine.files import open_for_appending
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

__all__ = [
    "EVENTS",
    "JOB",
    "Event",
    "EventFile",
    "begin_job",
    "event_files",
    "logs_directory",
    "new_event_file",
    "tell",
]

EVENTS = "SAGE_PKGINSTALL_EVENTS"
"""The variable that names the file of a run."""
JOB = "SAGE_PKGINSTALL_JOB"
"""The variable that names the job which a process is part of."""

_FORMAT = 1
_KEPT = 20
_LONGEST = 500  # characters of a text


class Event(NamedTuple):
    """What happened to a job at ``time`` (epoch seconds); ``facts`` as the module says."""

    time: float
    job: str
    name: str
    facts: Mapping[str, Any]


def begin_job() -> None:
    """Make this process, and those that it will start, a job of the run, if there is one."""
    if os.environ.get(EVENTS):
        os.environ[EVENTS] = os.path.abspath(os.environ[EVENTS])  # noqa: PTH100 - links stay
        os.environ[JOB] = f"{os.getpid()}.{time.time_ns()}"


def tell(event: str, **facts: object) -> None:
    """Tell the run what happens to our job; nothing happens if that is impossible."""
    path, job = os.environ.get(EVENTS), os.environ.get(JOB)
    if not path or not job:
        return
    known = {key: v[:_LONGEST] if isinstance(v, str) else v for key, v in facts.items()}
    document = {
        "format": _FORMAT,
        "time": round(time.time(), 6),
        "job": job,
        "event": event,
        **known,
    }
    with contextlib.suppress(OSError, ValueError):
        if not Path(path).exists():
            _forget_old_runs(Path(path).parent)
        descriptor = open_for_appending(Path(path))
        try:
            os.write(descriptor, json.dumps(document).encode() + b"\n")
        finally:
            os.close(descriptor)


def logs_directory(environ: Mapping[str, str]) -> Path:
    """Return SAGE_LOGS, or its default below SAGE_ROOT, or else below the working directory."""
    root = environ.get("SAGE_ROOT") or "."
    return Path(environ.get("SAGE_LOGS") or f"{root}/logs/pkgs").absolute()


def new_event_file(logs: Path) -> Path:
    """Return the file of a run that begins now, as make names it; it is not made yet."""
    name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return logs / "builds" / f"{name}-{os.getpid()}.jsonl"


def event_files(logs: Path) -> tuple[Path, ...]:
    """Return the files of the runs that are known in ``logs`` (SAGE_LOGS), the last one last."""
    return tuple(sorted((logs / "builds").glob("*.jsonl")))


def _forget_old_runs(directory: Path) -> None:
    for old in event_files(directory.parent)[: -_KEPT + 1]:
        old.unlink(missing_ok=True)


class EventFile:
    """The file of a run, read as it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0

    def new_events(self) -> Iterator[Event]:
        """Yield what was told since the last call; lines that are damaged are passed over."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._read)
                data = file.read()
        except OSError:
            return
        whole = data.rfind(b"\n") + 1
        self._read += whole
        for line in data[:whole].splitlines():
            event = _parsed(line)
            if event is not None:
                yield event


def _parsed(line: bytes) -> Event | None:
    try:
        document = json.loads(line)
        if document.pop("format") != _FORMAT:
            return None
        moment, job, name = (document.pop(key) for key in ("time", "job", "event"))
        return Event(float(moment), str(job), str(name), document)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
