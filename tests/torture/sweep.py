"""A sweep: a command is disturbed at one system call after the other, and always recovers."""

from __future__ import annotations

import collections
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.torture.stage import Stage, State, ended_by_kill
from tests.torture.strace import Point, changing_calls, recording

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from subprocess import CompletedProcess

__all__ = ["Sweep", "sweep_all"]


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
    def prepare(cls, stage: Stage, command: tuple[str, ...], env: Mapping[str, str]) -> Sweep:
        """Learn the two states and the points from an undisturbed run."""
        sweep = cls(stage, command, env)
        sweep.old = stage.state()
        log = stage.prefix.with_name("strace.log")
        stage.restore()  # as before each kill: then the calls have the same numbers
        ended = stage.run(command, env=env, under=recording(log))
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
        self._count(ended)
        again = self.stage.run(afterwards, env=self.env)
        assert again.returncode == 0 or "it is not installed" in again.stderr, again.stderr
        self._compare(point, afterwards)

    def _count(self, ended: CompletedProcess[str]) -> None:
        """Count a kill; a run that never came to its point must have succeeded."""
        self.counts["killed" if ended_by_kill(ended) else "missed"] += 1
        assert ended_by_kill(ended) or ended.returncode == 0, ended.stderr

    def kill_twice(self, first: Point, second: Point) -> None:
        """Kill the scene at ``first`` and its recovery at ``second``; recover, compare."""
        self.counts["tried"] += 1
        if not self.leaves_journal(first):
            self.counts["missed"] += 1
            return
        self._count(self.stage.run(("recover",), env=self.env, under=second.kill()))
        self.stage.must(("recover",), env=self.env)
        self._compare(second, ("recover",))

    def leaves_journal(self, point: Point) -> bool:
        """Play the scene up to ``point``; tell whether a transaction is to be finished."""
        self.stage.restore()
        self.stage.run(self.command, env=self.env, under=point.kill())
        return "journal" in self.stage.debris()

    def points_of_recovery(self, first: Point) -> tuple[Point, ...]:
        """Return the changing calls of a recovery after a kill at ``first``."""
        if not any(self.leaves_journal(first) for _ in range(5)):
            pytest.fail(f"a kill at {first} leaves nothing to recover")
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

    def judge(self) -> None:
        """Fail if something else than the two states came about, or if kills do not kill.

        A few points may be missed: a run plans once or twice, as others leave it time to.
        """
        assert self.counts["other"] == 0
        assert self.counts["killed"] > self.counts["missed"], "kills do not kill"

    def figures(self) -> str:
        """Return the counts as one line."""
        names = ("tried", "killed", "missed", "old", "new", "repeated", "other")
        counts = ", ".join(f"{name} {self.counts[name]}" for name in names)
        return f"{len(self.points)} points: {counts}"


def sweep_all(sweep: Sweep, every: int) -> None:
    for number, point in enumerate(sweep.points[::every]):
        # Every fourth time, the user just repeats the command: then it is the new state.
        sweep.kill_at(point, sweep.command if number % 4 == 3 else ("recover",))
    sweep.judge()
