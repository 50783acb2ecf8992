"""URLs with a user or a password in them: such a one is neither shown nor written anywhere.

``https://USER:PASSWORD@HOST/``, ``https://TOKEN@HOST/``; also with one slash, as in a path that
was made of a URL.  The ``git`` of ``ssh://git@HOST/`` is nobody, and ``file:`` has no host.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["has_password", "without_passwords"]

_PASSWORD = re.compile(r"(?<!file)(:/{1,2})(?!git@)([^/?#\s]+)@")


def has_password(text: str) -> bool:
    """Tell whether there is a URL with a user or a password in a text."""
    return _PASSWORD.search(text) is not None


def without_passwords(text: str, told: Callable[[str], str] = lambda _: "***") -> str:
    """Return a text with what is ``told`` in place of users and passwords of its URLs."""
    return _PASSWORD.sub(lambda found: f"{found[1]}{told(found[2])}@", text)
