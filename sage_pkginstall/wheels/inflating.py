"""Which library inflates the entries of a wheel.

``zlib`` comes with Python.  zlib-ng does the same in half the time, but is not always
there, and takes a few milliseconds to import: as long as inflating a small wheel.
"""

from __future__ import annotations

import importlib
import zlib

from sage_pkginstall.values import NamedTuple, Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LARGE", "Inflater", "Library", "library_for"]

LARGE = 1 << 20
"""Bytes of a wheel that is worth the import."""


class Inflater(Protocol):
    """What ``decompressobj`` returns."""

    @property
    def eof(self) -> bool:
        """Whether the compressed data has ended."""

    @property
    def unconsumed_tail(self) -> bytes:
        """What was given and not looked at yet."""

    @property
    def unused_data(self) -> bytes:
        """What was given and is behind the end."""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Return up to ``max_length`` bytes."""


class Library(NamedTuple):
    """What is used of a library."""

    name: str
    decompressobj: Callable[[int], Inflater]
    crc32: Callable[[bytes, int], int]
    errors: type[Exception]


_ZLIB = Library("zlib", zlib.decompressobj, zlib.crc32, zlib.error)


def library_for(size: int) -> Library:
    """Return what inflates a wheel of ``size`` bytes fastest."""
    if size < LARGE:
        return _ZLIB
    try:
        # By name: type checkers need not have the extra `fast`; and not for small wheels.
        faster = importlib.import_module("zlib_ng.zlib_ng")
    except ImportError:
        return _ZLIB
    return Library("zlib-ng", faster.decompressobj, faster.crc32, faster.error)
