"""File systems for the length of a ``with`` statement; mounting needs root."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["mounted", "overlaid"]


@contextlib.contextmanager
def mounted(path: Path, kind: str, options: str) -> Iterator[Path]:
    """Mount a file system of ``kind`` at ``path``, or skip the test where that is forbidden."""
    path.mkdir(exist_ok=True)
    words = ["mount", "-t", kind, "-o", options, kind, str(path)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    if ended.returncode:
        pytest.skip(f"cannot mount {kind}: {ended.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


@contextlib.contextmanager
def overlaid(lower: Path, merged: Path, upper: Path) -> Iterator[Path]:
    """Mount an overlay at ``merged``: changes of ``lower`` go to a directory in ``upper``."""
    for name in ("changes", "work"):
        (upper / name).mkdir(parents=True)
    options = f"lowerdir={lower},upperdir={upper / 'changes'},workdir={upper / 'work'}"
    with mounted(merged, "overlay", options) as path:
        yield path
