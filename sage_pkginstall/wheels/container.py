"""The zip file: a central directory and local headers that agree, tiling the whole file.

There is one parser, this one, for the checks and for the content: ``zipfile`` (and pip,
uv, ``installer`` with it) takes prefixes, trailing bytes, entries that overlap, and local
headers that say something else than the central directory; what one tool then sees in a
wheel is not what another one sees.

Specification: PKWARE's APPNOTE.TXT.
"""

from __future__ import annotations

import os
import stat
import struct

from sage_pkginstall.errors import WheelError
from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.refusal import RefusalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["Entry", "Limits", "open_regular", "read_entries"]

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_LOCATOR_SIGNATURE = b"PK\x06\x07"
_DESCRIPTOR = b"PK\x07\x08"

_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 0x2041  # any of the three bits that say so
_LATER = 0x0008  # sizes and CRC follow the data
_UTF8 = 0x0800
_KNOWN = _LATER | _UTF8 | 0x0006  # the last two bits: how hard the packer tried

_ZIP64 = 0x0001
_OTHER_NAME = 0x7075  # a second name, which some readers take instead
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_FULL = (_FULL16,) * 4 + (_FULL32,) * 2  # what the fields of an end say if those of zip64 do


class Limits(NamedTuple):
    """What a wheel may ask of the machine; all of it is known before anything is written."""

    entries: int = 1_000_000
    size: int = 16 << 30
    """Bytes of all entries, inflated."""
    ratio: int = 200
    """Inflated bytes for each byte of the archive, beyond ``floor``."""
    floor: int = 256 << 20
    name: int = 1024
    """Bytes of an entry's name; a component may have 255, as everywhere."""
    text: int = 16 << 20
    """Bytes of METADATA, most of it a description; it is held in memory."""
    lines: int = 1 << 20
    """Bytes of what is taken apart: WHEEL, entry_points.txt, the fields of METADATA."""
    scripts: int = 10_000
    """Scripts of entry points: a file is made of each line."""
    directory: int = 256 << 20
    """Bytes of the central directory or of RECORD, which have a row for each entry."""
    row: int = 256
    """Bytes of such a row in RECORD, beside eight for each character of the name."""


class Entry(NamedTuple):
    """An entry whose central and local headers agree."""

    name: str
    mode: int
    deflated: bool
    crc: int
    packed: int
    size: int
    header: int
    start: int
    end: int

    @property
    def executable(self) -> bool:
        """Whether pip would make it executable."""
        return stat.S_ISREG(self.mode) and bool(self.mode & 0o111)


class _Central(NamedTuple):
    """One record of the central directory."""

    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    header: int
    mode: int

    @property
    def name(self) -> str:
        """The name; without the UTF-8 flag it is in code page 437 (APPNOTE, appendix D)."""
        try:
            return self.raw_name.decode("utf-8" if self.flags & _UTF8 else "cp437")
        except UnicodeDecodeError:
            raise RefusalError(f"entry {self.raw_name!r} has a name that is not UTF-8") from None


def open_regular(path: Path) -> int:
    """Return a descriptor; a FIFO must not make us wait for ever."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise WheelError(path, error.strerror or str(error)) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise WheelError(path, "it is no regular file")
    return descriptor


def read_entries(descriptor: int, limits: Limits) -> dict[str, Entry]:
    """Return the entries by name, directories included, in the archive's order."""
    length = os.fstat(descriptor).st_size
    start, size, count = _find_central(descriptor, length, limits)
    entries: dict[str, Entry] = {}
    allowed = left = min(limits.size, max(limits.floor, limits.ratio * length))
    for central in _central_records(_read(descriptor, start, size), count):
        if central.header + central.packed > length:  # zip64 has numbers that no offset can be
            raise RefusalError("it is truncated")
        entry = _entry(descriptor, central, limits)
        if entry.name in entries:
            raise RefusalError(f"entry {entry.name!r} is there twice")
        entries[entry.name] = entry
        left -= entry.size
        if left < 0:
            raise RefusalError(f"it would inflate to more than {allowed} bytes")
    _check_tiling(entries.values(), start)
    return entries


def _read(descriptor: int, offset: int, size: int) -> bytes:
    data = os.pread(descriptor, size, offset)
    while 0 < len(data) < size:
        more = os.pread(descriptor, size - len(data), offset + len(data))
        if not more:
            break
        data += more
    if len(data) != size:
        raise RefusalError("it is truncated")
    return data


