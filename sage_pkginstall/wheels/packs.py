"""Wheels that were staged before, kept for the next time.

    CACHE/packs/SHA256-OF-THE-WHEEL.files            its checked files, inflated
    CACHE/packs/SHA256-OF-THE-WHEEL-TAG-MAGIC.code   its byte-code for one Python

Each is one file, since thousands of small ones cost more to open than to copy:

    magic (8 bytes), sha256 of the pieces (32), sha256 of what follows them (32),
    pieces one behind the other, index (JSON), length of the index (4, big-endian)

A pack is read only after all that is read of it was found to be what was written, and if nobody
else can have written it (see `environment.read_cached`); any other one counts as missing.  It
appears by one rename.  Who wants none sets ``SAGE_PKGINSTALL_PACKS=no``.  All of them
together are kept below `LIMIT` bytes: those that were not used for longest go.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import re
import stat

from sage_pkginstall.user_cache import mark_used
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType
    from typing import Any, BinaryIO

__all__ = [
    "LIMIT",
    "Pack",
    "PackWriter",
    "PackedFile",
    "Piece",
    "digest_of",
    "file_state",
    "open_pack",
]

LIMIT = 4 << 30
"""Bytes of all packs of a user."""

_MAGIC = b"sagepk3\n"
_HASH = 32
_HEAD = len(_MAGIC) + 2 * _HASH
_TAIL = 4
_BLOCK = 1 << 20
_NAME = re.compile(r"[0-9a-f]{64}(?:-.*)?\.(?:files|code)(?:\.[0-9a-f]+\.new)?", re.DOTALL)
"""Of a pack, finished or not."""
_ALIGNMENT = 1 << 12  # bytes of a block


class Piece(NamedTuple):
    """Where something is in a pack."""

    offset: int
    size: int


class Pack:
    """An open pack whose index was found good; ``index`` is what its writer gave.

    Its pieces are checked before the first of them is read, all at once.
    """

    def __init__(self, path: Path, descriptor: int, end: int, index: Any) -> None:  # noqa: ANN401 -- JSON
        self.index = index
        self._path = path
        self._descriptor = descriptor
        self._end = end
        self._known: bool | None = None

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def is_intact(self) -> bool:
        """Tell whether the pieces are what was written; a pack of which they are not is removed."""
        if self._known is None:
            self._known = False
            with contextlib.suppress(OSError):
                written = os.pread(self._descriptor, _HASH, len(_MAGIC))
                self._known = _hash(self._descriptor, _HEAD, self._end) == written
            if not self._known:
                _remove(self._path)
        return self._known

    def read(self, piece: Piece) -> bytes:
        """Return a piece; raises OSError if it cannot be read."""
        self._check()
        data = os.pread(self._descriptor, piece.size, _HEAD + piece.offset)
        if len(data) < piece.size:
            data = b"".join(self._rest(piece, data))
        if len(data) < piece.size:
            raise _cut()
        return data

    def _rest(self, piece: Piece, data: bytes) -> Iterable[bytes]:
        done = 0
        while data:
            yield data
            done += len(data)
            where = _HEAD + piece.offset + done
            data = os.pread(self._descriptor, piece.size - done, where)

    def copy(self, piece: Piece, descriptor: int) -> None:
        """Write a piece to the open file ``descriptor``, within the kernel if it can."""
        self._check()
        done = 0
        while done < piece.size:
            offset = _HEAD + piece.offset + done
            done += _copy_some(self._descriptor, descriptor, piece.size - done, offset)

    def _check(self) -> None:
        if not self._known and not self.is_intact():
            raise OSError(errno.EIO, "the pack was damaged", os.fspath(self._path))


def _hash(descriptor: int, start: int, end: int) -> bytes:
    digest = hashlib.sha256()
    while start < end and (block := os.pread(descriptor, min(_BLOCK, end - start), start)):
        digest.update(block)
        start += len(block)
    return digest.digest()


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _copy_some(source: int, target: int, size: int, offset: int) -> int:
    if size > _BLOCK and hasattr(os, "copy_file_range"):
        with contextlib.suppress(OSError):  # two file systems, or one that cannot
            copied = os.copy_file_range(source, target, size, offset_src=offset)
            if copied:  # with some kernels and file systems it copies nothing, and says so
                return copied
    data = os.pread(source, min(size, _BLOCK), offset)
    if not data:
        raise _cut()
    return os.write(target, data)


def _cut() -> OSError:
    return OSError(errno.EIO, "the pack was cut while it was read")


class PackedFile(io.BufferedIOBase):
    """A file of a wheel in a pack, as `staged_root.copy_content` takes it."""

    def __init__(self, pack: Pack, piece: Piece, known: str) -> None:
        super().__init__()
        self._pack = pack
        self._piece = piece
        self._known = known
        self._read = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Return up to ``size`` bytes (all that are left by default), b"" at the end."""
        left = self._piece.size - self._read
        wanted = left if size is None or size < 0 else min(size, left)
        data = self._pack.read(Piece(self._piece.offset + self._read, wanted))
        self._read += len(data)
        return data

    def copy_to(self, descriptor: int) -> int:
        """Write all of it to an open file; return its size."""
        self._pack.copy(self._piece, descriptor)
        self._read = self._piece.size
        return self._piece.size

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        return self._piece.size

    def verified_hash(self) -> str:
        """Return the hash of the content, as RECORD has it."""
        return self._known


