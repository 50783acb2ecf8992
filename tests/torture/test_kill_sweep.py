"""SIGKILL before every system call that changes the prefix; then one ordinary command.

Afterwards the prefix is the old one or the new one: content, modes and links, byte for
byte.  strace kills, so this is independent of the fail points in our own code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.torture import scenes
from tests.torture.stage import Stage
from tests.torture.sweep import Sweep, sweep_all

if TYPE_CHECKING:
    from pathlib import Path

    from tests.torture.conftest import TellFigures

pytestmark = pytest.mark.needs("strace")

SAMPLE = 37  # every 37th point; a prime, so that it does not keep in step with the code
KERNELS: dict[str, dict[str, str]] = {
    "renameat2": {},
    "rename": {"SAGE_PKGINSTALL_RENAMEAT2": "0"},
}


def prepare(name: str, directory: Path, env: dict[str, str]) -> Sweep:
    scene = scenes.make_scene(name, directory)
    return Sweep.prepare(Stage.build(directory, scene.setting, scene.made), scene.command, env)


@pytest.mark.torture
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", scenes.NAMES)
def test_killed_at_any_point_leaves_old_or_new(
    tmp_path: Path, name: str, kernel: str, tell_figures: TellFigures
) -> None:
    sweep = prepare(name, tmp_path, KERNELS[kernel])
    sweep_all(sweep, 1)
    tell_figures(sweep.figures())
    assert sweep.counts["new"]
    assert sweep.counts["old"] or sweep.old == sweep.new


@pytest.mark.slow
@pytest.mark.parametrize("name", scenes.NAMES)
def test_killed_at_some_points_leaves_old_or_new(
    tmp_path: Path, name: str, tell_figures: TellFigures
) -> None:
    sweep = prepare(name, tmp_path, {})
    sweep_all(sweep, SAMPLE)
    tell_figures(sweep.figures())


@pytest.mark.torture
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0], ids=["first", "middle", "last"])
def test_killed_again_at_any_point_of_recovery_leaves_old_or_new(
    tmp_path: Path, share: float, kernel: str, tell_figures: TellFigures
) -> None:
    """First killed after ``share`` of the renames; then at each call of the recovery."""
    sweep = prepare("upgrade", tmp_path, KERNELS[kernel])
    committed = [point for point in sweep.points if sweep.leaves_journal(point)]
    first = committed[round(share * (len(committed) - 1))]
    for point in sweep.points_of_recovery(first):
        sweep.kill_twice(first, point)
    tell_figures(sweep.figures())
    sweep.judge()
