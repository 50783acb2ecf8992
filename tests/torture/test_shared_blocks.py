"""On a file system that can share blocks, big files of a wheel take none of their own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import venv
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.engine.tree import Tree
from sage_pkginstall.environment import target_environment
from sage_pkginstall.operations.change import Change
from sage_pkginstall.operations.install import InstallOptions, install
from sage_pkginstall.operations.merge import merge
from sage_pkginstall.wheels.staging import WheelRequest
from tests.torture.mounts import mounted
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("mkfs.xfs"),
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root"),
]
MEGABYTE = 1 << 20
BIG = 20 * MEGABYTE


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small xfs, which can share blocks."""
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(400 * MEGABYTE)
    subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", image], check=True)
    with loop_of(image) as device, mounted(tmp_path / "disk", "xfs", "rw", device) as place:
        yield place


@contextlib.contextmanager
def loop_of(image: Path) -> Iterator[str]:
    """Make a file a device for the length of a ``with`` statement."""
    words = ["losetup", "--find", "--show", str(image)]
    made = subprocess.run(words, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"cannot make a loop device: {made.stderr.strip()}")
    try:
        yield made.stdout.strip()
    finally:
        subprocess.run(["losetup", "--detach", made.stdout.strip()], check=True)


def used(disk: Path) -> int:
    os.sync()
    state = os.statvfs(disk)
    return (state.f_blocks - state.f_bfree) * state.f_frsize


def test_second_prefix_shares_big_files_with_the_cache(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAGE_PKGINSTALL_CACHE", str(disk / "cache"))
    monkeypatch.delenv("SAGE_PKGINSTALL_PACKS")
    content = os.urandom(BIG)
    wheel = make_wheel(tmp_path, "foo", "1", {"foo/__init__.py": "", "foo/big.bin": content})
    taken = []
    for name in ("one", "two"):
        venv.EnvBuilder(symlinks=True).create(disk / name)
        environment = target_environment(disk / name)
        before = used(disk)
        install(Tree(environment.prefix), environment, [WheelRequest(wheel)], InstallOptions())
        taken.append(used(disk) - before)
        installed = environment.prefix / environment.schemes["purelib"] / "foo" / "big.bin"
        assert installed.read_bytes() == content
        assert installed.stat().st_nlink == 1
    assert taken[0] > BIG
    assert taken[1] < MEGABYTE


def test_merged_tree_shares_big_files_with_the_staged_one(disk: Path) -> None:
    (disk / "staged").mkdir()
    (disk / "staged" / "big").write_bytes(os.urandom(BIG))
    (disk / "prefix").mkdir()
    before = used(disk)
    merge(Tree(disk / "prefix"), None, disk / "staged", Change())
    assert used(disk) - before < MEGABYTE
    assert (disk / "prefix" / "big").read_bytes() == (disk / "staged" / "big").read_bytes()
