"""A run of make, put together from the events of its jobs, while it goes on or afterwards."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sage_pkginstall.spkg.progress import Installed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Literal, TypeAlias

    from sage_pkginstall.operations.events import Event

__all__ = ["JobRun", "Result", "Run", "Span"]

Result: TypeAlias = "Literal['running', 'done', 'failed', 'interrupted']"

_RESULTS: dict[str, Result] = {"done": "done", "failed": "failed"}


@dataclass(frozen=True)
class Span:
    """Something from ``began`` to ``ended`` (epoch seconds; None: it goes on)."""

    name: str
    began: float
    ended: float | None = None


@dataclass(frozen=True)
class JobRun:
    """One run of sage-spkg.

    ``waits`` and ``locks`` are when it waited for the lock of a tree, and held it; ``hits``
    and ``misses`` count build requirements that were in the cache, or were not; ``taken``
    and ``made`` count wheels that came from the cache instead of being built, or were built.
    """

    key: str
    package: str
    version: str
    tree: str
    kind: str
    mode: str
    needs: frozenset[str]
    slots: int | None
    log: str
    pid: int
    began: float
    ended: float | None = None
    result: Result = "running"
    error: str = ""
    phases: tuple[Span, ...] = ()
    waits: tuple[Span, ...] = ()
    locks: tuple[Span, ...] = ()
    hits: int = 0
    misses: int = 0
    taken: int = 0
    made: int = 0
    installed: Installed | None = None

    @property
    def name(self) -> str:
        """NAME-VERSION, as in the names of logs."""
        return f"{self.package}-{self.version}"

    @property
    def phase(self) -> str:
        """The phase that it is in, or ended in; "start" before the first."""
        return self.phases[-1].name if self.phases else "start"

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for the lock of a tree."""
        return bool(self.waits) and self.waits[-1].ended is None


class Run:
    """The jobs of a run by their keys, in the order of their beginning.

    Events that make no sense (a file may be damaged, or cut off) are passed over.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.jobs: dict[str, JobRun] = {}
        self.last = 0.0
        for event in events:
            self.take(event)

    @property
    def running(self) -> tuple[JobRun, ...]:
        """The jobs that have not ended."""
        return tuple(job for job in self.jobs.values() if job.result == "running")

    def take(self, event: Event) -> JobRun | None:
        """Take in what happened; return the job that it happened to, if it is known."""
        self.last = max(self.last, event.time)
        try:
            if event.name == "begins":
                self.jobs[event.job] = _begun(event)
            elif event.job in self.jobs and event.name in _CHANGES:
                self.jobs[event.job] = _CHANGES[event.name](self.jobs[event.job], event)
        except (KeyError, TypeError, ValueError, OverflowError):
            return None
        return self.jobs.get(event.job)

    def close(self) -> None:
        """End, at the last moment that is known, the jobs that were killed."""
        for job in self.running:
            gone = _ended(job, self.last)
            self.jobs[job.key] = replace(gone, result="interrupted")


def _begun(event: Event) -> JobRun:
    facts = event.facts
    return JobRun(
        key=event.job,
        package=str(facts["package"]),
        version=str(facts["version"]),
        tree=str(facts["tree"]),
        kind=str(facts["kind"]),
        mode=str(facts["mode"]),
        needs=frozenset(map(str, facts["needs"])),
        slots=None if facts["slots"] is None else int(facts["slots"]),
        log=str(facts["log"]),
        pid=int(facts["pid"]),
        began=event.time,
    )


def _phase(job: JobRun, event: Event) -> JobRun:
    begun = Span(str(event.facts["name"]), event.time)
    return replace(job, phases=(*_closed(job.phases, event.time), begun))


def _waits(job: JobRun, event: Event) -> JobRun:
    return replace(job, waits=(*_closed(job.waits, event.time), Span("waits", event.time)))


def _locked(job: JobRun, event: Event) -> JobRun:
    """Take in that the lock was released just now: so it was had, and waited for, before."""
    held, waited = float(event.facts["held"]), float(event.facts["waited"])
    taken = event.time - held
    before = tuple(one for one in job.waits if one.ended is not None)
    locks = (*job.locks, Span(str(event.facts["label"]), taken, event.time))
    if waited <= 0 or not job.is_waiting:
        return replace(job, waits=before, locks=locks)
    return replace(job, waits=(*before, Span("waits", taken - waited, taken)), locks=locks)


def _cached(job: JobRun, event: Event) -> JobRun:
    hits, misses = int(event.facts["hits"]), int(event.facts["misses"])
    return replace(job, hits=job.hits + hits, misses=job.misses + misses)


def _wheel(job: JobRun, event: Event) -> JobRun:
    if event.facts["taken"]:
        return replace(job, taken=job.taken + 1)
    return replace(job, made=job.made + 1)


def _ends(job: JobRun, event: Event) -> JobRun:
    result = _RESULTS.get(str(event.facts["result"]), "interrupted")
    error = str(event.facts["error"])
    installed = _installed(event.facts) if "wheels" in event.facts else None
    return replace(_ended(job, event.time), result=result, error=error, installed=installed)


def _installed(facts: Any) -> Installed:  # noqa: ANN401 - what JSON may hold
    files = facts["files"]
    seconds = {
        name: None if facts[name] is None else float(facts[name])
        for name in ("staged", "waited", "held")
    }
    return Installed(
        wheels=int(facts["wheels"]),
        built=float(facts["built"]),
        files=None if files is None else int(files),
        **seconds,
    )


def _ended(job: JobRun, moment: float) -> JobRun:
    return replace(
        job, ended=moment, phases=_closed(job.phases, moment), waits=_closed(job.waits, moment)
    )


def _closed(spans: tuple[Span, ...], moment: float) -> tuple[Span, ...]:
    """End the last span, if it goes on."""
    if spans and spans[-1].ended is None:
        return (*spans[:-1], replace(spans[-1], ended=moment))
    return spans


_CHANGES = {
    "phase": _phase,
    "waits": _waits,
    "locked": _locked,
    "cached": _cached,
    "wheel": _wheel,
    "ends": _ends,
}
