"""The tool installs what it is made of, over and over, and never notices."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.torture.stage import Stage
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.torture.conftest import TellFigures

OURS = ("pip", "installer", "packaging", "filelock", "sage_pkginstall")
OTHERS = 3
ROUNDS = [1, pytest.param(50, marks=pytest.mark.torture)]
POISON = "raise RuntimeError('the tool imported what it installs')\n"


@pytest.mark.parametrize("rounds", ROUNDS)
def test_upgrading_its_own_parts_in_the_target_disturbs_no_job(
    tmp_path: Path, rounds: int, tell_figures: TellFigures
) -> None:
    """The target's copies cannot even be imported, which the tool must not find out."""
    stage = Stage.build(tmp_path, [])
    for number in range(rounds):
        version = str(number + 1)
        parts = [make_wheel(tmp_path, n, version, {f"{n}/__init__.py": POISON}) for n in OURS]
        others = [make_wheel(tmp_path, f"other{n}", version) for n in range(OTHERS)]
        jobs = [
            subprocess.Popen(
                stage.command(("install", "--quiet", str(wheel))), stderr=subprocess.PIPE, text=True
            )
            for wheel in [*parts, *others]
        ]
        said = [job.communicate()[1] for job in jobs]
        assert [job.returncode for job in jobs] == [0] * len(jobs), said
    listed = stage.run(("list",)).stdout.split()
    assert set(listed[::2]) == {*OURS, *map("other{}".format, "012")}
    assert set(listed[1::2]) == {str(rounds)}
    tell_figures(f"{rounds} rounds of {len(OURS)} upgrades of its parts beside {OTHERS} others")
