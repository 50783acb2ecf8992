"""RECORDs that do not list what the wheel holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.foowheel import FILE, INFO, with_record
from tests.hostile.case import OUTSIDE, Case, installed, refused
from tests.sitepackages import SITE
from tests.wheelmaker import Member, make_wheel, members, record_of, write_zip

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["RECORDS"]

FOO_ROW = members("foo", "1.0")[-1].data.decode().splitlines(keepends=True)[0]
FOO_HASH = FOO_ROW.split(",")[1]
_MANY = {f"{'x' * 200}{number}": "" for number in range(120)}
"""So many that RECORD may be longer than a field in CSV."""


def _replaced(old: str, new: str, reason: str) -> Case:
    return refused(lambda d: with_record(d, lambda text: text.replace(old, new, 1)), reason)


def _missing(directory: Path) -> Path:
    return write_zip(directory / FILE, members("foo", "1.0")[:-1])


def _not_utf8(directory: Path) -> Path:
    return make_wheel(directory, "foo", "1.0", record=b"Name: \xff\n")


def _hashed_by(algorithm: str) -> Case:
    content = members("foo", "1.0")[:-1]
    record = record_of(content, f"{INFO}/RECORD", algorithm)
    if algorithm in {"md5", "sha1"}:
        reason = "RECORD has no hash of sha256 or better for 'foo.py'"
        return refused(lambda d: write_zip(d / FILE, [*content, record]), reason)
    return installed(lambda d: write_zip(d / FILE, [*content, record]))


def _signed(directory: Path) -> Path:
    content = members("foo", "1.0")
    return write_zip(directory / FILE, [*content, Member(f"{INFO}/RECORD.jws", b"{}")])


RECORDS = {
    "missing": refused(_missing, f"it has no '{INFO}/RECORD'"),
    "empty": refused(lambda d: make_wheel(d, "foo", "1.0", record=""), "RECORD does not list"),
    "file that is not listed": _replaced(FOO_ROW, "", "RECORD does not list 'foo.py'"),
    "listed file that is absent": _replaced(
        "foo.py,", "bar.py,", "RECORD lists 'bar.py', which is not there"
    ),
    "file listed twice": _replaced(FOO_ROW, FOO_ROW * 2, "RECORD lists 'foo.py' twice"),
    "wrong size": _replaced(",16\n", ",15\n", "RECORD gives the size '15' for 'foo.py'"),
    "no size": _replaced(",16\n", ",\n", "RECORD gives the size '' for 'foo.py'"),
    "size with a sign": _replaced(",16\n", ",+16\n", "RECORD gives the size '+16' for 'foo.py'"),
    "size in other digits": _replaced(
        ",16\n", ",\u0661\u0666\n", "RECORD gives the size '\u0661\u0666' for 'foo.py'"
    ),
    "wrong hash": _replaced(
        FOO_HASH,
        "sha256=" + "A" * 43,
        "entry 'foo.py' does not have the sha256 hash that RECORD gives",
    ),
    "wrong hash of METADATA": refused(
        lambda d: with_record(d, _with_wrong_metadata),
        f"entry '{INFO}/METADATA' does not have the sha256 hash",
    ),
    "no hash": _replaced(FOO_HASH, "", "no hash of sha256 or better for 'foo.py'"),
    "md5 hash": _hashed_by("md5"),
    "sha1 hash": _hashed_by("sha1"),
    "md5 hash, claimed": _replaced("foo.py,sha256=", "foo.py,md5=", "no hash of sha256 or better"),
    "hash of a length to choose": _replaced(
        "foo.py,sha256=", "foo.py,shake_128=", "no hash of sha256 or better for 'foo.py'"
    ),
    "sha256 hash, called sha512": _replaced(
        "foo.py,sha256=", "foo.py,sha512=", "that is no sha512"
    ),
    "hash of another length": _replaced(FOO_HASH, "sha256=AAAA", "that is no sha256"),
    "hash that is no base64": _replaced(FOO_HASH, "sha256=*" + "A" * 42, "that is no sha256"),
    "sha384 hash": _hashed_by("sha384"),
    "sha512 hash": _hashed_by("sha512"),
    "sha3-256 hash": _hashed_by("sha3_256"),
    "blake2b hash": _hashed_by("blake2b"),
    "not UTF-8": refused(_not_utf8, f"'{INFO}/RECORD' is not UTF-8 (byte 6)"),
    "not CSV": refused(
        lambda d: make_wheel(d, "foo", "1.0", _MANY, record='"' + "x" * 200_000),
        "RECORD is not in CSV",
    ),
    "row of four fields": _replaced("RECORD,,", "RECORD,,,", "RECORD has a row of 4 fields"),
    "row of no field": _replaced(f"{INFO}/RECORD,,", "", "RECORD has a row of 0 fields"),
    "hash of itself": _replaced("RECORD,,", "RECORD,,7", "a hash or size for"),
    "escaped path: `../`": _replaced(
        FOO_ROW,
        FOO_ROW + FOO_ROW.replace("foo.py", f"{OUTSIDE}.py"),
        "outside.py', which is not there",
    ),
    "escaped path: absolute": _replaced(
        FOO_ROW,
        FOO_ROW + FOO_ROW.replace("foo.py", "/etc/passwd"),
        "RECORD lists '/etc/passwd', which is not there",
    ),
    "escaped path: `./`": _replaced("foo.py,", "./foo.py,", "lists './foo.py', which is not there"),
    "escaped path: line break": _replaced("foo.py,", '"foo.py\n",', "which is not there"),
    "does not list itself": installed(
        lambda d: with_record(d, lambda text: text.replace(f"{INFO}/RECORD,,\n", ""))
    ),
    "signature that is not listed": installed(_signed, {f"{SITE}/{INFO}/RECORD.jws": b"{}"}),
}


def _with_wrong_metadata(text: str) -> str:
    rows = text.splitlines(keepends=True)
    wrong = f"{INFO}/METADATA,sha256={'A' * 43},{rows[1].rsplit(',', 1)[1]}"
    return "".join(wrong if row.startswith(f"{INFO}/METADATA") else row for row in rows)
