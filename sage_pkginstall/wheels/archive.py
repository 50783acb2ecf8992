"""A wheel file, checked whole before the first byte of it is written anywhere.

`WheelArchive.open` reads the structure of the zip file once, and `WheelArchive` hands the
same entries to ``installer.install``.  There is one parser, ours, for the checks and for
the content: ``zipfile`` (and pip, uv, ``installer`` with it) takes prefixes, trailing
bytes, entries that overlap, and local headers that say something else than the central
directory; what one tool then sees in a wheel is not what another one sees.

Nothing is written and nothing is held but one descriptor, the list of entries and the
files of the ``*.dist-info`` directory that are needed (`Limits` bounds all of them).  The
content of an entry is inflated, hashed and compared while it is read (`EntryStream`).

Specifications: PKWARE's APPNOTE.TXT for the zip file; PyPA's "Binary distribution
format", "Recording installed projects" and "Entry points" for what is in it.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import itertools
import math
import os
import re
import stat
import struct
import zlib
from configparser import Error as ConfigParserError
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, ClassVar, NamedTuple, cast

from installer.records import Hash
from installer.sources import WheelSource
from installer.utils import SCHEME_NAMES, parse_entrypoints, parse_metadata_file

from sage_pkginstall.errors import WheelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from email.message import Message
    from pathlib import Path
    from types import TracebackType
    from typing import NoReturn

    from sage_pkginstall.environment import Environment

__all__ = ["EntryStream", "Limits", "WheelArchive", "WheelMetadata"]


@dataclass(frozen=True)
class Limits:
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
    """Bytes of METADATA, WHEEL or entry_points.txt, which are held in memory."""
    directory: int = 256 << 20
    """Bytes of the central directory or of RECORD, which have a row for each entry."""


@dataclass(frozen=True)
class WheelMetadata:
    """What METADATA says, as it is written there."""

    name: str
    version: str
    requires_python: str | None
    requires_dist: tuple[str, ...]


class WheelArchive(WheelSource):
    """A wheel file whose structure, names and records have been found good.

    Use ``with WheelArchive.open(path) as archive``; it reads from the file it opened,
    whatever becomes of the path.
    """

    validation_error: ClassVar[type[Exception]] = WheelError

    def __init__(self, path: Path, descriptor: int, limits: Limits) -> None:
        """Check the wheel behind ``descriptor``; use `open`, which closes it on errors."""
        file_name = _FileName.parse(path.name)
        super().__init__(file_name.distribution, file_name.version)
        self.path = path
        self.name = _canonical(file_name.distribution)
        self.tags = file_name.tags
        self._descriptor = descriptor
        self._limits = limits
        entries = _read_entries(descriptor, limits)
        self._entries = _checked_files(entries)
        self._layout = _Layout.find(self._entries, file_name)
        self._expected: Mapping[str, _Expected] = {}
        rows = _record_rows(self._text("RECORD"))
        self._expected = _check_record(rows, entries, self._layout)
        self._check_wheel_file()
        self.metadata = self._read_metadata(file_name)
        self.version = self.metadata.version
        self._check_entry_points()

    @classmethod
    def open(cls, path: Path, *, limits: Limits | None = None) -> WheelArchive:
        """Return the wheel at ``path`` if it is a good one; else raise WheelError.

        What is promised: the zip file is whole and unambiguous, every entry has a name
        that stays below the directory it is written to, the wheel is the one that its
        file name says, and RECORD lists exactly the entries, with their sizes and with
        hashes.  That the content has these hashes is checked while it is read.
        """
        descriptor = _open_regular(path)
        try:
            return cls(path, descriptor, limits or Limits())
        except _RefusalError as refusal:
            os.close(descriptor)
            raise WheelError(path, str(refusal)) from None
        except BaseException:
            os.close(descriptor)
            raise

    def close(self) -> None:
        """Close the file; what is not read by then cannot be read any more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> WheelArchive:  # noqa: PYI034 -- Self came with 3.11
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def check_fits(self, environment: Environment) -> None:
        """Raise WheelError unless this wheel can be installed into ``environment``."""
        if self.tags.isdisjoint(environment.tags):
            tags = ", ".join(sorted(self.tags)[:4]) + (", …" if len(self.tags) > 4 else "")  # noqa: PLR2004
            self._refuse(
                f"it is for {tags}; {environment.interpreter} is "
                f"{environment.implementation} {environment.version} and takes wheels "
                f"like {environment.tags[0] if environment.tags else 'none'}"
            )
        requires = self.metadata.requires_python
        if requires is not None and not _python_fits(requires, environment.version):
            self._refuse(
                f"it requires Python {_quoted(requires)}; {environment.interpreter} is "
                f"Python {environment.version}"
            )

    @property
    def dist_info_dir(self) -> str:
        """Name of the ``*.dist-info`` directory, as it is in the wheel."""
        return self._layout.info

    @property
    def data_dir(self) -> str:
        """Name of the ``*.data`` directory, or what it would be called."""
        return self._layout.data

    @property
    def dist_info_filenames(self) -> list[str]:
        """Names of the files below the ``*.dist-info`` directory, relative to it."""
        start = f"{self._layout.info}/"
        return [name[len(start) :] for name in self._entries if name.startswith(start)]

    def read_dist_info(self, filename: str) -> str:
        """Return a file of the ``*.dist-info`` directory; its hash has been checked."""
        try:
            return self._text(filename)
        except _RefusalError as refusal:
            self._refuse(str(refusal))

    def validate_record(self) -> None:
        """Read every entry and compare its hash; raises WheelError.

        ``installer.install`` needs no such pass: reading an entry checks it.
        """
        for name in self._entries:
            stream = self._stream(name)
            while stream.read(_PIECE):
                pass

    def get_contents(self) -> Iterator[tuple[tuple[str, str, str], BinaryIO, bool]]:
        """Yield what is to be installed, each entry with its row of RECORD.

        Left out are RECORD and the other files that an installer writes itself, and
        byte-code of the wheel's own sources (`_is_left_out`).  The streams are
        `EntryStream`: each is valid until the next one.
        """
        for name, entry in self._entries.items():
            if self._is_left_out(name):
                continue
            expected = self._expected.get(name)
            row = (name, expected.text, str(entry.size)) if expected else (name, "", "")
            yield row, cast("BinaryIO", self._stream(name)), entry.executable

    def _is_left_out(self, name: str) -> bool:
        """Tell whether ``name`` is no part of what an install leaves behind.

        A ``__pycache__`` would be run instead of the sources that it claims to be made
        from; it is made anew here.  A ``.pyc`` beside its source is never looked at by
        Python.  One without source is the module itself, and stays, as with pip.
        """
        directory, _, base = name.rpartition("/")
        if directory == self._layout.info and base in _FILES_OF_INSTALLERS:
            return True
        if "__pycache__" in directory.split("/"):
            return True
        return base.endswith(".pyc") and name[:-1] in self._entries

    def _stream(self, name: str) -> EntryStream:
        source = _Source(self.path, self._descriptor)
        return EntryStream(source, self._entries[name], self._expected.get(name))

    def _text(self, filename: str) -> str:
        """Return a file of ``*.dist-info`` as text; raises _RefusalError."""
        name = f"{self._layout.info}/{filename}"
        entry = self._entries.get(name)
        if entry is None:
            raise _RefusalError(f"it has no {name!r}")
        limit = self._limits.directory if filename == "RECORD" else self._limits.text
        if entry.size > limit:
            raise _RefusalError(f"{name!r} has {entry.size} bytes (allowed: {limit})")
        try:
            return self._stream(name).read().decode("utf-8")
        except UnicodeDecodeError as error:
            raise _RefusalError(f"{name!r} is not UTF-8 (byte {error.start})") from None

    def _check_wheel_file(self) -> None:
        headers = _headers(self._text("WHEEL"))
        version = str(headers["Wheel-Version"] or "").strip()
        if re.fullmatch(r"1\.[0-9]{1,9}", version) is None:
            raise _RefusalError(f"WHEEL has Wheel-Version {_quoted(version)}; 1.x is understood")
        root = headers["Root-Is-Purelib"]
        if root not in {None, "true", "false"}:
            # pip takes "True" for true, installer for false.
            raise _RefusalError(f"WHEEL has Root-Is-Purelib {_quoted(root)}, not true or false")
        said = _expanded(str(tag).strip() for tag in headers.get_all("Tag", ()))
        if said and not all(_is_said(tag, said) for tag in self.tags):
            wrong = min(tag for tag in self.tags if not _is_said(tag, said))
            raise _RefusalError(
                f"its file name has the tag {wrong}, its WHEEL only {_quoted(min(said))}"
            )

    def _read_metadata(self, file_name: _FileName) -> WheelMetadata:
        headers = _headers(self._text("METADATA"))
        name = _only(headers, "Name")
        version = _only(headers, "Version")
        if _NAME.fullmatch(name) is None or _canonical(name) != self.name:
            raise _RefusalError(
                f"METADATA has the name {_quoted(name)}, the file {file_name.distribution!r}"
            )
        if not _same_version(file_name.version, version):
            raise _RefusalError(
                f"METADATA has version {_quoted(version)}, the file {file_name.version!r}"
            )
        requires = headers["Requires-Python"]
        return WheelMetadata(
            name=name,
            version=version,
            requires_python=None if requires is None else _unfolded(requires),
            requires_dist=tuple(map(_unfolded, headers.get_all("Requires-Dist", ()))),
        )

    def _check_entry_points(self) -> None:
        """Refuse entry points that cannot become a script of the ``scripts`` scheme."""
        if f"{self._layout.info}/entry_points.txt" not in self._entries:
            return
        try:
            scripts = list(parse_entrypoints(self._text("entry_points.txt")))
        except (ConfigParserError, AssertionError, AttributeError) as error:
            # installer asserts that a value has the form module:attribute.
            said = str(error).splitlines()
            reason = _quoted(said[0]) if said else "a script is no module:attribute"
            raise _RefusalError(f"entry_points.txt cannot be read: {reason}") from None
        for name, *_ in scripts:
            if not _is_component(name) or name != name.strip():
                raise _RefusalError(f"entry point {_quoted(name)} is no name for a script")

    def _refuse(self, reason: str) -> NoReturn:
        raise WheelError(self.path, reason) from None


