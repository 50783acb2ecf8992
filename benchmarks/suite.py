"""All works, and the order in which they are measured.

One run is interleaved: in each round, each work is done by each tool, one after the other,
and each round begins with another tool.  So what is compared was measured within seconds
or minutes, and no tool always follows the same one.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.figures import Result
from benchmarks.measuring import measure
from benchmarks.works import installing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from benchmarks.bench import Bench
    from benchmarks.case import Case, Work

__all__ = ["KINDS", "run", "works"]

KINDS: dict[str, Callable[[Bench], tuple[Work, ...]]] = {
    "a": installing.singles,
    "b": installing.one_command,
    "c": installing.many_processes,
    "c20": installing.tiny,
}
"""What makes the works of each letter of ``--only``."""


def works(bench: Bench, only: Collection[str]) -> tuple[Work, ...]:
    """Return the works whose key, or the letter before its ``-``, is asked for."""
    found: list[Work] = []
    for letter, make in KINDS.items():
        if any(word.partition("-")[0] == letter for word in only):
            found += [w for w in make(bench) if letter in only or w.key in only]
    return tuple(found)


def run(bench: Bench, chosen: Sequence[Work], rounds: int, results: Path) -> Iterator[Result]:
    """Measure, append each result to the file ``results``, a JSON object a line, and yield it."""
    results.parent.mkdir(parents=True, exist_ok=True)
    for number in range(rounds):
        for work in chosen:
            for case in _in_turn(work.cases, number):
                if number < min(work.rounds, case.rounds):
                    result = _measure(bench, work, case, number)
                    with results.open("a") as file:
                        file.write(json.dumps(result.document()) + "\n")
                    yield result


def _in_turn(cases: Sequence[Case], number: int) -> Sequence[Case]:
    first = number * 5 % max(len(cases), 1)
    return (*cases[first:], *cases[:first])


def _measure(bench: Bench, work: Work, case: Case, number: int) -> Result:
    started = time.monotonic()
    case.prepare()
    usage = measure(case.job, bench.log)
    outcome = case.check()
    took = time.monotonic() - started
    print(  # noqa: T201 - a program that prints what it measured
        f"{number + 1:2} {work.key:8} {case.tool:28} {usage.cpu:8.3f} s CPU {usage.wall:8.3f} s"
        f" {usage.memory:6.0f} MiB {outcome.found.files:7} files {outcome.found.compiled:6} .pyc"
        f"   ({took:.1f} s in all)",
        file=sys.stderr,
        flush=True,
    )
    return Result(work.key, case.tool, number, usage, outcome.found, outcome.seconds)
