"""RECORD lists the entries of a wheel: all of them, once, with sizes and good hashes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.wheels.archive import WheelArchive
from tests.foowheel import FILE, INFO, contents, refusal, with_record
from tests.wheelmaker import Member, members, record_of, write_zip

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("algorithm", ["sha384", "sha512", "sha3_256", "blake2b"])
def test_better_hashes_are_taken(tmp_path: Path, algorithm: str) -> None:
    content = members("foo", "1.0")[:-1]
    path = write_zip(tmp_path / FILE, [*content, record_of(content, f"{INFO}/RECORD", algorithm)])
    assert set(contents(path)) == {m.name for m in content}


def test_signatures_need_not_be_in_record(tmp_path: Path) -> None:
    content = members("foo", "1.0")
    path = write_zip(tmp_path / FILE, [*content, Member(f"{INFO}/RECORD.jws", b"{}")])
    assert contents(path)[f"{INFO}/RECORD.jws"] == (b"{}", False)


def test_record_may_leave_itself_out_and_list_directories(tmp_path: Path) -> None:
    path = with_record(tmp_path, lambda text: text.replace(f"{INFO}/RECORD,,\n", ""))
    WheelArchive.open(path).close()
    content = [*members("foo", "1.0")[:-1], Member("a/", mode=0)]
    record = record_of(content, f"{INFO}/RECORD")
    record = replace(record, data=record.data + b"a/,,\n")
    WheelArchive.open(write_zip(tmp_path / FILE, [*content, record])).close()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("foo.py,", "bar.py,", "RECORD lists 'bar.py', which is not there"),
        ("foo.py,", "./foo.py,", "RECORD lists './foo.py', which is not there"),
        ("foo.py,", "../foo.py,", "RECORD lists '../foo.py', which is not there"),
        ("foo.py,", '"foo.py\n",', "which is not there"),
        ("foo.py,sha256=", "foo.py,md5=", "no hash of sha256 or better for 'foo.py'"),
        ("foo.py,sha256=", "foo.py,sha1=", "no hash of sha256 or better for 'foo.py'"),
        ("foo.py,sha256=", "foo.py,shake_128=", "no hash of sha256 or better for 'foo.py'"),
        ("foo.py,sha256=", "foo.py,sha512=", "that is no sha512"),
        ("foo.py,sha256=", "foo.py,sha256=AAAA", "that is no sha256"),
        ("foo.py,sha256=", "foo.py,sha256=*", "that is no sha256"),
        (f"{INFO}/RECORD,,", f"{INFO}/RECORD,,,", "RECORD has a row of 4 fields"),
        (f"{INFO}/RECORD,,", "", "RECORD has a row of 0 fields"),
        (f"{INFO}/RECORD,,", f"{INFO}/RECORD,,7", "which cannot be"),
        (",16\n", ",15\n", "RECORD gives the size '15' for 'foo.py', which has 16 bytes"),
        (",16\n", ",\n", "RECORD gives the size '' for 'foo.py'"),
        (",16\n", ",+16\n", "RECORD gives the size '+16' for 'foo.py'"),
        (",16\n", ",\u0661\u0666\n", "RECORD gives the size"),
    ],
)
def test_refused_record(tmp_path: Path, old: str, new: str, reason: str) -> None:
    assert reason in refusal(with_record(tmp_path, lambda text: text.replace(old, new)))


def test_refused_file_that_record_does_not_list_or_lists_twice(tmp_path: Path) -> None:
    row = members("foo", "1.0")[-1].data.decode().splitlines(keepends=True)[0]
    path = with_record(tmp_path, lambda text: text.replace(row, ""))
    assert refusal(path) == "RECORD does not list 'foo.py'"
    path = with_record(tmp_path, lambda text: text.replace(row, row * 2))
    assert refusal(path) == "RECORD lists 'foo.py' twice"


def test_refused_record_that_is_no_csv(tmp_path: Path) -> None:
    path = with_record(tmp_path, lambda text: text + '"' + "x" * 200_000)
    assert refusal(path).startswith("RECORD is not in CSV")
