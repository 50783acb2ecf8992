"""Variants of the wheel of foo 1.0, and what becomes of those that are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.errors import WheelError
from sage_pkginstall.wheels.archive import WheelArchive
from tests.wheelmaker import Member, make_wheel, members, record_of, write_zip

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sage_pkginstall.wheels.container import Limits

FILE = "foo-1.0-py3-none-any.whl"
INFO = "foo-1.0.dist-info"


def refusal(path: Path, *, limits: Limits | None = None) -> str:
    """The reason why the wheel is refused; it is one printable line."""
    with pytest.raises(WheelError) as caught:
        WheelArchive.open(path, limits=limits)
    assert str(caught.value) == f"cannot install {path.name}: {caught.value.reason}"
    assert caught.value.reason.isprintable()
    return caught.value.reason


def foo(tmp_path: Path, *more: Member, drop: str = "\0", record: Member | None = None) -> Path:
    """A wheel of foo 1.0 with ``more`` entries that RECORD lists, without ``drop``."""
    content = [m for m in members("foo", "1.0")[:-1] if not m.name.endswith(drop)]
    content += more
    return write_zip(tmp_path / FILE, [*content, record or record_of(content, f"{INFO}/RECORD")])


def contents(path: Path) -> dict[str, tuple[bytes, bool]]:
    """What an installer gets to see of the wheel."""
    with WheelArchive.open(path) as archive:
        return {
            row[0]: (stream.read(), executable)
            for row, stream, executable in archive.get_contents()
        }


def with_file(tmp_path: Path, name: str, text: str) -> Path:
    return foo(tmp_path, Member(f"{INFO}/{name}", text.encode()), drop=f"/{name}")


def with_record(tmp_path: Path, change: Callable[[str], str]) -> Path:
    text = members("foo", "1.0")[-1].data.decode()
    changed = change(text)
    assert changed != text
    return make_wheel(tmp_path, "foo", "1.0", record=changed)
