"""What WHEEL and entry_points.txt may say; bad ones stand in ``tests/hostile``."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.wheels.archive import WheelArchive
from tests.foowheel import refusal, with_file

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "text",
    [
        "Wheel-Version: 1.0\n",
        "Wheel-Version: 1.9\r\nRoot-Is-Purelib: true\r\nTag: py3-none-any\r\n",
        "Wheel-Version: 1.0\nTag: py2-none-any\nTag: py3-none-any\n",
        "Wheel-Version: 1.0\nTag: py2.py3-none-any\n",
        "Wheel-Version: 1.0\nTag: py2-none-any\n",
    ],
)
def test_wheel_file_may_say_other_tags_than_the_file_name(tmp_path: Path, text: str) -> None:
    WheelArchive.open(with_file(tmp_path, "WHEEL", text)).close()


@pytest.mark.parametrize(
    ("line", "scheme"),
    [
        ("Root-Is-Purelib: True\n", "purelib"),
        ("Root-Is-Purelib: FALSE \n", "platlib"),
        ("", "platlib"),
    ],
)
def test_root_is_purelib_whatever_the_case_of_its_letters(
    tmp_path: Path, line: str, scheme: str
) -> None:
    with WheelArchive.open(with_file(tmp_path, "WHEEL", f"Wheel-Version: 1.0\n{line}")) as wheel:
        assert wheel.root_scheme == scheme


def test_entry_points_of_other_groups_are_nobodys_business(tmp_path: Path) -> None:
    text = "[other]\nx/y = anything % at all\n[console_scripts]\na-b.c = foo:main.sub [extra]\n"
    WheelArchive.open(with_file(tmp_path, "entry_points.txt", text)).close()


def test_section_of_defaults_alone_does_no_harm(tmp_path: Path) -> None:
    text = "[DEFAULT]\nx = foo:x\n"
    WheelArchive.open(with_file(tmp_path, "entry_points.txt", text)).close()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("[DEFAULT]\nx = foo:x\n[console_scripts]\ny = foo:y\n", "x"),
        ("[console_scripts]\n# a comment\x85x = foo:x\ny = foo:y\n", "x"),
        ("[console_scripts]\n;x = foo:x\ny = foo:y\n", ";x"),
    ],
)
def test_refused_scripts_that_one_reader_sees_and_another_does_not(
    tmp_path: Path, text: str, name: str
) -> None:
    reason = f"entry_points.txt has the script {name!r} for one reader only"
    assert refusal(with_file(tmp_path, "entry_points.txt", text)) == reason


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[other]\nx =\n  a.b\n[console_scripts]\ny = foo:y\n", "a.b"),
        ("[console_scripts]\n; a comment\ny = foo:y\n", "; a comment"),
    ],
)
def test_refused_entry_points_that_python_cannot_read(tmp_path: Path, text: str, line: str) -> None:
    (tmp_path / "entry_points.txt").write_text(text, encoding="utf-8")
    with pytest.raises(TypeError):
        assert importlib.metadata.Distribution.at(tmp_path).entry_points
    reason = f"entry_points.txt has the line {line!r}, without ="
    assert refusal(with_file(tmp_path, "entry_points.txt", text)) == reason


def test_entry_point_where_byte_code_of_scripts_goes_is_refused(tmp_path: Path) -> None:
    text = "[console_scripts]\n__pycache__ = foo:main\n"
    reason = "entry point '__pycache__' is no name for a script"
    assert refusal(with_file(tmp_path, "entry_points.txt", text)) == reason
