"""How a job goes: its phases, one after the other, timed, and told to the run's event log."""

from __future__ import annotations

import contextlib
import os
import re
import time

from sage_pkginstall.operations import events
from sage_pkginstall.spkg.rules import PYTHON_TOOLCHAIN
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal, TypeAlias

    from sage_pkginstall.spkg.job import Job
    from sage_pkginstall.spkg.package import Package

__all__ = ["Installed", "Phase", "Progress", "told_job"]

Phase: TypeAlias = "Literal['fetch', 'unpack', 'build', 'check', 'install', 'finish']"
"""In their order.  "install" is from the first staged file to the last deleted one."""

_SLOTS = re.compile(r"(?:^|\s)-j(\d*)(?=\s|$)")


class Installed(NamedTuple):
    """What a job brought into its tree, and how long it took, in seconds.

    ``files`` counts those of the wheels and of the staged tree.  What SAGE_SUDO did, or
    pip, is not known: None.
    """

    wheels: int
    built: float
    files: int | None = None
    staged: float | None = None
    waited: float | None = None
    held: float | None = None


class Progress:
    """The phases of one job, and what became of it."""

    def __init__(self) -> None:
        self.seconds: dict[Phase, float] = {}
        self.installed: Installed | None = None

    @contextlib.contextmanager
    def phase(self, name: Phase) -> Iterator[None]:
        """Time a phase; the event log is told that it begins."""
        events.tell("phase", name=name)
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began


@contextlib.contextmanager
def told_job(job: Job) -> Iterator[None]:
    """Tell the event log of the run that ``job`` begins, and how it ends."""
    events.tell(
        "begins",
        package=job.package.name,
        version=job.package.version,
        tree=os.fspath(job.place.tree),
        kind=job.package.kind,
        mode=job.options.mode,
        needs=_needs(job.package),
        slots=_slots(os.environ.get("MAKEFLAGS", "")),
        log=os.fspath(job.place.common.logs / f"{job.place.full_name}.log"),
        pid=os.getpid(),
    )
    result, error = "interrupted", ""
    try:
        yield
        result = "done"
    except Exception as reason:
        result, error = "failed", str(reason)
        raise
    finally:
        installed = job.effects.progress.installed
        facts = installed._asdict() if installed is not None else {}
        events.tell("ends", result=result, error=error, **facts)


def _needs(package: Package) -> list[str]:
    """Return the packages that must be installed before this one is built, said or unsaid."""
    given = package.dependencies
    words = [*given.normal, *given.order_only, *given.build]
    if package.makes_wheels:
        words += PYTHON_TOOLCHAIN
    return sorted({word for word in words if "$" not in word and word != package.name})


def _slots(flags: str) -> int | None:
    """Return how many jobs make may run at once, None if any number."""
    found = _SLOTS.search(flags)
    if found is None:
        return 1
    return int(found[1]) if found[1] else None
