from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.errors import RecordError, WheelError
from sage_pkginstall.spkg.queue import queue_wheel, queued_wheels

if TYPE_CHECKING:
    from pathlib import Path


def test_wheels_come_in_the_order_of_asking_the_last_of_a_name_counts(tmp_path: Path) -> None:
    for name in ("foo-1", "bar-1", "Foo-2"):
        wheel = tmp_path / f"{name}-py3-none-any.whl"
        wheel.write_bytes(b"")
        queue_wheel(tmp_path, wheel, ["--no-compile"])
    assert [one.path.name.split("-")[0] for one in queued_wheels(tmp_path)] == ["bar", "Foo"]
    assert not any(one.compile for one in queued_wheels(tmp_path))


def test_there_need_not_be_a_queue(tmp_path: Path) -> None:
    assert queued_wheels(tmp_path) == ()
    assert queued_wheels(tmp_path / "missing") == ()


def test_missing_wheel_is_not_queued(tmp_path: Path) -> None:
    with pytest.raises(WheelError, match="there is no file"):
        queue_wheel(tmp_path, tmp_path / "foo-1-py3-none-any.whl", [])


def test_link_in_the_place_of_the_queue_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("root:secret\n")
    (tmp_path / "wheels.jsonl").symlink_to(tmp_path / "secret")
    with pytest.raises(RecordError, match="symbolic link") as caught:
        queued_wheels(tmp_path)
    assert "root:secret" not in str(caught.value)


def test_pipe_in_the_place_of_the_queue_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "wheels.jsonl")
    with pytest.raises(RecordError, match="no regular file"):
        queued_wheels(tmp_path)


@pytest.mark.parametrize(
    ("line", "reason"),
    [(b"{}", "none of ours"), (b"[1", "none of ours"), (b"\xff", "not ASCII")],
)
def test_line_of_others_is_refused(tmp_path: Path, line: bytes, reason: str) -> None:
    (tmp_path / "wheels.jsonl").write_bytes(line + b"\n")
    with pytest.raises(RecordError, match=reason):
        queued_wheels(tmp_path)
