"""The clock that files are stamped with: it ticks every few milliseconds, or seconds.

A change within the tick in which a file or directory was looked at leaves no trace in its
times.  So what changed shortly before it was looked at counts as changed: it is not
*settled*.
"""

from __future__ import annotations

import sys
import time

__all__ = ["file_time", "is_settled"]

_COARSE_CLOCK = 5  # Linux: CLOCK_REALTIME_COARSE, what file times are taken from
_TICK = 20_000_000
_SECOND = 1_000_000_000


def file_time() -> int:
    """Return a time that every later change of a file is stamped with at the earliest."""
    if sys.platform == "linux":
        return time.clock_gettime_ns(_COARSE_CLOCK)
    return time.time_ns() - _TICK


def is_settled(changed: int, now: int) -> bool:
    """Tell whether a change after ``now`` surely has another time than ``changed``."""
    coarse = changed % _SECOND == 0  # a file system that keeps seconds only, or every other
    return now - changed > (2 * _SECOND if coarse else 0)
