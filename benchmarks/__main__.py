"""Measures this tool beside pip, uv, installer, gpep517 and the physical limits.

python -m benchmarks                            all works; writes the page of the manual
python -m benchmarks --quick                    some works, one round; prints tables
python -m benchmarks --only a,c20 --rounds 3    these works; prints tables
python -m benchmarks --report FILE...           the page from raw results, nothing is run
"""

# ruff: noqa: T201 - a program that prints what it measured

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path

from benchmarks import report, results, suite
from benchmarks.bench import Bench
from benchmarks.places import Places
from benchmarks.table import plain_table

_ALL = ",".join(suite.KINDS)
_TEMPLATE = Path(__file__).with_name("performance.md.in")


def main() -> int:
    """Return 0 if all was measured, 1 if something failed, 2 if nothing was asked for."""
    given = _options().parse_args()
    places = Places()
    page = places.checkout / "docs" / "explanation" / "performance.md"
    if given.report:
        report.write(results.read(given.report), _TEMPLATE, page)
        return 0
    with places.alone():
        return _run(given, places, page)


def _run(given: argparse.Namespace, places: Places, page: Path) -> int:
    only = given.only or (",".join(suite.QUICK) if given.quick else _ALL)
    rounds = given.rounds or (1 if given.quick else 3)
    bench = Bench(places, re.compile(given.tools))
    bench.wheels.fetch()
    chosen = suite.works(bench, only.split(","))
    if not chosen:
        print(f"cannot run {only}: there is no such work; choose of {_ALL}", file=sys.stderr)
        return 2
    bench.begin()
    path = places.results / f"{time.strftime('%Y-%m-%d-%H%M%S')}.jsonl"
    measured = sum(1 for _ in suite.run(bench, chosen, rounds, path))
    bench.end()
    run = results.read([path])
    print(plain_table(run.works, run.figures))
    print(f"raw results: {path}")
    if only == _ALL and not given.tools:
        report.write(run, _TEMPLATE, page)
        print(f"written: {page}")
    return 0 if measured == suite.expected(chosen, rounds) else 1


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    options.add_argument("--only", help=f"works: letters ({_ALL}) or names, like a-six, c-8")
    options.add_argument("--quick", action="store_true", help="some works, one round")
    options.add_argument("--rounds", type=int, help="default: 3")
    options.add_argument("--tools", default="", metavar="REGEX", help="only tools that match")
    options.add_argument("--report", nargs="+", type=Path, metavar="FILE", help="raw results")
    return options


if __name__ == "__main__":
    sys.exit(main())
