"""Mount points in a prefix: of another file system, or of the same one."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from sage_pkginstall.engine.mounts import mount_points
from sage_pkginstall.engine.planner import PlanRequest
from sage_pkginstall.engine.tree import Tree
from tests.engine_tree import STATE, commit, write
from tests.torture.mounts import bound
from tests.trees import tree

root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@pytest.mark.skipif(sys.platform != "linux", reason="no other system tells")
def test_what_is_mounted_below_is_told_relative_to_it(tmp_path: Path) -> None:
    assert "proc" in mount_points(Path("/"))
    assert mount_points(tmp_path) == frozenset()


@root
@pytest.mark.parametrize("name", ["q", "q q"])
@pytest.mark.parametrize("foreign", [{}, {"foreign": b"foreign"}], ids=["empty", "used"])
def test_directory_with_a_bind_mount_stays_with_it(
    tmp_path: Path, name: str, foreign: dict[str, bytes]
) -> None:
    """Neither is it exchanged, nor does a rename from the prefix go into the mount."""
    prefix, source = tmp_path / "prefix", tmp_path / "source"
    (prefix / "share" / name).mkdir(parents=True)
    write(source, foreign)
    source.mkdir(exist_ok=True)
    files = (f"share/{name}/a", f"share/{name}/sub/b")
    request = PlanRequest(replaced=frozenset(files))
    with bound(source, prefix / "share" / name):
        for version in (b"1", b"2"):
            commit(Tree(prefix), dict.fromkeys(files, version), request)
            assert tree(source) == {**foreign, "a": version, "sub/b": version}
        commit(Tree(prefix), {}, request)
        assert tree(source) == foreign
    assert list((prefix / "var" / "tmp" / "sage").iterdir()) == []


@root
def test_staging_area_may_lie_in_a_bind_mount(tmp_path: Path) -> None:
    prefix, source = tmp_path / "prefix", tmp_path / "source"
    (prefix / "var").mkdir(parents=True)
    source.mkdir()
    with bound(source, prefix / "var"):
        for version in (b"1", b"2"):
            commit(Tree(prefix), {"bin/a": version}, PlanRequest())
            assert tree(prefix, ignore=STATE) == {"bin/a": version}
