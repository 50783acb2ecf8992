"""Files that commands are asked to write."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.cli.output import write_output

if TYPE_CHECKING:
    from pathlib import Path


def test_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "page"
    path.write_text("old")
    with path.open() as reader:
        write_output(path, "new", time_ns=10**9)
        assert reader.read() == "old"
    assert path.read_text() == "new"
    assert path.stat().st_mtime == 1
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_file_is_written_to_and_stays_what_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_output(pipe, "text")
    reader.join()
    assert read == ["text"]
    assert pipe.is_fifo()


def test_link_that_others_put_beside_a_file_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / f".page.{os.getpid()}").symlink_to("mine")
    write_output(tmp_path / "page", "new")
    assert (tmp_path / "mine").read_text() == "mine"
    assert (tmp_path / "page").read_text() == "new"
    assert not (tmp_path / "page").is_symlink()


def test_directory_is_named_where_a_file_was_meant(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError) as caught:
        write_output(tmp_path, "text")
    assert caught.value.filename == str(tmp_path)
    assert list(tmp_path.iterdir()) == []
