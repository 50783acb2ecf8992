"""Nothing that is read from a file brings about more than a result or an error of ours.

A short run of ``python -m benchmarks.fuzz``; the inputs are the same in every run.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT
from tests.torture.poison import FEEDS

if TYPE_CHECKING:
    from tests.torture.conftest import TellFigures

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("feed", FEEDS)
def test_poison_is_taken_or_refused(feed: str, tell_figures: TellFigures) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.fuzz", "--examples", "60", feed],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert " 0 findings" in ended.stdout
    tell_figures(ended.stdout.splitlines()[0])
