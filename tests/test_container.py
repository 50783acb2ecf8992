"""Which zip files are taken for a wheel, and that all others are refused."""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.errors import WheelError
from sage_pkginstall.wheels.archive import WheelArchive
from sage_pkginstall.wheels.container import Limits
from tests.foowheel import FILE, contents, foo, refusal
from tests.wheelmaker import TIME, Member, make_wheel, members

if TYPE_CHECKING:
    from pathlib import Path


def test_data_descriptors_are_understood(tmp_path: Path) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError

        def seek(self, *_: object) -> int:
            raise OSError

    pipe = Pipe()
    content = members("foo", "1.0")
    with zipfile.ZipFile(pipe, "w") as archive:
        for member in content:
            archive.writestr(zipfile.ZipInfo(member.name, TIME), member.data)
    path = tmp_path / FILE
    path.write_bytes(pipe.getvalue())
    assert b"PK\x07\x08" in pipe.getvalue()
    assert set(contents(path)) == {m.name for m in content[:-1]}


def test_zip64_is_understood(tmp_path: Path) -> None:
    content = members("foo", "1.0")
    path = tmp_path / FILE
    with zipfile.ZipFile(path, "w") as archive:
        for member in content:
            with archive.open(zipfile.ZipInfo(member.name, TIME), "w", force_zip64=True) as file:
                file.write(member.data)
    data = path.read_bytes()
    at = data.rindex(b"PK\x05\x06")
    count, size, start = struct.unpack_from("<H2L", data, at + 10)
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, at, 1)
    full = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    path.write_bytes(data[:at] + end64 + locator + full)
    assert set(contents(path)) == {m.name for m in content[:-1]}
    path.write_bytes(data[:at] + end64 + b"x" + locator + full)
    assert "zip64" in refusal(path)


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip file" * 10, b"PK\5\6" + bytes(18)])
def test_refused_no_zip_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / FILE
    path.write_bytes(content)
    assert refusal(path)


def test_refused_what_is_no_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / FILE) == "No such file or directory"
    (tmp_path / FILE).mkdir()
    assert refusal(tmp_path / FILE) == "it is no regular file"
    fifo = tmp_path / "bar-1.0-py3-none-any.whl"
    os.mkfifo(fifo)
    assert refusal(fifo) == "it is no regular file"


def test_refused_truncated_anywhere(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "foo", "1.0")
    data = path.read_bytes()
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        assert refusal(path)


def test_refused_or_same_content_with_any_byte_changed(tmp_path: Path) -> None:
    """No flipped bit of a wheel goes unseen, but in what has no meaning for an install."""
    path = make_wheel(tmp_path, "foo", "1.0", {"foo.py": "x = 1\n"})
    data = path.read_bytes()
    good = contents(path)
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        try:
            found = contents(path)
        except WheelError:
            continue
        assert {name: found[name][0] for name in found} == {n: good[n][0] for n in good}


@pytest.mark.parametrize(
    ("before", "after"), [(b"#!/bin/sh\n", b""), (b"", b"x"), (b"", b"PK\5\6" + bytes(18))]
)
def test_refused_bytes_before_or_after(tmp_path: Path, before: bytes, after: bytes) -> None:
    path = make_wheel(tmp_path, "foo", "1.0")
    path.write_bytes(before + path.read_bytes() + after)
    assert refusal(path)


def test_refused_archive_comment(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "foo", "1.0")
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"hello"
    assert "something follows its end" in refusal(path)


def patched(path: Path, signature: bytes, offset: int, value: bytes) -> Path:
    """Overwrite ``value`` at ``offset`` of the first record with this signature."""
    data = bytearray(path.read_bytes())
    at = data.index(signature) + offset
    data[at : at + len(value)] = value
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        (0, b"PK\3\5", "no local header"),
        (6, b"\x02\x08", "other flags or method"),
        (8, b"\x00\x00", "other flags or method"),
        (14, b"abcd", "another size or CRC"),
        (18, b"\x01\x00\x00\x00", "another size or CRC"),
        (22, b"\x01\x00\x00\x00", "another size or CRC"),
        (26, b"\x05\x00", "another name"),
        (30, b"bar.py", "another name"),
    ],
)
def test_refused_local_header_that_disagrees(
    tmp_path: Path, offset: int, value: bytes, reason: str
) -> None:
    path = patched(make_wheel(tmp_path, "foo", "1.0"), b"PK\3\4", offset, value)
    assert reason in refusal(path)


def test_refused_encrypted_entry(tmp_path: Path) -> None:
    path = patched(make_wheel(tmp_path, "foo", "1.0"), b"PK\1\2", 8, b"\x01\x00")
    assert "entry 'foo.py' is encrypted" in refusal(path)


