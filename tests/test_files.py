"""The primitive steps say which file they failed at."""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.engine.files import (
    current_umask,
    delete_tree,
    flush,
    naming,
    rename_new,
    write_new,
)
from sage_pkginstall.engine.staged import lay_in
from sage_pkginstall.engine.workspace import StagingArea
from sage_pkginstall.errors import TransactionError
from tests.trees import EMPTY, plant, tree

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let no file grow beyond ``size`` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, former)


def test_file_that_cannot_be_copied_is_named(tmp_path: Path) -> None:
    plant(tmp_path / "from", {"d/big": b"x" * 9999})
    (tmp_path / "to").mkdir()
    with full_disk(1000), pytest.raises(OSError, match="big") as caught:
        lay_in(tmp_path / "from", tmp_path / "to", move=False)
    assert caught.value.filename == str(tmp_path / "to" / "d" / "big")


@pytest.mark.parametrize("number", [errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP])
def test_file_gets_a_name_that_is_free_where_it_can_have_no_second_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def link(*_names: object, **_options: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("sage_pkginstall.engine.files._rename_with_flags", None)
    monkeypatch.setattr(os, "link", link)
    plant(tmp_path, {"a": b"1", "b": b"2"})
    rename_new(tmp_path / "a", tmp_path / "c")
    with pytest.raises(FileExistsError):
        rename_new(tmp_path / "b", tmp_path / "c")
    assert tree(tmp_path) == {"b": b"2", "c": b"1"}


def test_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with full_disk(1000), pytest.raises(OSError, match="new") as caught:
        write_new(tmp_path / "new", b"x" * 9999)
    assert caught.value.errno == errno.EFBIG


def test_directory_that_cannot_be_flushed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("os.fsync", fails)
    monkeypatch.setattr("fcntl.fcntl", lambda *_: fails(0))
    with pytest.raises(OSError, match="Input/output error") as caught:
        flush(tmp_path)
    assert caught.value.filename == str(tmp_path)


def test_directory_that_may_be_written_but_not_read_is_flushed_with_all_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_arguments: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(tmp_path))

    flushed: list[str] = []
    monkeypatch.setattr("os.open", refused)
    monkeypatch.setattr("os.sync", lambda: flushed.append("all"))
    flush(tmp_path)
    assert flushed == ["all"]


def test_tree_is_deleted_however_deep_it_is(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    (top / "kept").symlink_to(tmp_path)
    descriptor = os.open(top, os.O_RDONLY)
    for _ in range(1500):  # more than descriptors, calls, and characters of a path
        os.mkdir("deep", dir_fd=descriptor)
        os.close(os.open("file", os.O_CREAT, dir_fd=descriptor))
        below = os.open("deep", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    delete_tree(top)
    assert list(tmp_path.iterdir()) == []


def test_error_that_names_a_file_keeps_its_name() -> None:
    with pytest.raises(FileNotFoundError) as caught, naming("other"):
        raise FileNotFoundError(errno.ENOENT, "gone", "this")
    assert caught.value.filename == "this"


def test_staging_area_without_locks_is_refused_and_left_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", fails)
    descriptors = len(list(Path("/dev/fd").iterdir()))
    with pytest.raises(TransactionError, match="gives no flock"), StagingArea(tmp_path).workspace():
        pass
    assert tree(tmp_path) == {"var/tmp/sage": EMPTY}
    assert len(list(Path("/dev/fd").iterdir())) == descriptors


def asked_often(all_run: threading.Barrier) -> set[int]:
    all_run.wait()
    return {current_umask() for _ in range(5_000)}


def test_threads_that_ask_for_the_umask_do_not_change_it() -> None:
    before, interval = current_umask(), sys.getswitchinterval()
    all_run = threading.Barrier(5)
    try:
        with ThreadPoolExecutor(4) as threads:
            asked = [threads.submit(asked_often, all_run) for _ in range(4)]
            all_run.wait()  # while they start, coverage must not be interrupted
            sys.setswitchinterval(1e-6)
            told = set().union(*(one.result() for one in asked))
        assert told == {before}
        assert current_umask() == before
    finally:
        sys.setswitchinterval(interval)
        os.umask(before)
