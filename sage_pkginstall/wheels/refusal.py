"""Why a wheel is refused, said where that is found; `WheelArchive.open` adds which wheel.

What a wheel says of itself may be anything of any length: a reason quotes it (`quoted`).
"""

from __future__ import annotations

__all__ = ["RefusalError", "quoted", "shown"]

_SHOWN = 100
_LINE = 300
"""Characters of a requirement with all its markers, if it is an honest one."""


class RefusalError(ValueError):
    """What is wrong with a wheel; a `WheelError` is made of it before it leaves ``wheels``."""


def quoted(text: str) -> str:
    """Return ``text``, which may be anything of any length, as a part of one line."""
    return repr(text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…")


def shown(text: str) -> str:
    """Return ``text`` as it is if it is printable and of an honest length, else `quoted`."""
    return text if text.isprintable() and len(text) <= _LINE else quoted(text)
