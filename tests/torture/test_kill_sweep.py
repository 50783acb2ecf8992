"""SIGKILL before every system call that changes the prefix; then one ordinary command.

Afterwards the prefix is the old one or the new one: content, modes and links, byte for
byte.  strace kills, so this is independent of the fail points in our own code.
"""

from __future__ import annotations

import collections
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.torture import scenes
from tests.torture.stage import Stage, State, ended_by_kill
from tests.torture.strace import Point, changing_calls, recording

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.torture.conftest import TellFigures

pytestmark = pytest.mark.needs("strace")

SAMPLE = 37  # every 37th point; a prime, so that it does not keep in step with the code
KERNELS: dict[str, dict[str, str]] = {
    "renameat2": {},
    "rename": {"SAGE_PKGINSTALL_RENAMEAT2": "0"},
}


@dataclass
class Sweep:
    """A scene on its stage, the two states that are allowed, and what came of each kill."""

    stage: Stage
    command: tuple[str, ...]
    env: Mapping[str, str]
    old: State = field(default_factory=dict)
    new: State = field(default_factory=dict)
    points: tuple[Point, ...] = ()
    counts: collections.Counter[str] = field(default_factory=collections.Counter)

    @classmethod
    def prepare(cls, name: str, directory: Path, env: Mapping[str, str]) -> Sweep:
        """Build the stage, and learn the states and points from an undisturbed run."""
        scene = scenes.make_scene(name, directory)
        stage = Stage.build(directory, scene.setting)
        sweep = cls(stage, scene.command, env)
        sweep.old = stage.state()
        log = directory / "strace.log"
        ended = stage.run(scene.command, env=env, under=recording(log))
        assert ended.returncode == 0, ended.stderr
        sweep.new = stage.state()
        assert stage.debris() == []
        assert stage.faults() == []
        sweep.points = changing_calls(log, stage.prefix)
        return sweep

    def kill_at(self, point: Point, afterwards: Sequence[str]) -> None:
        """Play the scene up to ``point``, then the command ``afterwards``; compare."""
        self.stage.restore()
        ended = self.stage.run(self.command, env=self.env, under=point.kill())
        self.counts["tried"] += 1
        self.counts["killed"] += ended_by_kill(ended)
        self.stage.must(afterwards, env=self.env)
        self._compare(point, afterwards)

    def kill_twice(self, first: Point, second: Point) -> None:
        """Kill the scene at ``first`` and its recovery at ``second``; recover, compare."""
        self.stage.restore()
        self.stage.run(self.command, env=self.env, under=first.kill())
        ended = self.stage.run(("recover",), env=self.env, under=second.kill())
        self.counts["tried"] += 1
        self.counts["killed"] += ended_by_kill(ended)
        self.stage.must(("recover",), env=self.env)
        self._compare(second, ("recover",))

    def leaves_journal(self, point: Point) -> bool:
        """Tell whether a kill at ``point`` leaves a transaction to be finished."""
        self.stage.restore()
        self.stage.run(self.command, env=self.env, under=point.kill())
        return "journal" in self.stage.debris()

    def points_of_recovery(self, first: Point) -> tuple[Point, ...]:
        """Return the changing calls of a recovery after a kill at ``first``."""
        assert self.leaves_journal(first)
        log = self.stage.prefix.with_name("recovery.log")
        ended = self.stage.run(("recover",), env=self.env, under=recording(log))
        assert ended.returncode == 0, ended.stderr
        return changing_calls(log, self.stage.prefix)

    def _compare(self, point: Point, afterwards: Sequence[str]) -> None:
        state = self.stage.state()
        faults = [*self.stage.debris(), *self.stage.faults()]
        repeated = tuple(afterwards) == self.command
        if faults or state not in ((self.new,) if repeated else (self.old, self.new)):
            self.counts["other"] += 1
            difference = sorted(p for p in {*state, *self.new} if state.get(p) != self.new.get(p))
            pytest.fail(f"killed at {point}, then {afterwards[0]}: {faults} {difference}")
        after = "repeated" if repeated else "new" if state == self.new else "old"
        self.counts[after] += 1

    def figures(self) -> str:
        """Return the counts as one line."""
        names = ("tried", "killed", "old", "new", "repeated", "other")
        counts = ", ".join(f"{name} {self.counts[name]}" for name in names)
        return f"{len(self.points)} points: {counts}"


def sweep_all(sweep: Sweep, every: int) -> None:
    for number, point in enumerate(sweep.points[::every]):
        # Every fourth time, the user just repeats the command: then it is the new state.
        sweep.kill_at(point, sweep.command if number % 4 == 3 else ("recover",))
    assert sweep.counts["killed"] == sweep.counts["tried"], "a kill did not kill"
    assert sweep.counts["other"] == 0


@pytest.mark.torture
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", scenes.NAMES)
def test_killed_at_any_point_leaves_old_or_new(
    tmp_path: Path, name: str, kernel: str, tell_figures: TellFigures
) -> None:
    sweep = Sweep.prepare(name, tmp_path, KERNELS[kernel])
    sweep_all(sweep, 1)
    tell_figures(sweep.figures())
    assert sweep.counts["new"]
    assert sweep.counts["old"] or sweep.old == sweep.new


@pytest.mark.slow
@pytest.mark.parametrize("name", scenes.NAMES)
def test_killed_at_some_points_leaves_old_or_new(
    tmp_path: Path, name: str, tell_figures: TellFigures
) -> None:
    sweep = Sweep.prepare(name, tmp_path, {})
    sweep_all(sweep, SAMPLE)
    tell_figures(sweep.figures())


@pytest.mark.torture
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0], ids=["first", "middle", "last"])
def test_killed_again_at_any_point_of_recovery_leaves_old_or_new(
    tmp_path: Path, share: float, kernel: str, tell_figures: TellFigures
) -> None:
    """First killed after ``share`` of the renames; then at each call of the recovery."""
    sweep = Sweep.prepare("upgrade", tmp_path, KERNELS[kernel])
    committed = [point for point in sweep.points if sweep.leaves_journal(point)]
    first = committed[round(share * (len(committed) - 1))]
    for point in sweep.points_of_recovery(first):
        sweep.kill_twice(first, point)
    tell_figures(sweep.figures())
    assert sweep.counts["killed"] == sweep.counts["tried"], "a kill did not kill"
    assert sweep.counts["other"] == 0
