"""What RECORD may leave out, and list more; bad ones stand in ``tests/hostile``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sage_pkginstall.wheels.archive import WheelArchive
from tests.foowheel import FILE, INFO, with_record
from tests.wheelmaker import Member, members, record_of, write_zip

if TYPE_CHECKING:
    from pathlib import Path


def test_record_may_leave_itself_out_and_list_directories(tmp_path: Path) -> None:
    path = with_record(tmp_path, lambda text: text.replace(f"{INFO}/RECORD,,\n", ""))
    WheelArchive.open(path).close()
    content = [*members("foo", "1.0")[:-1], Member("a/", mode=0)]
    record = record_of(content, f"{INFO}/RECORD")
    record = replace(record, data=record.data + b"a/,,\n")
    WheelArchive.open(write_zip(tmp_path / FILE, [*content, record])).close()
