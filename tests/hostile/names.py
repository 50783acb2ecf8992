"""Entries that would be written elsewhere, on top of each other, or as something else."""

from __future__ import annotations

import stat
import struct
import unicodedata
import warnings
import zipfile
import zlib
from typing import TYPE_CHECKING

from tests.foowheel import FILE, foo
from tests.hostile.case import OUTSIDE, adding, installed, refused
from tests.sitepackages import SITE
from tests.wheelmaker import TIME, Member, make_wheel, members

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CLASHES", "KINDS", "PLACES", "TRAVERSAL"]

DATA = "foo-1.0.data"


def _absolute(directory: Path) -> Path:
    return foo(directory, Member(f"{directory}/outside.py", b"x = 1\n"))


def _two_slashes(directory: Path) -> Path:
    return foo(directory, Member(f"/{directory}/outside.py", b"x = 1\n"))


def _absolute_in_scheme(directory: Path) -> Path:
    return foo(directory, Member(f"{DATA}/data/{directory}/outside.py", b"x = 1\n"))


def _through_link(directory: Path) -> Path:
    link = Member("link", str(directory).encode(), stat.S_IFLNK | 0o777)
    return foo(directory, link, Member("link/outside.py", b"x = 1\n"))


def _not_utf8(directory: Path) -> Path:
    path = foo(directory, Member("\u00e9\u00e9", b"x"))
    path.write_bytes(path.read_bytes().replace("\u00e9\u00e9".encode(), b"\xe9\xe9\xe9\xe9"))
    return path


def _name_in_extra_field(directory: Path) -> Path:
    """The header says foo.py; Info-ZIP's Unicode path says something else."""
    path = directory / FILE
    with zipfile.ZipFile(path, "w") as archive:
        for member in members("foo", "1.0"):
            info = zipfile.ZipInfo(member.name, TIME)
            if member.name == "foo.py":
                other = f"{OUTSIDE}.py".encode()
                crc = zlib.crc32(b"foo.py")
                info.extra = struct.pack("<2HBL", 0x7075, 5 + len(other), 1, crc) + other
            archive.writestr(info, member.data)
    return path


TRAVERSAL = {
    "`../`": refused(adding(f"{OUTSIDE}.py"), "has '..' as a component of its path"),
    "`..` behind a directory": refused(
        adding(f"foo/../{OUTSIDE}.py"), "has '..' as a component of its path"
    ),
    "`..` at the end": refused(adding("foo/.."), "has '..' as a component of its path"),
    "absolute path": refused(_absolute, "has an absolute path"),
    "absolute path, two slashes": refused(_two_slashes, "has an absolute path"),
    "drive letter": refused(adding("C:/outside.py"), "has an absolute path"),
    "drive letter without slash": refused(adding("c:outside.py"), "has an absolute path"),
    "backslashes": refused(adding(r"..\..\..\..\outside.py"), "has a backslash or control char"),
    "NUL": refused(adding("bar.py\0.txt"), "has a backslash or control character"),
    "escape sequence": refused(adding("foo/\x1b[2J.py"), "has a backslash or control character"),
    "line break": refused(adding("foo/new\nline.py"), "has a backslash or control character"),
    "carriage return": refused(adding("foo/\r.py"), "has a backslash or control character"),
    "Unicode's next line": refused(adding("foo/\x85.py"), "has a backslash or control character"),
    "Unicode's separator": refused(adding("foo/\u2028.py"), "has a backslash or control char"),
    "`./`": refused(adding("./foo/x.py"), "has '.' as a component of its path"),
    "`//`": refused(adding("foo//x.py"), "has '' as a component of its path"),
    "empty name": refused(adding(""), "has '' as a component of its path"),
    "`..` below a scheme": refused(
        adding(f"{DATA}/data/../outside"), "has '..' as a component of its path"
    ),
    "`..` below scripts": refused(
        adding(f"{DATA}/scripts/../../outside"), "has '..' as a component of its path"
    ),
    "absolute path below a scheme": refused(_absolute_in_scheme, "has '' as a component"),
    "`..` below `.data`": refused(
        adding(f"{DATA}/../outside"), "has '..' as a component of its path"
    ),
    "`./NAME.data`": refused(adding(f"./{DATA}/data/x"), "has '.' as a component of its path"),
    "through a symbolic link": refused(_through_link, "is a symbolic link"),
    "component of 256 bytes": refused(adding("foo/" + "x" * 256), "more than 255 bytes"),
    "component of 128 characters, 256 bytes": refused(
        adding("foo/" + "\u00e9" * 128), "more than 255 bytes"
    ),
    "path of 1,201 bytes": refused(adding("x/" * 600 + "x"), "has a name of 1201 bytes"),
    "name that is not UTF-8": refused(
        _not_utf8, r"entry b'\xe9\xe9\xe9\xe9' has a name that is not UTF-8"
    ),
    "another name in an extra field": refused(_name_in_extra_field, "contradicts its header"),
}


