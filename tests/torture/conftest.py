"""Figures of the proof suites: told after the run, whoever ran them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

FIGURES = "figures"


class TellFigures(Protocol):
    """Keep one line of figures for the end of the run."""

    def __call__(self, line: str) -> None: ...


@pytest.fixture
def tell_figures(request: pytest.FixtureRequest) -> TellFigures:
    """How a suite hands on what it counted; see `TellFigures`."""

    def tell(line: str) -> None:
        request.node.user_properties.append((FIGURES, line))

    return tell


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure no process of these tests: what coverage does there is killed and fails, too."""
    for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each run do the same: a wheel is not found where an earlier one kept it."""
    monkeypatch.setenv("SAGE_PKGINSTALL_PACKS", "no")


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print the figures, in the order in which the tests ended."""
    reports = [
        report
        for outcome in ("passed", "failed", "xfailed")
        for report in terminalreporter.stats.get(outcome, [])
    ]
    lines = [
        f"{report.nodeid.rpartition('::')[2]}: {text}"
        for report in reports
        for name, text in report.user_properties
        if name == FIGURES
    ]
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)
