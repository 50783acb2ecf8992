"""What a staged tree places, exchanges, merges and is refused."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.engine import files
from sage_pkginstall.engine.plan import PlanRequest
from sage_pkginstall.errors import ConflictError
from tests.engine_tree import STATE, write
from tests.planning import Owned, bring, operations
from tests.trees import EMPTY, Link, tree

if TYPE_CHECKING:
    from pathlib import Path


def test_missing_directory_arrives_in_one_rename(tmp_path: Path) -> None:
    write(tmp_path, {"lib/other": b""})
    done = bring(tmp_path, {"lib/p/a.py": b"a", "lib/p/sub/b.py": b"b"})
    assert operations(done) == [("place", "lib/p")]


def test_own_directory_is_upgraded_by_one_exchange(tmp_path: Path) -> None:
    write(tmp_path, {"lib/p/a.py": b"1", "lib/p/__pycache__/a.cpython-311.pyc": b"", "lib/q": b""})
    done = bring(tmp_path, {"lib/p/a.py": b"2"}, PlanRequest(replaced=frozenset({"lib/p/a.py"})))
    assert operations(done) == [("swap", "lib/p")]
    assert tree(tmp_path, ignore=STATE) == {"lib/p/a.py": b"2", "lib/q": b""}


def test_unowned_file_in_own_directory_stays(tmp_path: Path) -> None:
    write(tmp_path, {"lib/p/a.py": b"1", "lib/p/mine.txt": b"user", "lib/q": b""})
    bring(tmp_path, {"lib/p/a.py": b"2"}, PlanRequest(replaced=frozenset({"lib/p/a.py"})))
    assert tree(tmp_path, ignore=STATE) == {
        "lib/p/a.py": b"2",
        "lib/p/mine.txt": b"user",
        "lib/q": b"",
    }


@pytest.mark.parametrize("name", ["d", 250 * "d"], ids=["short", "long"])
@pytest.mark.parametrize("mine", [True, False])
def test_directories_of_any_depth_may_lie_in_an_own_one(
    tmp_path: Path, name: str, *, mine: bool
) -> None:
    """They are somebody's own; the planner walks them without a call for each."""
    write(tmp_path, {"lib/p/a": b"1", "lib/q": b""})
    below = os.open(tmp_path / "lib/p", os.O_RDONLY)
    for _ in range(1100):
        os.mkdir(name, dir_fd=below)
        above, below = below, os.open(name, os.O_RDONLY, dir_fd=below)
        os.close(above)
    if mine:
        os.close(os.open("mine", os.O_WRONLY | os.O_CREAT, dir_fd=below))
    os.close(below)
    try:
        bring(tmp_path, {"lib/p/a": b"2"}, PlanRequest(frozenset({"lib/p/a"})))
        assert (tmp_path / "lib/p/a").read_bytes() == b"2"
        assert (tmp_path / "lib/p" / name).exists()
    finally:
        files.delete_tree(tmp_path / "lib")  # pytest cannot


def test_directories_that_hold_nothing_are_not_moved(tmp_path: Path) -> None:
    """Somebody has made them, who has no lock of ours, and is about to fill them."""
    for name in ("share/man", "lib/p/cache"):
        (tmp_path / name).mkdir(parents=True)
    write(tmp_path, {"lib/p/a.py": b"1", "lib/p/__pycache__/a.cpython-311.pyc": b""})
    made = {name: (tmp_path / name).stat().st_ino for name in ("share", "share/man", "lib/p/cache")}
    staged = {"share/p.txt": b"new", "lib/p/a.py": b"2"}
    done = bring(tmp_path, staged, PlanRequest(frozenset({"lib/p/a.py"})))
    assert operations(done)[:2] == [("swap", "lib/p/a.py"), ("place", "share/p.txt")]
    assert made == {name: (tmp_path / name).stat().st_ino for name in made}


def test_empty_directory_of_somebody_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "share/spool").mkdir(parents=True)
    request = PlanRequest(ownership=Owned()("share/spool", "q"))
    with pytest.raises(ConflictError, match="share/spool: it is a directory of q, not a file"):
        bring(tmp_path, {"share/spool": b"file"}, request)
    assert tree(tmp_path, ignore=STATE) == {"share/spool": EMPTY}


def test_conflicting_content_is_reported_and_the_new_owner_wins(tmp_path: Path) -> None:
    write(tmp_path, {"bin/tool": b"theirs"})
    done = bring(tmp_path, {"bin/tool": b"ours"}, PlanRequest(ownership=Owned()("bin/tool", "q")))
    assert [n.message for n in done.plan.notices] == ["bin/tool is overwritten: it belongs to q"]
    assert tree(tmp_path, ignore=STATE) == {"bin/tool": b"ours"}