KINDS = {
    "symbolic link": refused(
        adding("odd", b"/etc/passwd", stat.S_IFLNK | 0o777), "entry 'odd' is a symbolic link"
    ),
    "symbolic link in bin": refused(
        adding(f"{DATA}/scripts/odd", b"/bin/sh", stat.S_IFLNK | 0o777), "is a symbolic link"
    ),
    "character device": refused(
        adding("odd", b"", stat.S_IFCHR | 0o666), "entry 'odd' is a device"
    ),
    "block device": refused(adding("odd", b"", stat.S_IFBLK | 0o666), "entry 'odd' is a device"),
    "FIFO": refused(adding("odd", b"", stat.S_IFIFO | 0o666), "entry 'odd' is a FIFO"),
    "socket": refused(adding("odd", b"", stat.S_IFSOCK | 0o666), "entry 'odd' is a socket"),
    "directory, not named like one": refused(
        adding("odd", b"", stat.S_IFDIR | 0o755), "a directory and not named like one"
    ),
    "link named like a directory": refused(
        adding("odd/", b"", stat.S_IFLNK | 0o777), "is named like a directory and is none"
    ),
    "file named like a directory": refused(
        adding("odd/", b"", stat.S_IFREG | 0o644), "is named like a directory and is none"
    ),
    "directory with content": refused(
        adding("odd/", b"x", 0), "is named like a directory and is none"
    ),
    "setuid and setgid bits": installed(
        adding("odd", b"x", stat.S_IFREG | 0o6644), {f"{SITE}/odd": b"x"}
    ),
    "setuid program": installed(
        adding(f"{DATA}/scripts/odd", b"#!/bin/sh\n", stat.S_IFREG | 0o7777),
        {"bin/odd": b"#!/bin/sh\n"},
        {"bin/odd": 0o755},
    ),
    "no permission for anybody": installed(
        adding("odd", b"x", stat.S_IFREG), {f"{SITE}/odd": b"x"}
    ),
    "writable for everybody": installed(
        adding("odd", b"x", stat.S_IFREG | 0o666), {f"{SITE}/odd": b"x"}
    ),
}


def _twice(directory: Path) -> Path:
    """Two entries of one name; zipfile warns of that."""
    path = directory / FILE
    content = members("foo", "1.0")
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")
        for member in (Member("foo.py", b"evil = 1\n"), *content):
            archive.writestr(zipfile.ZipInfo(member.name, TIME), member.data)
    return path


def _adding_all(*names: str) -> dict[str, bytes]:
    return {f"{SITE}/{name}": name.encode() for name in names}


COMPOSED = "\u00e9.txt"
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)

