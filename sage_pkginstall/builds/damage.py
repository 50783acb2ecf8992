"""How a damaged archive shows itself to who unpacks it with the standard library."""

from __future__ import annotations

import importlib
import struct
import zipfile
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DAMAGE", "require_whole"]

_GZIP = b"\x1f\x8b"
_BLOCK = 1 << 20


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


def require_whole(archive: Path) -> None:
    """Raise one of `DAMAGE` if ``archive`` is compressed by gzip and its checksum is wrong.

    tarfile stops before that checksum, at the end of the tar: what was damaged on the way
    would be taken for the source.  (The others have checksums that are met before.)
    """
    with archive.open("rb") as file:
        if file.read(len(_GZIP)) != _GZIP:
            return
        import gzip  # noqa: PLC0415 -- a package has its source unpacked

        file.seek(0)
        with gzip.GzipFile(fileobj=file) as content:
            while content.read(_BLOCK):
                pass
