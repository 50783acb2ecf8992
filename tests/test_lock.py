"""One holder at a time, and waiters that know for whom they wait."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import filelock
import pytest

from sage_pkginstall.engine.holder import describe, last_holder, record_holder
from sage_pkginstall.engine.lock import HELD_VARIABLE, LockSettings, TreeLock, is_held
from sage_pkginstall.errors import LockError, LockTimeoutError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "lock" / "pip3.lock"


def hold(path: Path, *, timeout: float | None = 10.0, told: list[str] | None = None) -> TreeLock:
    notify = (told if told is not None else []).append
    return TreeLock(path, "install foo", LockSettings(timeout, notify))


def test_lock_makes_its_directory_and_leaves_an_empty_file(path: Path) -> None:
    with hold(path).hold():
        pass
    assert path.read_bytes() == b""


def test_holder_is_named_beside_the_lock(path: Path) -> None:
    with hold(path).hold() as held:
        holder = last_holder(path)
    assert held.previous is None
    assert holder is not None
    assert (holder.pid, holder.label) == (os.getpid(), "install foo")
    assert f"process {os.getpid()} (install foo), since " in describe(holder)


def test_it_can_be_told_whether_somebody_holds_it(path: Path, tmp_path: Path) -> None:
    """Without waiting, and without an error where it cannot be opened."""
    assert not is_held(path)
    with hold(path).hold():
        assert is_held(path)
        (tmp_path / "link").symlink_to(path)
        assert not is_held(tmp_path / "link")
    assert not is_held(path)


def test_each_holder_has_another_token(path: Path) -> None:
    with hold(path).hold():
        first = last_holder(path)
    with hold(path).hold() as held:
        second = last_holder(path)
    assert first is not None
    assert second is not None
    assert held.previous is not None
    assert held.previous.token == first.token != second.token


def test_filelock_excludes_us(path: Path) -> None:
    path.parent.mkdir(parents=True)
    lock = pytest.raises(LockTimeoutError, match=r"gave up after 0\.1 s")
    with filelock.FileLock(path), lock, hold(path, timeout=0.1).hold():
        pass


def test_we_exclude_filelock(path: Path) -> None:
    with hold(path).hold(), pytest.raises(filelock.Timeout):
        filelock.FileLock(path).acquire(timeout=0.1)


def test_the_waiting_filelock_excludes_flock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After contention the lock is held by filelock: a plain flock(2) sees it, too."""
    monkeypatch.setattr("sage_pkginstall.engine.lock._MOMENT", 0.0)
    path.parent.mkdir(parents=True)
    other = filelock.FileLock(path, thread_local=False)
    other.acquire()
    lock = hold(path)
    lock.settings = LockSettings(notify=lambda _message: other.release())  # as it really waits
    with lock.hold(), path.open() as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_waiter_says_for_whom_it_waits(path: Path) -> None:
    told: list[str] = []
    with (
        hold(path).hold(),
        pytest.raises(LockTimeoutError),
        hold(path, timeout=0.5, told=told).hold(),
    ):
        pass
    assert len(told) == 1
    assert f"held by process {os.getpid()} (install foo), since " in told[0]


def test_who_waits_is_not_told_of_a_holder_that_has_ended(path: Path) -> None:
    """Its number may be that of any process by now, which had to be ended for nothing."""
    with hold(path).hold():
        pass
    told: list[str] = []
    with path.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # as programs do that say nothing
        with (
            pytest.raises(LockTimeoutError, match="held by another program; end"),
            hold(path, timeout=0.0, told=told).hold(),
        ):
            pass
    assert told == [f"waiting for the lock {path}, held by another program"]


def test_lock_of_a_killed_holder_is_free(path: Path) -> None:
    code = (
        "import os, sys, pathlib; from sage_pkginstall.engine.lock import *\n"
        "with TreeLock(pathlib.Path(sys.argv[1]), 'x', LockSettings()).hold():\n"
        "    os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    with hold(path, timeout=0.0).hold() as held:
        assert held.previous is not None
        assert held.previous.label == "x"


def test_programs_that_we_start_do_not_keep_the_lock(path: Path) -> None:
    with hold(path).hold():
        daemon = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(60)"], close_fds=False
        )
    try:
        with hold(path, timeout=5.0).hold():
            pass
    finally:
        daemon.kill()
        daemon.wait()


@pytest.mark.parametrize("name", ["pip3.lock", "pip3.lock.holder"])
def test_planted_link_is_not_followed(path: Path, tmp_path: Path, name: str) -> None:
    path.parent.mkdir(parents=True)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (path.parent / name).symlink_to(victim)
    with pytest.raises(LockError, match="symbolic link"), hold(path).hold():
        pass
    assert victim.read_text() == "precious"


