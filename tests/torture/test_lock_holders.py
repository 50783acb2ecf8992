"""Holders of the lock that are killed, stopped, nested, or leave something behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT, START
from tests.torture.scenes import part
from tests.torture.stage import Stage
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.torture.conftest import TellFigures

TOOL = [sys.executable, "-I", "-c", START, str(ROOT)]
KILLS = [4, pytest.param(200, marks=pytest.mark.torture)]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage.build(tmp_path, [("install", str(make_wheel(tmp_path, "foo", "1.0")))])


def flock(stage: Stage, *command: str) -> list[str]:
    return [*TOOL, "flock", str(stage.prefix / "var" / "lock" / "pip3.lock"), *command]


def start_and_hear(words: Sequence[str]) -> subprocess.Popen[str]:
    """Start a command, and return when it has written its first line."""
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline()
    return process


def test_waiters_for_a_stopped_holder_give_up_and_say_for_whom_they_waited(
    stage: Stage, tmp_path: Path
) -> None:
    before = stage.state()
    holder = start_and_hear(flock(stage, "sh", "-c", "echo locked; exec sleep 60"))
    holder.send_signal(signal.SIGSTOP)
    try:
        wheel = str(make_wheel(tmp_path, "foo", "2.0"))
        ended = stage.run(("install", "--lock-timeout", "0.5", wheel))
        assert ended.returncode == 1
        told, error = ended.stderr.splitlines()
        assert f"held by process {holder.pid} (sh -c echo locked; exec sleep 60)" in told
        assert "gave up after 0.5 s; it is held by process" in error
        assert stage.state() == before
        assert stage.debris() == []
    finally:
        holder.send_signal(signal.SIGCONT)
        holder.terminate()
        holder.wait()
    stage.must(("install", wheel))


def test_lock_of_one_tree_does_not_keep_another_one_waiting(stage: Stage, tmp_path: Path) -> None:
    other = Stage.build(tmp_path / "other", [])
    holder = start_and_hear(flock(stage, "sh", "-c", "echo locked; exec sleep 60"))
    try:
        other.must(("install", "--lock-timeout", "0", str(make_wheel(tmp_path, "foo", "2.0"))))
    finally:
        holder.terminate()
        holder.wait()


def test_install_script_under_the_lock_may_install(stage: Stage, tmp_path: Path) -> None:
    """A script that sage-flock runs calls sage-pip-install: neither waits for the other."""
    wheel = str(make_wheel(tmp_path, "foo", "2.0"))
    nested = stage.command(("install", "--lock-timeout", "5", wheel))
    ended = subprocess.run(
        flock(stage, *nested), capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stdout) == (0, "installed foo 2.0\n")


def test_daemon_left_behind_does_not_hold_the_lock(stage: Stage, tmp_path: Path) -> None:
    script = "sleep 60 >/dev/null 2>&1 & echo $!"
    ended = subprocess.run(
        flock(stage, "sh", "-c", script), stdout=subprocess.PIPE, text=True, check=True
    )
    daemon = int(ended.stdout)
    try:
        os.kill(daemon, 0)  # it is there
        wheel = str(make_wheel(tmp_path, "foo", "2.0"))
        stage.must(("install", "--lock-timeout", "0", wheel))
    finally:
        os.kill(daemon, signal.SIGKILL)


@pytest.mark.parametrize("kills", KILLS)
def test_killing_holders_at_random_stops_nobody(
    tmp_path: Path, kills: int, tell_figures: TellFigures
) -> None:
    """Of three jobs that start together, one is killed at some moment; the others succeed."""
    wheels = [part(tmp_path, "backports.one"), part(tmp_path, "backports.two")]
    stage = Stage.build(tmp_path, [("install", *wheels)])
    chance = random.Random(20)  # noqa: S311 - the moments of the kills, repeatable
    died = 0
    for number in range(kills):
        jobs = [
            subprocess.Popen(stage.command(("install", "--quiet", wheels[n % 2]))) for n in range(3)
        ]
        time.sleep(chance.uniform(0.05, 0.5))
        victim = jobs[number % 3]
        victim.kill()
        ends = [job.wait() for job in jobs]
        died += victim.returncode != 0
        assert [end for end in ends if end not in (0, -signal.SIGKILL)] == []
        assert ends.count(0) >= len(jobs) - 1
        stage.must(("recover",))
        assert stage.faults() == []
        assert stage.debris() == []
    tell_figures(f"{kills} rounds of 3 jobs, {died} killed at work: 0 failures of others")
