"""Signals that wait while something is done that is not to be interrupted."""

from __future__ import annotations

import contextlib
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["signals_deferred"]

_DEFERRED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def signals_deferred() -> Iterator[None]:
    """Let Ctrl-C and friends wait for the few milliseconds that applying takes.

    They are blocked in this thread.  Where there are others, one of these gets them, and Python
    runs their handlers here all the same: so they are only noted meanwhile.
    """
    threading = sys.modules.get("threading")  # without it there is the main thread only
    if threading and threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handlers: dict[signal.Signals, Callable[..., object] | int] = {}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _DEFERRED)
    try:
        if threading and threading.active_count() > 1:
            _note_in(came, handlers)
        yield
    finally:
        try:
            for number, handler in reversed(handlers.items()):  # the last is Ctrl-C: that raises
                signal.signal(number, handler)
            for late in dict.fromkeys(came):
                signal.raise_signal(late)  # blocked still: all of them come together
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _note_in(came: list[int], handlers: dict[signal.Signals, Callable[..., object] | int]) -> None:
    """Have the deferred signals that are not ignored only noted; tell their handlers."""
    for number in _DEFERRED:
        handler = signal.getsignal(number)
        if handler not in {None, signal.SIG_IGN}:  # None: not one of Python's
            handlers[number] = handler
            signal.signal(number, lambda number, _frame: came.append(number))
