"""Private directories: whose they are, and when they go."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from sage_pkginstall.engine import failpoints
from sage_pkginstall.engine import workspace as engine_workspace
from sage_pkginstall.engine.journal import Journal
from sage_pkginstall.engine.trust import open_trusted
from sage_pkginstall.engine.workspace import StagingArea
from sage_pkginstall.errors import TransactionError
from tests.trees import EMPTY, plant, tree

_DIE = """
import os, sys, pathlib
from sage_pkginstall.engine.workspace import StagingArea
with StagingArea(pathlib.Path(sys.argv[1])).workspace() as workspace:
    (workspace.tree / "half").write_text("done")
    os.kill(os.getpid(), 9)
"""


def test_workspace_goes_when_its_with_ends(tmp_path: Path) -> None:
    with StagingArea(tmp_path).workspace() as workspace:
        (workspace.tree / "a").mkdir()
        (workspace.scratch / "b").write_text("")
    assert tree(tmp_path) == {"var/tmp/sage": EMPTY}


def test_workspace_is_private_under_any_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with StagingArea(tmp_path).workspace() as workspace:
            assert workspace.path.stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(before)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
def test_file_system_that_makes_no_directory_is_an_error() -> None:
    """Proc answers as autofs does where nothing is mounted: there is no such directory."""
    area = StagingArea(Path("/proc/cache"))
    with pytest.raises(TransactionError, match="No such file"), area.workspace():
        pass


def test_debris_of_a_dead_process_is_collected(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", _DIE, str(tmp_path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(StagingArea(tmp_path).collect()) == 1
    assert tree(tmp_path) == {"var/tmp/sage": EMPTY}


def test_workspace_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    area = StagingArea(tmp_path)
    with area.workspace() as workspace:
        assert area.collect() == ()
        assert workspace.tree.is_dir()


def test_workspace_that_the_journal_names_is_kept(tmp_path: Path) -> None:
    area = StagingArea(tmp_path)
    subprocess.run([sys.executable, "-c", _DIE, str(tmp_path)], check=False)
    (name,) = (p.name for p in area.path.iterdir() if p.is_dir())
    (area.path / "journal").write_bytes(Journal("x", name, ()).to_bytes())
    area.collect()
    assert (area.path / name / "tree" / "half").exists()


def test_read_only_directories_are_collected_too(tmp_path: Path) -> None:
    with StagingArea(tmp_path).workspace() as workspace:
        locked = workspace.tree / "locked"
        (locked / "below").mkdir(parents=True)
        locked.chmod(0o500)
    assert tree(tmp_path) == {"var/tmp/sage": EMPTY}


def test_build_directories_beside_workspaces_are_not_ours(tmp_path: Path) -> None:
    other = tmp_path / "var" / "tmp" / "sage" / "build" / "foo-1.0"
    other.mkdir(parents=True)
    StagingArea(tmp_path).collect()
    assert other.is_dir()


def test_damaged_journal_may_need_any_workspace(tmp_path: Path) -> None:
    """It holds what the transaction took out of the prefix; ``recover --discard`` keeps it."""
    area = StagingArea(tmp_path)
    subprocess.run([sys.executable, "-c", _DIE, str(tmp_path)], check=False)
    (name,) = (p.name for p in area.path.iterdir() if p.is_dir())
    (area.path / "journal").write_bytes(b"")  # as a power failure leaves it
    assert area.collect() == ()
    assert (area.path / name / "tree" / "half").exists()
    with area.workspace() as workspace:
        pass
    assert not workspace.path.exists()


def test_lock_that_was_made_again_meanwhile_is_its_owners(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another collector took the lock before its owner could, who then made it again."""
    area = StagingArea(tmp_path)
    lock = area.path / "T-1-00000000.lock"
    lock.with_suffix("").mkdir(parents=True)

    def opened(path: Path, flags: int, prefix: Path) -> int:
        descriptor = open_trusted(path, flags, prefix)
        path.rename(path.with_name("old"))
        path.touch(0o600)
        return descriptor

    monkeypatch.setattr(engine_workspace, "open_trusted", opened)
    place = tmp_path / "place"
    place.mkdir()
    for way in (area.collect, lambda: area.move_dead(place, None)):
        lock.touch(0o600)
        way()
        assert lock.with_suffix("").is_dir()
        assert lock.exists()


def test_volume_lies_where_we_may_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is one file system only")
    with tempfile.TemporaryDirectory(dir=shared) as directory:
        site = Path(directory) / "open" / "site"
        site.mkdir(parents=True)
        monkeypatch.setattr(os, "access", lambda path, _mode: path != Path(directory))  # any user
        with StagingArea(tmp_path).workspace() as workspace:
            assert workspace.volume_of(site).parent == site.parent
        assert list(site.parent.iterdir()) == [site]


def test_what_planning_changed_is_flushed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    monkeypatch.setattr(failpoints, "_fail_point", flushed.append)
    with StagingArea(tmp_path).workspace() as workspace:
        flushed.clear()
        workspace.note_change()
        workspace.flush_changes()
        workspace.flush_changes()
        assert flushed == [str(workspace.path)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has files of others")
@pytest.mark.parametrize("below", ["tool", "bin/tool"])
def test_copy_of_what_somebody_else_owns_runs_as_nobody_else(tmp_path: Path, below: str) -> None:
    """It is ours: a set-id bit would give everybody our rights."""
    with StagingArea(tmp_path).workspace() as workspace:
        plant(workspace.tree, {below: b"#!/bin/sh"})
        os.chown(workspace.tree / below, 1234, 1234)
        (workspace.tree / below).chmod(0o4775)
        workspace.renew(workspace.tree / below.partition("/")[0])
        status = (workspace.tree / below).stat()
        assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (0, 0o755)
