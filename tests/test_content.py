"""The content of an entry, read piece by piece; bad ones stand in ``tests/hostile``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.errors import WheelError
from sage_pkginstall.wheels.archive import WheelArchive
from tests.foowheel import foo
from tests.wheelmaker import Member

if TYPE_CHECKING:
    from pathlib import Path


def test_streams_give_any_number_of_bytes_and_may_be_read_at_once(tmp_path: Path) -> None:
    data = os.urandom(3 << 20) + bytes(3 << 20)
    names = ["deflated", "stored"]
    path = foo(tmp_path, Member(names[0], data), Member(names[1], data, deflated=False))
    with WheelArchive.open(path) as archive:
        streams = {row[0]: stream for row, stream, _ in archive.get_contents()}
        assert [streams[n].read(1000) for n in names] == [data[:1000]] * 2
        assert [streams[n].read(2 << 20) for n in names] == [data[1000 : (2 << 20) + 1000]] * 2
        assert [streams[n].read() for n in names] == [data[(2 << 20) + 1000 :]] * 2
        assert [streams[n].read() for n in names] == [b""] * 2


def test_refused_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = foo(tmp_path, Member("big", os.urandom(1 << 20)))
    with WheelArchive.open(path) as archive:
        os.truncate(path, 1000)
        with pytest.raises(WheelError, match="was cut while it was read"):
            [stream.read() for _row, stream, _executable in archive.get_contents()]
