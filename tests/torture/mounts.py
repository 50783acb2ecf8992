"""File systems for the length of a ``with`` statement; mounting needs root."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["bound", "mount", "mounted", "overlay", "unmount"]


def mount(path: Path, kind: str, options: str, device: str = "none") -> None:
    """Mount a file system of ``kind`` at ``path``, or skip the test where that is forbidden."""
    path.mkdir(exist_ok=True)
    words = ["mount", "-t", kind, "-o", options, device, str(path)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    if ended.returncode:
        pytest.skip(f"cannot mount {kind}: {ended.stderr.strip()}")


def unmount(path: Path) -> None:
    """Take away what is mounted at ``path``, even if it is in use."""
    subprocess.run(["umount", "-l", str(path)], capture_output=True, check=True)


@contextlib.contextmanager
def mounted(path: Path, kind: str, options: str, device: str = "none") -> Iterator[Path]:
    """Mount a file system for the length of a ``with`` statement."""
    mount(path, kind, options, device)
    try:
        yield path
    finally:
        unmount(path)


@contextlib.contextmanager
def bound(source: Path, path: Path) -> Iterator[None]:
    """Show a directory at another place, too, for the length of a ``with`` statement."""
    words = ["mount", "--bind", str(source), str(path)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    if ended.returncode:
        pytest.skip(f"cannot bind: {ended.stderr.strip()}")
    try:
        yield
    finally:
        unmount(path)


def overlay(lower: Path, upper: Path) -> str:
    """Return the options of an overlay: changes of ``lower`` go to directories in ``upper``."""
    for name in ("changes", "work"):
        (upper / name).mkdir(parents=True)
    return f"lowerdir={lower},upperdir={upper / 'changes'},workdir={upper / 'work'}"