def file_state(descriptor: int) -> tuple[int, ...]:
    """Return what tells an open file from others, and from itself after a change."""
    status = os.fstat(descriptor)
    times = status.st_mtime_ns, status.st_ctime_ns
    return status.st_dev, status.st_ino, status.st_size, *times


def digest_of(path: Path) -> tuple[str, tuple[int, ...]]:
    """Return the sha256 of a file, in hexadecimal, and its `file_state` before that.

    Raises OSError, also for what is no regular file.
    """
    digest = hashlib.sha256()
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        state = file_state(descriptor)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), os.fspath(path))
        while block := os.read(descriptor, _BLOCK):
            digest.update(block)
    finally:
        os.close(descriptor)
    return digest.hexdigest(), state


def open_pack(path: Path) -> Pack | None:
    """Return the pack if it is there and its index is good; a damaged one is removed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        pack = _indexed(path, descriptor)
        if pack is not None:
            mark_used(descriptor)  # see `make_room`
            return pack
    except (OSError, ValueError, RecursionError):
        pass
    os.close(descriptor)
    _remove(path)
    return None


def _indexed(path: Path, descriptor: int) -> Pack | None:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_uid not in {0, os.geteuid()}:
        return None
    if status.st_mode & 0o022:
        return None
    head = os.pread(descriptor, _HEAD, 0)
    if head[: len(_MAGIC)] != _MAGIC:
        return None
    end = status.st_size - _TAIL
    length = int.from_bytes(os.pread(descriptor, _TAIL, end), "big")
    start = end - length
    if start < _HEAD or _hash(descriptor, start, status.st_size) != head[-_HASH:]:
        return None
    return Pack(path, descriptor, start, json.loads(os.pread(descriptor, length, start)))


class PackWriter:
    """Writes a pack piece by piece; use ``with``, and nothing is left but what was finished.

    Nothing happens where that is impossible, since a pack is never needed.
    """

    def __init__(self, path: Path) -> None:
        self.size = 0
        """Bytes of all pieces so far: the offset of the next one."""
        self._path = path
        self._temporary = path.with_name(f"{path.name}.{os.urandom(8).hex()}.new")
        self._file: BinaryIO | None = None
        self._digest = hashlib.sha256()

    def __enter__(self) -> PackWriter:  # noqa: PYI034 -- Self came with 3.11
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._temporary, flags, 0o600)
            self._file = os.fdopen(descriptor, "wb", buffering=_BLOCK)
            self._write(_MAGIC + bytes(_HEAD - len(_MAGIC)))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._give_up()

    def add(self, piece: bytes) -> None:
        """Write the next piece, or a part of it."""
        self.size += len(piece)
        if self._file is not None:
            self._digest.update(piece)
            self._write(piece)

    def align(self, size: int) -> int:
        """Return the offset of the next piece, of ``size`` bytes.

        That of a big one begins with a block, since only then file systems can share its blocks.
        """
        if size > _BLOCK:
            self.add(bytes(-(_HEAD + self.size) % _ALIGNMENT))
        return self.size

    def finish(self, index: object) -> None:
        """Write the index and let the pack appear."""
        text = json.dumps(index).encode()
        end = text + len(text).to_bytes(_TAIL, "big")
        if self._file is not None:
            self._write(end)
        if self._file is None:
            return
        try:
            self._file.flush()
            hashes = self._digest.digest() + hashlib.sha256(end).digest()
            os.pwrite(self._file.fileno(), hashes, len(_MAGIC))
            self._temporary.replace(self._path)
            self._file.close()
            self._file = None
            if self._path.name.startswith("0"):  # one in sixteen
                from sage_pkginstall.wheels.room import make_room  # noqa: PLC0415

                make_room(self._path.parent, _NAME, LIMIT, lambda status: status.st_mtime)
        except OSError:
            self._give_up()

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        try:
            self._file.write(data)
        except OSError:
            self._give_up()

    def _give_up(self) -> None:
        if self._file is None:
            return
        file, self._file = self._file, None
        with contextlib.suppress(OSError):
            self._temporary.unlink()
        with contextlib.suppress(OSError):  # it writes what it still holds
            file.close()
