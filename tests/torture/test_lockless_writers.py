"""Somebody who knows nothing of our lock fills directories while what they lie in changes.

The directories are there before: what is made in a package's own directory in the milliseconds
after it was looked at last is not promised to stay.
"""

from __future__ import annotations

import collections
import contextlib
import json
import random
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.engine.plan import PlanRequest
from tests.engine_tree import STATE
from tests.planning import bring
from tests.trees import tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.torture.conftest import TellFigures

ROUNDS = [
    pytest.param(40, marks=pytest.mark.slow),
    pytest.param(3000, marks=pytest.mark.torture),
]
WORK = ("lib/p/work", "lib/p/sub/work", "share/p/more/work")
VERSIONS: tuple[dict[str, bytes], ...] = (
    {},
    {"lib/p/a.py": b"1", "lib/p/sub/b.py": b"1", "share/p/text": b"1"},
    {"lib/p/a.py": b"22", "lib/p/other/b.py": b"2", "share/p/more/text": b"2"},
)
WRITER = """
import json, os, sys, time
for line in sys.stdin:
    pause, directories = json.loads(line)
    time.sleep(pause)
    written = []
    for number, directory in enumerate(directories * 3):
        try:
            os.mkdir(f"{directory}/{number}")
            with open(f"{directory}/{number}/file", "x"):
                written.append(f"{directory}/{number}/file")
        except FileNotFoundError:
            pass
    print(json.dumps(written), flush=True)
"""


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that writes what each line of its input tells it to, and tells what it wrote."""
    with subprocess.Popen(
        [sys.executable, "-I", "-c", WRITER],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        assert process.stdin
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


@pytest.mark.parametrize("rounds", ROUNDS)
def test_what_is_written_into_directories_that_held_nothing_stays(
    tmp_path: Path, writer: subprocess.Popen[str], rounds: int, tell_figures: TellFigures
) -> None:
    chance = random.Random(rounds)  # noqa: S311 - what is done can be repeated; not when
    counts: collections.Counter[str] = collections.Counter()
    there: dict[str, bytes] = {}
    for _ in range(rounds):
        new = dict(chance.choice(VERSIONS))
        for name in WORK:
            (tmp_path / name).mkdir(parents=True, exist_ok=True)
        assert writer.stdin
        assert writer.stdout
        print(json.dumps([chance.random() / 300, WORK]), file=writer.stdin, flush=True)
        bring(tmp_path, new, PlanRequest(frozenset(there)))
        written = json.loads(writer.stdout.readline())
        found = tree(tmp_path, ignore=STATE)
        assert {*written, *new} == {name for name in found if found[name] == new.get(name, b"")}
        counts["written"] += len(written)
        counts["no directory to write into"] += 3 * len(WORK) - len(written)
        for name in written:
            (tmp_path / name).unlink()
            (tmp_path / name).parent.rmdir()
        there = new
    tell_figures(", ".join(f"{what} {number}" for what, number in sorted(counts.items())))