def _find_central(descriptor: int, length: int, limits: Limits) -> tuple[int, int, int]:
    """Return where the central directory starts, its length and its number of records.

    The end record must be the last thing in the file and the directory must touch it, so
    there is only one way to find them.
    """
    if length < _END.size:
        raise RefusalError("it is no zip file (too short)")
    end = length - _END.size
    signature, *fields, comment = _END.unpack(_read(descriptor, end, _END.size))
    if signature != b"PK\x05\x06" or comment:
        raise RefusalError("it is no zip file, or it is truncated, or something follows its end")
    if _has_end64(descriptor, end, fields):
        end, fields = _find_end64(descriptor, end, fields)
    disk, cd_disk, here, count, size, start = fields
    if disk or cd_disk or here != count:
        raise RefusalError("it is one part of a zip file in several parts")
    if start + size != end:
        raise RefusalError(
            "its central directory is not where its end says (bytes before or between)"
        )
    if count > limits.entries:
        raise RefusalError(f"it has {count} entries (allowed: {limits.entries})")
    if size > limits.directory:
        raise RefusalError(f"its central directory has {size} bytes (allowed: {limits.directory})")
    return start, size, count


def _has_end64(descriptor: int, end: int, fields: list[int]) -> bool:
    """Tell whether a zip64 end says where the central directory is.

    Some readers take what looks like one whatever the end says, so it must agree with that,
    and cannot hide in the last entry's comment.  65,535 entries need none.
    """
    at = end - _LOCATOR.size
    if at >= 0 and _read(descriptor, at, 4) == _LOCATOR_SIGNATURE:
        return True
    disk, cd_disk, _, _, size, start = fields
    return _FULL16 in {disk, cd_disk} or _FULL32 in {size, start}


def _find_end64(descriptor: int, end: int, before: list[int]) -> tuple[int, list[int]]:
    at = end - _LOCATOR.size - _END64.size
    if at < 0:
        raise RefusalError("its zip64 end is missing")
    data = _read(descriptor, at, _LOCATOR.size + _END64.size)
    signature, size, _, _, *fields = _END64.unpack_from(data)
    locator, disk, offset, disks = _LOCATOR.unpack_from(data, _END64.size)
    good = signature == b"PK\x06\x06" and locator == _LOCATOR_SIGNATURE
    if not good or size != _END64.size - 12 or disk or disks != 1 or offset != at:
        raise RefusalError("its zip64 end is damaged")
    if any(old not in {new, none} for old, new, none in zip(before, fields, _FULL, strict=True)):
        raise RefusalError("its zip64 end contradicts its end")
    return at, fields


def _central_records(data: bytes, count: int) -> Iterator[_Central]:
    at = 0
    for _ in range(count):
        if at + _CENTRAL.size > len(data):
            raise RefusalError("its central directory is truncated")
        fields = _CENTRAL.unpack_from(data, at)
        if fields[0] != b"PK\x01\x02":
            raise RefusalError("its central directory is damaged")
        flags, method, crc = fields[3], fields[4], fields[7]
        name_end = at + _CENTRAL.size + fields[10]
        extra_end = name_end + fields[11]
        raw_name = data[at + _CENTRAL.size : name_end]
        sizes = _with_zip64(raw_name, (fields[9], fields[8], fields[16]), data[name_end:extra_end])
        if fields[13]:
            raise RefusalError(f"entry {raw_name!r} lies in another part")
        at = extra_end + fields[12]
        mode = fields[15] >> 16
        yield _Central(raw_name, flags, method, crc, sizes[1], sizes[0], sizes[2], mode)
    if at != len(data):
        raise RefusalError("its central directory has something after its last entry")


