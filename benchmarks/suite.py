"""All works, and the order in which they are measured.

One run is interleaved: in each round, each work is done by each tool, one after the other,
and each round begins with another tool, every other one goes backwards.  So what is compared
was measured within seconds or minutes, and no tool always follows the same one.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.completeness import IncompleteError
from benchmarks.facts import facts
from benchmarks.figures import Result
from benchmarks.measuring import JobFailedError, measure
from benchmarks.results import append, begin
from benchmarks.works.asking import asking
from benchmarks.works.changes import changes
from benchmarks.works.growing import full_namespace, growing
from benchmarks.works.installing import many_processes, one_command, singles, tiny
from benchmarks.works.merging import merges

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from benchmarks.bench import Bench
    from benchmarks.case import Case, Work

__all__ = ["KINDS", "QUICK", "asked_for", "expected", "run", "works"]

KINDS: dict[str, Callable[[Bench], tuple[Work, ...]]] = {
    "a": singles,
    "b": one_command,
    "c": many_processes,
    "c20": tiny,
    "d": changes,
    "e": merges,
    "f": asking,
    "g": growing,
    "h": full_namespace,
}
"""What makes the works of each letter of ``--only``."""

QUICK = ("a-six", "c20", "d-upgrade-six", "d-uninstall-six", "e", "f-version", "h")
"""What takes three minutes in all, on an idle machine, in one round."""


def works(bench: Bench, only: Collection[str]) -> tuple[Work, ...]:
    """Return the works that are asked for, with the cases of the tools that are."""
    letters = {word.partition("-")[0] for word in only}
    kinds = [make for letter, make in KINDS.items() if letter in letters]
    chosen = [work for make in kinds for work in make(bench) if asked_for(work.key, only)]
    cases = [tuple(c for c in work.cases if bench.wanted.search(c.tool)) for work in chosen]
    return tuple(replace(work, cases=few) for work, few in zip(chosen, cases, strict=True) if few)


def asked_for(key: str, only: Collection[str]) -> bool:
    """Tell whether a work is named, by its whole key or by what stands before a ``-``."""
    return any(f"{key}-".startswith(f"{word}-") for word in only)


def run(bench: Bench, chosen: Sequence[Work], rounds: int, results: Path) -> Iterator[Result]:
    """Measure, add each result to the file ``results``, and yield it.

    What fails has no result; it is told on stderr.
    """
    begin(results, facts(bench), {work.key: work.title for work in chosen})
    for number in range(rounds):
        for work in chosen:
            for case in _in_turn(work.cases, number):
                if number < min(work.rounds, case.rounds):
                    result = _measure(bench, work, case, number)
                    if result is not None:
                        append(results, result)
                        yield result


def _in_turn(cases: Sequence[Case], number: int) -> Sequence[Case]:
    first = number * 5 % max(len(cases), 1)
    turned = (*cases[first:], *cases[:first])
    return turned[::-1] if number % 2 else turned


def _measure(bench: Bench, work: Work, case: Case, number: int) -> Result | None:
    started = time.monotonic()
    try:
        case.prepare()
        usage = measure(case.job, bench.log)
        outcome = case.check()
    except (JobFailedError, IncompleteError) as error:
        print(f"{work.key}: {case.tool} FAILED: {error}", file=sys.stderr)  # noqa: T201
        return None
    took = time.monotonic() - started
    print(  # noqa: T201 - a program that prints what it measured
        f"{number + 1:2} {work.key:8} {case.tool:28} {usage.cpu:8.3f} s CPU {usage.wall:8.3f} s"
        f" {usage.memory:6.0f} MiB {outcome.found.files:7} files {outcome.found.compiled:6} .pyc"
        f"   ({took:.1f} s in all)",
        file=sys.stderr,
        flush=True,
    )
    return Result(work.key, case.tool, number, usage, outcome.found, outcome.seconds)


def expected(chosen: Sequence[Work], rounds: int) -> int:
    """Return the number of results of a run in which nothing fails."""
    return sum(min(rounds, work.rounds, case.rounds) for work in chosen for case in work.cases)
