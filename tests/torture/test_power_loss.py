"""After a power failure at any moment of a durable commit: the old state or the new one."""

from __future__ import annotations

import json
import random
import shutil
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.engine.tree import Tree, TreeSettings
from sage_pkginstall.errors import PkgInstallError
from tests import engine_tree
from tests.torture.power import Recording, lasting, possible, recorded, replay
from tests.trees import EMPTY, tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tests.torture.conftest import TellFigures
    from tests.trees import Entry

BEFORE: dict[str, Entry] = {**engine_tree.OLD, **engine_tree.OTHERS}
AFTER: dict[str, Entry] = {**engine_tree.NEW, **engine_tree.OTHERS}
GOING = ("lib/gone/void/deep", "lib/gone/void/__pycache__", "lib/gone/other")
STAYING = ("lib/foo/void", "lib/ns/void/deep")
FAILURES = [0, 5, 9, 13]  # the step that fails, so that the transaction is undone; 0: none
CASES = [
    pytest.param(1, marks=pytest.mark.slow, id="sample"),
    pytest.param(40, marks=pytest.mark.torture, id="many"),
]


@pytest.fixture(params=[True, False], ids=["exchange", "rename"])
def exchange(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def record(
    directory: Path,
    *,
    durable: bool,
    exchange: bool,
    fail_at: int = 0,
    made: Iterable[str] = (),
) -> Recording:
    """Record an upgrade; ``durable`` or not, everything is on the disk before it begins."""
    prefix = directory / "prefix"
    engine_tree.write(prefix, {**engine_tree.OLD, **engine_tree.OTHERS})
    for name in made:
        (prefix / name).mkdir(parents=True)
    recording = Recording(prefix, directory / "base", fail_at)
    with recorded(recording, exchange=exchange):
        settings = TreeSettings(durable=durable)
        try:
            _commit(Tree(prefix, settings), recording)
        except PkgInstallError:
            assert fail_at
    return recording


def _commit(prefix: Tree, recording: Recording) -> None:
    with prefix.workspace() as workspace:
        engine_tree.write(workspace.tree, engine_tree.NEW)
        exchange = prefix.can_exchange(workspace)
        if not prefix.settings.durable:
            recording.begin()
        engine_tree.commit_staged(prefix, workspace, engine_tree.request(), exchange=exchange)


def cuts(recording: Recording, chances: int) -> Iterator[tuple[int, frozenset[int]]]:
    """Yield moments, and sets of the steps before them that reached the disk."""
    chance = random.Random(1)  # noqa: S311 - to be repeated
    for moment in range(len(recording.steps) + 1):
        steps = recording.steps[:moment]
        sure = lasting(steps)
        unsure = sorted(set(range(moment)) - sure)
        yield moment, sure
        yield moment, frozenset(range(moment))
        for _ in range(chances):
            share = chance.random()
            kept = {number for number in unsure if chance.random() < share}
            yield moment, possible(steps, sure | kept)


def state_after(recording: Recording, kept: frozenset[int], disk: Path) -> dict[str, Entry]:
    """Return what recovery makes of a disk that holds these steps."""
    replay(recording, kept, disk)
    try:
        Tree(disk, TreeSettings(durable=False)).recover()
        state = tree(disk, ignore=("var",))
        debris = [path.name for path in (disk / "var" / "tmp" / "sage").iterdir()]
    finally:
        shutil.rmtree(disk)
    assert debris == []
    return state


@pytest.mark.parametrize("chances", CASES)
@pytest.mark.parametrize("fail_at", FAILURES)
def test_any_power_failure_recovers_to_old_or_new(
    tmp_path: Path, fail_at: int, chances: int, tell_figures: TellFigures, *, exchange: bool
) -> None:
    recording = record(tmp_path, durable=True, exchange=exchange, fail_at=fail_at)
    counts = count(recording, chances, (BEFORE, AFTER))
    tell_figures(f"{len(recording.steps)} steps, disks: {json.dumps(counts)}")
    assert counts["old"]


@pytest.mark.parametrize("chances", CASES)
@pytest.mark.parametrize("fail_at", [0, 15, 24])
def test_directories_that_hold_nothing_are_there_or_gone_after_a_power_failure(
    tmp_path: Path, fail_at: int, chances: int, tell_figures: TellFigures, *, exchange: bool
) -> None:
    made = (*GOING, *STAYING)
    recording = record(tmp_path, durable=True, exchange=exchange, fail_at=fail_at, made=made)
    before, after = BEFORE | dict.fromkeys(made, EMPTY), AFTER | dict.fromkeys(STAYING, EMPTY)
    counts = count(recording, chances, (before, after))
    tell_figures(f"{len(recording.steps)} steps, disks: {json.dumps(counts)}")
    assert counts["old"]


def count(
    recording: Recording, chances: int, allowed: tuple[dict[str, Entry], dict[str, Entry]]
) -> dict[str, int]:
    """Cut the power at every moment; return how often the old state came, and how often the new."""
    counts = {"old": 0, "new": 0}
    for moment, kept in cuts(recording, chances):
        state = state_after(recording, kept, recording.prefix.with_name("disk"))
        lost = [recording.steps[n] for n in range(moment) if n not in kept]
        assert state in allowed, f"cut after {recording.steps[:moment]}; lost: {lost}"
        counts["old" if state == allowed[0] else "new"] += 1
    return counts


@pytest.mark.slow
def test_without_flushes_power_failures_do_break_something(
    tmp_path: Path, tell_figures: TellFigures
) -> None:
    """The model has teeth: it finds what flushing is for."""
    recording = record(tmp_path, durable=False, exchange=True)
    disks = list(cuts(recording, 4))
    broken = [kept for _, kept in disks if is_broken(recording, kept, tmp_path / "disk")]
    tell_figures(f"{len(disks)} disks without flushes: {len(broken)} broken")
    assert broken


def is_broken(recording: Recording, kept: frozenset[int], disk: Path) -> bool:
    try:
        return state_after(recording, kept, disk) not in (BEFORE, AFTER)
    except (PkgInstallError, AssertionError):
        return True
