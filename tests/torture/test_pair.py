"""The ticket's pair: two distributions own ``backports/__init__.py``, eight jobs at once."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.torture.scenes import INIT, part
from tests.torture.stage import Stage

if TYPE_CHECKING:
    from pathlib import Path

    from tests.torture.conftest import TellFigures

JOBS = 8
ROUNDS = [2, pytest.param(200, marks=pytest.mark.torture)]


@pytest.mark.parametrize("rounds", ROUNDS)
def test_pair_reinstalled_by_eight_jobs_never_fails(
    tmp_path: Path, rounds: int, tell_figures: TellFigures
) -> None:
    wheels = [part(tmp_path, "backports.one"), part(tmp_path, "backports.two")]
    stage = Stage.build(tmp_path, [("install", wheels[0])])
    (shared,) = stage.prefix.glob("lib/python3*/site-packages/backports/__init__.py")
    for _ in range(rounds):
        jobs = [
            subprocess.Popen(
                stage.command(("install", "--quiet", wheels[number % 2])),
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(JOBS)
        ]
        said = [job.communicate()[1] for job in jobs]
        assert [job.returncode for job in jobs] == [0] * JOBS, said
        assert not any("Warning" in text for text in said)
        assert shared.read_text() == INIT
        assert stage.faults() == []
    assert stage.debris() == []
    tell_figures(f"{rounds} rounds of {JOBS} jobs: 0 failures")
    stage.must(("uninstall", "backports.one"))
    assert shared.read_text() == INIT
    assert stage.faults() == []  # the other one is whole, and can be imported
    stage.must(("uninstall", "backports.two"))
    assert not shared.parent.exists()
