"""Anybody may run make and `sage -pip` in one prefix, at any moment (issue 3).

A round is two makes with eight goals each and two commands of `sage -pip`, all at once.
They install, remove, and up- and downgrade the packages of every shape.
"""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.sageworld import SageWorld
from tests.shapes import SHAPES, add
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.torture.conftest import TellFigures

pytestmark = pytest.mark.needs("cc", "make", "cmake", "ninja")

NAMES = tuple(SHAPES)
PYTHON = ("first_wheel", "second_wheel", "plain", "settings", "mixed", "by_pip", "stranger")
VERSIONS = ("1.0", "2.0", "3.0")
ROUNDS = [
    pytest.param(3, marks=pytest.mark.slow),
    pytest.param(300, marks=pytest.mark.torture),
]


@pytest.fixture
def world(tmp_path: Path, venv: Path) -> SageWorld:
    world = SageWorld.make(tmp_path, venv, "sage")
    world.env |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "wheels")}
    for version in VERSIONS:
        for name in PYTHON:
            make_wheel(tmp_path / "wheels", name, version)
    return world


@pytest.mark.parametrize("rounds", ROUNDS)
def test_makes_and_pips_at_once_agree_in_the_end(
    world: SageWorld, tmp_path: Path, rounds: int, tell_figures: TellFigures
) -> None:
    before = world.tree()
    chance = random.Random(rounds)  # noqa: S311 -- repeatable chance
    for _ in range(rounds):
        for name in NAMES:
            add(world, SHAPES[name](chance.choice(VERSIONS)), tmp_path / "shapes")
        with ThreadPoolExecutor(4) as pool:
            jobs = [pool.submit(world.run_make, "-j4", *_goals(chance)) for _ in range(2)]
            jobs += [pool.submit(world.run, "sage", *_pip(chance)) for _ in range(2)]
        for job in jobs:
            job.result()
        _agree(world)
    tell_figures(f"{rounds} rounds of 2 makes and 2 commands of pip: 0 failures")
    world.run_make("-j4", *(f"{name}-clean" for name in NAMES if name != "nothing"))
    world.run("sage", "-pip", "uninstall", "-y", *PYTHON)
    assert world.tree() == before


def _goals(chance: random.Random) -> list[str]:
    names = chance.sample(NAMES, 8)
    return [
        f"{name}-clean" if chance.random() < 0.4 and name != "nothing" else name for name in names
    ]


def _pip(chance: random.Random) -> list[str]:
    name = chance.choice(PYTHON)
    if chance.random() < 0.3:
        return ["-pip", "uninstall", "-y", name]
    return ["-pip", "install", f"{name} == {chance.choice(VERSIONS)}"]


def _agree(world: SageWorld) -> None:
    """RECORDs and stamps say what is on the disk, and each thing only once."""
    world.run("sage-pkginstall", "verify", "--prefix", world.prefix)
    listed = json.loads(
        world.run("sage-pkginstall", "list", "--json", "--prefix", world.prefix).stdout
    )
    names = [distribution["name"] for distribution in listed["distributions"]]
    assert len(names) == len(set(names))
    stamps = [path.name for path in (world.prefix / "var/lib/sage/installed").glob("*")]
    assert len(stamps) == len({stamp.partition("-")[0] for stamp in stamps})
    work = world.prefix / "var/tmp/sage"
    assert sorted(path.name for path in work.glob("*")) in ([], ["build"])
    assert not list(work.glob("build/*"))
