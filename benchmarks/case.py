"""One work for one tool: how to begin, what is measured, how to see that it was done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.completeness import NOTHING, Found

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.measuring import Job

__all__ = ["Case", "Outcome", "Work"]


@dataclass(frozen=True)
class Outcome:
    """What was found afterwards, and other figures, in seconds."""

    found: Found = NOTHING
    seconds: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """``prepare()``, measure ``job``, ``check()``; ``rounds`` is the most that is useful."""

    tool: str
    prepare: Callable[[], object]
    job: Job
    check: Callable[[], Outcome]
    rounds: int = 1000


@dataclass(frozen=True)
class Work:
    """A row of the table: ``key`` as in ``--only``, and what it is in words."""

    key: str
    title: str
    cases: tuple[Case, ...]
    rounds: int = 1000
