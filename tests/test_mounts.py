"""Mount points in a prefix, or behind a link of it: of another file system, or of the same one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.engine import files
from sage_pkginstall.engine.mounts import mount_points
from sage_pkginstall.engine.plan import PlanRequest
from sage_pkginstall.engine.tree import Tree
from sage_pkginstall.errors import JournalError
from tests.conftest import ROOT, START
from tests.engine_tree import STATE, commit, write
from tests.torture.mounts import bound
from tests.trees import EMPTY, tree

if TYPE_CHECKING:
    from collections.abc import Callable

root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@pytest.mark.skipif(sys.platform != "linux", reason="no other system tells")
def test_what_is_mounted_is_told() -> None:
    assert {"/", "/proc"} <= mount_points()


@root
def test_what_is_mounted_in_a_prefix_is_relative_to_it(tmp_path: Path) -> None:
    prefix, source = tmp_path / "prefix", tmp_path / "source"
    (prefix / "share" / "q q").mkdir(parents=True)
    source.mkdir()
    with bound(source, prefix / "share" / "q q"), Tree(prefix).workspace() as workspace:
        assert workspace.mounts == {"share/q q"}


@root
@pytest.mark.parametrize("within", [False, True])
def test_link_out_of_the_prefix_may_lead_to_another_mount_of_its_file_system(
    tmp_path: Path, *, within: bool
) -> None:
    """Two volumes of a container are often directories of one disk."""
    prefix, outside, source = (tmp_path / name for name in ("prefix", "outside", "source"))
    for path in (prefix, outside, source):
        path.mkdir()
    (prefix / "share").symlink_to(outside)
    request = PlanRequest(frozenset({"share/d/a"}))
    with contextlib.ExitStack() as stack:
        stack.enter_context(bound(source, outside))
        if within:
            stack.enter_context(bound(prefix, prefix))
        for version in (b"1", b"2"):
            commit(Tree(prefix), {"share/d/a": version}, request)
            assert tree(source) == {"d/a": version}
        commit(Tree(prefix), {}, request)
        assert tree(source) == {}


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
@pytest.mark.parametrize("name", ["prefix", "link"])
def test_prefix_with_a_mount_may_be_moved_before_it_is_recovered(tmp_path: Path, name: str) -> None:
    """As one of a container, which has another path for others: nothing is left there either."""
    prefix, source, staged = tmp_path / "prefix", tmp_path / "source", tmp_path / "staged"
    (prefix / "share").mkdir(parents=True)
    (tmp_path / "link").symlink_to("prefix")
    write(source, {"d/a": b"1"})
    write(staged, {"share/d/a": b"2"})
    given = ["merge", "--prefix", str(tmp_path / name), str(staged)]
    merge = [sys.executable, "-c", START, str(ROOT), *given]
    with bound(source, prefix / "share"):
        for step in range(1, 60):
            dies = {**os.environ, "SAGE_PKGINSTALL_FAIL": f"kill@{step}"}
            assert subprocess.run(merge, env=dies, check=False).returncode == -signal.SIGKILL
            if Tree(prefix).journal.exists():
                break
        moved = prefix.rename(tmp_path / "moved")
        try:
            assert Tree(moved).recover() is not None
            assert tree(source) == {"d/a": b"2"}
        finally:
            moved.rename(prefix)  # where it can be unmounted


@root
def test_staging_area_may_lie_in_a_bind_mount(tmp_path: Path) -> None:
    prefix, source = tmp_path / "prefix", tmp_path / "source"
    (prefix / "var").mkdir(parents=True)
    source.mkdir()
    with bound(source, prefix / "var"):
        for version in (b"1", b"2"):
            commit(Tree(prefix), {"bin/a": version}, PlanRequest())
            assert tree(prefix, ignore=STATE) == {"bin/a": version}


@root
@pytest.mark.parametrize("gone", ["a", "b"])
def test_transaction_of_what_is_not_mounted_any_more_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    """Neither its files nor its slots are there: all looks removed, and nothing is."""
    prefix, source = tmp_path / "prefix", tmp_path / "source"
    write(prefix, {"bin/t": b""})
    (prefix / "site").mkdir()
    write(source, {"a": b"", "b": b"", "other": b""})
    request = PlanRequest(frozenset({"bin/t", "site/a", "site/b"}))
    monkeypatch.setattr(files, "rename", interrupted_at(prefix / "site" / gone))
    with bound(source, prefix / "site"), pytest.raises(KeyboardInterrupt):
        commit(Tree(prefix), {}, request)
    monkeypatch.undo()
    before = tree(source), tree(prefix, ignore=STATE)
    with pytest.raises(JournalError, match=r"site/\.T-.*', where its entries lie, is missing"):
        Tree(prefix).recover()
    assert (tree(source), tree(prefix, ignore=STATE)) == before
    with bound(source, prefix / "site"):
        Tree(prefix).recover()
    assert tree(source) == {"other": b""}
    assert tree(prefix, ignore=STATE) == {"site": EMPTY}


def interrupted_at(place: Path) -> Callable[[str, str], None]:
    """Return what renames until that comes to a path, as if it were killed then."""

    def rename(old: str, new: str) -> None:
        if old == str(place):
            raise KeyboardInterrupt
        Path(old).rename(new)

    return rename