def _extras(raw_name: bytes, extra: bytes) -> dict[int, bytes]:
    """Return the extra fields by id."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(extra):
        if at + 4 > len(extra):
            raise RefusalError(f"entry {raw_name!r} has a damaged extra field")
        kind, size = struct.unpack_from("<2H", extra, at)
        at += 4 + size
        if at > len(extra):
            raise RefusalError(f"entry {raw_name!r} has a damaged extra field")
        if kind == _OTHER_NAME or (kind == _ZIP64 and kind in found):
            raise RefusalError(f"entry {raw_name!r} has an extra field that contradicts its header")
        found[kind] = extra[at - size : at]
    return found


def _with_zip64(raw_name: bytes, values: tuple[int, ...], extra: bytes) -> list[int]:
    """Return ``values`` with those that say "see the zip64 field" taken from there."""
    zip64 = _extras(raw_name, extra).get(_ZIP64) if extra else None
    result = list(values)
    at = 0
    for index, value in enumerate(values):
        if value == _FULL32 and zip64 is not None:
            if at + 8 > len(zip64):
                raise RefusalError(f"entry {raw_name!r} has a damaged zip64 field")
            result[index] = struct.unpack_from("<Q", zip64, at)[0]
            at += 8
    return result


def _entry(descriptor: int, central: _Central, limits: Limits) -> Entry:
    name = central.name
    if len(central.raw_name) > limits.name:
        raise RefusalError(f"entry {name[:40]!r}… has a name of {len(central.raw_name)} bytes")
    if central.flags & _ENCRYPTED:
        raise RefusalError(f"entry {name!r} is encrypted")
    if central.flags & ~_KNOWN:
        raise RefusalError(f"entry {name!r} has unknown flags ({central.flags:#06x})")
    if central.method not in {_STORED, _DEFLATED}:
        raise RefusalError(f"entry {name!r} uses compression method {central.method}")
    if central.method == _STORED and central.packed != central.size:
        raise RefusalError(f"entry {name!r} is stored, and has two sizes")
    start = _check_local(descriptor, name, central)
    end = start + central.packed
    if central.flags & _LATER:
        end += _descriptor_length(descriptor, name, central, end)
    return Entry(
        name,
        central.mode,
        central.method == _DEFLATED,
        central.crc,
        central.packed,
        central.size,
        central.header,
        start,
        end,
    )


def _check_local(descriptor: int, name: str, central: _Central) -> int:
    """Compare the local header with the central one; return where the data starts."""
    length = _LOCAL.size + len(central.raw_name)
    data = _read(descriptor, central.header, length)
    signature, _, flags, method, _, _, crc, packed, size, name_length, extra_length = (
        _LOCAL.unpack_from(data)
    )
    if signature != b"PK\x03\x04":
        raise RefusalError(f"entry {name!r} has no local header where it should be")
    if (name_length, data[_LOCAL.size :]) != (len(central.raw_name), central.raw_name):
        raise RefusalError(f"entry {name!r} has another name in its local header")
    if (flags & ~0x0006, method) != (central.flags & ~0x0006, central.method):
        raise RefusalError(f"entry {name!r} has other flags or method in its local header")
    extra = _read(descriptor, central.header + length, extra_length) if extra_length else b""
    size, packed = _with_zip64(central.raw_name, (size, packed), extra)
    local, right = (crc, packed, size), (central.crc, central.packed, central.size)
    if local != right and not (flags & _LATER and local == (0, 0, 0)):
        raise RefusalError(f"entry {name!r} has another size or CRC in its local header")
    return central.header + length + int(extra_length)


def _descriptor_length(descriptor: int, name: str, central: _Central, at: int) -> int:
    """Return the length of the data descriptor, of which there are four forms."""
    data = os.pread(descriptor, 24, at)
    small = max(central.packed, central.size) <= _FULL32
    for form in ("<3L", "<L2Q") if small else ("<L2Q",):
        plain = struct.pack(form, central.crc, central.packed, central.size)
        for form_of_it in (_DESCRIPTOR + plain, plain):
            if data.startswith(form_of_it):
                return len(form_of_it)
    raise RefusalError(f"entry {name!r} has another size or CRC after its data")


def _check_tiling(entries: Iterable[Entry], end: int) -> None:
    """Refuse entries that overlap, and bytes that belong to no entry."""
    at = 0
    for entry in sorted(entries, key=lambda entry: entry.header):
        if entry.header < at:
            raise RefusalError(f"entry {entry.name!r} overlaps another one")
        if entry.header > at:
            raise RefusalError(
                f"there are bytes that belong to nothing before entry {entry.name!r}"
            )
        at = entry.end
    if at != end:
        raise RefusalError("its entries overlap its central directory, or leave bytes before it")
