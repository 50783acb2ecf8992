from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.errors import PkgInstallError
from sage_pkginstall.spkg.unpack import unpack
from tests.trees import Link, modes, tree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def member(
    name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, **facts: object
) -> tuple[tarfile.TarInfo, bytes]:
    made = tarfile.TarInfo(name)
    made.size, made.type = len(data), kind
    for key, value in facts.items():
        setattr(made, key, value)
    return made, data


def tarball(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture(params=["filters", "no filters"])
def _filters(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With tarfile's filters, and as on a Python that has none."""
    if request.param == "no filters":
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
        monkeypatch.setattr(
            tarfile.TarFile,
            "extraction_filter",
            staticmethod(lambda member, _: member),
            raising=False,
        )


pytestmark = pytest.mark.usefixtures("_filters")


def test_one_top_directory_becomes_the_destination(tmp_path: Path) -> None:
    archive = tarball(
        tmp_path / "a.tar.gz",
        member("foo-1/run", b"x", mode=0o4755),
        member("foo-1/link", kind=tarfile.SYMTYPE, linkname="sub/../run"),
        member("foo-1/sub/hard", kind=tarfile.LNKTYPE, linkname="foo-1/run", mode=0o755),
    )
    unpack(archive, tmp_path / "src")
    assert tree(tmp_path / "src") == {"run": b"x", "link": Link("sub/../run"), "sub/hard": b"x"}
    assert modes(tmp_path / "src")["run"] == 0o755
    assert {path.name for path in tmp_path.iterdir()} == {"a.tar.gz", "src"}


def test_several_top_entries_lie_in_the_destination(tmp_path: Path) -> None:
    archive = tarball(tmp_path / "a.tar.gz", member("a", b"1"), member("b/c", b"2"))
    unpack(archive, tmp_path / "src")
    assert tree(tmp_path / "src") == {"a": b"1", "b/c": b"2"}


@pytest.mark.parametrize(
    "members",
    [
        [member("../evil", b"x")],
        [member("d/../../evil", b"x")],
        [member("d/link", kind=tarfile.SYMTYPE, linkname="/etc/passwd")],
        [member("d/link", kind=tarfile.SYMTYPE, linkname="../../evil")],
        [member("d/hard", kind=tarfile.LNKTYPE, linkname="../evil")],
        [member("d/fifo", kind=tarfile.FIFOTYPE)],
        [
            member("d/link", kind=tarfile.SYMTYPE, linkname=".."),
            member("d/link/link", kind=tarfile.SYMTYPE, linkname=".."),
            member("d/link/link/evil", b"x"),
        ],
    ],
)
def test_archive_that_leaves_its_directory_is_refused(
    tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]]
) -> None:
    (tmp_path / "build").mkdir()
    archive = tarball(tmp_path / "a.tar.gz", *members)
    with pytest.raises(PkgInstallError, match="cannot unpack"):
        unpack(archive, tmp_path / "build" / "src")
    assert not list(tmp_path.rglob("evil"))


def test_damaged_archive_is_refused(tmp_path: Path) -> None:
    archive = tarball(tmp_path / "a.tar.gz", member("d/a", b"x" * 5000))
    archive.write_bytes(archive.read_bytes()[:-20])
    with pytest.raises(PkgInstallError, match="cannot unpack"):
        unpack(archive, tmp_path / "src")


def test_zip_is_unpacked_with_modes(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("foo/run")
        info.external_attr = (stat.S_IFREG | 0o755) << 16
        archive.writestr(info, "x")
        archive.writestr("foo/data", "y")
    unpack(tmp_path / "a.zip", tmp_path / "src")
    assert tree(tmp_path / "src") == {"run": b"x", "data": b"y"}
    assert modes(tmp_path / "src") == {"run": 0o755, "data": 0o644}


def test_tar_that_ends_with_a_zip_is_a_tar(tmp_path: Path) -> None:
    inner = tmp_path / "inner.zip"
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("x", "x")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(inner, "foo/inner.zip")
    unpack(tmp_path / "a.tar", tmp_path / "src")
    assert tree(tmp_path / "src") == {"inner.zip": inner.read_bytes()}


@pytest.mark.parametrize("name", ["../evil", "d/../../evil"])
def test_zip_that_leaves_its_directory_is_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, "x")
    with pytest.raises(PkgInstallError, match="leaves the directory"):
        unpack(tmp_path / "a.zip", tmp_path / "src")


def zip_of(path: Path, links: Mapping[str, str], files: Mapping[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, target in links.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, target)
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def test_links_of_a_zip_are_links(tmp_path: Path) -> None:
    links = {"foo/d/up": "../run", "foo/new/dir": "../d", "foo/to nothing": "nothing"}
    unpack(zip_of(tmp_path / "a.zip", links, {"foo/run": "x", "foo/d/f": "y"}), tmp_path / "src")
    assert tree(tmp_path / "src") == {
        "run": b"x",
        "d/f": b"y",
        "d/up": Link("../run"),
        "new/dir": Link("../d"),
        "to nothing": Link("nothing"),
    }


@pytest.mark.parametrize(
    "links",
    [
        {"foo/link": "/etc/passwd"},
        {"foo/link": "../../out"},
        {"foo/d/first": "second/../../../out", "foo/d/second": ".."},  # inside before the second
        {"foo/d/link": "/", "foo/d/link/tmp/evil": "x"},
        {"foo/d/first": "second/../../..", "foo/d/second": "..", "foo/d/first/evil": "x"},
        {"foo/link": "x" * 5000},
        {"foo/link": "a\0b"},
        {"foo/link": ""},
    ],
)
def test_link_of_a_zip_that_leaves_its_directory_is_refused(
    tmp_path: Path, links: Mapping[str, str]
) -> None:
    archive = zip_of(tmp_path / "a.zip", links, {"foo/run": "x"})
    (tmp_path / "deep").mkdir()
    with pytest.raises(PkgInstallError, match="cannot unpack"):
        unpack(archive, tmp_path / "deep/src")
    assert {path.name for path in tmp_path.iterdir()} <= {"a.zip", "deep"}


def test_link_of_a_zip_takes_the_place_of_nothing(tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "a.zip", {"foo/./run": "f"}, {"foo/run": "x", "foo/f": "y"})
    with pytest.raises(PkgInstallError, match="cannot unpack"):
        unpack(archive, tmp_path / "src")


def test_file_of_a_zip_is_not_written_through_a_link(tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "a.zip", {"foo/d": "e"}, {"foo/d/f": "x", "foo/e/g": "y"})
    with pytest.raises(PkgInstallError, match="cannot unpack"):
        unpack(archive, tmp_path / "src")
