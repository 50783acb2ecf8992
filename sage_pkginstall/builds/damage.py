"""How a damaged archive shows itself to who unpacks it with the standard library."""

from __future__ import annotations

import importlib
import struct
import zipfile
import zlib

__all__ = ["DAMAGE"]


def _error(module: str, name: str) -> tuple[type[Exception], ...]:
    """Return the error of a library that not every Python has."""
    try:
        return (getattr(importlib.import_module(module), name),)
    except ImportError:
        return ()


DAMAGE: tuple[type[Exception], ...] = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    *_error("lzma", "LZMAError"),
    *_error("compression.zstd", "ZstdError"),  # since Python 3.14
)
"""What zipfile, and tarfile besides its own errors, raise for a file that is damaged or encrypted.

They hand on what the library of the compression raises, and these have no common base.
"""
