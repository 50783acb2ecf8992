"""Errors say in one printable line what cannot be done, and why."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sage_pkginstall.errors import WheelError


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("foo-1.0-py3-none-any.whl", "foo-1.0-py3-none-any.whl"),
        ("f\u00f6\u00f6 1.whl", "f\u00f6\u00f6 1.whl"),
        ("foo\n\x1b[2J.whl", r"'foo\n\x1b[2J.whl'"),
        ("foo\u202e.whl", r"'foo\u202e.whl'"),
        (os.fsdecode(b"foo\xff.whl"), r"'foo\udcff.whl'"),
    ],
)
def test_wheel_of_an_odd_name_is_named_safely(name: str, shown: str) -> None:
    error = WheelError(Path("/somewhere") / name, "it is odd")
    assert str(error) == f"cannot install {shown}: it is odd"
    assert str(error).isprintable()
