"""Commands that others overtake: at a moment that is known, and not left to chance."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.conftest import ROOT, START

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["overtaken"]

_OVERTAKEN = """
import subprocess, sys
root, opened = sys.argv[1:3]
before, words = sys.argv[3:sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1:]
sys.path.insert(0, root)
def overtake(event, given):
    if event == "open" and str(given[0]).endswith(opened) and before:
        command, before[:] = list(before), []
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
sys.addaudithook(overtake)
from sage_pkginstall.cli.main import main
sys.exit(main(words))
"""


def overtaken(
    words: list[str | Path], other: list[str | Path], opened: str = "foo-1.dist-info/RECORD"
) -> subprocess.CompletedProcess[str]:
    """Run a command, and when it opens a file of that name another one, to its end."""
    start = [sys.executable, "-I", "-c"]
    return subprocess.run(
        [*start, _OVERTAKEN, ROOT, opened, *start, START, ROOT, *other, "--", *words],
        capture_output=True,
        text=True,
        check=False,
    )