def test_refused_unknown_flags(tmp_path: Path) -> None:
    path = patched(make_wheel(tmp_path, "foo", "1.0"), b"PK\1\2", 8, b"\x20\x00")
    assert "unknown flags" in refusal(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_refused_unusual_compression(tmp_path: Path, method: int) -> None:
    path = tmp_path / FILE
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("foo.py", "x")
    assert refusal(path) == f"entry 'foo.py' uses compression method {method}"


def test_refused_stored_with_two_sizes(tmp_path: Path) -> None:
    path = patched(make_wheel(tmp_path, "foo", "1.0"), b"PK\1\2", 10, b"\x00\x00")
    assert "is stored, and has two sizes" in refusal(path)


def test_refused_name_in_an_extra_field(tmp_path: Path) -> None:
    path = tmp_path / FILE
    info = zipfile.ZipInfo("foo.py", TIME)
    info.extra = struct.pack("<2HBL", 0x7075, 8, 1, zlib.crc32(b"foo.py")) + b"a.c"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, "x")
    assert "contradicts its header" in refusal(path)


def test_refused_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = foo(tmp_path, Member("\u00e9\u00e9", b"x"))
    path.write_bytes(path.read_bytes().replace("\u00e9\u00e9".encode(), b"\xe9\xe9\xe9\xe9"))
    assert refusal(path) == r"entry b'\xe9\xe9\xe9\xe9' has a name that is not UTF-8"


def test_refused_overlapping_entries(tmp_path: Path) -> None:
    """Two names for the same compressed bytes are how the better bombs are made."""
    path = tmp_path / FILE
    entry = (
        b"PK\3\4" + struct.pack("<5H3L2H", 20, 0, 0, 0, 33, zlib.crc32(b"x"), 1, 1, 1, 0) + b"ax"
    )
    central = struct.pack("<6H3L5H2L", 20, 20, 0, 0, 0, 33, zlib.crc32(b"x"), 1, 1, 1, *([0] * 6))
    central = b"PK\1\2" + central + b"a"
    for count, reason in ((1, "'foo-1.0.dist-info"), (2, "twice")):
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(central) * count, 32, 0)
        path.write_bytes(entry + central * count + end)
        assert ("dist-info" if count == 1 else reason) in refusal(path)
    # The second one starts within the first one's data.
    inner = entry.replace(b"ax", b"bx")
    outer = b"PK\3\4" + struct.pack("<5H3L2H", 20, 0, 0, 0, 33, 0, 32, 32, 1, 0) + b"a" + inner
    first = struct.pack("<6H3L5H2L", 20, 20, 0, 0, 0, 33, 0, 32, 32, 1, *([0] * 6))
    second = struct.pack(
        "<6H3L5H2L", 20, 20, 0, 0, 0, 33, zlib.crc32(b"x"), 1, 1, 1, *([0] * 5), 31
    )
    directory = b"PK\1\2" + first + b"a" + b"PK\1\2" + second + b"b"
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 2, 2, len(directory), len(outer), 0)
    path.write_bytes(outer + directory + end)
    assert refusal(path) == "entry 'b' overlaps another one"


def test_refused_bytes_between_entries(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "foo", "1.0")
    with zipfile.ZipFile(path, "a") as archive:
        archive.getinfo("foo.py").filename = "bar.py"  # zipfile writes the directory anew
        archive.filelist.remove(archive.getinfo("foo.py"))
        archive.NameToInfo.pop("foo.py")
        archive.writestr("x", "")
    assert "bytes that belong to nothing" in refusal(path)


def test_refused_duplicate_entries(tmp_path: Path) -> None:
    content = members("foo", "1.0")
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = write_zip_with_duplicates(tmp_path / FILE, [content[0], *content])
    assert refusal(path) == "entry 'foo.py' is there twice"


def write_zip_with_duplicates(path: Path, content: list[Member]) -> Path:
    """As `write_zip`, where zipfile sees the final name and warns."""
    with zipfile.ZipFile(path, "w") as archive:
        for member in content:
            archive.writestr(member.name, member.data)
    return path


def test_refused_too_many_entries(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "foo", "1.0", {f"f{i}": "" for i in range(10)})
    assert refusal(path, limits=Limits(entries=12)) == "it has 13 entries (allowed: 12)"


def test_refused_bomb_by_total_and_by_ratio(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "foo", "1.0", {"zeros": bytes(1 << 20)})
    WheelArchive.open(path).close()
    assert "more than 100000 bytes" in refusal(path, limits=Limits(size=100_000))
    ratio = refusal(path, limits=Limits(floor=1000, ratio=10))
    assert ratio == f"it would inflate to more than {10 * path.stat().st_size} bytes"