def test_lock_is_not_writable_by_others_under_any_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        with hold(path).hold():
            pass
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o022 == 0
    assert path.with_name("pip3.lock.holder").stat().st_mode & 0o022 == 0


def test_child_of_the_holder_does_not_wait_for_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir(parents=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        holder = record_holder(path, "sage-flock")
        monkeypatch.setenv(HELD_VARIABLE, f"{path}:{holder.token}")
        with hold(path, timeout=0.0).hold():
            twin = pytest.raises(LockTimeoutError)  # but its children exclude each other
            with twin, hold(path, timeout=0.0).hold():
                pass


def test_children_of_the_holder_come_one_after_another(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir(parents=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        holder = record_holder(path, "sage-flock")
        monkeypatch.setenv(HELD_VARIABLE, f"{path}:{holder.token}")
        seen = last_holder(path)
        for _ in range(2):
            with hold(path, timeout=0.0).hold() as held:
                assert (
                    held.previous is None or held.previous != seen
                )  # a sibling may have been there


def test_child_that_outlives_the_holder_is_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The killed holder's lock is free, but what it was held for goes on."""
    path.parent.mkdir(parents=True)
    with path.open("w") as file, contextlib.ExitStack() as child:
        fcntl.flock(file, fcntl.LOCK_EX)
        holder = record_holder(path, "sage-flock")
        monkeypatch.setenv(HELD_VARIABLE, f"{path}:{holder.token}")
        child.enter_context(hold(path, timeout=0.0).hold())
        monkeypatch.delenv(HELD_VARIABLE)
        fcntl.flock(file, fcntl.LOCK_UN)
        with pytest.raises(LockTimeoutError), hold(path, timeout=0.0).hold():
            pass
        child.close()
        with hold(path, timeout=0.0).hold():
            pass


def test_time_that_was_waited_for_the_first_lock_counts_for_the_nested_one(path: Path) -> None:
    path.parent.mkdir(parents=True)
    with path.with_name("pip3.lock.nested").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        lock = TreeLock(path, "install foo", LockSettings(3600.0))
        with pytest.raises(LockTimeoutError), lock.hold(time.monotonic() - 3600.0):
            pass


def test_child_that_waited_until_the_holder_ended_takes_the_lock_itself(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir(parents=True)
    nested = path.with_name("pip3.lock.nested")
    with path.open("w") as file, nested.open("w") as sibling:
        fcntl.flock(file, fcntl.LOCK_EX)
        fcntl.flock(sibling, fcntl.LOCK_EX)
        holder = record_holder(path, "sage-flock")
        monkeypatch.setenv(HELD_VARIABLE, f"{path}:{holder.token}")

        def end(_message: str = "") -> None:
            record_holder(path, "another")
            fcntl.flock(file, fcntl.LOCK_UN)
            fcntl.flock(sibling, fcntl.LOCK_UN)

        lock = TreeLock(path, "install foo", LockSettings(10.0, waits=end))
        with lock.hold():
            assert is_held(path)


def test_child_of_the_holder_may_spell_the_path_otherwise(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir(parents=True)
    (tmp_path / "other").symlink_to(path.parent)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        holder = record_holder(path, "sage-flock")
        monkeypatch.setenv(HELD_VARIABLE, f"{tmp_path / 'other' / path.name}:{holder.token}")
        with hold(path, timeout=0.0).hold():
            pass


def test_holder_that_was_at_work_is_told_from_itself_when_done(path: Path) -> None:
    with hold(path).hold():
        at_work = last_holder(path)
    with hold(path).hold() as held:
        previous = held.previous
        assert previous is not None
        assert at_work is not None
        assert previous.token == at_work.token
        assert (at_work.ended, previous.ended) == (False, True)


def test_holder_of_yesterday_opens_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.parent.mkdir(parents=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        old = record_holder(path, "sage-flock")
        record_holder(path, "another sage-flock")
        monkeypatch.setenv(HELD_VARIABLE, f"{path}:{old.token}")
        with pytest.raises(LockTimeoutError), hold(path, timeout=0.0).hold():
            pass


def test_lock_that_others_could_open_is_closed_to_them(tmp_path: Path) -> None:
    """Sage's own scripts make it under the umask; who can read it could keep it for ever."""
    path = tmp_path / "var" / "lock" / "pip3.lock"
    path.parent.mkdir(parents=True)
    path.touch(0o644)
    with TreeLock(path, "test", LockSettings()).hold():
        assert path.stat().st_mode & 0o777 == 0o600
