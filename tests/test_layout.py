"""Which names entries of a wheel may have, and what may lie where."""

from __future__ import annotations

import stat
import unicodedata
from typing import TYPE_CHECKING

import pytest

from tests.foowheel import FILE, INFO, contents, foo, refusal
from tests.wheelmaker import Member, write_zip

if TYPE_CHECKING:
    from pathlib import Path


def test_directory_entries_are_nothing(tmp_path: Path) -> None:
    path = foo(tmp_path, Member("empty/", mode=stat.S_IFDIR | 0o755), Member("a/"))
    assert "empty/" not in refusal(path)
    path = foo(tmp_path, Member("empty/", mode=stat.S_IFDIR | 0o755), Member("a/", mode=0))
    assert set(contents(path)) == {"foo.py", f"{INFO}/METADATA", f"{INFO}/WHEEL"}


def test_names_that_differ_in_case_or_unicode_form_are_different_files(tmp_path: Path) -> None:
    names = [
        "A.txt",
        "a.txt",
        "\u00e9.txt",
        unicodedata.normalize("NFD", "\u00e9.txt"),
        'x y,".txt',
    ]
    found = contents(foo(tmp_path, *(Member(name, name.encode()) for name in names)))
    assert {name: found[name][0] for name in names} == {n: n.encode() for n in names}


@pytest.mark.parametrize(
    "name",
    [
        "../evil.py",
        "foo/../../evil.py",
        "foo/..",
        "/etc/evil",
        "//etc/evil",
        "C:/evil.py",
        "c:evil.py",
        "foo\\evil.py",
        "..\\evil.py",
        "foo/\0evil.py",
        "foo/./evil.py",
        "./foo/evil.py",
        "foo//evil.py",
        "foo/new\nline.py",
        "foo/carriage\rreturn.py",
        "foo/escape\x1b[2J.py",
        "foo/next\x85line.py",
        "foo/line\u2028separator.py",
        "foo-1.0.data/data/../../evil",
        "foo-1.0.data/scripts//evil",
        "foo-1.0.data/../evil",
        "./foo-1.0.data/data/evil",
        "foo/" + "x" * 256,
        "foo/" + "\u00e9" * 128,
        "x/" * 600 + "x",
        "foo/__pycache__",
        "",
    ],
)
def test_refused_name(tmp_path: Path, name: str) -> None:
    assert "entry " in refusal(foo(tmp_path, Member(name, b"evil")))


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        (stat.S_IFLNK | 0o777, "a symbolic link"),
        (stat.S_IFCHR | 0o666, "a device"),
        (stat.S_IFBLK | 0o666, "a device"),
        (stat.S_IFIFO | 0o666, "a FIFO"),
        (stat.S_IFSOCK | 0o666, "a socket"),
        (stat.S_IFDIR | 0o755, "a directory and not named like one"),
    ],
)
def test_refused_what_is_no_regular_file(tmp_path: Path, mode: int, kind: str) -> None:
    assert refusal(foo(tmp_path, Member("odd", b"/etc", mode))) == f"entry 'odd' is {kind}"


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFREG | 0o644])
def test_refused_directory_that_is_none(tmp_path: Path, mode: int) -> None:
    reason = refusal(foo(tmp_path, Member("odd/", b"", mode)))
    assert reason == "entry 'odd/' is named like a directory and is none"
    assert "named like a directory" in refusal(foo(tmp_path, Member("odd/", b"x", 0)))


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b/c", "a"), ("a/b", "a/b/c/d")])
def test_refused_file_and_directory_of_one_name(tmp_path: Path, names: tuple[str, str]) -> None:
    reason = refusal(foo(tmp_path, *(Member(name, b"") for name in names)))
    assert reason == f"entry {min(names, key=len)!r} is a file and a directory"


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("bar-1.0.dist-info/METADATA", "it has 2 *.dist-info directories"),
        ("foo-2.0.dist-info/METADATA", "it has 2 *.dist-info directories"),
        ("bar-1.0.dist-info", "entry 'bar-1.0.dist-info' is a file"),
        ("foo-1.0.data", "entry 'foo-1.0.data' is a file"),
        ("foo-1.0.data/evil/x", "is not below one of"),
        ("foo-1.0.data/scripts", "is not below one of"),
        ("bar-1.0.data/data/x", "its directory 'bar-1.0.data' is not that of"),
        ("foo-1.0.data/purelib/bar-1.dist-info/RECORD", "makes a second *.dist-info directory"),
        ("foo-1.0.data/platlib/foo-1.0.dist-info/RECORD", "makes a second *.dist-info directory"),
    ],
)
def test_refused_layout(tmp_path: Path, entry: str, reason: str) -> None:
    assert reason in refusal(foo(tmp_path, Member(entry, b"")))


def test_refused_two_data_directories(tmp_path: Path) -> None:
    path = foo(tmp_path, Member("foo-1.0.data/data/a"), Member("Foo-1.0.data/data/b"))
    assert refusal(path) == "it has 2 *.data directories"


def test_refused_without_dist_info(tmp_path: Path) -> None:
    path = write_zip(tmp_path / FILE, [Member("foo.py")])
    assert refusal(path) == "it has 0 *.dist-info directories"
