"""Tests compare whole trees; so nothing in a tree may escape the comparison."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.trees import EMPTY, Entry, Link, modes, plant, tree

if TYPE_CHECKING:
    from pathlib import Path

ENTRIES: dict[str, Entry] = {
    "lib/p/a.py": b"new",
    "lib/p/.hidden": b"",
    "lib/odd\udcff\n name": b"\x00",
    "lib64": Link("lib"),
    "dangling": Link("/nowhere"),
    "var/tmp": EMPTY,
}


def test_tree_is_what_was_planted(tmp_path: Path) -> None:
    assert tree(plant(tmp_path / "t", ENTRIES)) == ENTRIES


def test_links_are_not_followed(tmp_path: Path) -> None:
    plant(tmp_path / "t", {"a/b": b"x", "c": Link("a")})
    assert tree(tmp_path / "t") == {"a/b": b"x", "c": Link("a")}


def test_ignored_paths_are_left_out_with_what_lies_below(tmp_path: Path) -> None:
    plant(tmp_path, {"var/lock/l": b"", "var/lockers": b"", "a": b""})
    assert tree(tmp_path, ignore=["var/lock"]) == {"var/lockers": b"", "a": b""}


def test_modes_of_files_and_directories(tmp_path: Path) -> None:
    plant(tmp_path, {"d/f": b"", "l": Link("d")})
    (tmp_path / "d" / "f").chmod(0o4755)
    (tmp_path / "d").chmod(0o750)
    assert modes(tmp_path) == {"d": 0o750, "d/f": 0o4755}


def test_a_tree_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        tree(tmp_path / "missing")


def test_what_is_neither_file_link_nor_directory_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TypeError):
        tree(tmp_path)
