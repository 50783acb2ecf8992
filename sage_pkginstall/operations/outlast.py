"""Run a command that must not go on without us: whatever comes, we end after it.

The kernel drops a lock with its holder.  A command that went on without one would change
what the next holder changes; and one that works in our workspace would lose that.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Handler = Callable[[int, object], None]

__all__ = ["outlast"]

_HANDED_ON = (signal.SIGTERM, signal.SIGHUP)


def outlast(command: Sequence[str], variables: Mapping[str, str] | None = None) -> int:
    """Run ``command`` to its end; return its status, which is -N after signal N.

    Ctrl-C reaches it by itself, from the terminal; what else would end us is handed on to
    it.  It gets all descriptors that we were given.  Raises OSError if it cannot be run.
    """
    process: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def hand_on(number: int, _frame: object) -> None:
        if process is None:
            early.append(number)
        else:
            process.send_signal(number)

    with _handled(hand_on):
        process = subprocess.Popen(command, env=variables, close_fds=False)
        for number in early:
            process.send_signal(number)
        return process.wait()


@contextlib.contextmanager
def _handled(hand_on: Handler) -> Iterator[None]:
    """Handle the signals that would end us, unless they are ignored: the command shall do so, too.

    Of ours the command gets none: a handler does not outlive ``exec``.  Python handles signals
    in its main thread only.
    """
    former: dict[signal.Signals, Callable[..., object] | int] = {}
    handlers: dict[signal.Signals, Handler] = dict.fromkeys(_HANDED_ON, hand_on)
    handlers[signal.SIGINT] = _ignore
    if threading.current_thread() is not threading.main_thread():
        handlers.clear()
    try:
        for number, handler in handlers.items():
            before = signal.getsignal(number)
            if before not in {None, signal.SIG_IGN}:  # None: not one of Python's
                former[number] = before
                signal.signal(number, handler)
        yield
    finally:
        for number, before in former.items():
            signal.signal(number, before)


def _ignore(_number: int, _frame: object) -> None:
    """Handle a signal by nothing; the command shall not ignore it."""
