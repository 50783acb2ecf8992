"""Zip files that are damaged, ambiguous, or larger than they look."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

from tests.foowheel import FILE, INFO
from tests.hostile.case import FOO, installed, refused
from tests.sitepackages import SITE
from tests.wheelmaker import TIME, Member, make_wheel, members, record_of, write_zip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

__all__ = ["AMBIGUOUS", "DAMAGED", "SIZES", "UNUSUAL", "zip64"]

LOCAL, CENTRAL, END = b"PK\3\4", b"PK\1\2", b"PK\5\6"


def _good(directory: Path) -> bytes:
    return make_wheel(directory, "foo", "1.0").read_bytes()


def changed(change: Callable[[bytes], bytes]) -> Callable[[Path], Path]:
    """Return a maker of good wheels whose bytes are changed."""

    def make(directory: Path) -> Path:
        path = directory / FILE
        path.write_bytes(change(_good(directory)))
        return path

    return make


def patched(signature: bytes, offset: int, value: bytes) -> Callable[[Path], Path]:
    """Return a maker of wheels with ``value`` in the first record of this signature."""

    def change(data: bytes) -> bytes:
        at = data.index(signature) + offset
        return data[:at] + value + data[at + len(value) :]

    return changed(change)


def zip64(data: bytes) -> bytes:
    """Return the archive with the end record of one that is too large for the old form."""
    at = data.rindex(END)
    count, size, start = struct.unpack_from("<H2L", data, at + 10)
    end = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, at, 1)
    return data[:at] + end + locator + END + bytes(4) + b"\xff" * 12 + bytes(2)


# ---------------------------------------------------------------------------------- damaged

DAMAGED = {
    "no zip file": refused(changed(lambda _: b"This is no zip file." * 9), "it is no zip file"),
    "empty file": refused(changed(lambda _: b""), "it is no zip file (too short)"),
    "zip file of nothing": refused(
        changed(lambda _: END + bytes(18)), "it has 0 *.dist-info directories"
    ),
    "truncated in the directory": refused(changed(lambda d: d[:-60]), "or it is truncated"),
    "truncated in the data": refused(changed(lambda d: d[:200]), "or it is truncated"),
    "the middle is missing": refused(
        changed(lambda d: d[:40] + d[90:]), "its central directory is not where its end says"
    ),
    "damaged data": refused(
        patched(LOCAL, 30 + len("foo.py") + 3, b"\xff\xff\xff"), "entry 'foo.py' "
    ),
    "wrong CRC": refused(
        changed(lambda d: d.replace(struct.pack("<L", zlib.crc32(FOO)), struct.pack("<L", 1))),
        "entry 'foo.py' does not have the CRC that the archive gives",
    ),
}


# -------------------------------------------------------------------------------- ambiguous


def _commented(directory: Path) -> Path:
    path = make_wheel(directory, "foo", "1.0")
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"hello"
    return path


def _bytes_between(directory: Path) -> Path:
    path = make_wheel(directory, "foo", "1.0")
    with zipfile.ZipFile(path, "a") as archive:
        archive.filelist.remove(archive.getinfo("foo.py"))  # zipfile writes the directory anew
        archive.NameToInfo.pop("foo.py")
        archive.writestr("foo.py", FOO)
    return path


def _two_archives(directory: Path) -> Path:
    """Another whole wheel behind the first one: some readers look from the front."""
    evil = make_wheel(directory / "evil", "foo", "1.0", {"foo.py": "evil = 1\n"})
    data = evil.read_bytes()
    evil.unlink()
    evil.parent.rmdir()
    path = directory / FILE
    path.write_bytes(data + _good(directory))
    return path


def _hidden_tail(directory: Path) -> Path:
    """Bytes behind the end of an entry's compressed data, within its size."""
    content = b"x" * 100
    packer = zlib.compressobj(wbits=-15)
    clean = packer.compress(content) + packer.flush()
    path = write_zip(directory / FILE, members("foo", "1.0", {"a": content}))
    data = path.read_bytes().replace(clean, clean + b"hidden", 1)
    sizes = struct.pack("<3L", zlib.crc32(content), len(clean), 100)
    data = data.replace(sizes, struct.pack("<3L", zlib.crc32(content), len(clean) + 6, 100))
    path.write_bytes(_moved_directory(data, 6))
    return path


def _moved_directory(data: bytes, by: int) -> bytes:
    """Mend the offsets of a zip file whose first entry became longer."""
    result = bytearray(data)
    end = data.rindex(END)
    (start,) = struct.unpack_from("<L", data, end + 16)
    struct.pack_into("<L", result, end + 16, start + by)
    at = start + by
    while result[at : at + 4] == CENTRAL:
        lengths = struct.unpack_from("<3H", result, at + 28)
        (offset,) = struct.unpack_from("<L", result, at + 42)
        struct.pack_into("<L", result, at + 42, offset + by if offset else 0)
        at += 46 + sum(lengths)
    return bytes(result)


