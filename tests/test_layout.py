"""Entries that are nothing to be installed; bad ones stand in ``tests/hostile``."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from tests.foowheel import INFO, contents, foo, refusal
from tests.wheelmaker import Member

if TYPE_CHECKING:
    from pathlib import Path


def test_directory_entries_are_nothing(tmp_path: Path) -> None:
    path = foo(tmp_path, Member("empty/", mode=stat.S_IFDIR | 0o755), Member("a/"))
    assert "empty/" not in refusal(path)
    path = foo(tmp_path, Member("empty/", mode=stat.S_IFDIR | 0o755), Member("a/", mode=0))
    assert set(contents(path)) == {"foo.py", f"{INFO}/METADATA", f"{INFO}/WHEEL"}


def test_refused_deeper_than_plans_are_made(tmp_path: Path) -> None:
    """An upgrade would end with a RecursionError where a foreign file lies that deep."""
    path = foo(tmp_path, Member("a/" * 99 + "x.py"))
    assert "a/" * 99 + "x.py" in contents(path)
    path = foo(tmp_path, Member("a/" * 100 + "x.py"))
    assert refusal(path) == f"entry {'a/' * 20!r}… lies 100 directories deep"
