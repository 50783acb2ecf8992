"""What was once found out about a file, as long as it is the same file.

CACHE/tools/CRC.json      {"identity": [path, device, inode, size, times …], "facts": {…},
                           "others": [the same of other files, or null for one that is missing]}
"""

from __future__ import annotations

import json
import os
from zlib import crc32

from sage_pkginstall.user_cache import cache_directory, read_cached, write_cached

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

__all__ = ["remembered"]


def remembered(
    path: Path,
    ask: Callable[[], dict[str, str]],
    called: str | None = None,
    others: Collection[str] = (),
) -> dict[str, str]:
    """Return what ``ask`` says of the file ``path``, asked again only if that changed.

    ``called`` tells apart what is asked of one file, and ``others`` are the facts that name
    further files of which it is told: it is asked again if one of those changed, too.  Raises
    OSError without the file, and what ``ask`` raises: then nothing is remembered.
    """
    status = path.stat()
    identity = [str(path), called, *_identity(status)]
    file = cache_directory() / "tools" / f"{crc32(repr((str(path), called)).encode()):08x}.json"
    try:
        known = json.loads(read_cached(file))
        if known["identity"] == identity:
            facts: dict[str, str] = {str(k): str(v) for k, v in known["facts"].items()}
            if known["others"] == _identities(facts, others):
                return facts
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # it is asked again
    facts = ask()
    content = {"identity": identity, "facts": facts, "others": _identities(facts, others)}
    write_cached(file, json.dumps(content).encode())
    return facts


def _identities(facts: dict[str, str], names: Collection[str]) -> list[list[int] | None]:
    return [_identity_of(facts[name]) for name in names]


def _identity_of(path: str) -> list[int] | None:
    try:
        return _identity(os.stat(path))  # noqa: PTH116 -- hot
    except (OSError, ValueError):
        return None


def _identity(status: os.stat_result) -> list[int]:
    times = (status.st_mtime_ns, status.st_ctime_ns)
    return [status.st_dev, status.st_ino, status.st_size, *times]
