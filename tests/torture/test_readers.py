"""Upgrades that nobody who reads meanwhile notices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.torture.readers import foo_wheels, measure
from tests.torture.stage import Stage

if TYPE_CHECKING:
    from pathlib import Path

    from tests.torture.conftest import TellFigures

UPGRADES = [5, pytest.param(500, marks=pytest.mark.torture)]


@pytest.mark.parametrize("upgrades", UPGRADES)
def test_no_read_fails_during_upgrades(
    tmp_path: Path, upgrades: int, tell_figures: TellFigures
) -> None:
    wheels = foo_wheels(tmp_path)
    stage = Stage.build(tmp_path, [("install", str(wheels[1]))])

    def upgrade(number: int) -> None:
        stage.must(("install", str(wheels[number % 2])))

    seen = measure(stage.prefix / "bin" / "python3", upgrade, upgrades)
    tell_figures(seen.figures())
    assert seen.failed == []
    assert seen.disturbed == []
    assert stage.faults() == []
