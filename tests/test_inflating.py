"""With either library the same content comes out of a wheel, and the same wheels are refused."""

from __future__ import annotations

import os
import sys
import zlib
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.errors import WheelError
from sage_pkginstall.wheels import inflating
from sage_pkginstall.wheels.container import Entry, open_regular
from sage_pkginstall.wheels.content import EntryStream, Source
from sage_pkginstall.wheels.inflating import library_for
from tests.foowheel import contents, foo
from tests.wheelmaker import Member

if TYPE_CHECKING:
    from pathlib import Path

DATA = b"".join(b"%d %d\n" % (i, i**7 % 99991) for i in range(90_000)) + bytes(2 << 20)
COMPRESSOR = zlib.compressobj(9, zlib.DEFLATED, -15)
PACKED = COMPRESSOR.compress(DATA) + COMPRESSOR.flush()

# Compressed data, the size that the archive gives, and why it is refused.
DAMAGED = {
    "no compressed data": (b"\xff" * 99, 99, "cannot be inflated"),
    "damaged in the middle": (PACKED[:-999] + b"\xff" * 999, len(DATA), ""),
    "cut": (PACKED[:-9], len(DATA), ""),
    "without its last byte": (PACKED[:-1], len(DATA), ""),
    "too long": (PACKED, len(DATA) - 1, ""),
    "far too long": (PACKED, 10, "is longer than the 10 bytes"),
    "too short": (PACKED, len(DATA) + 1, "is shorter than the"),
    "with something behind it": (PACKED + b"x", len(DATA), "has bytes after its compressed data"),
    "another CRC": (PACKED, len(DATA), "does not have the CRC"),
    "empty": (b"", 5, "is shorter than the 5 bytes"),
}


@pytest.fixture(params=["zlib", "zlib-ng"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "zlib-ng":
        pytest.importorskip("zlib_ng")
        monkeypatch.setattr(inflating, "LARGE", 0)
    assert library_for(0).name == request.param
    return str(request.param)


def read(path: Path, packed: bytes, size: int, crc: int) -> bytes:
    """What an entry gives that is all of a file."""
    path.write_bytes(packed)
    entry = Entry("x", 0o100644, True, crc, len(packed), size, 0, 0, len(packed))
    descriptor = open_regular(path)
    try:
        return EntryStream(Source(path, descriptor, library_for(0)), entry, None).read()
    finally:
        os.close(descriptor)


@pytest.mark.usefixtures("library")
def test_content_is_what_was_packed(tmp_path: Path) -> None:
    path = foo(tmp_path, Member("data", DATA), Member("empty", b""), Member("byte", b"x"))
    found = contents(path)
    assert [found[name][0] for name in ("data", "empty", "byte")] == [DATA, b"", b"x"]
    assert read(tmp_path / "entry", PACKED, len(DATA), zlib.crc32(DATA)) == DATA


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_entry_is_refused(tmp_path: Path, damage: str) -> None:
    packed, size, reason = DAMAGED[damage]
    crc = 0 if damage == "another CRC" else zlib.crc32(DATA[:size])
    with pytest.raises(WheelError, match=f"entry 'x' .*{reason}"):
        read(tmp_path / "entry", packed, size, crc)


def test_python_s_own_library_inflates_small_wheels_and_where_there_is_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert library_for(1000).name == "zlib"
    monkeypatch.setitem(sys.modules, "zlib_ng.zlib_ng", None)
    assert library_for(1 << 30).name == "zlib"