def test_conflicting_content_can_be_refused(tmp_path: Path) -> None:
    write(tmp_path, {"bin/tool": b"theirs"})
    request = PlanRequest(ownership=Owned()("bin/tool", "q"), conflicts="error")
    with pytest.raises(ConflictError, match="q owns it with another content"):
        bring(tmp_path, {"bin/tool": b"ours"}, request)
    assert tree(tmp_path, ignore=STATE) == {"bin/tool": b"theirs"}


def test_same_content_of_another_owner_is_no_conflict(tmp_path: Path) -> None:
    write(tmp_path, {"ns/__init__.py": b"same"})
    request = PlanRequest(ownership=Owned()("ns/__init__.py", "q"), conflicts="error")
    done = bring(tmp_path, {"ns/__init__.py": b"same"}, request)
    assert done.plan.notices == ()


def test_unowned_file_is_overwritten_with_a_notice(tmp_path: Path) -> None:
    write(tmp_path, {"etc/conf": b"mine"})
    done = bring(tmp_path, {"etc/conf": b"new"})
    assert [n.message for n in done.plan.notices] == ["etc/conf is overwritten: no package owns it"]


@pytest.mark.parametrize(
    ("old", "new"),
    [({"x/y": b""}, {"x": b""}), ({"x": b""}, {"x/y": b""})],
    ids=["file-over-directory", "directory-over-file"],
)
def test_other_peoples_type_clash_is_refused(
    tmp_path: Path, old: dict[str, bytes], new: dict[str, bytes]
) -> None:
    write(tmp_path, old)
    with pytest.raises(ConflictError, match="cannot install x: it is a"):
        bring(tmp_path, new)
    assert tree(tmp_path, ignore=STATE) == old


def test_own_type_clash_is_one_exchange(tmp_path: Path) -> None:
    write(tmp_path, {"x": b"", "q": b""})
    done = bring(tmp_path, {"x/y": b"1"}, PlanRequest(frozenset({"x"})))
    assert operations(done) == [("swap", "x")]
    bring(tmp_path, {"x": b"2"}, PlanRequest(frozenset({"x/y"})))
    assert tree(tmp_path, ignore=STATE) == {"x": b"2", "q": b""}


def test_directory_is_merged_through_a_link_of_the_prefix(tmp_path: Path) -> None:
    write(tmp_path, {"lib/q": b""})
    (tmp_path / "lib64").symlink_to("lib")
    done = bring(tmp_path, {"lib64/p/a": b"1"})
    assert operations(done) == [("place", "lib/p")]
    assert tree(tmp_path, ignore=STATE) == {"lib/q": b"", "lib/p/a": b"1", "lib64": Link("lib")}


def test_file_over_a_link_to_a_directory_is_refused_unless_the_link_is_ours(
    tmp_path: Path,
) -> None:
    """What lies there would be lost to all who come by the link; nobody would make it again."""
    write(tmp_path, {"lib/q": b""})
    (tmp_path / "lib64").symlink_to("lib")
    before = tree(tmp_path, ignore=STATE)
    with pytest.raises(ConflictError, match=r"lib64: it is a directory of .*, not a file"):
        bring(tmp_path, {"lib64": b"1"})
    assert tree(tmp_path, ignore=STATE) == before
    bring(tmp_path, {"lib64": b"1"}, PlanRequest(frozenset({"lib64"})))
    assert tree(tmp_path, ignore=STATE) == {"lib/q": b"", "lib64": b"1"}


def test_link_to_the_prefix_itself_is_followed(tmp_path: Path) -> None:
    write(tmp_path, {"lib/x": b"1", "q": b""})
    (tmp_path / "self").symlink_to(".")
    bring(tmp_path, {"self/lib/new": b"2"}, PlanRequest(frozenset({"lib/x"})))
    assert tree(tmp_path, ignore=STATE) == {"lib/new": b"2", "self": Link("."), "q": b""}


def test_two_staged_names_of_one_path_are_refused(tmp_path: Path) -> None:
    write(tmp_path, {"lib/q": b""})
    (tmp_path / "lib64").symlink_to("lib")
    with pytest.raises(ConflictError, match="two staged entries"):
        bring(tmp_path, {"lib/a": b"1", "lib64/a": b"2"})


def test_unreadable_directory_does_not_look_empty(tmp_path: Path) -> None:
    write(tmp_path, {"p/a.py": b"1", "p/sub/secret": b"user", "q": b""})
    (tmp_path / "p" / "sub").chmod(0)
    if os.access(tmp_path / "p" / "sub", os.R_OK):
        pytest.skip("this user reads everything")
    with pytest.raises(PermissionError):
        bring(tmp_path, {"p/a.py": b"2"}, PlanRequest(frozenset({"p/a.py"})))
