"""Feed poison to everything that reads files, for as long as you like.

    python -m benchmarks.fuzz [--seconds S | --examples N] [--seed N] [FEED...]

What is fed to whom stands in ``tests/torture/poison.py``.  A finding is an input that
brings about anything but a result or an error of ours: another exception, more than two
minutes, more than the limit of memory, a file written or changed elsewhere.  It is printed
with the smallest input that shows it, and the exit status is 1.
"""

# ruff: noqa: T201 - a program that prints what it measured

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.torture.poison import FEEDS, Ground

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.torture.poison import Feed

MEMORY = 4 << 30
SECONDS = 120
ROUND = 200


class HangError(BaseException):
    """An input took longer than any input may; nothing may catch this."""


@dataclass
class Tally:
    """What became of the inputs of one feed."""

    outcomes: Counter[str] = field(default_factory=Counter)
    findings: dict[str, str] = field(default_factory=dict)
    slowest: float = 0.0

    def figures(self) -> str:
        """Return them as one line."""
        taken, refused = self.outcomes["taken"], self.outcomes["refused"]
        return (
            f"{taken + refused + self.outcomes['found']:9} inputs: {taken} taken, {refused} "
            f"refused, {len(self.findings)} findings; slowest {self.slowest:.2f} s"
        )


def main() -> int:
    """Feed, and print one line for each feed."""
    given_ = _options()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, _hang)
    tallies = {name: Tally() for name in given_.feeds or FEEDS}
    with tempfile.TemporaryDirectory() as name:
        os.environ["SAGE_PKGINSTALL_CACHE"] = os.environ["SAGE_LOGS"] = name
        ground = Ground.make(Path(name) / "ground")
        for number, feed in _rounds(given_, list(tallies)):
            run_round(ground, FEEDS[feed], tallies[feed], (given_.seed + number, given_.examples))
    for feed, tally in tallies.items():
        print(f"{feed:20} {tally.figures()}")
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(f"{usage.ru_maxrss >> 10} MiB at most, {usage.ru_utime + usage.ru_stime:.0f} s of CPU")
    return 1 if any(tally.findings for tally in tallies.values()) else 0


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--seconds", type=float, help="go round the feeds for so long")
    options.add_argument("--examples", type=int, default=ROUND, help="inputs of each round")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("feeds", nargs="*", metavar="FEED", help=", ".join(FEEDS))
    given_ = options.parse_args()
    if unknown := set(given_.feeds) - set(FEEDS):
        options.error(f"there is no feed {min(unknown)!r}")
    return given_


def _rounds(given_: argparse.Namespace, feeds: list[str]) -> Iterator[tuple[int, str]]:
    """Yield (number, feed): each feed once, then on and on until the time is over."""
    end = time.monotonic() + (given_.seconds or 0)
    number = 0
    while number < len(feeds) or time.monotonic() < end:
        yield number, feeds[number % len(feeds)]
        number += 1


def run_round(ground: Ground, feed: Feed, tally: Tally, which: tuple[int, int]) -> None:
    """Feed inputs of one seed; a finding ends the round."""
    start, examples = which
    last: list[object] = []

    @seed(start)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
    )
    @given(feed.inputs)
    def eat(value: object) -> None:
        last[:] = [value]
        _eat(ground, feed, tally, value)

    try:
        eat()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        _note(tally, error, last[0])


def _eat(ground: Ground, feed: Feed, tally: Tally, value: object) -> None:
    started = time.monotonic()
    signal.alarm(SECONDS)
    outcome = "found"
    try:
        outcome = feed.eat(ground, value)
    finally:
        signal.alarm(0)
        tally.outcomes[outcome] += 1
        tally.slowest = max(tally.slowest, time.monotonic() - started)


def _note(tally: Tally, error: BaseException, value: object) -> None:
    """Print a finding, each place in the code once."""
    frames = traceback.extract_tb(error.__traceback__)
    place = next((f for f in reversed(frames) if "sage_pkginstall" in f.filename), frames[-1])
    key = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
    if key not in tally.findings:
        tally.findings[key] = repr(value)
        print(f"FOUND {key}: {error}\n  {value!r}", flush=True)
        traceback.print_exception(error, limit=-12)


def _hang(*_: object) -> None:
    raise HangError(f"more than {SECONDS} seconds")


if __name__ == "__main__":
    sys.exit(main())
