"""What a plan places, swaps, removes, leaves alone and refuses."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.engine import failpoints, files
from sage_pkginstall.engine.planner import PlanRequest, bytecode_source, make_plan
from sage_pkginstall.engine.tree import Committed, Prepared, Tree, TreeSettings
from sage_pkginstall.errors import ConflictError
from tests.engine_tree import STATE, commit, write
from tests.trees import EMPTY, Link, tree

if TYPE_CHECKING:
    from pathlib import Path

    from sage_pkginstall.engine.holder import Changed


class Owned:
    """Other people's files."""

    def __init__(self, **_owners: str) -> None:
        self.files: dict[str, frozenset[str]] = {}

    def __call__(self, path: str, *owners: str) -> Owned:
        self.files[path] = frozenset(owners)
        return self

    def owners(self, path: str) -> frozenset[str]:
        return self.files.get(path, frozenset())

    def others_within(self, directory: str) -> bool:
        return any(path.startswith(directory + "/") for path in self.files)


def bring(prefix: Path, new: dict[str, bytes], request: PlanRequest | None = None) -> Committed:
    settings = TreeSettings(durable=False)
    return commit(Tree(prefix, settings), new, request or PlanRequest())


def operations(committed: Committed) -> list[tuple[str, str]]:
    return [(o.kind, o.path) for o in committed.plan.operations]


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


@pytest.mark.parametrize(("link", "directory"), [("a", "b"), ("b", "a")])
@pytest.mark.parametrize("staged", ["x", ""], ids=["upgraded", "removed"])
def test_directory_that_a_link_leads_to_is_not_moved_as_a_whole(
    tmp_path: Path, link: str, directory: str, staged: str
) -> None:
    """What comes through the link would go with the old directory."""
    write(tmp_path, {f"{directory}/x": b"1", f"{directory}/y": b"1", "q": b""})
    (tmp_path / link).symlink_to(directory)
    new = {f"{link}/new": b"2", **({f"{directory}/x": b"2"} if staged else {})}
    replaced = frozenset({f"{directory}/x", f"{directory}/y"})
    bring(tmp_path, new, PlanRequest(replaced))
    assert tree(tmp_path, ignore=STATE) == {
        f"{directory}/new": b"2",
        **({f"{directory}/x": b"2"} if staged else {}),
        link: Link(directory),
        "q": b"",
    }


def test_link_to_the_prefix_itself_is_followed(tmp_path: Path) -> None:
    write(tmp_path, {"lib/x": b"1", "q": b""})
    (tmp_path / "self").symlink_to(".")
    bring(tmp_path, {"self/lib/new": b"2"}, PlanRequest(frozenset({"lib/x"})))
    assert tree(tmp_path, ignore=STATE) == {"lib/new": b"2", "self": Link("."), "q": b""}


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


def test_two_staged_names_of_one_path_are_refused(tmp_path: Path) -> None:
    write(tmp_path, {"lib/q": b""})
    (tmp_path / "lib64").symlink_to("lib")
    with pytest.raises(ConflictError, match="two staged entries"):
        bring(tmp_path, {"lib/a": b"1", "lib64/a": b"2"})


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


def test_ranks_order_what_comes_and_reverse_what_goes(tmp_path: Path) -> None:
    write(tmp_path, {"code1": b"", "info1": b""})
    request = PlanRequest(frozenset({"code1", "info1"}), rank=lambda p: p.startswith("info"))
    done = bring(tmp_path, {"info2": b"", "code2": b""}, request)
    assert operations(done) == [
        ("place", "code2"),
        ("place", "info2"),
        ("remove", "info1"),
        ("remove", "code1"),
    ]


def test_unreadable_directory_does_not_look_empty(tmp_path: Path) -> None:
    write(tmp_path, {"p/a.py": b"1", "p/sub/secret": b"user", "q": b""})
    (tmp_path / "p" / "sub").chmod(0)
    if os.access(tmp_path / "p" / "sub", os.R_OK):
        pytest.skip("this user reads everything")
    with pytest.raises(PermissionError):
        bring(tmp_path, {"p/a.py": b"2"}, PlanRequest(frozenset({"p/a.py"})))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("p/__pycache__/a.cpython-311.pyc", "p/a.py"),
        ("p/__pycache__/a.cpython-311.opt-2.pyc", "p/a.py"),
        ("__pycache__/a.b.pypy39.pyc", "a.b.py"),
        ("p/a.pyc", None),
        ("p/__pycache__/a.py", None),
        ("p/__pycache__/a.pyc", None),
        ("p/not__pycache__/a.cpython-311.pyc", None),
    ],
)
def test_source_of_bytecode(path: str, source: str | None) -> None:
    assert bytecode_source(path) == source


