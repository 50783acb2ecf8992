"""The content of an entry is what archive and RECORD promise, or an error when it is read."""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.errors import WheelError
from sage_pkginstall.wheels.archive import WheelArchive
from tests.foowheel import FILE, INFO, contents, foo, reading_refusal, refusal, with_record
from tests.wheelmaker import Member, make_wheel, members, write_zip

if TYPE_CHECKING:
    from pathlib import Path


def test_streams_give_any_number_of_bytes_and_may_be_read_at_once(tmp_path: Path) -> None:
    data = os.urandom(3 << 20) + bytes(3 << 20)
    names = ["deflated", "stored"]
    path = foo(tmp_path, Member(names[0], data), Member(names[1], data, deflated=False))
    with WheelArchive.open(path) as archive:
        streams = {row[0]: stream for row, stream, _ in archive.get_contents()}
        assert [streams[n].read(1000) for n in names] == [data[:1000]] * 2
        assert [streams[n].read(2 << 20) for n in names] == [data[1000 : (2 << 20) + 1000]] * 2
        assert [streams[n].read() for n in names] == [data[(2 << 20) + 1000 :]] * 2
        assert [streams[n].read() for n in names] == [b""] * 2


def test_refused_entry_larger_or_smaller_than_it_says(tmp_path: Path) -> None:
    for claimed in (99_999, 100_001):
        path = make_wheel(tmp_path, "foo", "1.0", {"zeros": bytes(100_000)})
        data = path.read_bytes().replace(struct.pack("<L", 100_000), struct.pack("<L", claimed))
        path.write_bytes(data)
        assert f"RECORD gives the size '100000' for 'zeros', which has {claimed}" in refusal(path)
        content = members("foo", "1.0", {"zeros": bytes(100_000)})
        content[-1] = replace(
            content[-1], data=content[-1].data.replace(b"100000", b"%d" % claimed)
        )
        path = write_zip(tmp_path / FILE, content)
        data = path.read_bytes().replace(struct.pack("<L", 100_000), struct.pack("<L", claimed))
        path.write_bytes(data)
        kind = "longer" if claimed < 100_000 else "shorter"
        assert (
            reading_refusal(path)
            == f"entry 'zeros' is {kind} than the {claimed} bytes it should have"
        )


def test_refused_bytes_after_compressed_data(tmp_path: Path) -> None:
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(b"x" * 100) + packer.flush() + b"hidden"
    crc = zlib.crc32(b"x" * 100)
    path = tmp_path / FILE
    content = members("foo", "1.0", {"a": b"x" * 100})
    write_zip(path, content)
    data = path.read_bytes()
    clean = packed.removesuffix(b"hidden")
    assert data.count(clean) == 1
    data = data.replace(clean, packed)
    sizes = struct.pack("<3L", crc, len(clean), 100)
    data = data.replace(sizes, struct.pack("<3L", crc, len(packed), 100))
    data = moved_directory(data, 6)
    path.write_bytes(data)
    assert reading_refusal(path) == "entry 'a' has bytes after its compressed data"


def moved_directory(data: bytes, by: int) -> bytes:
    """Mend the offsets of a zip file whose first entry became longer."""
    result = bytearray(data)
    end = data.rindex(b"PK\5\6")
    (start,) = struct.unpack_from("<L", data, end + 16)
    struct.pack_into("<L", result, end + 16, start + by)
    at = start + by
    while result[at : at + 4] == b"PK\1\2":
        lengths = struct.unpack_from("<3H", result, at + 28)
        (offset,) = struct.unpack_from("<L", result, at + 42)
        struct.pack_into("<L", result, at + 42, offset + by if offset else 0)
        at += 46 + sum(lengths)
    return bytes(result)


def test_refused_wrong_hash_when_it_is_read(tmp_path: Path) -> None:
    def change(text: str) -> str:
        at = text.index("foo.py,sha256=") + len("foo.py,sha256=")
        return text[:at] + ("B" if text[at] == "A" else "A") + text[at + 1 :]

    path = with_record(tmp_path, change)
    reason = "entry 'foo.py' does not have the sha256 hash that RECORD gives"
    assert reading_refusal(path) == reason
    with pytest.raises(WheelError, match="does not have the sha256 hash"):
        contents(path)


def test_refused_wrong_hash_of_metadata_at_once(tmp_path: Path) -> None:
    content = members("foo", "1.0")
    bad = [replace(m, data=m.data.replace(b"Text", b"text")) for m in content]
    path = write_zip(tmp_path / FILE, [*bad[:-1], content[-1]])
    assert f"entry '{INFO}/METADATA' does not have the sha256 hash" in refusal(path)


def test_refused_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = foo(tmp_path, Member("big", os.urandom(1 << 20)))
    with WheelArchive.open(path) as archive:
        os.truncate(path, 1000)
        with pytest.raises(WheelError, match="was cut while it was read"):
            archive.validate_record()
