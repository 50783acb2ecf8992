"""One hostile wheel: how it is made, and what is to become of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.foowheel import foo
from tests.wheelmaker import Member

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["FOO", "OUTSIDE", "SCRIPT", "Case", "adding", "installed", "refused"]

FOO = b"version = '1.0'\n"
"""What ``foo.py`` holds."""

OUTSIDE = "../../../../outside"
"""As seen from site-packages, a path beside the environment."""


SCRIPT = b"#!"
"""Stands for a script whose text the installer makes."""


@dataclass(frozen=True)
class Case:
    """A wheel of ``foo`` that ``make`` writes into a directory.

    It is refused for ``reason``; or, where that is None, installed: beside ``foo.py`` and
    its ``*.dist-info`` there are then exactly ``files``, and they have these ``modes``
    (0644 where none is given).  Paths are relative to the prefix.
    """

    make: Callable[[Path], Path]
    reason: str | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    modes: Mapping[str, int] = field(default_factory=dict)


def refused(make: Callable[[Path], Path], reason: str) -> Case:
    """Return the case of a wheel that is refused; ``reason`` is a part of what is said."""
    return Case(make, reason)


def installed(
    make: Callable[[Path], Path],
    files: Mapping[str, bytes] | None = None,
    modes: Mapping[str, int] | None = None,
) -> Case:
    """Return the case of a wheel that is installed, and leaves ``files``."""
    return Case(make, None, files or {}, modes or {})


def adding(name: str, data: bytes = b"x = 1\n", mode: int = 0o100644) -> Callable[[Path], Path]:
    """Return a maker of good wheels with one more entry, which RECORD lists."""
    return lambda directory: foo(directory, Member(name, data, mode))