def _records(name: bytes, data: bytes, size: int, offset: int) -> tuple[bytes, bytes]:
    """Return the local and the central header of a stored entry; ``data`` has its CRC."""
    fields = (zlib.crc32(data), size, size)
    local = LOCAL + struct.pack("<5H3L2H", 20, 0, 0, 0, 33, *fields, len(name), 0) + name
    central = struct.pack("<6H3L5H2L", 20, 20, 0, 0, 0, 33, *fields, len(name), *[0] * 5, offset)
    return local, CENTRAL + central + name


def _archive(body: bytes, directory: Iterable[bytes]) -> bytes:
    rows = list(directory)
    size = sum(map(len, rows))
    end = END + struct.pack("<4H2LH", 0, 0, len(rows), len(rows), size, len(body), 0)
    return body + b"".join(rows) + end


def _nested_entries(directory: Path) -> Path:
    """The second entry lies within the first one's data: how the better bombs are made."""
    inner, second = _records(b"b", b"x", 1, 0)
    inner += b"x"
    outer, first = _records(b"a", inner, len(inner), 0)
    _, second = _records(b"b", b"x", 1, len(outer))
    path = directory / FILE
    path.write_bytes(_archive(outer + inner, [first, second]))
    return path


def _shared_data(directory: Path) -> Path:
    """Ten names for one local header."""
    local, _ = _records(b"a", b"x", 1, 0)
    rows = [_records(b"%d" % number, b"x", 1, 0)[1] for number in range(10)]
    path = directory / FILE
    path.write_bytes(_archive(local + b"x", rows))
    return path


AMBIGUOUS = {
    "trailing data": refused(changed(lambda d: d + b"x" * 99), "or something follows its end"),
    "trailing second end": refused(changed(lambda d: d + END + bytes(18)), "its central directory"),
    "leading data (a program)": refused(
        changed(lambda d: b"#!/bin/sh\nexit\n" + d), "bytes before or between"
    ),
    "archive comment": refused(_commented, "something follows its end"),
    "two archives in one file": refused(_two_archives, "bytes before or between"),
    "bytes between the entries": refused(_bytes_between, "bytes that belong to nothing"),
    "bytes behind compressed data": refused(
        _hidden_tail, "entry 'a' has bytes after its compressed data"
    ),
    "overlapping entries, one within the other": refused(_nested_entries, "overlaps another one"),
    "overlapping entries, one data for ten names": refused(
        _shared_data, "has another name in its local header"
    ),
    "local header: none": refused(patched(LOCAL, 0, b"PK\3\5"), "has no local header where"),
    "local header: other name": refused(patched(LOCAL, 30, b"bar.py"), "has another name in its"),
    "local header: longer name": refused(patched(LOCAL, 26, b"\5"), "has another name in its"),
    "local header: other flags": refused(patched(LOCAL, 6, b"\2\x08"), "other flags or method"),
    "local header: other method": refused(patched(LOCAL, 8, b"\0\0"), "other flags or method"),
    "local header: other CRC": refused(patched(LOCAL, 14, b"abcd"), "another size or CRC"),
    "local header: other packed size": refused(patched(LOCAL, 18, b"\1\0\0\0"), "another size or"),
    "local header: other size": refused(patched(LOCAL, 22, b"\1\0\0\0"), "another size or CRC"),
    "stored, with two sizes": refused(patched(CENTRAL, 10, b"\0\0"), "is stored, and has two"),
}


# ---------------------------------------------------------------------------------- unusual


def _compressed(method: int) -> Callable[[Path], Path]:
    def make(directory: Path) -> Path:
        path = directory / FILE
        with zipfile.ZipFile(path, "w", method) as archive:
            for member in members("foo", "1.0"):
                archive.writestr(zipfile.ZipInfo(member.name, TIME), member.data, method)
        return path

    return make


