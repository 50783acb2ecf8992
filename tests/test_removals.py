"""What goes with old records, and what stays."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.engine import failpoints, files
from sage_pkginstall.engine.plan import PlanRequest
from sage_pkginstall.engine.planner import make_plan
from sage_pkginstall.engine.tree import Prepared, Tree, TreeSettings
from sage_pkginstall.errors import TransactionError
from tests.engine_tree import STATE, write
from tests.planning import Owned, bring, operations
from tests.trees import EMPTY, Link, tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sage_pkginstall.engine.holder import Changed


def test_shared_file_stays_until_the_last_owner_goes(tmp_path: Path) -> None:
    paths = {"ns/__init__.py": b"", "ns/a.py": b"a", "ns/b.py": b"b"}
    write(tmp_path, paths)
    others = Owned()("ns/__init__.py", "b")("ns/b.py", "b")
    first = PlanRequest(frozenset({"ns/__init__.py", "ns/a.py"}), others)
    bring(tmp_path, {}, first)
    assert tree(tmp_path, ignore=STATE) == {"ns/__init__.py": b"", "ns/b.py": b"b"}
    bring(tmp_path, {}, PlanRequest(frozenset({"ns/__init__.py", "ns/b.py"})))
    assert tree(tmp_path, ignore=STATE) == {}


def test_bytecode_of_a_removed_source_goes_with_it(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": b"", "__pycache__/a.pypy39.pyc": b"", "__pycache__/b.x.pyc": b""})
    bring(tmp_path, {}, PlanRequest(frozenset({"a.py"})))
    assert tree(tmp_path, ignore=STATE) == {"__pycache__/b.x.pyc": b""}


def test_bytecode_of_a_replaced_source_goes_unless_it_comes_anew(tmp_path: Path) -> None:
    names = ("a.x", "a.x.opt-1", "a.y", "a.z", "A.x", "A.y", "b.x", "c.x")
    write(tmp_path, {f"__pycache__/{name}.pyc": b"old" for name in names})
    write(tmp_path, {f"{name}.py": b"old" for name in ("a", "A", "b", "c")})
    staged = {f"{path}.py": b"new" for path in ("a", "A", "c", "fresh")}
    staged |= {"__pycache__/a.x.pyc": b"new", "__pycache__/A.x.pyc": b"new"}
    listed = frozenset({"a.py", "A.py", "c.py", "__pycache__/a.y.pyc"})
    owned = Owned()("__pycache__/c.x.pyc", "q")
    kept = frozenset({"__pycache__/a.z.pyc"})
    bring(tmp_path, staged, PlanRequest(listed, owned, kept=kept))
    assert tree(tmp_path, ignore=STATE) == {
        **staged,
        "b.py": b"old",
        "__pycache__/a.z.pyc": b"old",
        "__pycache__/b.x.pyc": b"old",
        "__pycache__/c.x.pyc": b"old",
    }


def test_bytecode_behind_a_link_goes_by_records_alone(tmp_path: Path) -> None:
    """Others may have some there, of the same name; and what comes there has another name."""
    prefix, outside = tmp_path / "prefix", tmp_path / "outside"
    write(outside, {"a.x.pyc": b"other", "b.x.pyc": b"other"})
    write(prefix, {"a.py": b"old", "p/b.py": b"old", "pycs/b.x.pyc": b"old", "pycs/b.y.pyc": b""})
    (prefix / "__pycache__").symlink_to(outside)
    (prefix / "p/__pycache__").symlink_to("../pycs")
    staged = {"p/b.py": b"new", "p/__pycache__/b.x.pyc": b"new"}
    bring(prefix, staged, PlanRequest(frozenset({"a.py", "p/b.py", "pycs/b.x.pyc"})))
    assert tree(outside) == {"a.x.pyc": b"other", "b.x.pyc": b"other"}
    assert tree(prefix, ignore=STATE) == {
        "__pycache__": Link(str(outside)),
        "p/__pycache__": Link("../pycs"),
        "p/b.py": b"new",
        "pycs/b.x.pyc": b"new",
        "pycs/b.y.pyc": b"",
    }


@pytest.mark.parametrize("path", ["share/man/man1/x", "man/man1/x"])
def test_directory_that_a_link_of_the_prefix_leads_to_stays_when_it_is_empty(
    tmp_path: Path, path: str
) -> None:
    """Nothing could come by the link otherwise: it would lead nowhere."""
    write(tmp_path, {"share/man/man1/x": b"1", "q": b""})
    (tmp_path / "man").symlink_to("share/man")
    bring(tmp_path, {}, PlanRequest(frozenset({"share/man/man1/x"})))
    assert tree(tmp_path, ignore=STATE) == {"share/man": EMPTY, "man": Link("share/man"), "q": b""}
    bring(tmp_path, {path: b"2"})
    assert (tmp_path / "man" / "man1" / "x").read_bytes() == b"2"


def test_directory_goes_with_the_link_that_leads_to_it(tmp_path: Path) -> None:
    write(tmp_path, {"share/foo/x": b"1", "q": b""})
    (tmp_path / "foo").symlink_to("share/foo")
    bring(tmp_path, {}, PlanRequest(frozenset({"share/foo/x", "foo"})))
    assert tree(tmp_path, ignore=STATE) == {"q": b""}


def linked_out(tmp_path: Path) -> tuple[Path, Path]:
    """A prefix whose ``share`` leads out of it, to the second one."""
    prefix, outside = tmp_path / "prefix", tmp_path / "outside"
    write(outside, {"d/old": b"1", "d/both": b"1", "gone/x": b"1", "other": b""})
    write(prefix, {"q": b""})
    (prefix / "share").symlink_to(outside)
    return prefix, outside


BEHIND = frozenset({"share/d/old", "share/d/both", "share/gone/x"})


def test_what_came_through_a_link_out_of_the_prefix_is_removed_through_it(tmp_path: Path) -> None:
    prefix, outside = linked_out(tmp_path)
    bring(prefix, {"share/d/both": b"2", "share/d/new": b"2"}, PlanRequest(BEHIND))
    assert tree(outside, ignore=STATE) == {"d/both": b"2", "d/new": b"2", "other": b""}
    assert tree(prefix, ignore=STATE) == {"share": Link(str(outside)), "q": b""}


def test_link_out_of_the_prefix_stays_when_nothing_is_left_behind_it(tmp_path: Path) -> None:
    prefix, outside = linked_out(tmp_path)
    bring(prefix, {}, PlanRequest(BEHIND | {"share/other"}))
    assert tree(outside, ignore=STATE) == {}
    assert tree(prefix, ignore=STATE) == {"share": Link(str(outside)), "q": b""}


def test_nothing_is_removed_through_a_link_that_is_not_to_be_followed(tmp_path: Path) -> None:
    prefix, outside = linked_out(tmp_path)
    before = tree(outside)
    done = bring(prefix, {}, PlanRequest(BEHIND, through=lambda link: link != "share"))
    assert operations(done) == []
    assert tree(outside) == before
    reason = "it leads out of the prefix, and what it leads to stays"
    assert [notice.message for notice in done.plan.notices] == [f"share is a link: {reason}"]


def test_one_name_for_what_two_links_lead_to_one_by_the_other(tmp_path: Path) -> None:
    """``lib64 -> lib`` of each virtual environment, where ``lib`` was moved to another disk."""
    prefix, outside = linked_out(tmp_path)
    (prefix / "share64").symlink_to("share")
    bring(prefix, {"share64/d/both": b"2"}, PlanRequest(BEHIND))
    assert tree(outside, ignore=STATE) == {"d/both": b"2", "other": b""}


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("doc", "share/d"),
        ("share/doc", "d"),
        ("lib/doc", "../outside/d"),
        ("lib/out", "../outside"),
    ],
)
def test_one_name_for_what_lies_behind_a_link_out_of_the_prefix(
    tmp_path: Path, link: str, target: str
) -> None:
    """A file that comes by its name is not removed by the one that an old record has for it."""
    prefix, outside = linked_out(tmp_path)
    (tmp_path / "lib").mkdir()
    (prefix / "lib").symlink_to("../lib")
    (prefix / link).symlink_to(target)
    before = tree(outside, ignore=STATE)
    old = f"{link}/d/both" if target == "../outside" else f"{link}/both"
    bring(prefix, {"share/d/both": b"2"}, PlanRequest(frozenset({old, "share/d/both"})))
    assert tree(outside, ignore=STATE) == {**before, "d/both": b"2"}


def test_nothing_is_removed_where_each_file_has_two_names(tmp_path: Path) -> None:
    prefix, outside = linked_out(tmp_path)
    (prefix / "share64").symlink_to(outside)
    before = tree(outside)
    done = bring(prefix, {"share64/d/both": b"2"}, PlanRequest(BEHIND))
    assert tree(outside, ignore=STATE) == {**before, "d/both": b"2"}
    assert "share is a link" in done.plan.notices[-1].message


@pytest.mark.parametrize("new", ["link", "directory"])
def test_nothing_is_removed_through_what_replaces_a_link_out_of_the_prefix(
    tmp_path: Path, new: str
) -> None:
    """The old record's paths would be those of the new entry."""
    prefix, outside = linked_out(tmp_path)
    before = tree(outside)
    tree_settings = TreeSettings(durable=False)
    target = Tree(prefix, tree_settings)
    request = PlanRequest(BEHIND | {"share"})
    with target.workspace() as workspace:
        if new == "link":
            (workspace.tree / "share").symlink_to("q")
        else:
            write(workspace.tree, {"share/d/both": b"2"})

        def prepare(_changed: Changed) -> Prepared:
            return Prepared(make_plan(workspace, request, exchange=True))

        target.commit(workspace, "test", prepare)
    expected = {"share": Link("q")} if new == "link" else {"share/d/both": b"2"}
    assert tree(prefix, ignore=STATE) == {**expected, "q": b""}
    assert tree(outside) == before