CLASHES = {
    "one name twice": refused(_twice, "entry 'foo.py' is there twice"),
    "names differing by case": installed(
        lambda d: foo(d, Member("A.txt", b"A.txt"), Member("a.txt", b"a.txt")),
        _adding_all("A.txt", "a.txt"),
    ),
    "names differing by Unicode form": installed(
        lambda d: foo(
            d, Member(COMPOSED, COMPOSED.encode()), Member(DECOMPOSED, DECOMPOSED.encode())
        ),
        _adding_all(COMPOSED, DECOMPOSED),
    ),
    "name with quotes, commas and blanks": installed(
        adding('x y,".txt', b"x"), {f'{SITE}/x y,".txt': b"x"}
    ),
    "file and directory of one name": refused(
        lambda d: foo(d, Member("a"), Member("a/b")), "entry 'a' is a file and a directory"
    ),
    "file and directory, the deeper first": refused(
        lambda d: foo(d, Member("a/b/c"), Member("a")), "entry 'a' is a file and a directory"
    ),
    "file and directory, some levels apart": refused(
        lambda d: foo(d, Member("a/b"), Member("a/b/c/d")), "entry 'a/b' is a file and a directory"
    ),
    "file and directory by two schemes": refused(
        lambda d: foo(d, Member("a"), Member(f"{DATA}/purelib/a/b")),
        "a file and a directory of one name",
    ),
    "two contents for one path by two schemes": refused(
        lambda d: foo(d, Member(f"{DATA}/purelib/foo.py", b"evil = 1\n")),
        "is in it twice, with different contents",
    ),
    "one content for one path by two schemes": installed(
        lambda d: foo(d, Member("a", b"a"), Member(f"{DATA}/purelib/a", b"a")),
        {f"{SITE}/a": b"a"},
    ),
}

PLACES = {
    "no such scheme": refused(adding(f"{DATA}/evil/x"), "is not below one of"),
    "a scheme as a file": refused(adding(f"{DATA}/scripts"), "is not below one of"),
    "`.data` as a file": refused(adding(DATA), f"entry '{DATA}' is a file"),
    "`.data` of another distribution": refused(
        adding("bar-1.0.data/data/x"), "its directory 'bar-1.0.data' is not that of"
    ),
    "two `.data` directories": refused(
        lambda d: foo(d, Member(f"{DATA}/data/a"), Member("Foo-1.0.data/data/b")),
        "it has 2 *.data directories",
    ),
    "`pyvenv.cfg` by the data scheme": refused(
        adding(f"{DATA}/data/pyvenv.cfg", b"home = /evil\n"), "'pyvenv.cfg'"
    ),
    "the interpreter by the scripts scheme": refused(
        adding(f"{DATA}/scripts/python3", b"#!/bin/sh\n", 0o100755), "'bin/python3' belongs to"
    ),
    "an entry point called like the interpreter": refused(
        lambda d: make_wheel(d, "foo", "1.0", scripts={"python3": "foo:main"}),
        "'bin/python3' belongs to",
    ),
    "our own state by the data scheme": refused(
        adding(f"{DATA}/data/var/tmp/sage/journal", b"{}"), "'var/tmp/sage/journal'"
    ),
    "another distribution's `*.dist-info` by the data scheme": refused(
        adding(f"{DATA}/data/{SITE}/other-1.0.dist-info/RECORD"), "other-1.0.dist-info"
    ),
    "a second `*.dist-info` by purelib": refused(
        adding(f"{DATA}/purelib/bar-1.dist-info/RECORD"), "makes a second *.dist-info directory"
    ),
    "its own `*.dist-info` by platlib": refused(
        adding(f"{DATA}/platlib/foo-1.0.dist-info/RECORD"), "makes a second *.dist-info directory"
    ),
    "its own origin by the data scheme": refused(
        adding(f"{DATA}/data/{SITE}/foo-1.0.dist-info/direct_url.json", b"evil"),
        "foo-1.0.dist-info/direct_url.json' belongs to its own",
    ),
    "more entry points by the data scheme": refused(
        adding(f"{DATA}/data/lib64/{SITE[4:]}/foo-1.0.dist-info/entry_points.txt", b"evil"),
        "foo-1.0.dist-info/entry_points.txt' belongs to its own",
    ),
}
