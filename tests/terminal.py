"""A terminal of 100 columns, to run a program in and to type at."""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

__all__ = ["CTRL_C", "CTRL_D", "Ended", "Typed", "run_in_terminal"]

Typed: TypeAlias = "bytes | Callable[[], object]"
"""What is typed, or else is to be done; if that returns bytes, they are typed then."""

CTRL_C = b"\x03"
CTRL_D = b"\x04"
_LONGEST = 120  # seconds


@dataclass(frozen=True)
class Ended:
    """How a program ended, and what the terminal got from it, with escape sequences."""

    status: int
    raw: str

    @property
    def text(self) -> str:
        """What was drawn, one drawing after the other, without escape sequences."""
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.raw)
        return plain.replace("\r\n", "\n").replace("\r", "\n")

    @property
    def lines(self) -> list[str]:
        """The lines of the text."""
        return self.text.splitlines()


def run_in_terminal(
    command: Iterable[str | Path],
    env: Mapping[str, str],
    typed: Mapping[str, Typed] | None = None,
) -> Ended:
    """Run a program that has a terminal of its own to its end.

    ``typed`` says what is typed as soon as the terminal shows what a pattern finds.
    """
    ours, theirs = os.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    terminal = os.ttyname(theirs)
    # Who leads a session and opens a terminal is controlled by it: Ctrl-C works then.
    opening = f'exec "$@" <{terminal} >{terminal} 2>&1'
    process = subprocess.Popen(
        ["sh", "-c", opening, "sh", *map(str, command)],
        env={"TERM": "xterm", **env},
        start_new_session=True,
    )
    seen = _read_all(ours, process, dict(typed or {}))
    os.close(theirs)
    os.close(ours)
    return Ended(process.wait(), seen.decode(errors="replace"))


def _read_all(ours: int, process: subprocess.Popen[bytes], typed: dict[str, Typed]) -> bytes:
    seen = b""
    end = time.monotonic() + _LONGEST
    while True:
        is_over = process.poll() is not None
        if select.select([ours], [], [], 0.05)[0]:
            seen += os.read(ours, 1 << 16)
        elif is_over:
            assert not typed, f"never shown: {typed}"
            return seen
        shown = Ended(0, seen.decode(errors="replace")).text
        for pattern in [pattern for pattern in typed if re.search(pattern, shown)]:
            what = typed.pop(pattern)
            given = what() if callable(what) else what
            if isinstance(given, bytes):
                os.write(ours, given)
        if time.monotonic() > end:
            process.kill()
            raise AssertionError(f"it does not end: {seen!r}")
