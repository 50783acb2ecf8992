"""Real shortage: full disks, limits of the system, places where nothing may be written."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.torture.mounts import mounted
from tests.torture.stage import Stage
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts and other users need root")


def big(directory: Path, version: str) -> str:
    noise = os.urandom(300_000).hex()  # does not become smaller by compression
    files = {"foo/__init__.py": f"x = {version}\n", "foo/data.txt": noise}
    return str(make_wheel(directory, "foo", version, files))


def fails_and_changes_nothing(
    stage: Stage, wheel: str, why: str, *, under: tuple[str, ...] = ()
) -> None:
    before = stage.state()
    ended = stage.run(("install", wheel), under=under)
    assert ended.returncode == 1, ended.stderr
    (line,) = ended.stderr.splitlines()
    assert line.startswith("sage-pkginstall install: cannot ")
    assert re.search(why, line), line
    assert stage.state() == before


def then_works(stage: Stage, wheel: str) -> None:
    stage.must(("install", wheel))
    assert stage.faults() == []
    assert stage.debris() == []


@root
def test_full_disk(tmp_path: Path) -> None:
    old, new = big(tmp_path, "1"), big(tmp_path, "2")
    with mounted(tmp_path / "disk", "tmpfs", "size=4m") as disk:
        stage = Stage.build(disk, [("install", old)])
        shutil.rmtree(stage.kept)
        filler = disk / "filler"
        free = os.statvfs(disk)
        filler.write_bytes(bytes(free.f_bavail * free.f_frsize - 200_000))
        fails_and_changes_nothing(stage, new, "No space left on device")
        filler.unlink()
        then_works(stage, new)


def test_limit_of_file_size(tmp_path: Path) -> None:
    stage = Stage.build(tmp_path, [("install", big(tmp_path, "1"))])
    new = big(tmp_path, "2")
    fails_and_changes_nothing(stage, new, "File too large", under=("prlimit", "--fsize=100000"))
    then_works(stage, new)


@pytest.mark.parametrize("limit", [6, 7, 8, 10])
def test_limit_of_open_files(tmp_path: Path, limit: int) -> None:
    """At some of these limits the command works; at none does it leave something."""
    stage = Stage.build(tmp_path, [("install", big(tmp_path, "1"))])
    new = big(tmp_path, "2")
    before = stage.state()
    ended = stage.run(("install", new), under=("prlimit", f"--nofile={limit}"))
    if ended.returncode:
        assert stage.state() == before
    then_works(stage, new)


@root
def test_directory_that_may_not_be_written(tmp_path: Path) -> None:
    """Without its right to override modes, root is a user like any other."""
    stage = Stage.build(tmp_path, [("install", big(tmp_path, "1"))])
    new = big(tmp_path, "2")
    (package,) = stage.prefix.glob("lib/python3*/site-packages")
    package.chmod(0o555)
    user = ("setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override")
    fails_and_changes_nothing(stage, new, f"Permission denied.*{package}", under=user)
    package.chmod(0o755)
    ended = stage.run(("install", new), under=user)
    assert ended.returncode == 0, ended.stderr
    assert stage.faults() == []


@root
@pytest.mark.parametrize("what", ["foo", "foo/__init__.py", "foo-1.dist-info"])
def test_immutable_file(tmp_path: Path, what: str) -> None:
    stage = Stage.build(tmp_path, [("install", big(tmp_path, "1"))])
    new = big(tmp_path, "2")
    (path,) = stage.prefix.glob(f"lib/python3*/site-packages/{what}")
    if subprocess.run(["chattr", "+i", str(path)], capture_output=True, check=False).returncode:
        pytest.skip("the file system knows no immutable files")
    try:
        if path.is_file():  # exchanged with its directory, and cannot be deleted: a warning
            ended = stage.run(("install", new))
            assert ended.returncode == 0
            assert "could not be deleted" in ended.stderr
        else:
            fails_and_changes_nothing(stage, new, "Operation not permitted")
    finally:
        for place in [path, *stage.prefix.rglob("__init__.py"), *stage.prefix.rglob("foo*")]:
            subprocess.run(["chattr", "-i", str(place)], capture_output=True, check=False)
    then_works(stage, new)


@root
def test_read_only_file_system(tmp_path: Path) -> None:
    old, new = big(tmp_path, "1"), big(tmp_path, "2")
    with mounted(tmp_path / "disk", "tmpfs", "size=8m") as disk:
        stage = Stage.build(disk, [("install", old)])
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        fails_and_changes_nothing(stage, new, "Read-only file system")
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        then_works(stage, new)
