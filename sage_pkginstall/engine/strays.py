"""What others put into a directory after the last look at it, before it was moved out.

They take no lock, and it took some milliseconds.  On disk, once a plan is carried out: the old
directories in the workspace, and in them what nobody knew of.  That is brought to its path in the
prefix, before the old directories are deleted.
"""

from __future__ import annotations

import contextlib
import os

from sage_pkginstall.engine import files
from sage_pkginstall.engine.paths import bytecode_source, join

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sage_pkginstall.engine.plan import Plan

__all__ = ["bring_back_strays"]


def bring_back_strays(prefix: Path, plan: Plan) -> None:
    """Bring back what came into directories that ``plan``, which is carried out, moved out.

    Not byte-code, nor what the new version has by the same name.  Directories that did not change
    cost one look each.
    """
    below = os.path.join(prefix, "")
    seen = {evidence.directory.removeprefix(below) for evidence in plan.evidence}
    with contextlib.suppress(OSError):  # the plan is carried out, come what may
        for directory, place in _changed(below, plan):
            for name in os.listdir(place):
                path = join(directory, name)
                is_known = path in seen or path in plan.replaced or bytecode_source(path)
                if not is_known and "__pycache__" not in path.split("/"):
                    _bring(f"{place}/{name}", below + path)


def _changed(below: str, plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield the directories moved out which are not as they were looked at: path and place."""
    moved = {one.path: one.slot for one in plan.operations if one.kind in {"swap", "remove"}}
    for evidence in plan.evidence:
        path = directory = evidence.directory.removeprefix(below)
        while path and path not in moved:
            path = os.path.dirname(path) if path != "/" else ""
        if path:
            place = os.path.join(below, moved[path]) + directory[len(path) :]
            status = files.lstat(place)
            if status is not None and status.st_mtime_ns != evidence.modified:
                yield directory, place


def _bring(stray: str, path: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    try:
        files.rename_new(stray, path)
    except FileExistsError:
        if os.path.isdir(path) and os.path.isdir(stray) and not os.path.islink(stray):
            for name in os.listdir(stray):
                _bring(f"{stray}/{name}", f"{path}/{name}")
