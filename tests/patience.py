"""Tests wait until something is so, never for a time that ought to be enough.

    wait_until((directory / "begun").exists)
    assert read_until(process.stdout, "waiting for") == ...

How busy the machine is may make a test longer, but never fail.
"""

from __future__ import annotations

import time
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PATIENCE", "read_until", "wait_until"]

PATIENCE = 120.0
"""Seconds; what has not come by then never will."""


def wait_until(is_so: Callable[[], object]) -> None:
    """Return as soon as it is so; fail the test if that never comes."""
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def read_until(stream: IO[str], text: str) -> str:
    """Return what comes until ``text`` has come; fail the test if it ends before."""
    said = ""
    while text not in said:
        more = stream.read(1)
        assert more, f"{text!r} is not in {said!r}"
        said += more
    return said
