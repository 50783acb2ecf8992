"""Copying a directory with what its links lead to."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from sage_pkginstall.spkg.followed import copy_followed
from tests.sageworld import SageWorld
from tests.trees import Link, plant

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_links_are_copied_as_what_they_lead_to(tmp_path: Path) -> None:
    plant(tmp_path, {"other/file": b"1", "source/below/run": b"#!", "source/gone": Link("nowhere")})
    plant(
        tmp_path, {"source/below/file": Link("../../other/file"), "source/other": Link("../other")}
    )
    (tmp_path / "source/below/run").chmod(0o755)
    os.utime(tmp_path / "source/below/run", (1, 1))
    copy_followed(tmp_path / "source", tmp_path / "copy")
    copied = {
        path.relative_to(tmp_path / "copy").as_posix() for path in tmp_path.rglob("copy/**/*")
    }
    assert copied == {"below", "below/run", "below/file", "other", "other/file"}
    assert not any(path.is_symlink() for path in (tmp_path / "copy").rglob("*"))
    status = (tmp_path / "copy/below/run").stat()
    assert (status.st_mode & 0o777, status.st_mtime) == (0o755, 1)


def test_link_to_what_it_lies_in_stays_one(tmp_path: Path) -> None:
    plant(tmp_path, {"above/source/below/file": b"1", "above/source/self": Link(".")})
    plant(tmp_path, {"above/source/below/up": Link(".."), "above/source/top": Link("../..")})
    copy_followed(tmp_path / "above/source", tmp_path / "copy")
    links = {
        path.name: path.resolve() for path in (tmp_path / "copy").rglob("*") if path.is_symlink()
    }
    source = (tmp_path / "above/source").resolve()
    assert links == {"self": source, "up": source, "top": tmp_path.resolve()}
    assert (tmp_path / "copy/below/file").read_bytes() == b"1"


def test_directories_that_lead_to_each_other_have_an_end(tmp_path: Path) -> None:
    plant(tmp_path, {"source/a/b": Link("../b"), "source/b/a": Link("../a")})
    copy_followed(tmp_path / "source", tmp_path / "copy")
    assert (tmp_path / "copy/a/b/a").resolve() == (tmp_path / "source/a").resolve()


def test_link_to_where_the_copy_is_made_stays_one(tmp_path: Path) -> None:
    plant(tmp_path, {"source/tree": Link("../tree"), "tree/file": b"1"})
    copy_followed(tmp_path / "source", tmp_path / "tree/copy")
    assert (tmp_path / "tree/copy/tree").is_symlink()


def test_what_is_no_file_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, {"source/file": b"1", "source/itself": Link("itself")})
    os.mkfifo(tmp_path / "source/pipe")
    monkeypatch.chdir(tmp_path / "source")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        copy_followed(tmp_path / "source", tmp_path / "copy")
    assert [path.name for path in (tmp_path / "copy").iterdir()] == ["file"]


def test_package_directory_with_links_in_a_circle_is_built(tmp_path: Path) -> None:
    world = SageWorld.make(tmp_path, tmp_path / "local")
    script = 'sdh_install data/file data/root/build/pkgs/foo/type "$SAGE_LOCAL/share"\n'
    directory = world.package("foo", "1", {"spkg-install.in": script, "data/file": "1"})
    plant(
        directory,
        {
            "self": Link("."),
            "data/up": Link(".."),
            "data/root": Link("../../../.."),
            "tree": Link("../../../../local"),
        },
    )
    world.spkg("foo")
    assert world.tree()["share/file"] == b"1"
    assert world.tree()["share/type"] == b"optional\n"
