"""The examples of the README and the manual do what they say.

Each page is worked through from top to bottom in a directory of its own, in which a
folder ``wheels`` with some tiny wheels lies, and a ``source``.  The result of a command is
compared with what the page shows, in which ``...`` stands for anything.
"""

from __future__ import annotations

import os
import subprocess
import sys
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, OutputChecker
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.examples import console, python

PAGES = [
    page
    for page in sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
    if console(page) or python(page)
]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where a reader sits, with the tool on PATH and wheels at hand."""
    made = [sys.executable, "-m", "tests.examples", str(tmp_path)]  # as the tutorial has it
    subprocess.run(made, cwd=ROOT, check=True)
    directories = [ROOT / "build" / "bin", Path(sys.executable).parent]
    path = os.pathsep.join([*map(str, directories), os.environ["PATH"]])
    monkeypatch.setenv("PATH", path)
    monkeypatch.setenv("SAGE_PKGINSTALL_PYTHON", sys.executable)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_do_what_the_page_says(
    page: Path, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for command in console(page):
        ended = subprocess.run(
            ["bash", "-c", command.line],
            cwd=desk,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        printed = ended.stdout
        assert ended.returncode == 0 or command.output, f"{command.line}\n{printed}"
        if command.output:
            matches = OutputChecker().check_output(
                command.output, printed, ELLIPSIS | NORMALIZE_WHITESPACE
            )
            assert matches, f"{command.line}\nthe page says:\n{command.output}\nit is:\n{printed}"
    for code in python(page):
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        subprocess.run([sys.executable, "-c", code], cwd=desk, check=True)


def test_there_are_examples() -> None:
    assert ROOT / "README.md" in PAGES