def _with_descriptors(directory: Path) -> Path:
    """Sizes that follow the data, as a builder writes them into a pipe."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = b""

        def writable(self) -> bool:
            return True

        def write(self, data: object, /) -> int:
            self.data += bytes(data)  # type: ignore[call-overload]
            return len(bytes(data))  # type: ignore[call-overload]

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:
        for member in members("foo", "1.0"):
            archive.writestr(zipfile.ZipInfo(member.name, TIME), member.data)
    path = directory / FILE
    path.write_bytes(pipe.data)
    return path


UNUSUAL = {
    "zip64": installed(changed(zip64)),
    "zip64, damaged": refused(
        changed(lambda d: zip64(d).replace(b"PK\6\7", b"PK\6\x08")), "its zip64 end is damaged"
    ),
    "sizes behind the data": installed(_with_descriptors),
    "encrypted": refused(patched(CENTRAL, 8, b"\1\0"), "entry 'foo.py' is encrypted"),
    "strongly encrypted": refused(patched(CENTRAL, 8, b"\x41\0"), "entry 'foo.py' is encrypted"),
    "patch data": refused(patched(CENTRAL, 8, b"\x20\0"), "has unknown flags"),
    "compressed by bzip2": refused(
        _compressed(zipfile.ZIP_BZIP2), "entry 'foo.py' uses compression method 12"
    ),
    "compressed by LZMA": refused(
        _compressed(zipfile.ZIP_LZMA), "entry 'foo.py' uses compression method 14"
    ),
    "unknown compression": refused(
        patched(CENTRAL, 10, b"\x63\0"), "entry 'foo.py' uses compression method 99"
    ),
    "one part of several": refused(
        changed(lambda d: d[: d.rindex(END) + 4] + b"\1" + d[d.rindex(END) + 5 :]),
        "it is one part of a zip file in several parts",
    ),
}


# ------------------------------------------------------------------------------------- sizes

MEBIBYTE = 1 << 20


def _bomb(directory: Path) -> Path:
    """300 MiB of zeros in 300 KiB, with a RECORD that is right."""
    return make_wheel(directory, "foo", "1.0", {"zeros": bytes(300 * MEBIBYTE)})


def _claimed(size: int) -> Callable[[Path], Path]:
    """Return a maker of wheels whose entry ``a`` says that it has ``size`` bytes."""

    def make(directory: Path) -> Path:
        content = members("foo", "1.0", {"a": bytes(1000)})
        record = content[-1].data.replace(b",1000\n", b",%d\n" % size)
        path = write_zip(directory / FILE, [*content[:-1], Member(content[-1].name, record)])
        data = path.read_bytes().replace(struct.pack("<L", 1000), struct.pack("<L", size))
        path.write_bytes(data)
        return path

    return make


def _total(directory: Path) -> Path:
    """Five entries that claim 4 GiB less a byte each."""
    content = members("foo", "1.0", {f"a{number}": bytes(1000) for number in range(5)})
    size = (1 << 32) - 2
    record = content[-1].data.replace(b",1000\n", b",%d\n" % size)
    path = write_zip(directory / FILE, [*content[:-1], Member(content[-1].name, record)])
    path.write_bytes(path.read_bytes().replace(struct.pack("<L", 1000), struct.pack("<L", size)))
    return path


MANY = tuple(f"d{number % 100}/f{number}" for number in range(100_000))


def _many(directory: Path) -> Path:
    return make_wheel(directory, "foo", "1.0", {"foo.py": FOO, **dict.fromkeys(MANY, b"x")})


def _claims_entries(data: bytes) -> bytes:
    """Claim two million entries (zip64), and have three."""
    return zip64(data).replace(struct.pack("<2Q", 4, 4), struct.pack("<2Q", 1 << 21, 1 << 21))


def _large_text(name: str) -> Callable[[Path], Path]:
    def make(directory: Path) -> Path:
        content = [m for m in members("foo", "1.0")[:-1] if not m.name.endswith(name)]
        good = {m.name: m.data for m in members("foo", "1.0")}.get(f"{INFO}/{name}", b"")
        content.append(Member(f"{INFO}/{name}", good + b"\n" + b"#" * 17 * MEBIBYTE))
        return write_zip(directory / FILE, [*content, record_of(content, f"{INFO}/RECORD")])

    return make


def _many_fields(directory: Path) -> Path:
    return make_wheel(directory, "foo", "1.0", metadata=["a:"] * 1_000_000)


SIZES = {
    "bomb by ratio": refused(_bomb, "it would inflate to more than 268435456 bytes"),
    "bomb by total": refused(_total, "it would inflate to more than 268435456 bytes"),
    "more content than is said": refused(
        _claimed(999), "entry 'a' is longer than the 999 bytes it should have"
    ),
    "less content than is said": refused(
        _claimed(1001), "entry 'a' is shorter than the 1001 bytes it should have"
    ),
    "two million entries, claimed": refused(
        changed(_claims_entries), "it has 2097152 entries (allowed: 1000000)"
    ),
    "METADATA of 17 MiB": refused(_large_text("METADATA"), "(allowed: 16777216)"),
    "METADATA of a million fields": refused(
        _many_fields, "METADATA has fields of 3000045 characters (allowed: 1048576)"
    ),
    "entry points of 17 MiB": refused(_large_text("entry_points.txt"), "(allowed: 1048576)"),
    "RECORD of 255 MiB": refused(
        lambda d: make_wheel(d, "foo", "1.0", record=b"\n" * 255 * MEBIBYTE),
        "'foo-1.0.dist-info/RECORD' has 267386880 bytes (allowed: ",
    ),
    "100,000 tiny files": installed(_many, {f"{SITE}/{name}": b"x" for name in MANY}),
}