def test_plan_made_while_somebody_was_at_work_is_made_again(tmp_path: Path) -> None:
    """What that holder did after the plan looked may be nothing that a directory tells."""
    target = Tree(tmp_path, TreeSettings(durable=False))
    bring(tmp_path, {"lib/first": b""})
    plans = []
    with target.workspace() as workspace, contextlib.ExitStack() as stack:
        write(workspace.tree, {"lib/second": b""})
        stack.enter_context(target.locked("somebody"))

        def prepare(_changed: Changed) -> Prepared:
            plans.append(make_plan(workspace, PlanRequest(), exchange=True))
            stack.close()  # only now that one is done
            return Prepared(plans[-1])

        target.commit(workspace, "second", prepare)
    assert len(plans) == 2


def test_plan_is_made_under_the_lock_if_others_remove_what_it_is_made_from(tmp_path: Path) -> None:
    """As one that uninstalls the same distribution at the same time."""
    target = Tree(tmp_path, TreeSettings(durable=False))
    bring(tmp_path, {"lib/foo/a.py": b"", "lib/bar": b""})

    class Overtaken(Owned):
        def others_within(self, directory: str) -> bool:
            if directory == "lib/foo" and (tmp_path / directory).exists():
                bring(tmp_path, {}, PlanRequest(frozenset({"lib/foo/a.py"})))
            return super().others_within(directory)

    request = PlanRequest(frozenset({"lib/foo/a.py"}), ownership=Overtaken())
    with target.workspace() as workspace:
        write(workspace.tree, {"lib/new": b""})

        def prepare(_changed: Changed) -> Prepared:
            return Prepared(make_plan(workspace, request, exchange=True))

        target.commit(workspace, "foo", prepare)
    assert tree(tmp_path / "lib") == {"bar": b"", "new": b""}


@pytest.mark.parametrize("at_work", [True, False])
def test_what_is_refused_while_others_work_is_asked_again(tmp_path: Path, *, at_work: bool) -> None:
    target = Tree(tmp_path, TreeSettings(durable=False))
    bring(tmp_path, {"lib/first": b""})
    asked: list[Changed] = []
    with target.workspace() as workspace, contextlib.ExitStack() as stack:
        write(workspace.tree, {"lib/second": b""})
        if at_work:
            stack.enter_context(target.locked("somebody"))

        def prepare(changed: Changed) -> Prepared:
            stack.close()
            asked.append(changed)
            if len(asked) == 1:
                raise ConflictError("lib/second", "it is half there")
            return Prepared(make_plan(workspace, PlanRequest(), exchange=True))

        with contextlib.nullcontext() if at_work else pytest.raises(ConflictError):
            target.commit(workspace, "second", prepare)
    assert (tmp_path / "lib" / "second").exists() == at_work


@pytest.mark.parametrize(("theirs", "drafts"), [("lib/other", 1), ("lib/second", 2)])
def test_plan_made_again_is_drafted_again_only_if_it_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theirs: str, drafts: int
) -> None:
    target = Tree(tmp_path, TreeSettings(durable=False))
    bring(tmp_path, {"lib/first": b"", "lib/old": b""})
    steps: list[str] = []
    plans = []
    with target.workspace() as workspace:
        write(workspace.tree, {"lib/second": b"new"})

        def prepare(_changed: Changed) -> Prepared:
            request = PlanRequest(frozenset({"lib/old", "lib/second"}))
            plans.append(make_plan(workspace, request, exchange=True))
            if len(plans) == 1:
                bring(tmp_path, {theirs: b"theirs"})
                monkeypatch.setattr(failpoints, "_fail_point", steps.append)
            return Prepared(plans[-1])

        target.commit(workspace, "second", prepare)
        draft = str(workspace.path / "journal")
    assert len(plans) == 2
    assert steps.count(draft) == drafts + (drafts - 1)  # an old draft is unlinked
    assert tree(tmp_path / "lib")["second"] == b"new"
    assert not (tmp_path / "lib" / "old").exists()


def test_empty_directory_of_another_owner_stays(tmp_path: Path) -> None:
    write(tmp_path, {"var/spool/mine/a": b"a"})
    others = Owned()("var/spool/mine", "b")  # b staged it empty
    bring(tmp_path, {}, PlanRequest(frozenset({"var/spool/mine/a"}), others))
    assert tree(tmp_path / "var" / "spool") == {"mine": EMPTY}
