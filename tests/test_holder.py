"""What the last holders of the lock changed, as the next one is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.engine.holder import changed_since, last_holder
from sage_pkginstall.engine.lock import LockSettings, TreeLock
from sage_pkginstall.engine.plan import PlanRequest
from sage_pkginstall.engine.planner import make_plan
from sage_pkginstall.engine.tree import Prepared, Tree, TreeSettings
from tests.engine_tree import write

if TYPE_CHECKING:
    from pathlib import Path

    from sage_pkginstall.engine.holder import Changed

FOO = frozenset({"foo-1.dist-info"})
BAR = frozenset({"bar-1.dist-info", "bar-2.dist-info"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "lock" / "pip3.lock"


def work(path: Path, changed: Changed) -> None:
    with TreeLock(path, "work", LockSettings(10.0)).hold() as held:
        held.changed = changed


def test_what_several_holders_changed_is_told_together(path: Path) -> None:
    work(path, None)
    before = last_holder(path)
    assert changed_since(before, last_holder(path)) == frozenset()
    work(path, FOO)
    work(path, BAR)
    assert changed_since(before, last_holder(path)) == FOO | BAR


def test_who_was_at_work_may_have_changed_things_since_it_was_seen(path: Path) -> None:
    with TreeLock(path, "work", LockSettings(10.0)).hold() as held:
        before = last_holder(path)
        held.changed = FOO
    work(path, BAR)
    assert changed_since(before, last_holder(path)) == FOO | BAR


def test_of_a_holder_that_tells_nothing_nothing_is_known(path: Path) -> None:
    work(path, FOO)
    before = last_holder(path)
    work(path, None)
    assert changed_since(before, last_holder(path)) is None
    before = last_holder(path)
    work(path, BAR)  # but of those after it
    assert changed_since(before, last_holder(path)) == BAR


def test_of_a_holder_that_failed_nothing_is_known(path: Path) -> None:
    work(path, FOO)
    before = last_holder(path)
    with (
        pytest.raises(ZeroDivisionError),
        TreeLock(path, "work", LockSettings(10.0)).hold(),
    ):
        raise ZeroDivisionError
    assert changed_since(before, last_holder(path)) is None


def test_of_a_holder_that_was_killed_nothing_is_known(path: Path) -> None:
    work(path, FOO)
    before = last_holder(path)
    with TreeLock(path, "killed", LockSettings(10.0)).hold():
        killed = path.with_name(f"{path.name}.holder").read_bytes()
    path.with_name(f"{path.name}.holder").write_bytes(killed)
    assert changed_since(before, last_holder(path)) is None
    work(path, BAR)
    assert changed_since(before, last_holder(path)) is None


def test_very_much_is_not_told(path: Path) -> None:
    work(path, FOO)
    before = last_holder(path)
    work(path, frozenset(f"foo{n}-1.dist-info" for n in range(1000)))
    assert changed_since(before, last_holder(path)) is None
    before = last_holder(path)
    for _ in range(100):
        work(path, BAR)
    assert changed_since(before, last_holder(path)) is None
    holder = path.with_name(f"{path.name}.holder")
    assert holder.stat().st_size < 20_000


def test_what_stands_beside_the_lock_may_be_damaged(path: Path) -> None:
    work(path, FOO)
    before = last_holder(path)
    holder = path.with_name(f"{path.name}.holder")
    text = holder.read_text()
    for damaged in ("", "[]", text.replace('"foo-1.dist-info"', "{}"), text[:-9]):
        holder.write_text(damaged)
        assert changed_since(before, last_holder(path)) in (None, frozenset())
        work(path, BAR)
        assert changed_since(before, last_holder(path)) is None


def test_who_plans_again_under_the_lock_is_told_what_others_changed(tmp_path: Path) -> None:
    tree = Tree(tmp_path, TreeSettings(durable=False))
    told: list[Changed] = []

    def commit(name: str, changes: Changed, meanwhile: frozenset[str] = frozenset()) -> None:
        with tree.workspace() as workspace:
            write(workspace.tree, {f"lib/{name}": b""})

            def prepare(changed: Changed) -> Prepared:
                told.append(changed)
                plan = make_plan(workspace, PlanRequest(), exchange=True)
                if len(told) == 1:
                    for other in sorted(meanwhile):
                        commit(other, frozenset({other}))
                return Prepared(plan, changes=changes)

            tree.commit(workspace, name, prepare)

    commit("first", frozenset())
    told.clear()
    commit("last", frozenset(), frozenset({"one", "two"}))
    assert told[-1] == frozenset({"one", "two"})
