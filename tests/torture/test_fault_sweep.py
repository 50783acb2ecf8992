"""Each step of a command fails once, or it and all that follow: a clear error, the old state.

Uses the fail points of the engine; strace, too, as the independent witness.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING

import pytest

from tests.torture import scenes
from tests.torture.stage import Stage, ended_by_kill
from tests.torture.strace import changing_calls, recording

if TYPE_CHECKING:
    from pathlib import Path
    from subprocess import CompletedProcess

    from tests.torture.conftest import TellFigures
    from tests.torture.stage import State

ERRORS = ["ENOSPC", "EIO", "EACCES", "EMFILE", "EDQUOT"]
SAMPLE = 7
MOST_STEPS = 500


class Faults:
    """A scene of which one step after the other fails."""

    def __init__(self, name: str, directory: Path) -> None:
        scene = scenes.make_scene(name, directory)
        self.stage = Stage.build(directory, scene.setting, scene.made)
        self.command = scene.command
        self.old = self.stage.state()
        self.said = self.stage.run(scene.command).stderr
        self.new = self.stage.state()
        self.counts: collections.Counter[str] = collections.Counter()

    def fail(self, point: str) -> bool:
        """Let the command fail at ``point``; return False if it has no such point."""
        self.stage.restore()
        ended = self.stage.run(self.command, env={"SAGE_PKGINSTALL_FAIL": point})
        state = self.stage.state()
        if ended.returncode == 0:
            assert state == self.new, point
            self.counts["succeeded all the same"] += 1
        else:
            self._failed(point, ended, state)
        self.next_succeeds(point)
        return bool(ended.returncode or ended.stderr != self.said)

    def _failed(self, point: str, ended: CompletedProcess[str], state: State) -> None:
        assert ended.returncode == 1, f"{point}: {ended.stderr}"
        line = ended.stderr.splitlines()[-1]
        assert ": cannot " in line, line
        if "recover" in line:  # not even undoing worked: the journal stays
            self.counts["left to the next command"] += 1
        else:
            assert state == self.old, f"{point}: {line}"
            self.counts["old state"] += 1

    def next_succeeds(self, point: str) -> None:
        again = self.stage.run(self.command)
        assert again.returncode == 0 or "it is not installed" in again.stderr, again.stderr
        assert self.stage.state() == self.new, point
        assert self.stage.debris() == [], point

    def figures(self) -> str:
        """Return the counts as one line."""
        return ", ".join(f"{name} {count}" for name, count in sorted(self.counts.items()))


def sweep(faults: Faults, error: str, every: int, *, onwards: str = "") -> None:
    for step in range(1, MOST_STEPS, every):
        if not faults.fail(f"{error}@{step}{onwards}"):
            return
    pytest.fail("no run came to its end")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["upgrade", "uninstall", "staged merge"])
def test_failing_at_some_steps_leaves_the_old_state(
    tmp_path: Path, name: str, tell_figures: TellFigures
) -> None:
    faults = Faults(name, tmp_path)
    sweep(faults, "ENOSPC", SAMPLE)
    tell_figures(faults.figures())


@pytest.mark.torture
@pytest.mark.parametrize("onwards", ["", "+"], ids=["once", "onwards"])
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("name", scenes.NAMES)
def test_failing_at_any_step_leaves_the_old_state(
    tmp_path: Path, name: str, error: str, onwards: str, tell_figures: TellFigures
) -> None:
    faults = Faults(name, tmp_path)
    sweep(faults, error, 1, onwards=onwards)
    tell_figures(faults.figures())


@pytest.mark.slow
def test_uninstalling_again_after_a_kill_leaves_nothing(
    tmp_path: Path, tell_figures: TellFigures
) -> None:
    """What is half gone is not found any more, and must go all the same."""
    faults = Faults("uninstall", tmp_path)
    for step in range(2, MOST_STEPS, 4):
        faults.stage.restore()
        env = {"SAGE_PKGINSTALL_FAIL": f"kill@{step}"}
        if not ended_by_kill(faults.stage.run(faults.command, env=env)):
            break
        faults.counts["killed"] += 1
        faults.next_succeeds(f"kill@{step}")
    tell_figures(faults.figures())


@pytest.mark.torture
@pytest.mark.needs("strace")
@pytest.mark.parametrize(
    ("name", "error"),
    [("upgrade", error) for error in (*ERRORS, "EINTR", "EROFS")]
    + [(name, "EIO") for name in scenes.NAMES if name != "upgrade"],
)
def test_failing_at_any_system_call_leaves_the_old_state(
    tmp_path: Path, name: str, error: str, tell_figures: TellFigures
) -> None:
    """Also calls that are no step of the engine: writing wheels' files, making directories."""
    faults = Faults(name, tmp_path)
    faults.stage.restore()
    log = tmp_path / "log"
    assert faults.stage.run(faults.command, under=recording(log)).returncode == 0
    for point in changing_calls(log, faults.stage.prefix):
        faults.stage.restore()
        ended = faults.stage.run(faults.command, under=point.fail(error))
        state = faults.stage.state()
        assert ended.returncode in (0, 1), f"{point}: {ended.stderr}"
        assert "Traceback" not in ended.stderr, f"{point}: {ended.stderr}"
        if ended.returncode == 0:
            assert state == faults.new, point
        elif "all else is done" in ended.stderr:
            assert state == faults.new, f"{point}: {ended.stderr}"
        elif "recover" not in ended.stderr:
            assert state == faults.old, f"{point}: {ended.stderr}"
        faults.counts["new state" if state == faults.new else "old state"] += 1
        faults.next_succeeds(str(point))
    tell_figures(faults.figures())
