"""What METADATA, WHEEL and entry_points.txt must say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.wheels.archive import WheelArchive
from tests.foowheel import refusal, with_file

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Wheel-Version: 2.0\n", "WHEEL has Wheel-Version '2.0'; 1.x is understood"),
        ("Wheel-Version: 1.x\n", "WHEEL has Wheel-Version '1.x'; 1.x is understood"),
        ("Generator: x\n", "WHEEL has Wheel-Version ''; 1.x is understood"),
        ("", "WHEEL has Wheel-Version ''; 1.x is understood"),
        (
            "Wheel-Version: 1.0\nRoot-Is-Purelib: True\n",
            "has Root-Is-Purelib 'True', not true or false",
        ),
        ("Wheel-Version: 1.0\nTag: " + "a." * 999 + "-" + "b." * 99 + "-c", "more than 10000 tags"),
        ("Wheel-Version: 1.0\nTag: py2-none-any\n", "has the tag py3-none-any, its WHEEL only"),
    ],
)
def test_refused_wheel_file(tmp_path: Path, text: str, reason: str) -> None:
    assert reason in refusal(with_file(tmp_path, "WHEEL", text))


@pytest.mark.parametrize(
    "text",
    [
        "Wheel-Version: 1.0\n",
        "Wheel-Version: 1.9\r\nRoot-Is-Purelib: true\r\nTag: py3-none-any\r\n",
        "Wheel-Version: 1.0\nTag: py2-none-any\nTag: py3-none-any\n",
        "Wheel-Version: 1.0\nTag: py2.py3-none-any\n",
    ],
)
def test_wheel_file_may_say_more_tags_than_the_file_name(tmp_path: Path, text: str) -> None:
    WheelArchive.open(with_file(tmp_path, "WHEEL", text)).close()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Name: bar\nVersion: 1.0\n", "METADATA has the name 'bar', the file 'foo'"),
        ("Name: foo\nVersion: 1.1\n", "METADATA has version '1.1', the file '1.0'"),
        ("Name: foo\nVersion: 1.0-rc-evil\n", "METADATA has version"),
        ("Version: 1.0\n", "METADATA has 0 Name fields"),
        ("Name: foo\nName: foo\nVersion: 1.0\n", "METADATA has 2 Name fields"),
        ("Name: foo\n\nVersion: 1.0\n", "METADATA has 0 Version fields"),
        ("Name: foo\nVersion: 1." + "0" * 9999 + "1\n", "METADATA has version"),
        ("Name: foo\x1b[2J\nVersion: 1.0\n", "METADATA has the name 'foo\\x1b[2J'"),
        ("Name: _foo\nVersion: 1.0\n", "METADATA has the name '_foo'"),
    ],
)
def test_refused_metadata(tmp_path: Path, text: str, reason: str) -> None:
    assert reason in refusal(with_file(tmp_path, "METADATA", text))


@pytest.mark.parametrize(
    "name", ["../evil", "/bin/evil", "a/b", "..", ".", "a\\b", "a\x1bb", "x" * 256, "a\x00b"]
)
def test_refused_entry_point_name(tmp_path: Path, name: str) -> None:
    path = with_file(tmp_path, "entry_points.txt", f"[console_scripts]\n{name} = foo:main\n")
    assert "is no name for a script" in refusal(path)


@pytest.mark.parametrize(
    "text",
    [
        "[console_scripts]\nx = foo\n",
        "[console_scripts]\nx = foo:main; import os\n",
        "[gui_scripts]\nx = foo:main()\n",
        "[console_scripts]\nx = foo:%(y)s\n",
        "[console_scripts]\nx\n",
        "[console_scripts]\nx = a:b\nx = a:c\n",
        "x = a:b\n",
        "[console_scripts\nx = a:b\n",
    ],
)
def test_refused_entry_points(tmp_path: Path, text: str) -> None:
    path = with_file(tmp_path, "entry_points.txt", text)
    assert refusal(path).startswith("entry_points.txt cannot be read: ")


def test_entry_points_of_other_groups_are_nobodys_business(tmp_path: Path) -> None:
    text = "[other]\nx/y = anything % at all\n[console_scripts]\na-b.c = foo:main.sub [extra]\n"
    WheelArchive.open(with_file(tmp_path, "entry_points.txt", text)).close()
