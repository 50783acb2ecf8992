"""Make room in a directory of the cache: what was not used for longest goes."""

from __future__ import annotations

import contextlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Callable

__all__ = ["make_room"]

_STALE = 3600.0  # seconds after which an unfinished file (*.new) belongs to nobody


def make_room(
    directory: str | os.PathLike[str],
    names: re.Pattern[str],
    limit: int,
    last_use: Callable[[os.stat_result], float],
) -> None:
    """Remove what was used least lately, until ``limit`` bytes are left.

    What killed writers left goes, too; and nothing but what has a name of ``names``, as a cache
    may be put where somebody has other files.  ``last_use`` says when a file was used, in seconds
    since 1970; infinity if it is now: such a file stays, and does not count.
    """
    entries = []
    for entry in os.scandir(directory):
        if not names.fullmatch(entry.name):
            continue
        with contextlib.suppress(FileNotFoundError):
            status = entry.stat(follow_symlinks=False)
            used = last_use(status)
            if used < float("inf"):
                entries.append((used, status.st_size, entry.path))
    now = max((used for used, _, _ in entries), default=0.0)
    for used, size, name in sorted(entries, reverse=True):
        limit -= size
        if limit < 0 or (name.endswith(".new") and used < now - _STALE):
            with contextlib.suppress(OSError):
                os.unlink(name)  # noqa: PTH108 -- of scandir
