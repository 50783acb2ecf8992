"""Wheels that are not what they, or their file names, say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.foowheel import FILE, INFO, foo, with_file
from tests.hostile.case import SCRIPT, Case, adding, installed, refused
from tests.wheelmaker import Member, make_wheel, members, record_of, write_zip

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["ENTRY_POINTS", "METADATA"]


def _file(name: str, text: str, reason: str) -> Case:
    return refused(lambda d: with_file(d, name, text), reason)


def _without(name: str) -> Case:
    return refused(lambda d: foo(d, drop=f"/{name}"), f"it has no '{INFO}/{name}'")


def _undecodable(name: str) -> Case:
    return refused(
        lambda d: foo(d, Member(f"{INFO}/{name}", b"Name: \xff\n"), drop=f"/{name}"),
        f"'{INFO}/{name}' is not UTF-8 (byte 6)",
    )


def _called(name: str) -> Callable[[Path], Path]:
    """Return a maker of the wheel of foo 1.0 under another file name."""

    def make(directory: Path) -> Path:
        path = make_wheel(directory, "foo", "1.0")
        return path.rename(directory / name)

    return make


def _info_as_file(directory: Path) -> Path:
    content = [Member("foo.py", b""), Member(INFO, b"x")]
    return write_zip(directory / FILE, [*content, record_of(content, "RECORD")])


METADATA = {
    "METADATA missing": _without("METADATA"),
    "METADATA that is not UTF-8": _undecodable("METADATA"),
    "METADATA with another name": _file(
        "METADATA", "Name: bar\nVersion: 1.0\n", "METADATA has the name 'bar', the file 'foo'"
    ),
    "METADATA with another version": _file(
        "METADATA", "Name: foo\nVersion: 1.1\n", "METADATA has version '1.1', the file '1.0'"
    ),
    "METADATA without a name": _file("METADATA", "Version: 1.0\n", "METADATA has 0 Name fields"),
    "METADATA with a name that is none": _file(
        "METADATA", "Name: _foo\nVersion: 1.0\n", "METADATA has the name '_foo'"
    ),
    "METADATA with a version that is none": _file(
        "METADATA", "Name: foo\nVersion: 1.0-rc-evil\n", "METADATA has version"
    ),
    "METADATA with its version in the description": _file(
        "METADATA", "Name: foo\n\nVersion: 1.0\n", "METADATA has 0 Version fields"
    ),
    "METADATA with two names": _file(
        "METADATA", "Name: foo\nName: bar\nVersion: 1.0\n", "METADATA has 2 Name fields"
    ),
    "METADATA with a name of escape sequences": _file(
        "METADATA", "Name: foo\x1b[2J\nVersion: 1.0\n", r"METADATA has the name 'foo\x1b[2J'"
    ),
    "METADATA with a version of 10,000 digits": _file(
        "METADATA", "Name: foo\nVersion: 1." + "0" * 9999 + "1\n", "METADATA has version"
    ),
    "file name with another name": refused(
        _called("bar-1.0-py3-none-any.whl"), "is not that of bar 1.0, which the file name says"
    ),
    "file name with another version": refused(
        _called("foo-2.0-py3-none-any.whl"), "is not that of foo 2.0, which the file name says"
    ),
    "file name that is none of a wheel": refused(_called("foo.whl"), "its file name is not NAME"),
    "file name with a strange build number": refused(
        _called("foo-1.0-x-py3-none-any.whl"), "its file name has the build number 'x'"
    ),
    "file name with tags for other systems": refused(
        lambda d: make_wheel(d, "foo", "1.0", tag="cp27-cp27m-win32"), "it is for cp27-cp27m-win32"
    ),
    "file name with tags that WHEEL does not have": installed(
        lambda d: with_file(d, "WHEEL", "Wheel-Version: 1.0\nTag: py2-none-any\n")
    ),
    "for another Python": refused(
        lambda d: make_wheel(d, "foo", "1.0", metadata=["Requires-Python: <3"]),
        "it requires Python '<3'",
    ),
    "WHEEL missing": _without("WHEEL"),
    "WHEEL that is not UTF-8": _undecodable("WHEEL"),
    "WHEEL version 2.0": _file(
        "WHEEL", "Wheel-Version: 2.0\n", "WHEEL has Wheel-Version '2.0'; 1.x is understood"
    ),
    "WHEEL version 1.x": _file("WHEEL", "Wheel-Version: 1.x\n", "has Wheel-Version '1.x'"),
    "WHEEL that is empty": _file("WHEEL", "", "WHEEL has Wheel-Version ''"),
    "WHEEL without a version": _file("WHEEL", "Generator: x\n", "WHEEL has Wheel-Version ''"),
    "WHEEL that is purelib and is not": installed(
        lambda d: with_file(d, "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: True\n")
    ),
    "WHEEL with 100,000 tags in a line": installed(
        lambda d: with_file(
            d, "WHEEL", "Wheel-Version: 1.0\nTag: " + "a." * 999 + "-" + "b." * 99 + "-c"
        )
    ),
    "WHEEL version 1.9": installed(
        lambda d: with_file(d, "WHEEL", "Wheel-Version: 1.9\r\nTag: py3-none-any\r\n")
    ),
    "no `*.dist-info`": refused(
        lambda d: write_zip(d / FILE, [Member("foo.py")]), "it has 0 *.dist-info directories"
    ),
    "two `*.dist-info`": refused(
        adding("bar-1.0.dist-info/METADATA"), "it has 2 *.dist-info directories"
    ),
    "two `*.dist-info`, two versions": refused(
        adding("foo-2.0.dist-info/METADATA"), "it has 2 *.dist-info directories"
    ),
    "`*.dist-info` of another distribution": refused(
        lambda d: write_zip(d / FILE, members("bar", "1.0")),
        "its directory 'bar-1.0.dist-info' is not that of foo 1.0",
    ),
    "`*.dist-info` as a file": refused(_info_as_file, f"entry '{INFO}' is a file"),
    "a second `*.dist-info` as a file": refused(
        adding("bar-1.0.dist-info"), "entry 'bar-1.0.dist-info' is a file"
    ),
    "INSTALLER, REQUESTED and direct_url.json of its own": installed(
        lambda d: foo(
            d, *(Member(f"{INFO}/{n}", b"evil") for n in ("INSTALLER", "direct_url.json"))
        )
    ),
}


def _points(text: str) -> Callable[[Path], Path]:
    return lambda directory: with_file(directory, "entry_points.txt", text)


def _named(name: str) -> Case:
    return refused(_points(f"[console_scripts]\n{name} = foo:main\n"), "is no name for a script")


def _unreadable(text: str) -> Case:
    return refused(_points(text), "entry_points.txt cannot be read: ")


ENTRY_POINTS = {
    "name with `../`": _named("../../outside"),
    "name with an absolute path": refused(
        lambda d: with_file(d, "entry_points.txt", f"[console_scripts]\n{d}/outside = foo:main\n"),
        "is no name for a script",
    ),
    "name with a slash": _named("a/b"),
    "name `..`": _named(".."),
    "name `.`": _named("."),
    "name with a backslash": _named(r"..\..\outside"),
    "name with an escape sequence": _named("a\x1bb"),
    "name with NUL": _named("a\0b"),
    "name of 256 bytes": _named("x" * 256),
    "one name twice": _unreadable("[console_scripts]\nx = a:b\nx = a:c\n"),
    "value without function": _unreadable("[console_scripts]\nx = foo\n"),
    "value with code behind it": _unreadable("[console_scripts]\nx = foo:main; import os\n"),
    "value with quotes and code": _unreadable('[console_scripts]\nx = foo:main"); import os; ("\n'),
    "value with a call": _unreadable("[gui_scripts]\nx = foo:main()\n"),
    "value over two lines": _unreadable("[console_scripts]\nx = foo:main\n  import os\n"),
    "value with interpolation": _unreadable("[console_scripts]\nx = foo:%(y)s\n"),
    "no value": _unreadable("[console_scripts]\nx\n"),
    "no section": _unreadable("x = a:b\n"),
    "section that is not closed": _unreadable("[console_scripts\nx = a:b\n"),
    "not UTF-8": _undecodable("entry_points.txt"),
    "name with quotes": installed(
        _points("[console_scripts]\na\"b'c = foo:main\n"),
        {"bin/a\"b'c": SCRIPT},
        {"bin/a\"b'c": 0o755},
    ),
    "other groups may be anything": installed(_points("[other]\nx/../y = anything % at; all\n")),
}