def test_lasting_directories_are_kept_empty(tmp_path: Path) -> None:
    write(tmp_path, {"bin/a": b"", "share/b/c": b""})
    replaced = frozenset({"bin/a", "share/b/c"})
    bring(tmp_path, {}, PlanRequest(replaced, lasting=frozenset({"bin"})))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bin", "var"]


def test_directory_that_may_not_be_removed_is_left_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The prefix itself is root's, say, and what is in it ours."""
    write(tmp_path, {"share/man/man1/a": b"", "q": b""})
    access, share = os.access, str(tmp_path / "share")
    monkeypatch.setattr(os, "access", lambda p, mode: p != str(tmp_path) and access(p, mode))
    monkeypatch.setattr(files, "can_move_directory", lambda path, _: path != share)
    done = bring(tmp_path, {}, PlanRequest(frozenset({"share/man/man1/a"})))
    assert ("prune", "share") not in operations(done)
    assert tree(tmp_path, ignore=STATE) == {"share": EMPTY, "q": b""}


def test_directory_that_another_user_made_is_left_empty_where_only_he_may_remove_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the sticky bit of a shared prefix one removes one's own only."""
    write(tmp_path, {"share/man/man1/a": b"", "share/q": b""})
    man, removed = str(tmp_path / "share" / "man"), os.rmdir

    def rmdir(path: str, **options: int) -> None:
        if path == man:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), path)
        removed(path, **options)

    monkeypatch.setattr(os, "rmdir", rmdir)
    monkeypatch.setattr(files, "can_move_directory", lambda path, _: path != man)
    bring(tmp_path, {}, PlanRequest(frozenset({"share/man/man1/a"})))
    assert tree(tmp_path, ignore=STATE) == {"share/man": EMPTY, "share/q": b""}


