"""Measures this tool and others, interleaved.

python -m benchmarks [--only a,c20] [--rounds 3] [--tools REGEX]
"""

# ruff: noqa: T201 - a program that prints what it measured

from __future__ import annotations

import argparse
import re
import sys
import time

from benchmarks import suite
from benchmarks.bench import Bench
from benchmarks.figures import Figures
from benchmarks.places import Places
from benchmarks.table import plain_table

_ALL = ",".join(suite.KINDS)


def main() -> int:
    """Run the works that are asked for; print the table."""
    given = _options().parse_args()
    places = Places()
    bench = Bench.of(places, re.compile(given.tools))
    bench.wheels.fetch()
    bench.begin()
    chosen = suite.works(bench, given.only.split(","))
    if not chosen:
        print(f"cannot run {given.only}: there is no such work; choose of {_ALL}", file=sys.stderr)
        return 2
    path = places.results / f"{time.strftime('%Y-%m-%d-%H%M%S')}.jsonl"
    results = list(suite.run(bench, chosen, given.rounds, path))
    print(plain_table(chosen, Figures(results)))
    print(f"raw results: {path}")
    return 0


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    options.add_argument("--only", default=_ALL, help=f"works, of {_ALL}, or like a-six, c-8")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--tools", default="", metavar="REGEX", help="only tools that match")
    return options


if __name__ == "__main__":
    sys.exit(main())
