"""Which zip files are taken for a wheel; those that are refused stand in ``tests/hostile``."""

from __future__ import annotations

import os
import struct
import zipfile
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.errors import WheelError
from sage_pkginstall.wheels.archive import WheelArchive
from sage_pkginstall.wheels.container import Limits
from tests.foowheel import FILE, contents, refusal
from tests.wheelmaker import TIME, make_wheel, members

if TYPE_CHECKING:
    from pathlib import Path


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


@pytest.mark.parametrize("field", ["header", "packed"])
def test_refused_a_zip64_number_that_is_no_offset(tmp_path: Path, field: str) -> None:
    name, most = b"a.py", 0xFFFFFFFF
    extra = struct.pack("<2HQ", 1, 8, (1 << 63) + 5)
    packed, header = (most, 0) if field == "packed" else (0, most)
    sizes = (0, packed, 5, len(name))
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 8, 8, 0, 0, *sizes, len(extra)) + name + extra
    central = struct.pack(
        "<4s6H3L5H2L", b"PK\1\2", 20, 20, 8, 8, 0, 0, *sizes, len(extra), 0, 0, 0, 0, header
    )
    central += name + extra
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(central), len(local), 0)
    (tmp_path / FILE).write_bytes(local + central + end)
    assert refusal(tmp_path / FILE) == "it is truncated"


def test_refused_zip64_end_in_the_comment_of_the_last_entry(tmp_path: Path) -> None:
    """``zipfile`` reads the directory that stands there, and would see no foo.py."""
    path = make_wheel(tmp_path, "foo", "1.0")
    data = path.read_bytes()
    at = data.rindex(b"PK\x05\x06")
    count, size, start = struct.unpack_from("<H2L", data, at + 10)
    hidden = data[data.index(b"PK\1\2", start + 4) : at]
    last = data.rindex(b"PK\1\2")
    where = at + len(hidden)
    facts = (count - 1, count - 1, len(hidden), at)
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, *facts)
    comment = hidden + end64 + struct.pack("<4sLQL", b"PK\6\7", 0, where, 1)
    length = struct.pack("<H", len(comment))
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, size + len(comment), start, 0)
    path.write_bytes(data[: last + 32] + length + data[last + 34 : at] + comment + end)
    assert "foo.py" not in zipfile.ZipFile(path).namelist()
    assert refusal(path) == "its zip64 end contradicts its end"


def test_zip64_end_may_say_what_the_end_says(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "foo", "1.0")
    data = path.read_bytes()
    at = data.rindex(b"PK\x05\x06")
    count, size, start = struct.unpack_from("<H2L", data, at + 10)
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, at, 1)
    path.write_bytes(data[:at] + end64 + locator + data[at:])
    assert "foo.py" in contents(path)


def test_as_many_entries_as_need_no_zip64(tmp_path: Path) -> None:
    """Builders write a zip64 end from 65,536 entries on; 65,535 look as if there were one."""
    number = 0xFFFF
    names = [b"%05d" % i for i in range(number)]
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 0, 0, 0, 0, 5, 0)
    one = len(local) + 5
    before = struct.pack("<4s6H3L5H", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0)
    central = b"".join(before + struct.pack("<2L", 0, i * one) + n for i, n in enumerate(names))
    sizes = len(central), number * one
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, number, number, *sizes, 0)
    path = tmp_path / FILE
    path.write_bytes(b"".join(local + name for name in names) + central + end)
    assert len(zipfile.ZipFile(path).namelist()) == number
    assert refusal(path) == "it has 0 *.dist-info directories"


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


def test_refused_too_many_entries(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "foo", "1.0", {f"f{i}": "" for i in range(10)})
    assert refusal(path, limits=Limits(entries=12)) == "it has 13 entries (allowed: 12)"


def test_refused_bomb_by_total_and_by_ratio(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "foo", "1.0", {"zeros": bytes(1 << 20)})
    WheelArchive.open(path).close()
    assert "more than 100000 bytes" in refusal(path, limits=Limits(size=100_000))
    ratio = refusal(path, limits=Limits(floor=1000, ratio=10))
    assert ratio == f"it would inflate to more than {10 * path.stat().st_size} bytes"