def test_empty_directory_of_another_owner_stays(tmp_path: Path) -> None:
    write(tmp_path, {"var/spool/mine/a": b"a"})
    others = Owned()("var/spool/mine", "b")  # b staged it empty
    bring(tmp_path, {}, PlanRequest(frozenset({"var/spool/mine/a"}), others))
    assert tree(tmp_path / "var" / "spool") == {"mine": EMPTY}


def test_directories_that_hold_nothing_go_with_the_one_they_lie_in(tmp_path: Path) -> None:
    """As with pip; by rmdir(2) each, so that what somebody puts there meanwhile stays."""
    write(tmp_path, {"lib/p/a.py": b"", "lib/q": b""})
    (tmp_path / "lib/p/cache/one").mkdir(parents=True)
    done = bring(tmp_path, {}, PlanRequest(frozenset({"lib/p/a.py"})))
    assert ("remove", "lib/p") not in operations(done)
    assert ("prune", "lib/p/cache/one") in operations(done)
    assert tree(tmp_path, ignore=STATE) == {"lib/q": b""}


def test_directories_that_hold_nothing_stay_beside_those_of_what_goes(tmp_path: Path) -> None:
    """As with pip: nothing was recorded there, and a program may be about to fill them."""
    write(tmp_path, {"lib/p/a.py": b"", "share/p/doc/text": b""})
    for name in ("share/mine/one", "share/p/doc/made", "lib/q"):
        (tmp_path / name).mkdir(parents=True)
    bring(tmp_path, {}, PlanRequest(frozenset({"lib/p/a.py", "share/p/doc/text"})))
    assert tree(tmp_path, ignore=STATE) == {"share/mine/one": EMPTY, "lib/q": EMPTY}


