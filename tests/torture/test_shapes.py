"""Every shape of package at once: installed, reinstalled, failing, upgraded, removed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.sageworld import SageWorld
from tests.shapes import SHAPES, Shape, add

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.needs("cc", "make", "cmake", "ninja")]


@pytest.fixture
def world(tmp_path: Path, venv: Path) -> SageWorld:
    world = SageWorld.make(tmp_path, venv, "sage")
    world.env |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "wheels")}
    return world


def test_every_shape_goes_its_whole_way_beside_the_others(world: SageWorld, tmp_path: Path) -> None:
    before = world.tree()
    first, second = shapes("1.0"), shapes("2.0")
    write(world, first, tmp_path)
    world.run_make("-j8", *SHAPES)
    made = whole(world, first)

    world.run_make("-j8", *goals("no-deps", first))
    again = whole(world, first)
    assert again.keys() == made.keys()

    write(world, [shape.failing() for shape in second], tmp_path)
    world.run_make("-j8", "-k", *SHAPES, status=2)
    assert whole(world, first) == again

    write(world, second, tmp_path)
    world.run_make("-j8", *SHAPES)
    now = whole(world, second)
    assert not [path for path in now if "1.0" in path]

    world.run_make("-j8", *goals("clean", second))
    assert world.tree() == before
    assert world.run_make("-j8", *goals("clean", second)).stdout == ""


def shapes(version: str) -> list[Shape]:
    return [shape(version) for shape in SHAPES.values()]


def write(world: SageWorld, written: Iterable[Shape], tmp_path: Path) -> None:
    for shape in written:
        add(world, shape, tmp_path / "wheels")


def goals(suffix: str, named: Iterable[Shape]) -> list[str]:
    return [f"{shape.name}-{suffix}" for shape in named if shape.files or shape.source]


def whole(world: SageWorld, installed: Iterable[Shape]) -> dict[str, object]:
    """What is in the prefix, after everything that should be has been seen to be there."""
    found = world.tree()
    for shape in installed:
        for end in shape.installs:
            assert any(f"/{path}".endswith(end) or f"{end}/" in f"/{path}" for path in found), end
    world.run("sage-pkginstall", "verify", "--prefix", os.fspath(world.prefix))
    return dict(found)
