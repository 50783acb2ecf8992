"""The log of a build; that of transactions is tested in test_history.py."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.builds.log import BuildLog
from tests.test_files import full_disk

if TYPE_CHECKING:
    from pathlib import Path


def test_output_that_the_disk_has_no_room_for_is_shown_all_the_same(tmp_path: Path) -> None:
    seen: list[bytes] = []
    come = threading.Semaphore(0)

    def echo(data: bytes) -> None:
        seen.append(data)
        come.release()

    log = BuildLog(tmp_path / "log", echo)
    with full_disk(5), log.sink() as output:
        for said in (b"one\n", b"two\n", b"three\n"):
            os.write(output, said)
            assert come.acquire(timeout=60)
    assert seen == [b"one\n", b"two\n", b"three\n"]
    assert (tmp_path / "log").read_bytes() == b"one\nt"


def test_line_of_ours_that_the_disk_has_no_room_for_is_shown_all_the_same(tmp_path: Path) -> None:
    seen: list[bytes] = []
    log = BuildLog(tmp_path / "log", seen.append)
    with full_disk(4):
        log.write("Warning")
    assert seen == [b"Warning\n"]
    assert (tmp_path / "log").read_bytes() == b"Warn"


@pytest.mark.usefixtures("no_threads")
def test_log_that_can_have_no_thread_is_an_error_and_leaves_nothing_open(
    tmp_path: Path,
) -> None:
    free = os.dup(0)
    os.close(free)
    log = BuildLog(tmp_path / "log", lambda _: None)
    with pytest.raises(BlockingIOError, match="no thread can be started"), log.sink():
        pass
    after = os.dup(0)
    os.close(after)
    assert after == free


def test_end_of_a_log_is_that_of_this_build(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("of another build\n")
    log = BuildLog(tmp_path / "log").begun()
    log.write("one\n\ntwo  \nthree")
    assert log.tail(2) == ("two", "three")
    assert log.tail(9) == ("one", "two", "three")


def test_log_that_is_a_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")
    reading = os.open(tmp_path / "log", os.O_RDWR)
    log = BuildLog(tmp_path / "log").begun()
    log.write("said")
    assert log.tail(3) == ()
    assert os.read(reading, 99) == b"said\n"
    os.close(reading)
