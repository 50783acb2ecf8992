"""New files below the root of a staged tree, and nothing anywhere else."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.wheels.staged_root import StagedRoot, copy_content
from tests.trees import Link, plant, tree

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "staged"
    path.mkdir()
    return path


@pytest.fixture
def root(path: Path) -> Iterator[StagedRoot]:
    root = StagedRoot(path)
    root.open()
    yield root
    root.close()


def write(root: StagedRoot, path: str, content: bytes) -> bool | None:
    """Write a file; tell whether the one before had this content, None if none was."""
    descriptor, before = root.create(path, root.modes.plain)
    written = copy_content(io.BytesIO(content), descriptor)
    os.close(descriptor)
    return None if before is None else before == written


def test_directories_are_made_where_they_are_missing(path: Path, root: StagedRoot) -> None:
    for name in ("a/b/c", "a/b/d", "e", "a/f"):
        assert write(root, name, name.encode()) is None
    assert tree(path) == {name: name.encode() for name in ("a/b/c", "a/b/d", "e", "a/f")}


def test_going_up_and_down_ends_in_the_right_directory(path: Path, root: StagedRoot) -> None:
    deep = "/".join("abcdefghijklmnopqrstuvwxyz" * 2)
    names = ["a/b/c/1", "a/b/2", "3", "a/b/c/4", "a/c/b/5", f"{deep}/6", "a/b/c/d/e/7", f"{deep}/8"]
    names += [f"{deep[:-4]}/x/9", "b/10"]
    for name in names:
        assert write(root, name, name.encode()) is None
    assert tree(path) == {name: name.encode() for name in names}


def test_no_more_directories_are_open_for_a_deep_tree_and_none_afterwards(path: Path) -> None:
    before = open_files()
    root = StagedRoot(path)
    root.open()
    for depth in (10, 400, 3, 200):
        write(root, "d/" * depth + f"file{depth}", b"")
        assert len(open_files() - before) < 20
    root.close()
    assert open_files() == before


def open_files() -> set[str]:
    """Descriptors that are open; the listing's own is not among them any more."""
    return {entry.name for entry in Path("/dev/fd").iterdir() if entry.exists()}


def test_after_a_failure_the_next_file_goes_where_it_belongs(path: Path, root: StagedRoot) -> None:
    plant(path, {"a/link": Link("..")})
    write(root, "a/b/x", b"1")
    with pytest.raises(NotADirectoryError):
        root.create("a/link/y", 0o644)
    write(root, "a/z", b"2")
    assert tree(path) == {"a/link": Link(".."), "a/b/x": b"1", "a/z": b"2"}


def test_file_that_was_there_is_told_and_not_written_through(path: Path, root: StagedRoot) -> None:
    plant(path, {"same": b"1", "other": b"2"})
    os.link(path / "other", path.parent / "cached")
    assert write(root, "same", b"1") is True
    assert write(root, "other", b"1") is False
    assert tree(path) == {"same": b"1", "other": b"1"}
    assert (path.parent / "cached").read_bytes() == b"2"


def test_link_in_place_of_the_file_is_replaced_not_followed(path: Path, root: StagedRoot) -> None:
    plant(path, {"link": Link("../outside")})
    assert write(root, "link", b"1") is False
    assert tree(path.parent) == {"staged/link": b"1"}


def test_link_in_place_of_a_directory_is_not_followed(path: Path, root: StagedRoot) -> None:
    plant(path, {"link": Link("..")})
    with pytest.raises(NotADirectoryError):
        root.create("link/outside", 0o644)
    assert tree(path.parent) == {"staged/link": Link("..")}


def test_file_and_directory_of_one_name_are_refused(path: Path, root: StagedRoot) -> None:
    plant(path, {"file": b"", "directory/x": b""})
    with pytest.raises(NotADirectoryError):
        root.create("file/x", 0o644)
    with pytest.raises(IsADirectoryError):
        root.create("directory", 0o644)
    assert tree(path) == {"file": b"", "directory/x": b""}


def test_fifo_is_replaced_and_not_waited_for(path: Path, root: StagedRoot) -> None:
    os.mkfifo(path / "fifo")
    assert write(root, "fifo", b"1") is False
    assert stat.S_ISREG((path / "fifo").lstat().st_mode)


def test_errors_name_the_whole_path(path: Path, root: StagedRoot) -> None:
    name = f"a/{'x' * 300}"
    with pytest.raises(OSError, match="File name too long") as caught:
        root.create(name, 0o644)
    assert caught.value.errno == errno.ENAMETOOLONG
    assert caught.value.filename == str(path / name)
