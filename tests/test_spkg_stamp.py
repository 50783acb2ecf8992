from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.errors import RecordError
from sage_pkginstall.spkg.stamp import Stamp, find_stamps, read_stamp, stamp_place, write_stamp
from tests.trees import plant

if TYPE_CHECKING:
    from pathlib import Path

PLACE = "var/lib/sage/installed"


def test_stamp_is_read_as_it_was_written(tmp_path: Path) -> None:
    stamp = Stamp(
        package_name="foo",
        package_version="1.2.p3",
        install_date="2026-01-01T00:00:00+00:00",
        system_uname=("Linux", "host"),
        sage_version="10.7",
        test_result="passed",
        files=("bin/f", "lib/a b", "lib/\udcff\n"),
    )
    write_stamp(tmp_path, stamp)
    path = tmp_path / PLACE / "foo-1.2.p3"
    assert stamp_place(stamp) == f"{PLACE}/foo-1.2.p3"
    assert read_stamp(path) == stamp
    assert sorted(json.loads(path.read_text())) == [
        "files",
        "install_date",
        "package_name",
        "package_version",
        "sage_version",
        "system_uname",
        "test_result",
    ]


@pytest.mark.parametrize(
    "content", [b"", b"INSTALL DATE: then\n", b"[]", b"{}", b'{"files": 3}', b"\xff"]
)
def test_old_stamp_lists_no_files(tmp_path: Path, content: bytes) -> None:
    plant(tmp_path, {"foo-1.2-3": content})
    assert read_stamp(tmp_path / "foo-1.2-3") == Stamp("foo", "1.2-3")


def test_what_no_text_or_path_can_be_is_left_out(tmp_path: Path) -> None:
    half = r'{"test_result": "\ud800", "system_uname": ["\ud800"], "files": ["a\u0000", "\ud800"]}'
    plant(tmp_path, {"foo-1": half.encode()})
    expected = Stamp("foo", "1", test_result="?", system_uname=("?",), files=())
    assert read_stamp(tmp_path / "foo-1") == expected


def test_missing_stamp_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordError):
        read_stamp(tmp_path / "foo-1")


def test_stamps_of_a_package_are_not_those_of_longer_names(tmp_path: Path) -> None:
    names = ("foo-1", "foo-1.2-rc1", "foo_bar-1", "foobar-1", "foo", "oo-1")
    plant(tmp_path, {f"{PLACE}/{name}": b"" for name in names})
    assert [path.name for path in find_stamps(tmp_path, "foo")] == ["foo-1", "foo-1.2-rc1"]
    assert find_stamps(tmp_path / "none", "foo") == ()
