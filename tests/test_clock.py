"""What changed within one tick of the clock counts as changed."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.engine.clock import file_time, is_settled
from sage_pkginstall.engine.plan import Evidence

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("changed", "now", "settled"),
    [
        (5, 5, False),
        (5, 4, False),
        (5, 6, True),
        (SECOND, SECOND + 1, False),  # seconds only: it may change within them once more
        (SECOND, 4 * SECOND, True),
    ],
)
def test_change_is_settled_when_the_clock_has_gone_on(
    changed: int, now: int, *, settled: bool
) -> None:
    assert is_settled(changed, now) is settled


def test_no_file_changes_before_file_time(tmp_path: Path) -> None:
    before = file_time()
    (tmp_path / "a").touch()
    assert (tmp_path / "a").stat().st_ctime_ns >= before


def test_evidence_from_the_tick_of_a_change_does_not_hold(tmp_path: Path) -> None:
    for number in range(20):  # a tick may begin between the two
        (tmp_path / str(number)).touch()
        if Evidence.of(str(tmp_path)).holds():
            time.sleep(0.003)
        else:
            return
    pytest.fail("a change right after looking could go unseen")


def test_evidence_ends_with_a_change_whose_time_was_set_back(tmp_path: Path) -> None:
    time.sleep(0.05)
    evidence = Evidence.of(str(tmp_path))
    assert evidence.holds()
    modified = tmp_path.stat().st_mtime_ns
    (tmp_path / "mine").touch()
    os.utime(tmp_path, ns=(modified, modified))
    assert not evidence.holds()
