"""Tell whether something was written into a tree past its transactions.

A script may put files into the prefix itself, besides or instead of staging them.  Such a file
is new, and belongs to no package, or to one whose stamp is older than it: transactions bring
the stamp last.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sage_pkginstall.spkg.stamp import read_stamp
from sage_pkginstall.wheels.record_directory import STAMPS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["written_past"]

_NOT_SEARCHED = ("var",)
_MARGIN = 100_000_000  # nanoseconds; the clock of a file system is behind


def written_past(tree: Path, began: int) -> str | None:
    """Return a file of ``tree`` that was written since ``began`` and came in no transaction.

    ``began`` is in nanoseconds since 1970.  None means that there is no such file, byte-code
    aside; a file that another program put there meanwhile counts, too.
    """
    since = began - _MARGIN
    changed = {path: _changed(tree / path) for path in _files(os.fspath(tree), "")}
    new = {path: when for path, when in changed.items() if when >= since}
    if not new:
        return None
    brought: dict[str, int] = {}
    for stamp in (tree / STAMPS).glob("*-*"):
        when = _changed(stamp)
        if when >= since:
            brought.update(dict.fromkeys(read_stamp(stamp).files or (), when))
    return next((path for path in sorted(new) if brought.get(path, 0) < new[path]), None)


def _changed(path: Path) -> int:
    try:
        return path.lstat().st_ctime_ns
    except FileNotFoundError:
        return 0


def _files(root: str, below: str) -> Iterator[str]:
    try:
        with os.scandir(os.path.join(root, below)) as found:  # noqa: PTH118 -- thousands
            entries = list(found)
    except FileNotFoundError:  # gone meanwhile
        return
    for entry in entries:
        path = below + entry.name
        if entry.is_dir(follow_symlinks=False):
            if path not in _NOT_SEARCHED and entry.name != "__pycache__":
                yield from _files(root, path + "/")
        else:
            yield path
