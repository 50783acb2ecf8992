"""Whole trees as values, so that a test compares everything that is there.

    assert tree(prefix) == {"lib/p/a.py": b"new", "lib64": Link("lib"), "var/tmp": EMPTY}

Keys are paths relative to the tree with ``/`` between their parts; undecodable bytes are
surrogates, as everywhere in Python.  A directory is a key only if it is empty, because
otherwise what lies in it tells of it.  What cannot be read is an error, never left out.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["EMPTY", "Entry", "Link", "lose_a_staged_file", "modes", "plant", "tree"]


@dataclass(frozen=True)
class Link:
    """A symbolic link, with the text that it holds."""

    target: str


@dataclass(frozen=True)
class Empty:
    """A directory in which nothing lies."""


EMPTY = Empty()

Entry: TypeAlias = "bytes | Link | Empty"


def tree(root: Path, *, ignore: Iterable[str] = ()) -> dict[str, Entry]:
    """Everything below ``root``, but for the paths in ``ignore`` and what lies below them."""
    return {
        name: _entry(entry)
        for name, entry in _walk(root, frozenset(ignore))
        if not entry.is_dir(follow_symlinks=False) or _is_empty(entry)
    }


def modes(root: Path, *, ignore: Iterable[str] = ()) -> dict[str, int]:
    """The permission bits of every file and directory below ``root``; links have none."""
    return {
        name: stat.S_IMODE(entry.stat(follow_symlinks=False).st_mode)
        for name, entry in _walk(root, frozenset(ignore))
        if not entry.is_symlink()
    }


def plant(root: Path, entries: Mapping[str, Entry]) -> Path:
    """Make ``entries`` below ``root``, the inverse of `tree`; returns ``root``."""
    root.mkdir(parents=True, exist_ok=True)
    for name, entry in entries.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(entry, Link):
            path.symlink_to(entry.target)
        elif isinstance(entry, Empty):
            path.mkdir()
        else:
            path.write_bytes(entry)
    return root


def _walk(root: Path, ignore: frozenset[str]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    pending = [""]
    while pending:
        directory = pending.pop()
        with os.scandir(root / directory) as entries:
            for entry in entries:
                name = f"{directory}{entry.name}"
                if name in ignore:
                    continue
                yield name, entry
                if entry.is_dir(follow_symlinks=False):
                    pending.append(f"{name}/")


def _entry(entry: os.DirEntry[str]) -> Entry:
    if entry.is_symlink():
        return Link(str(Path(entry).readlink()))
    if entry.is_dir():
        return EMPTY
    if not entry.is_file():
        msg = f"{entry.path} is neither file, link nor directory"
        raise TypeError(msg)
    return Path(entry).read_bytes()


def _is_empty(entry: os.DirEntry[str]) -> bool:
    with os.scandir(entry) as entries:
        return next(entries, None) is None


def lose_a_staged_file(prefix: Path) -> None:
    """Take away what a transaction that was killed was to place next: it cannot be finished."""
    journal = json.loads((prefix / "var/tmp/sage/journal").read_bytes())
    slots = [prefix / slot for kind, _, slot, *_ in journal["operations"] if kind == "place"]
    next(slot for slot in slots if slot.exists()).rename(prefix.with_name("lost"))
