"""In which order things are done, and when a plan is made again."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.engine import failpoints, files
from sage_pkginstall.engine.plan import PlanRequest
from sage_pkginstall.engine.planner import make_plan
from sage_pkginstall.engine.tree import Prepared, Tree, TreeSettings
from sage_pkginstall.errors import ConflictError, TransactionError
from tests.engine_tree import STATE, write
from tests.planning import Owned, bring, operations
from tests.trees import EMPTY, Link, tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sage_pkginstall.engine.holder import Changed


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


def overtake(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Let somebody who needs no lock of ours act, once: between our last look and our renames."""
    actions = [act]

    def step(path: str) -> None:
        if path.endswith("sage/journal") and actions:
            actions.pop()()

    monkeypatch.setattr(failpoints, "_fail_point", step)


@pytest.mark.parametrize("exchange", [True, False])
@pytest.mark.parametrize("made", ["lib/q/theirs", "share", "share/p/theirs"])
def test_directory_that_somebody_makes_between_the_last_look_and_its_rename_is_merged_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: str, *, exchange: bool
) -> None:
    if not exchange:
        monkeypatch.setattr(files, "_rename_with_flags", None)
    write(tmp_path, {"lib/p/a.py": b"1", "lib/p/b.py": b"1", "lib/r": b""})
    new = {"lib/p/a.py": b"2", "lib/q/b.py": b"2", "share/p/text": b"2"}
    overtake(monkeypatch, partial((tmp_path / made).mkdir, parents=True))
    bring(tmp_path, new, PlanRequest(frozenset({"lib/p/a.py", "lib/p/b.py"})))
    theirs = {} if made == "share" else {made: EMPTY}
    assert tree(tmp_path, ignore=STATE) == {**new, **theirs, "lib/r": b""}


@pytest.mark.parametrize("new", [{"share/p/text": b"2"}, {}], ids=["upgraded", "removed"])
def test_what_somebody_makes_beside_the_only_package_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new: dict[str, bytes]
) -> None:
    """Where only directories lie, ``share`` say, nothing is the package's own but its own one."""
    write(tmp_path, {"share/p/text": b"1", "lib/q": b""})
    overtake(monkeypatch, partial(write, tmp_path, {"share/theirs/file": b""}))
    bring(tmp_path, new, PlanRequest(frozenset({"share/p/text"})))
    assert tree(tmp_path, ignore=STATE) == {**new, "share/theirs/file": b"", "lib/q": b""}


@pytest.mark.parametrize("lost", ["share", "lib/p"], ids=["placed", "exchanged"])
def test_what_is_staged_and_lost_after_the_last_look_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """To plan again would bring less than was asked for."""
    write(tmp_path, {"lib/p/a.py": b"1", "lib/q": b""})
    staged = f"var/tmp/sage/T-*/tree/{lost}"
    overtake(
        monkeypatch, lambda: [path.rename(tmp_path / "lost") for path in tmp_path.glob(staged)]
    )
    new = {"lib/p/a.py": b"2", "share/text": b"2"}
    with pytest.raises(TransactionError, match=rf"T-.*/tree/{lost}"):
        bring(tmp_path, new, PlanRequest(frozenset({"lib/p/a.py"})))
    there = tree(tmp_path, ignore=(*STATE, "lost"))
    assert there == {"lib/p/a.py": b"1", "lib/q": b""}
