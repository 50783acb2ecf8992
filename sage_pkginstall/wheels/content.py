"""The content of an entry, inflated, hashed and compared while it is read.

There is no pass of its own that checks: who has read an entry to its end has the bytes
that the archive (length, CRC) and its RECORD (hash) promise, or an error.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os

from sage_pkginstall.errors import WheelError
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import NoReturn

    from sage_pkginstall.wheels.container import Entry
    from sage_pkginstall.wheels.inflating import Inflater, Library

__all__ = ["HASHES", "PIECE", "EntryStream", "Expected", "Source"]

PIECE = 1 << 20
"""Bytes that are read at once."""

_INPUT = 1 << 18
_RAW = -15  # windows of 2 to the 15 bytes, and no header

HASHES: Mapping[str, Callable[[], hashlib._Hash | hashlib.blake2b | hashlib.blake2s]] = {
    "sha256": hashlib.sha256,
    "sha384": hashlib.sha384,
    "sha512": hashlib.sha512,
    "sha3_256": hashlib.sha3_256,
    "sha3_384": hashlib.sha3_384,
    "sha3_512": hashlib.sha3_512,
    "blake2b": hashlib.blake2b,
    "blake2s": hashlib.blake2s,
}
"""Those that RECORD may use: "sha256 or better"."""


class Expected(NamedTuple):
    """The hash of a file, as RECORD has it: "sha256=…" and decoded."""

    text: str
    algorithm: str
    digest: bytes


class Source(NamedTuple):
    """The wheel file that entries are read from, how it is called, and what inflates them."""

    path: Path
    descriptor: int
    library: Library


class EntryStream(io.BufferedIOBase):
    """The content of one entry; reading its last byte checks length, CRC and hash.

    Reads the file at its own offset, so that several streams do not disturb each other.
    Raises WheelError where the content is not what the archive and its RECORD promise;
    what was returned until then is worth nothing.
    """

    def __init__(self, source: Source, entry: Entry, expected: Expected | None) -> None:
        super().__init__()
        self._source = source
        self._entry = entry
        self._expected = expected
        self._algorithm = expected.algorithm if expected else "sha256"
        self._hasher = HASHES[self._algorithm]()
        self._crc = 0
        self._offset = entry.start
        self._packed_left = entry.packed
        self._left = entry.size
        self._library = source.library
        self._inflater = self._library.decompressobj(_RAW) if entry.deflated else None
        self._verified: str | None = None
        self.on_piece: Callable[[bytes], object] | None = None
        """Given each piece that is read."""
        if not entry.size:
            self._finish()

    @property
    def size(self) -> int:
        """Bytes that reading to the end returns."""
        return self._entry.size

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Return up to ``size`` bytes (all that are left by default), b"" at the end."""
        wanted = self._left if size is None or size < 0 else min(size, self._left)
        pieces = []
        while wanted:
            piece = self._piece(wanted)
            self._crc = self._library.crc32(piece, self._crc)
            self._hasher.update(piece)
            if self.on_piece is not None:
                self.on_piece(piece)
            self._left -= len(piece)
            wanted -= len(piece)
            pieces.append(piece)
            if not self._left:
                self._finish()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def verified_hash(self) -> str:
        """Return the hash of the content, as RECORD has it; only after reading to its end."""
        assert self._verified is not None, "read the stream to its end first"
        return self._verified

    def _piece(self, wanted: int) -> bytes:
        """Return one to ``wanted`` bytes."""
        if self._inflater is None:
            return self._packed(min(wanted, PIECE))
        while True:
            packed = self._inflater.unconsumed_tail or self._packed(_INPUT)
            try:
                piece = self._inflater.decompress(packed, min(wanted, PIECE))
            except self._library.errors as error:
                self._refuse(f"cannot be inflated ({error})")
            if piece:
                return piece
            if self._inflater.eof or not self._packed_left:
                self._refuse(f"is shorter than the {self._entry.size} bytes it should have")

    def _packed(self, size: int) -> bytes:
        size = min(size, self._packed_left)
        data = os.pread(self._source.descriptor, size, self._offset)
        if len(data) < size:
            self._refuse("ends early: the file was cut while it was read")
        self._offset += size
        self._packed_left -= size
        return data

    def _finish(self) -> None:
        if self._inflater is not None:
            self._finish_inflating(self._inflater)
        if self._crc != self._entry.crc:
            self._refuse("does not have the CRC that the archive gives")
        digest = self._hasher.digest()
        if self._expected is not None and digest != self._expected.digest:
            self._refuse(f"does not have the {self._algorithm} hash that RECORD gives")
        value = base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
        self._verified = f"{self._algorithm}={value}"

    def _finish_inflating(self, inflater: Inflater) -> None:
        """Refuse an entry that inflates to more, or has more, than it should."""
        packed = inflater.unconsumed_tail
        while not inflater.eof:
            packed = packed or self._packed(_INPUT)
            if not packed:
                self._refuse("ends in the middle of its compressed data")
            try:
                if inflater.decompress(packed, 1):
                    self._refuse(f"is longer than the {self._entry.size} bytes it should have")
            except self._library.errors as error:
                self._refuse(f"cannot be inflated ({error})")
            packed = inflater.unconsumed_tail
        if inflater.unused_data or self._packed_left:
            self._refuse("has bytes after its compressed data")

    def _refuse(self, what: str) -> NoReturn:
        raise WheelError(self._source.path, f"entry {self._entry.name!r} {what}") from None
