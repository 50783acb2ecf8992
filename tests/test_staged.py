"""Trees laid into a staged tree keep what they are, but for modes that would lock it."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.engine.staged import close_modes, copy_in, lay_in
from sage_pkginstall.errors import ConflictError
from tests.trees import Entry, Link, modes, plant, tree

if TYPE_CHECKING:
    from pathlib import Path

ODD: dict[str, Entry] = {
    "with blank/and 'quote'": b"1",
    'double"quote': b"2",
    "new\nline": b"3",
    "\udcff\udcfe": b"4",
    "link": Link("nowhere"),
}


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "from").mkdir()
    (tmp_path / "to").mkdir()
    return tmp_path / "from", tmp_path / "to"


@pytest.mark.parametrize("move", [True, False])
def test_everything_arrives_whatever_its_name(places: tuple[Path, Path], move: bool) -> None:
    source, target = places
    plant(source, ODD)
    lay_in(source, target, move=move)
    assert tree(target) == ODD


def test_copying_leaves_the_source_alone(places: tuple[Path, Path]) -> None:
    source, target = places
    plant(source, ODD)
    lay_in(source, target, move=False)
    assert tree(source) == ODD


@pytest.mark.parametrize("move", [True, False])
def test_hard_links_stay_hard_links(places: tuple[Path, Path], move: bool) -> None:
    source, target = places
    plant(source, {"d/a": b"1"})
    os.link(source / "d" / "a", source / "b")
    lay_in(source, target, move=move)
    assert (target / "d" / "a").samefile(target / "b")


@pytest.mark.parametrize("move", [True, False])
def test_owner_may_write_and_others_read_afterwards(places: tuple[Path, Path], move: bool) -> None:
    source, target = places
    plant(source, {"d/a": b"", "d/tool": b""})
    (source / "d" / "a").chmod(0o400)
    (source / "d" / "tool").chmod(0o4555)
    (source / "d").chmod(0o500)
    lay_in(source, target, move=move)
    assert modes(target) == {"d": 0o755, "d/a": 0o644, "d/tool": 0o4755}


def test_times_stay(places: tuple[Path, Path]) -> None:
    source, target = places
    plant(source, {"a": b""})
    os.utime(source / "a", (1, 1_000_000_000))
    lay_in(source, target, move=False)
    assert (target / "a").stat().st_mtime == 1_000_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of them")
def test_attribute_that_cannot_be_had_does_not_keep_the_others(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = places
    plant(source, {"a": b""})
    try:
        os.setxattr(source / "a", "user.kept", b"1")
    except OSError:
        pytest.skip("the file system has no attributes")
    names = ["user.gone", *os.listxattr(source / "a")]
    monkeypatch.setattr(os, "listxattr", lambda _file: names)
    lay_in(source, target, move=False)
    assert os.getxattr(target / "a", "user.kept") == b"1"


def test_hard_links_are_copied_where_the_file_system_has_none(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = places
    plant(source, {"a": b"1"})
    os.link(source / "a", source / "b")

    def link(*_names: object, **_options: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)
    lay_in(source, target, move=False)
    assert tree(target) == {"a": b"1", "b": b"1"}


def test_file_with_a_name_elsewhere_keeps_its_mode_there(places: tuple[Path, Path]) -> None:
    """In a cache, say, from which other prefixes have it."""
    source, target = places
    cache = plant(source.parent / "cache", {"a": b"1", "b": b"2"})
    for name in ("a", "b"):
        (cache / name).chmod(0o400)
        os.link(cache / name, source / name)
    os.link(source / "a", source / "again")
    lay_in(source, target, move=True)
    assert modes(cache) == {"a": 0o400, "b": 0o400}
    assert tree(target) == {"a": b"1", "again": b"1", "b": b"2"}
    assert all(mode & 0o600 == 0o600 for mode in modes(target).values())
    assert (target / "a").samefile(target / "again")


def test_names_of_one_file_stay_so_where_its_mode_is_opened(places: tuple[Path, Path]) -> None:
    source, target = places
    plant(source, {"a": b"1"})
    (source / "a").chmod(0o500)
    os.link(source / "a", source / "again")
    inode = (source / "a").stat().st_ino
    lay_in(source, target, move=True)
    assert {path.stat().st_ino for path in target.iterdir()} == {inode}
    assert all(mode & 0o700 == 0o700 for mode in modes(target).values())


def test_file_of_another_user_is_copied_only_if_everybody_may_read_it(tmp_path: Path) -> None:
    plant(tmp_path, {"a": b"1"})
    other = os.geteuid() + 1
    (tmp_path / "a").chmod(0o600)
    with pytest.raises(ConflictError, match="does not belong to the user who asks"):
        copy_in(tmp_path / "a", tmp_path / "copy", other)
    assert tree(tmp_path) == {"a": b"1"}
    copy_in(tmp_path / "a", tmp_path / "copy", os.geteuid())
    (tmp_path / "a").chmod(0o604)
    copy_in(tmp_path / "a", tmp_path / "another", other)
    assert tree(tmp_path) == {"a": b"1", "copy": b"1", "another": b"1"}


def test_modes_are_closed_of_what_is_staged_and_not_of_what_links_lead_to(tmp_path: Path) -> None:
    plant(tmp_path, {"to/d/ours/file": b"", "to/d/ours/link": Link("../other"), "to/d/other": b""})
    plant(tmp_path, {"to/d/ours/dangling": Link("nowhere")})
    for path in ("to/d", "to/d/ours", "to/d/ours/file", "to/d/other"):
        (tmp_path / path).chmod(0o777)
    close_modes(tmp_path / "to", "d/ours")
    closed = {"d": 0o755, "d/ours": 0o755, "d/ours/file": 0o755}
    assert modes(tmp_path / "to") == {**closed, "d/other": 0o777}


def test_directories_of_both_are_merged_and_files_clash(places: tuple[Path, Path]) -> None:
    source, target = places
    plant(target, {"d/a": b"1"})
    plant(source, {"d/b": b"2"})
    lay_in(source, target, move=True)
    assert tree(target) == {"d/a": b"1", "d/b": b"2"}
    plant(source, {"d/a": b"3"})
    with pytest.raises(ConflictError, match=r"both .* are staged"):
        lay_in(source, target, move=True)


def test_pipe_is_refused(places: tuple[Path, Path]) -> None:
    source, target = places
    os.mkfifo(source / "pipe")
    with pytest.raises(ConflictError, match="neither file, link nor directory"):
        lay_in(source, target, move=False)
