"""What was once found out about a file, as long as it is the same file.

CACHE/tools/CRC.json      {"identity": [path, device, inode, size, times …], "facts": {…}}
"""

from __future__ import annotations

import json
from zlib import crc32

from sage_pkginstall.environment import cache_directory, read_cached, write_cached

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["remembered"]


def remembered(
    path: Path, ask: Callable[[], dict[str, str]], called: str | None = None
) -> dict[str, str]:
    """Return what ``ask`` says of the file ``path``, asked again only if that changed.

    ``called`` tells apart what is asked of one file.  Raises OSError without the file, and
    what ``ask`` raises.
    """
    status = path.stat()
    times = [status.st_mtime_ns, status.st_ctime_ns]
    identity = [str(path), called, status.st_dev, status.st_ino, status.st_size, *times]
    file = cache_directory() / "tools" / f"{crc32(repr((str(path), called)).encode()):08x}.json"
    try:
        known = json.loads(read_cached(file))
        if known["identity"] == identity:
            facts: dict[str, str] = {str(k): str(v) for k, v in known["facts"].items()}
            return facts
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # it is asked again
    facts = ask()
    write_cached(file, json.dumps({"identity": identity, "facts": facts}).encode())
    return facts
