"""Byte-code put together again is what compiling would have made."""

from __future__ import annotations

import marshal
import sysconfig
from pathlib import Path

import pytest

from sage_pkginstall.wheels.packed_code import with_path, without_path

PATHS = (
    "/a/b.py",
    "/" + "long/" * 60 + "b.py",
    "/päth/b.py",
    "/p\udcffth/b.py",
    "/" + "läng/" * 80 + "b.py",
)
SOURCES = sorted(Path(sysconfig.get_path("stdlib")).glob("[a-d]*.py"))


def compiled(source: str, path: str) -> bytes:
    return marshal.dumps(compile(source, path, "exec", dont_inherit=True, optimize=0))


@pytest.mark.parametrize("before", PATHS)
@pytest.mark.parametrize("after", PATHS)
def test_code_is_that_of_the_other_path_to_the_byte(before: str, after: str) -> None:
    for file in SOURCES[:12]:
        source = file.read_text(encoding="utf-8")
        pathless = without_path(compiled(source, before), before)
        assert pathless is not None
        assert with_path(pathless, after) == compiled(source, after)


def test_path_that_is_also_a_constant_is_not_taken_out() -> None:
    code = compiled("x = '/a/' + input() + '/a/b.py'", "/a/b.py")
    assert without_path(code, "/a/b.py") is None


def test_path_that_is_not_there_or_no_string_is_not_taken_out() -> None:
    assert without_path(compiled("x = 1", "/a/b.py"), "/c/d.py") is None
    assert without_path(compiled("x = 1", "/a/b.py"), "/a/b.p") is None
    assert without_path(marshal.dumps(b"/a/b.py"), "/a/b.py") is None