def test_nothing_is_left_of_directories_where_python_kept_byte_code(tmp_path: Path) -> None:
    """Also where it is the only thing there, or one beside others that hold nothing."""
    write(tmp_path, {"lib/p/a.py": b"", "lib/q": b""})
    for name in ("lib/p/__pycache__", "lib/p/cache", "lib/p/gone/__pycache__"):
        (tmp_path / name).mkdir(parents=True)
    bring(tmp_path, {}, PlanRequest(frozenset({"lib/p/a.py"})))
    assert tree(tmp_path, ignore=STATE) == {"lib/q": b""}


def test_directories_that_hold_nothing_are_there_again_where_their_removal_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"lib/p/a.py": b"", "lib/p/b/c.py": b""})
    for name in ("lib/p/b/__pycache__", "lib/p/cache/one", "lib/p/gone/__pycache__"):
        (tmp_path / name).mkdir(parents=True)
    before = tree(tmp_path, ignore=STATE)
    request = PlanRequest(frozenset({"lib/p/a.py", "lib/p/b/c.py"}))
    for number in range(1, 40):
        monkeypatch.setattr(failpoints, "_fail_point", failpoints._FailPoint(f"ENOSPC@{number}"))
        with contextlib.suppress(TransactionError, OSError):
            bring(tmp_path, {}, request)
            break
        assert tree(tmp_path, ignore=STATE) == before
    assert tree(tmp_path, ignore=STATE) == {}


def test_directories_that_hold_nothing_may_lie_in_one_another(tmp_path: Path) -> None:
    """Each is looked at once: their number is not squared."""
    write(tmp_path, {"lib/p/a.py": b"", "lib/q": b""})
    deep = f"lib/p{400 * '/d'}"
    (tmp_path / deep).mkdir(parents=True)
    asked: list[str] = []

    class Asked(Owned):
        def owners(self, path: str) -> frozenset[str]:
            asked.append(path)
            return super().owners(path)

    bring(tmp_path, {}, PlanRequest(frozenset({"lib/p/a.py"}), ownership=Asked()))
    assert tree(tmp_path, ignore=STATE) == {"lib/q": b""}
    assert asked.count("lib") < 20


def test_something_of_others_is_found_without_a_look_at_all_their_directories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As caches have them: many directories of directories, and files in the last."""
    files_of_others = {f"share/cache/{n}/{n}/{n}/file": b"" for n in range(40)}
    write(tmp_path, {"share/p.txt": b"", **files_of_others})
    looked: list[object] = []
    scandir = os.scandir

    def noted(path: str | int) -> Iterator[os.DirEntry[str]]:
        looked.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", noted)
    bring(tmp_path, {}, PlanRequest(frozenset({"share/p.txt"})))
    assert len(looked) < 40
    assert tree(tmp_path, ignore=STATE) == files_of_others


def test_directory_that_somebody_removes_meanwhile_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its maker is at work there; what holds something else than ours is left to him."""
    write(tmp_path, {"lib/p/a.py": b"", "lib/p/b/c.py": b"", "lib/q": b""})
    scandir = os.scandir
    package = tmp_path / "lib/p"

    def overtaken(path: str | int) -> Iterator[os.DirEntry[str]]:
        if path == str(package):
            (package / "work").mkdir(exist_ok=True)
        elif path == str(package / "work"):
            (package / "work").rmdir()
        return scandir(path)

    monkeypatch.setattr(os, "scandir", overtaken)
    bring(tmp_path, {}, PlanRequest(frozenset({"lib/p/a.py", "lib/p/b/c.py"})))
    assert tree(tmp_path, ignore=STATE) == {"lib/q": b""}


def test_records_may_name_what_no_file_can_be_called(tmp_path: Path) -> None:
    """Too long, or behind a link that leads round in a circle: nothing is there."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/round").symlink_to("round")
    write(tmp_path, {"lib/p/a": b"1", "lib/q": b""})
    names = ("lib/" + 256 * "n", "lib/" + 30 * (250 * "d" + "/") + "x", "lib/round/x")
    bring(tmp_path, {}, PlanRequest(frozenset({"lib/p/a", *names})))
    assert tree(tmp_path, ignore=STATE) == {"lib/q": b"", "lib/round": Link("round")}
