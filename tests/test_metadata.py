"""What WHEEL and entry_points.txt may say; bad ones stand in ``tests/hostile``."""

from __future__ import annotations

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
    ],
)
def test_wheel_file_may_say_more_tags_than_the_file_name(tmp_path: Path, text: str) -> None:
    WheelArchive.open(with_file(tmp_path, "WHEEL", text)).close()


def test_entry_points_of_other_groups_are_nobodys_business(tmp_path: Path) -> None:
    text = "[other]\nx/y = anything % at all\n[console_scripts]\na-b.c = foo:main.sub [extra]\n"
    WheelArchive.open(with_file(tmp_path, "entry_points.txt", text)).close()


def test_refused_scripts_that_one_reader_sees_and_another_does_not(tmp_path: Path) -> None:
    text = "[DEFAULT]\nx = foo:x\n"
    WheelArchive.open(with_file(tmp_path, "entry_points.txt", text)).close()
    path = with_file(tmp_path, "entry_points.txt", f"{text}[console_scripts]\ny = foo:y\n")
    assert refusal(path) == "entry_points.txt has a section [DEFAULT]"
