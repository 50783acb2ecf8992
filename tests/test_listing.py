"""What RECORD may leave out, and list more; bad ones stand in ``tests/hostile``."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.errors import WheelError
from sage_pkginstall.wheels.archive import WheelArchive
from tests.foowheel import FILE, INFO, refusal, with_record
from tests.wheelmaker import Member, members, record_of, write_zip

if TYPE_CHECKING:
    from pathlib import Path


def test_hash_may_be_in_hexadecimal_digits_and_is_recorded_in_base64(tmp_path: Path) -> None:
    content = members("foo", "1.0")[:-1]
    plain = record_of(content, f"{INFO}/RECORD")
    rows = [
        f"{m.name},sha256={hashlib.sha256(m.data).hexdigest()},{len(m.data)}\n" for m in content
    ]
    record = replace(plain, data="".join(rows).encode())
    with WheelArchive.open(write_zip(tmp_path / FILE, [*content, record])) as archive:
        recorded = [",".join(row) for row, stream, _ in archive.get_contents() if stream.read()]
    assert set(recorded) == set(plain.data.decode().split()) - {f"{INFO}/RECORD,,"}
    wrong = replace(record, data=record.data.replace(b"sha256=", b"sha256=0", 1))
    assert "that is no sha256" in refusal(write_zip(tmp_path / FILE, [*content, wrong]))
    wrong = replace(record, data=f"foo.py,sha256={'0' * 64},16\n".encode() + record.data)
    wrong = replace(wrong, data=wrong.data.replace(rows[0].encode(), b""))
    path = write_zip(tmp_path / FILE, [*content, wrong])
    with WheelArchive.open(path) as archive, pytest.raises(WheelError, match="sha256 hash"):
        [stream.read() for _, stream, _ in archive.get_contents()]


def test_record_may_leave_itself_out_and_list_directories(tmp_path: Path) -> None:
    path = with_record(tmp_path, lambda text: text.replace(f"{INFO}/RECORD,,\n", ""))
    WheelArchive.open(path).close()
    content = [*members("foo", "1.0")[:-1], Member("a/", mode=0)]
    record = record_of(content, f"{INFO}/RECORD")
    record = replace(record, data=record.data + b"a/,,\n")
    WheelArchive.open(write_zip(tmp_path / FILE, [*content, record])).close()
