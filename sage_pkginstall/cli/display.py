"""What ``watch`` shows: a line for each running job above a status line, drawn by rich.

    foo 1.2 installed: 1 wheel, 31 files, …      lines that stay, and scroll away
    [bar-2] failed (status 1); the end of …

     sympy-1.14    build                12 s     the jobs, drawn anew several times a second
     numpy-2.1     waits for the lock    3 s
    12/34 done · 2 running · 1 waiting for the lock · 1 failed · 1 min 5 s

Only ``watch`` imports this, when it draws.
"""

from __future__ import annotations

import contextlib
import os
import time

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from sage_pkginstall.cli.summary import summary_line
from sage_pkginstall.cli.terminal import shown
from sage_pkginstall.operations.events import EventFile
from sage_pkginstall.reports.run import Run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sage_pkginstall.reports.run import JobRun

__all__ = ["Display"]

_REFRESH = 0.2  # seconds between drawings
_BESIDE_JOBS = 3  # lines of the terminal that are not for jobs
_MINUTE = 60
_NAMED = 5  # of many

_COLOURS = {"build": "cyan", "check": "magenta", "install": "green"}


class Display:
    """The part of the terminal that shows a run; ``planned`` are the packages that it builds."""

    def __init__(self, events: Path, planned: Sequence[str]) -> None:
        self.is_interrupted = False
        self._planned = planned
        self._events = EventFile(events)
        self._run = Run()
        self._began = time.time()
        self._drawn = 0.0
        self._console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Show it, and leave the terminal as it was."""
        with self._live:
            yield

    def say(self, line: str) -> None:
        """Print a line above the jobs."""
        self._console.print(Text(shown(line.replace("\t", "    "))))

    def interrupt(self) -> None:
        """Remember that this was interrupted (from a signal handler: nothing is drawn)."""
        self.is_interrupted = True

    def refresh(self) -> None:
        """Take in what happened, and draw it if it is time."""
        self._take_in()
        now = time.time()
        if abs(now - self._drawn) >= _REFRESH:
            self._drawn = now
            self._live.update(Group(*self._lines(now)), refresh=True)

    def _take_in(self) -> None:
        for event in self._events.new_events():
            job = self._run.take(event)
            if job is not None and event.name == "ends":
                self._tell_end(job)

    def _tell_end(self, job: JobRun) -> None:
        if job.result == "failed":
            took = _duration((job.ended or job.began) - job.began)
            self._print(f"{job.name} failed after {took}, in phase {job.phase}", "red")
        elif job.result == "done" and job.installed is not None:
            self._print(summary_line(f"{job.package} {job.version}", job.installed), "")
        elif job.result == "done":
            self._print(f"{job.package} {job.version} done: {job.mode}", "")

    def _print(self, line: str, style: str) -> None:
        self._console.print(Text(shown(line), style=style))

    # ------------------------------------------------------------------------- what is drawn

    def _lines(self, now: float) -> Iterator[Text]:
        jobs = [job for job in self._run.running if _is_alive(job.pid)]
        room = max(1, self._console.height - _BESIDE_JOBS)
        width = max((len(job.name) for job in jobs), default=0)
        for job in jobs[:room]:
            yield self._fitted(_job_line(job, width, now))
        if len(jobs) > room:
            yield self._fitted(Text(f" … and {len(jobs) - room} more", style="dim"))
        yield self._fitted(Text(" · ".join(self._status(jobs, now)), style="bold"))

    def _fitted(self, line: Text) -> Text:
        line.truncate(self._console.width, overflow="ellipsis")
        return line

    def _status(self, jobs: Sequence[JobRun], now: float) -> Iterator[str]:
        done, failed = self._of_result("done"), self._of_result("failed")
        total = max(len(self._planned), len(self._run.jobs))
        yield f"{len(done)}/{total} done"
        yield f"{len(jobs)} running"
        waiting = sum(job.is_waiting for job in jobs)
        if waiting:
            yield f"{waiting} waiting for the lock"
        if failed:
            yield f"{len(failed)} failed"
        yield _duration(now - self._began)
        if self.is_interrupted:
            yield "interrupted: waiting for the jobs to end"

    def _of_result(self, result: str) -> list[JobRun]:
        return [job for job in self._run.jobs.values() if job.result == result]

    # ---------------------------------------------------------------------------- at the end

    def conclude(self, status: int) -> None:
        """Say how it went, what is left, and how to go on; ``status`` is make's.

        Nothing is drawn any more then.
        """
        self._take_in()
        self._run.close()
        if self._run.jobs or self.is_interrupted:
            for line in self._conclusion(status):
                self._print(line, "")

    def _conclusion(self, status: int) -> Iterator[str]:
        done, failed = self._of_result("done"), self._of_result("failed")
        cut_off = self._of_result("interrupted")
        took = _duration(time.time() - self._began)
        total = max(len(self._planned), len(self._run.jobs))
        word = "interrupted" if self.is_interrupted else "done" if status == 0 else "failed"
        yield f"{word} after {took}: {len(done)} of {total} packages are done"
        if failed:
            yield f"failed: {_named([f'{job.name} (log: {job.log})' for job in failed])}"
        if cut_off:
            yield f"cut off: {_named([f'{job.name} ({job.phase})' for job in cut_off])}"
        begun = {job.name for job in self._run.jobs.values()}
        left = [name for name in self._planned if name not in begun]
        if left:
            yield f"not begun: {_named(left)}"
        if self.is_interrupted:
            yield "nothing is half installed; the same command goes on from here"
        elif status == 0:
            yield "'make timings' shows where the time went"
        else:
            yield "the same command goes on from here, once that is mended"


def _job_line(job: JobRun, width: int, now: float) -> Text:
    phase = "waits for the lock" if job.is_waiting else job.phase
    since = job.waits[-1].began if job.is_waiting else _phase_began(job)
    line = Text(f" {job.name:{width}}  ")
    line.append(f"{phase:18}", style="yellow" if job.is_waiting else _COLOURS.get(phase, ""))
    line.append(f"  {_duration(now - since):>6}", style="dim")
    return line


def _phase_began(job: JobRun) -> float:
    return job.phases[-1].began if job.phases else job.began


def _duration(seconds: float) -> str:
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    return f"{whole // _MINUTE} min {whole % _MINUTE} s"


def _named(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
