"""Where the time of a build went: job slots, critical path, and a page that shows them.

The page is one file that needs nothing besides: ``page/timings.{html,css,js}`` of this
directory, with the numbers as JSON inside.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib.resources import files
from string import Template

from sage_pkginstall.errors import PkgInstallError
from sage_pkginstall.operations.events import EventFile, event_files
from sage_pkginstall.reports.run import Run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from sage_pkginstall.reports.run import JobRun, Span

__all__ = [
    "JobTiming",
    "PhaseTiming",
    "Timings",
    "document_of",
    "find_run",
    "page_of",
    "timings_of",
]

_AT_ONCE = 0.01  # seconds by which clocks of two processes seem to disagree


@dataclass(frozen=True)
class PhaseTiming:
    """A phase of a job, in seconds since the build began."""

    name: str
    began: float
    took: float


@dataclass(frozen=True)
class JobTiming:
    """What a job did, in seconds since the build began.

    ``slot`` counts from 0: the first that was free when the job began.  ``hits`` and
    ``misses`` are of build requirements, ``taken`` and ``made`` of wheels.
    """

    name: str
    package: str
    version: str
    kind: str
    mode: str
    tree: str
    result: str
    error: str
    log: str
    slot: int
    began: float
    took: float
    phases: tuple[PhaseTiming, ...]
    waits: tuple[PhaseTiming, ...]
    locks: tuple[PhaseTiming, ...]
    waited: float
    held: float
    hits: int
    misses: int
    taken: int
    made: int
    wheels: int | None
    files: int | None
    critical: bool


@dataclass(frozen=True)
class Timings:
    """A build.  ``critical`` numbers the jobs of its critical path, in their order.

    That is the longest chain of jobs each of which needs the one before it.  ``slots`` is
    what make was given (None: any number), ``began`` in epoch seconds.
    """

    began: float
    took: float
    slots: int | None
    critical: tuple[int, ...]
    critical_took: float
    jobs: tuple[JobTiming, ...]


def find_run(logs: Path, file: Path | None = None) -> Run:
    """Return the run of ``file``, or else the last one in ``logs`` that had a job.

    Raises PkgInstallError if there is none.
    """
    for path in reversed(event_files(logs)) if file is None else (file,):
        run = Run(EventFile(path).new_events())
        if run.jobs:
            run.close()
            return run
    place = logs / "builds" if file is None else file
    reason = "there are no events of a build; let make build something first, or give --events"
    raise PkgInstallError(f"cannot read {place}: {reason}")


def timings_of(run: Run) -> Timings:
    """Return where the time of a run went, which has at least one job and has ended."""
    jobs = tuple(sorted(run.jobs.values(), key=lambda job: job.began))
    began = jobs[0].began
    chain = _critical_path(jobs)
    slots = _slots(jobs)
    timed = tuple(
        _job_timing(job, began, slot, critical=index in chain)
        for index, (job, slot) in enumerate(zip(jobs, slots, strict=True))
    )
    return Timings(
        began=began,
        took=_rounded(max(_end(job) for job in jobs) - began),
        slots=jobs[0].slots,
        critical=chain,
        critical_took=_rounded(sum(timed[index].took for index in chain)),
        jobs=timed,
    )


def page_of(document: Mapping[str, Any]) -> str:
    """Return the page, in HTML, that shows a document made of `Timings`."""
    page = files("sage_pkginstall.reports") / "page"
    parts = {
        name: (page / file).read_text(encoding="utf-8")
        for name, file in (("style", "timings.css"), ("script", "timings.js"))
    }
    template = Template((page / "timings.html").read_text(encoding="utf-8"))
    return template.substitute(parts, data=_embedded(document))


def _embedded(document: Mapping[str, Any]) -> str:
    """Return JSON that no parser of HTML takes for an end of its element."""
    text = json.dumps(document, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _critical_path(jobs: Sequence[JobRun]) -> tuple[int, ...]:
    """Return the longest chain of jobs, sorted by beginning, that need each other."""
    lengths: list[float] = []
    before: list[int | None] = []
    for job in jobs:
        needed = [n for n in range(len(lengths)) if _is_needed(jobs[n], job)]
        last = max(needed, key=lengths.__getitem__, default=None)
        before.append(last)
        lengths.append(_end(job) - job.began + (0.0 if last is None else lengths[last]))
    chain: list[int] = []
    at: int | None = max(range(len(lengths)), key=lengths.__getitem__)
    while at is not None:
        chain.append(at)
        at = before[at]
    return tuple(reversed(chain))


def _is_needed(one: JobRun, by: JobRun) -> bool:
    return one.package in by.needs and _end(one) <= by.began + _AT_ONCE


def _slots(jobs: Sequence[JobRun]) -> tuple[int, ...]:
    """Return a slot for each job, sorted by beginning: the first that is free then."""
    free_from: list[float] = []
    found = []
    for job in jobs:
        free = [n for n, end in enumerate(free_from) if end <= job.began]
        slot = free[0] if free else len(free_from)
        if not free:
            free_from.append(0.0)
        free_from[slot] = _end(job)
        found.append(slot)
    return tuple(found)


def _job_timing(job: JobRun, start: float, slot: int, *, critical: bool) -> JobTiming:
    waits, locks = _phases(job.waits, job, start), _phases(job.locks, job, start)
    installed = job.installed
    return JobTiming(
        name=job.name,
        package=job.package,
        version=job.version,
        kind=job.kind,
        mode=job.mode,
        tree=job.tree,
        result=job.result,
        error=job.error,
        log=job.log,
        slot=slot,
        began=_rounded(job.began - start),
        took=_rounded(_end(job) - job.began),
        phases=_phases(job.phases, job, start),
        waits=waits,
        locks=locks,
        waited=_rounded(sum(one.took for one in waits)),
        held=_rounded(sum(one.took for one in locks)),
        hits=job.hits,
        misses=job.misses,
        taken=job.taken,
        made=job.made,
        wheels=None if installed is None else installed.wheels,
        files=None if installed is None else installed.files,
        critical=critical,
    )


def _phases(spans: Sequence[Span], job: JobRun, start: float) -> tuple[PhaseTiming, ...]:
    return tuple(
        PhaseTiming(
            one.name,
            _rounded(one.began - start),
            _rounded((_end(job) if one.ended is None else one.ended) - one.began),
        )
        for one in spans
    )


def _end(job: JobRun) -> float:
    assert job.ended is not None  # the run was closed
    return job.ended


def _rounded(seconds: float) -> float:
    return round(max(0.0, seconds), 4)


def document_of(timings: Timings) -> dict[str, Any]:
    """Return what JSON says of a build; see docs/reference/json.md."""
    return asdict(timings)
