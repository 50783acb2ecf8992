"""Why a package was installed the last time, as far as the log tells."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from sage_pkginstall.operations.history import Transaction
from sage_pkginstall.reports.facts import why_installed
from tests.trees import plant

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunCli


def past(*labels: str) -> tuple[Transaction, ...]:
    """One transaction after the other: ``install package foo-1``; with a ``!`` it failed."""
    clock = itertools.count(1000.0)
    return tuple(
        Transaction(
            ended=next(clock),
            prefix="/p",
            uid=0,
            pid=1,
            label=label.rstrip("!"),
            result="failed" if label.endswith("!") else "done",
            package=label.split()[2].partition("-")[0],
        )
        for label in labels
    )


ONE, TWO, BAR = "install package foo-1", "install package foo-2", "install package bar-1"


def test_nothing_is_said_without_a_log() -> None:
    assert why_installed("foo", past(BAR), ()) == ""
    assert why_installed("foo", past(ONE, "remove package foo"), ()) == ""


def test_first_installation() -> None:
    assert why_installed("foo", past(BAR, ONE), ("bar",)) == "nothing is known of an earlier one"


def test_other_version_comes_before_a_newer_dependency() -> None:
    assert why_installed("foo", past(ONE, BAR, TWO), ("bar",)) == "before it was foo-1"


def test_newer_dependency() -> None:
    transactions = past(ONE, BAR, "install package baz-1", ONE)
    assert why_installed("foo", transactions, ("bar",)) == "bar had been installed after it"


def test_dependency_that_failed_to_install_is_no_reason() -> None:
    answer = why_installed("foo", past(ONE, f"{BAR}!", ONE), ("bar",))
    assert answer == "it was asked for, with no other version than before"


def test_removal_before() -> None:
    assert why_installed("foo", past(ONE, "remove package foo", ONE), ()) == "it had been removed"


def test_failed_installation_does_not_count() -> None:
    answer = why_installed("foo", past(ONE, f"{TWO}!"), ())
    assert answer == "nothing is known of an earlier one"


def test_prefix_without_python_answers_for_its_packages(tmp_path: Path, run_cli: RunCli) -> None:
    stamp = b'{"files": ["share/x"], "install_date": "today"}'
    plant(tmp_path, {"var/lib/sage/installed/data-1": stamp, "share/x": b"12345"})
    for words, output in (
        (("show", "data"), "package data 1\n  installed:  today\n  files:      1, 5 B\n"),
        (("files", "data"), "share/x\n"),
        (("owner", "share/x"), "share/x: package data-1\n"),
        (("status",), None),
    ):
        ended = run_cli(words[0], "--prefix", tmp_path, *words[1:])
        assert output is None or ended.stdout == output
