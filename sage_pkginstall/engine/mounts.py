"""Mount points: no rename crosses one, even between two of one file system.

A bind mount has the device of the file system that it comes from, so ``st_dev`` does not tell.
And a directory can be renamed with a mount point below it, which goes along, out of the prefix.
"""

from __future__ import annotations

import os
import re

__all__ = ["mount_points"]

_ESCAPED = re.compile(rb"\\([0-7]{3})")  # blanks, line breaks and backslashes: proc(5)


def mount_points() -> frozenset[str]:
    """Return where something is mounted, absolute paths; nothing where no system tells."""
    try:
        with open("/proc/self/mountinfo", "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return frozenset()
    places = (_ESCAPED.sub(_unescape, line.split(b" ")[4]) for line in lines)
    return frozenset(map(os.fsdecode, places))


def _unescape(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 8) & 0xFF])