class _RefusalError(ValueError):
    """What is wrong with a wheel; `WheelArchive.open` says with which."""


def _quoted(text: str) -> str:
    """Return ``text``, which may be anything of any length, as a part of one line."""
    return repr(text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…")


_SHOWN = 100


# ---------------------------------------------------------------------- content of entries

_PIECE = 1 << 20
_INPUT = 1 << 18

_HASHES: Mapping[str, Callable[[], hashlib._Hash | hashlib.blake2b | hashlib.blake2s]] = {
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


class _Expected(NamedTuple):
    """The hash of a file, as RECORD has it: "sha256=…" and decoded."""

    text: str
    algorithm: str
    digest: bytes


class _Source(NamedTuple):
    path: Path
    descriptor: int


class EntryStream(io.BufferedIOBase):
    """The content of one entry; reading its last byte checks length, CRC and hash.

    Reads the file at its own offset, so that several streams do not disturb each other.
    Raises WheelError where the content is not what the archive and its RECORD promise;
    what was returned until then is worth nothing.
    """

    def __init__(self, source: _Source, entry: _Entry, expected: _Expected | None) -> None:
        super().__init__()
        self._source = source
        self._entry = entry
        self._expected = expected
        self._algorithm = expected.algorithm if expected else "sha256"
        self._hasher = _HASHES[self._algorithm]()
        self._crc = 0
        self._offset = entry.start
        self._packed_left = entry.packed
        self._left = entry.size
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS) if entry.deflated else None
        self._verified: Hash | None = None
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
            self._crc = zlib.crc32(piece, self._crc)
            self._hasher.update(piece)
            self._left -= len(piece)
            wanted -= len(piece)
            pieces.append(piece)
            if not self._left:
                self._finish()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def verified_hash(self) -> Hash:
        """Return the hash of the content; only after it was read to its end."""
        assert self._verified is not None, "read the stream to its end first"
        return self._verified

    def _piece(self, wanted: int) -> bytes:
        """Return one to ``wanted`` bytes."""
        if self._inflater is None:
            return self._packed(min(wanted, _PIECE))
        while True:
            packed = self._inflater.unconsumed_tail or self._packed(_INPUT)
            try:
                piece = self._inflater.decompress(packed, min(wanted, _PIECE))
            except zlib.error as error:
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
        self._verified = Hash(self._algorithm, value)

    def _finish_inflating(self, inflater: zlib._Decompress) -> None:
        """Refuse an entry that inflates to more, or has more, than it should."""
        packed = inflater.unconsumed_tail
        while not inflater.eof:
            packed = packed or self._packed(_INPUT)
            if not packed:
                self._refuse("ends in the middle of its compressed data")
            try:
                if inflater.decompress(packed, 1):
                    self._refuse(f"is longer than the {self._entry.size} bytes it should have")
            except zlib.error as error:
                self._refuse(f"cannot be inflated ({error})")
            packed = inflater.unconsumed_tail
        if inflater.unused_data or self._packed_left:
            self._refuse("has bytes after its compressed data")

    def _refuse(self, what: str) -> NoReturn:
        raise WheelError(self._source.path, f"entry {self._entry.name!r} {what}") from None


# ---------------------------------------------------------------------- the zip file

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_DESCRIPTOR = b"PK\x07\x08"

_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 0x2041  # any of the three bits that say so
_LATER = 0x0008  # sizes and CRC follow the data
_UTF8 = 0x0800
_KNOWN = _LATER | _UTF8 | 0x0006  # the last two bits: how hard the packer tried

_ZIP64 = 0x0001
_OTHER_NAME = 0x7075  # a second name, which some readers take instead
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF


class _Entry(NamedTuple):
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
            raise _RefusalError(f"entry {self.raw_name!r} has a name that is not UTF-8") from None


def _open_regular(path: Path) -> int:
    """Return a descriptor; a FIFO must not make us wait for ever."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise WheelError(path, error.strerror or str(error)) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise WheelError(path, "it is no regular file")
    return descriptor


def _read(descriptor: int, offset: int, size: int) -> bytes:
    data = os.pread(descriptor, size, offset)
    while 0 < len(data) < size:
        more = os.pread(descriptor, size - len(data), offset + len(data))
        if not more:
            break
        data += more
    if len(data) != size:
        raise _RefusalError("it is truncated")
    return data


def _read_entries(descriptor: int, limits: Limits) -> dict[str, _Entry]:
    """Return the entries by name, directories included, in the archive's order."""
    length = os.fstat(descriptor).st_size
    start, size, count = _find_central(descriptor, length, limits)
    entries: dict[str, _Entry] = {}
    budget = min(limits.size, max(limits.floor, limits.ratio * length))
    for central in _central_records(_read(descriptor, start, size), count):
        entry = _entry(descriptor, central, limits)
        if entry.name in entries:
            raise _RefusalError(f"entry {entry.name!r} is there twice")
        entries[entry.name] = entry
        budget -= entry.size
        if budget < 0:
            total = min(limits.size, max(limits.floor, limits.ratio * length))
            raise _RefusalError(f"it would inflate to more than {total} bytes")
    _check_tiling(entries.values(), start)
    return entries


def _find_central(descriptor: int, length: int, limits: Limits) -> tuple[int, int, int]:
    """Return where the central directory starts, its length and its number of records.

    The end record must be the last thing in the file and the directory must touch it, so
    there is only one way to find them.
    """
    if length < _END.size:
        raise _RefusalError("it is no zip file (too short)")
    end = length - _END.size
    signature, disk, cd_disk, here, count, size, start, comment = _END.unpack(
        _read(descriptor, end, _END.size)
    )
    if signature != b"PK\x05\x06" or comment:
        raise _RefusalError("it is no zip file, or it is truncated, or something follows its end")
    if _FULL16 in {disk, cd_disk, here, count} or _FULL32 in {size, start}:
        end, (disk, cd_disk, here, count, size, start) = _find_end64(descriptor, end)
    if disk or cd_disk or here != count:
        raise _RefusalError("it is one part of a zip file in several parts")
    if start + size != end:
        raise _RefusalError(
            "its central directory is not where its end says (bytes before or between)"
        )
    if count > limits.entries:
        raise _RefusalError(f"it has {count} entries (allowed: {limits.entries})")
    if size > limits.directory:
        raise _RefusalError(f"its central directory has {size} bytes (allowed: {limits.directory})")
    return start, size, count


def _find_end64(descriptor: int, end: int) -> tuple[int, tuple[int, ...]]:
    at = end - _LOCATOR.size - _END64.size
    if at < 0:
        raise _RefusalError("its zip64 end is missing")
    data = _read(descriptor, at, _LOCATOR.size + _END64.size)
    signature, size, _, _, *fields = _END64.unpack_from(data)
    locator, disk, offset, disks = _LOCATOR.unpack_from(data, _END64.size)
    good = signature == b"PK\x06\x06" and locator == b"PK\x06\x07"
    if not good or size != _END64.size - 12 or disk or disks != 1 or offset != at:
        raise _RefusalError("its zip64 end is damaged")
    return at, tuple(fields)


def _central_records(data: bytes, count: int) -> Iterator[_Central]:
    at = 0
    for _ in range(count):
        if at + _CENTRAL.size > len(data):
            raise _RefusalError("its central directory is truncated")
        fields = _CENTRAL.unpack_from(data, at)
        if fields[0] != b"PK\x01\x02":
            raise _RefusalError("its central directory is damaged")
        flags, method, crc = fields[3], fields[4], fields[7]
        name_end = at + _CENTRAL.size + fields[10]
        extra_end = name_end + fields[11]
        raw_name = data[at + _CENTRAL.size : name_end]
        sizes = _with_zip64(raw_name, (fields[9], fields[8], fields[16]), data[name_end:extra_end])
        if fields[13]:
            raise _RefusalError(f"entry {raw_name!r} lies in another part")
        at = extra_end + fields[12]
        mode = fields[15] >> 16
        yield _Central(raw_name, flags, method, crc, sizes[1], sizes[0], sizes[2], mode)
    if at != len(data):
        raise _RefusalError("its central directory has something after its last entry")


def _extras(raw_name: bytes, extra: bytes) -> dict[int, bytes]:
    """Return the extra fields by id."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(extra):
        if at + 4 > len(extra):
            raise _RefusalError(f"entry {raw_name!r} has a damaged extra field")
        kind, size = struct.unpack_from("<2H", extra, at)
        at += 4 + size
        if at > len(extra):
            raise _RefusalError(f"entry {raw_name!r} has a damaged extra field")
        if kind == _OTHER_NAME or (kind == _ZIP64 and kind in found):
            raise _RefusalError(
                f"entry {raw_name!r} has an extra field that contradicts its header"
            )
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
                raise _RefusalError(f"entry {raw_name!r} has a damaged zip64 field")
            result[index] = struct.unpack_from("<Q", zip64, at)[0]
            at += 8
    return result


def _entry(descriptor: int, central: _Central, limits: Limits) -> _Entry:
    name = central.name
    if len(central.raw_name) > limits.name:
        raise _RefusalError(f"entry {name[:40]!r}… has a name of {len(central.raw_name)} bytes")
    if central.flags & _ENCRYPTED:
        raise _RefusalError(f"entry {name!r} is encrypted")
    if central.flags & ~_KNOWN:
        raise _RefusalError(f"entry {name!r} has unknown flags ({central.flags:#06x})")
    if central.method not in {_STORED, _DEFLATED}:
        raise _RefusalError(f"entry {name!r} uses compression method {central.method}")
    if central.method == _STORED and central.packed != central.size:
        raise _RefusalError(f"entry {name!r} is stored, and has two sizes")
    start = _check_local(descriptor, name, central)
    end = start + central.packed
    if central.flags & _LATER:
        end += _descriptor_length(descriptor, name, central, end)
    return _Entry(
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
        raise _RefusalError(f"entry {name!r} has no local header where it should be")
    if (name_length, data[_LOCAL.size :]) != (len(central.raw_name), central.raw_name):
        raise _RefusalError(f"entry {name!r} has another name in its local header")
    if (flags & ~0x0006, method) != (central.flags & ~0x0006, central.method):
        raise _RefusalError(f"entry {name!r} has other flags or method in its local header")
    extra = _read(descriptor, central.header + length, extra_length) if extra_length else b""
    size, packed = _with_zip64(central.raw_name, (size, packed), extra)
    local, right = (crc, packed, size), (central.crc, central.packed, central.size)
    if local != right and not (flags & _LATER and local == (0, 0, 0)):
        raise _RefusalError(f"entry {name!r} has another size or CRC in its local header")
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
    raise _RefusalError(f"entry {name!r} has another size or CRC after its data")


def _check_tiling(entries: Iterable[_Entry], end: int) -> None:
    """Refuse entries that overlap, and bytes that belong to no entry."""
    at = 0
    for entry in sorted(entries, key=lambda entry: entry.header):
        if entry.header < at:
            raise _RefusalError(f"entry {entry.name!r} overlaps another one")
        if entry.header > at:
            raise _RefusalError(
                f"there are bytes that belong to nothing before entry {entry.name!r}"
            )
        at = entry.end
    if at != end:
        raise _RefusalError("its entries overlap its central directory, or leave bytes before it")


# ---------------------------------------------------------------------- names of entries

_BAD_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\\\\]")
"""Backslash, and what ends a line or a string for one reader of RECORD or another."""

_DRIVE = re.compile(r"[A-Za-z]:")
_COMPONENT = 255


def _checked_files(entries: Mapping[str, _Entry]) -> dict[str, _Entry]:
    """Return the entries that are files, in order, once all names are good ones.

    Names that differ in case or Unicode form only are different files on Linux, as they
    are for pip; on a file system that folds them, the destination meets a file that is
    there already, and refuses.
    """
    files: dict[str, _Entry] = {}
    directories: set[str] = set()
    for name, entry in entries.items():
        _check_name(name)
        kind = stat.S_IFMT(entry.mode)
        if name.endswith("/"):
            if kind not in {0, stat.S_IFDIR} or entry.size:
                raise _RefusalError(f"entry {name!r} is named like a directory and is none")
            _add_with_parents(name[:-1], directories)
            continue
        if kind not in {0, stat.S_IFREG}:
            raise _RefusalError(f"entry {name!r} is {_KINDS.get(kind, 'no regular file')}")
        files[name] = entry
        _add_with_parents(name.rpartition("/")[0], directories)
    for name in directories:
        if name in files:
            raise _RefusalError(f"entry {name!r} is a file and a directory")
    return files


_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a directory and not named like one",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
}


def _add_with_parents(directory: str, directories: set[str]) -> None:
    while directory and directory not in directories:
        directories.add(directory)
        directory = directory.rpartition("/")[0]


def _check_name(name: str) -> None:
    """Refuse a name that is not relative, normal and below the root."""
    if name.startswith("/") or _DRIVE.match(name):
        raise _RefusalError(f"entry {name!r} has an absolute path")
    if _BAD_CHARACTER.search(name):
        raise _RefusalError(f"entry {name!r} has a backslash or control character in its name")
    for part in name.removesuffix("/").split("/"):
        if part in {"", ".", ".."}:
            raise _RefusalError(f"entry {name!r} has {part!r} as a component of its path")
        if len(part) > _COMPONENT // 4 and len(part.encode()) > _COMPONENT:
            raise _RefusalError(f"entry {name[:40]!r}… has a component of more than 255 bytes")
    if name == "__pycache__" or name.endswith("/__pycache__"):
        raise _RefusalError(f"entry {name!r} is a file")


def _is_component(name: str) -> bool:
    """Tell whether ``name`` is the name of one file in one directory."""
    if name in {"", ".", ".."} or "/" in name or _BAD_CHARACTER.search(name):
        return False
    return len(name.encode("utf-8", "surrogatepass")) <= _COMPONENT


# ---------------------------------------------------------------------- names of the wheel

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")


class _FileName(NamedTuple):
    """NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl, taken apart."""

    distribution: str
    version: str
    tags: frozenset[str]

    @classmethod
    def parse(cls, file_name: str) -> _FileName:
        stem, dot, suffix = file_name.rpartition(".")
        parts = stem.split("-")
        if not dot or suffix != "whl" or len(parts) not in {5, 6} or "" in parts:
            raise _RefusalError("its file name is not NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl")
        if len(parts) == 6 and not parts[2][0].isdigit():  # noqa: PLR2004
            raise _RefusalError(f"its file name has the build number {parts[2]!r}")
        return cls(parts[0], parts[1], _expanded(["-".join(parts[-3:])]))


def _expanded(tags: Iterable[str]) -> frozenset[str]:
    """Return all the tags that compressed ones like ``py2.py3-none-any`` stand for."""
    result: set[str] = set()
    for tag in tags:
        parts = [part.split(".") for part in tag.lower().split("-")]
        if len(result) + math.prod(map(len, parts)) > _TAGS:
            raise _RefusalError(f"the tag {_quoted(tag)} stands for more than {_TAGS} tags")
        result.update(map("-".join, itertools.product(*parts)))
    return frozenset(result)


_TAGS = 10_000


def _is_said(tag: str, said: frozenset[str]) -> bool:
    """Tell whether WHEEL, which has the tags ``said``, lets a file name say ``tag``.

    Builders rename ``linux_x86_64`` to a manylinux or musllinux tag when they publish
    (PyTorch does), and leave WHEEL alone; nothing else may differ.
    """
    if tag in said:
        return True
    interpreter, _, platform = tag.rpartition("-")
    renamed = re.sub(
        r"^(?:manylinux(?:1|2010|2014|_\d+_\d+)|musllinux_\d+_\d+)_", "linux_", platform
    )
    return f"{interpreter}-{renamed}" in said


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _same_version(escaped: str, version: str) -> bool:
    """Compare the version in a file name with a version as METADATA has it."""
    if escaped == version and _SIMPLE_VERSION.fullmatch(version):
        return True
    from packaging.version import Version  # noqa: PLC0415 -- seldom needed

    try:
        return Version(escaped.replace("_", "-")) == Version(version)
    except ValueError:  # InvalidVersion, or a number of too many digits
        return False


_SIMPLE_VERSION = re.compile(
    r"[0-9]{1,18}(?:\.[0-9]{1,18})*(?:(?:a|b|rc|\.post|\.dev)[0-9]{1,18})?"
)


class _Layout(NamedTuple):
    """The two directories of a wheel that have a meaning."""

    info: str
    data: str

    @classmethod
    def find(cls, files: Iterable[str], file_name: _FileName) -> _Layout:
        """Return them; refuses others that a tool could take for them."""
        infos: set[str] = set()
        datas: set[str] = set()
        for name in files:
            top, slash, rest = name.partition("/")
            if top.endswith((".dist-info", ".data")) and not slash:
                raise _RefusalError(f"entry {name!r} is a file")
            if top.endswith(".dist-info"):
                infos.add(top)
            elif top.endswith(".data"):
                datas.add(top)
                _check_data_path(name, rest)
        if len(infos) != 1:
            raise _RefusalError(f"it has {len(infos)} *.dist-info directories")
        (info,) = infos
        _check_stem(info, ".dist-info", file_name)
        if len(datas) > 1:
            raise _RefusalError(f"it has {len(datas)} *.data directories")
        data = datas.pop() if datas else info.removesuffix(".dist-info") + ".data"
        _check_stem(data, ".data", file_name)
        return cls(info, data)


def _check_data_path(name: str, below: str) -> None:
    scheme, _, path = below.partition("/")
    if scheme not in SCHEME_NAMES or not path:
        raise _RefusalError(f"entry {name!r} is not below one of {', '.join(SCHEME_NAMES)}")
    if scheme in {"purelib", "platlib"} and path.partition("/")[0].endswith(".dist-info"):
        raise _RefusalError(f"entry {name!r} makes a second *.dist-info directory")


def _check_stem(directory: str, suffix: str, file_name: _FileName) -> None:
    name, _, version = directory.removesuffix(suffix).rpartition("-")
    same = _canonical(name) == _canonical(file_name.distribution)
    if not same or not _same_version(file_name.version, version.replace("_", "-")):
        raise _RefusalError(
            f"its directory {directory!r} is not that of "
            f"{file_name.distribution} {file_name.version}, which the file name says"
        )


# ---------------------------------------------------------------------- RECORD and headers

_SIGNATURES = ("RECORD.jws", "RECORD.p7s")
_FILES_OF_INSTALLERS = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"})


def _record_rows(text: str) -> Iterator[list[str]]:
    """Yield the rows, each of path, hash and size."""
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        for row in reader:
            if len(row) != 3:  # noqa: PLR2004
                found = _quoted(",".join(row))
                raise _RefusalError(f"RECORD has a row of {len(row)} fields: {found}")
            yield row
    except csv.Error as error:
        raise _RefusalError(f"RECORD is not in CSV ({error})") from None


def _check_record(
    rows: Iterable[list[str]], entries: Mapping[str, _Entry], layout: _Layout
) -> dict[str, _Expected]:
    """Return the hashes that RECORD gives, once it lists each file exactly once.

    RECORD's own row has neither hash nor size and may be missing, as may those of
    signatures, which are made after it.  Rows of directories mean nothing.
    """
    unhashed = {f"{layout.info}/{name}" for name in ("RECORD", *_SIGNATURES)}
    expected: dict[str, _Expected] = {}
    seen: set[str] = set()
    for name, hash_, size in rows:
        if name in seen:
            raise _RefusalError(f"RECORD lists {_quoted(name)} twice")
        seen.add(name)
        entry = entries.get(name)
        if entry is None or name.endswith("/"):
            if f"{name.rstrip('/')}/" not in entries:
                raise _RefusalError(f"RECORD lists {_quoted(name)}, which is not there")
        elif name not in unhashed:
            _check_size(name, size, entry)
            expected[name] = _parse_hash(name, hash_)
        elif hash_ or size:
            raise _RefusalError(f"RECORD gives a hash or size for {name!r}, which cannot be")
    _check_all_listed(entries, seen | unhashed)
    return expected


def _check_all_listed(entries: Iterable[str], listed: set[str]) -> None:
    for name in entries:
        if name not in listed and not name.endswith("/"):
            raise _RefusalError(f"RECORD does not list {name!r}")


def _check_size(name: str, size: str, entry: _Entry) -> None:
    if not (size.isascii() and size.isdigit()) or size.lstrip("0") != str(entry.size).lstrip("0"):
        raise _RefusalError(
            f"RECORD gives the size {_quoted(size)} for {name!r}, which has {entry.size} bytes"
        )


def _parse_hash(name: str, text: str) -> _Expected:
    algorithm, _, value = text.partition("=")
    if algorithm not in _HASHES:
        raise _RefusalError(f"RECORD has no hash of sha256 or better for {name!r}: {_quoted(text)}")
    value = value.rstrip("=")
    size = _HASHES[algorithm]().digest_size
    if re.fullmatch(r"[A-Za-z0-9_-]+", value) and len(value) % 4 != 1:
        digest = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
        if len(digest) == size:
            return _Expected(f"{algorithm}={value}", algorithm, digest)
    raise _RefusalError(f"RECORD has a hash for {name!r} that is no {algorithm}: {_quoted(text)}")


def _headers(text: str) -> Message:
    """Parse METADATA or WHEEL with the parser that ``installer`` uses for WHEEL.

    It is the standard library's, which ``installer`` has imported already; what follows
    the first empty line, a description of any length, is not parsed.
    """
    return parse_metadata_file(_EMPTY_LINE.split(text, maxsplit=1)[0])


_EMPTY_LINE = re.compile(r"(?<=\n)\r?\n")


def _only(headers: Message, field: str) -> str:
    values = headers.get_all(field, ())
    if len(values) != 1:
        raise _RefusalError(f"METADATA has {len(values)} {field} fields")
    return str(values[0]).strip()


def _unfolded(value: object) -> str:
    return " ".join(str(value).split())


def _python_fits(requires: str, version: str) -> bool:
    from packaging.specifiers import SpecifierSet  # noqa: PLC0415 -- seldom needed before

    try:
        return SpecifierSet(requires).contains(version, prereleases=True)
    except ValueError:
        return True  # pip, too: old wheels have ">=3.6.*"
