"""Threads, where a user or a container may have only so many."""

from __future__ import annotations

import errno
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["started"]


def started(work: Callable[[], object], *, daemon: bool = False) -> threading.Thread:
    """Return a thread that does ``work``; nobody waits for the end of a ``daemon``.

    Raises OSError if there can be no other, as a fork does.
    """
    thread = threading.Thread(target=work, daemon=daemon)
    try:
        thread.start()
    except RuntimeError as error:
        reason = "no thread can be started: there are too many processes, or too little memory"
        raise BlockingIOError(errno.EAGAIN, reason) from error
    return thread
