"""Modes of what is unpacked, and odd tars; what is refused: test_spkg_unpack.py, test_damage.py."""

from __future__ import annotations

import os
import resource
import tarfile
import time
import zipfile
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.builds.unpacking import UnpackingError, extract
from tests.trees import modes

if TYPE_CHECKING:
    from pathlib import Path

MODES = {0o600: 0o644, 0o664: 0o644, 0o444: 0o644, 0o700: 0o755, 0o645: 0o755, 0o4755: 0o755}
"""Which modes pip gives to files of an sdist that have these."""


@pytest.fixture(params=["with filters", "without"])
def _filters(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `tarfile` with filters, and without, as in Python 3.11.2."""
    if request.param == "without":
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
        trusting = staticmethod(lambda member, _: member)
        monkeypatch.setattr(tarfile.TarFile, "extraction_filter", trusting, raising=False)


@pytest.mark.usefixtures("_filters")
def test_files_of_a_tar_have_the_modes_that_pip_gives_them(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a-1.tar.gz", "w:gz") as tar:
        for mode in MODES:
            member = tarfile.TarInfo(f"a-1/{mode:o}")
            member.mode = mode
            tar.addfile(member)
    (tmp_path / "new").mkdir()
    extract(tmp_path / "a-1.tar.gz", tmp_path / "new")
    expected = {f"{mode:o}": given for mode, given in MODES.items()}
    assert modes(tmp_path / "new/a-1") == expected


@pytest.mark.parametrize("suffix", ["tar.gz", "zip"])
def test_lack_of_room_is_no_fault_of_the_archive(tmp_path: Path, suffix: str) -> None:
    archive, (soft, hard) = tmp_path / f"a-1.{suffix}", resource.getrlimit(resource.RLIMIT_FSIZE)
    (tmp_path / "big").write_bytes(bytes(2 << 20))
    if suffix == "zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
            zipped.write(tmp_path / "big", "a-1/big")
    else:
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(tmp_path / "big", "a-1/big")
    (tmp_path / "new").mkdir()
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(OSError, match=r"File too large: '.*new"):
            extract(archive, tmp_path / "new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
@pytest.mark.usefixtures("_filters")
def test_files_belong_to_who_unpacks_them(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a-1.tar.gz", "w:gz") as tar:
        for name, kind in (("a-1", tarfile.DIRTYPE), ("a-1/file", tarfile.REGTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.uid, member.gid, member.uname = kind, 1234, 1234, "daemon"
            tar.addfile(member)
    (tmp_path / "new").mkdir()
    extract(tmp_path / "a-1.tar.gz", tmp_path / "new")
    owners = {path.stat().st_uid for path in (tmp_path / "new").rglob("*")}
    assert owners == {0}


def test_what_follows_the_checksum_of_a_tarball_is_passed_over(tmp_path: Path) -> None:
    archive = tmp_path / "a-1.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("a-1"))
    with archive.open("ab") as file:
        file.write(b"appended by a download")
    (tmp_path / "new").mkdir()
    extract(archive, tmp_path / "new")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a-1"]


def test_hard_link_to_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a-1.tar", "w") as tar:
        link = tarfile.TarInfo("a-1/link")
        link.type, link.linkname = tarfile.LNKTYPE, "a-1/missing"
        tar.addfile(link)
    (tmp_path / "new").mkdir()
    with pytest.raises(UnpackingError, match="a-1/missing' not found"):
        extract(tmp_path / "a-1.tar", tmp_path / "new")


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_name_that_is_longer_than_memory_is_refused(tmp_path: Path, kind: bytes) -> None:
    name = tarfile.TarInfo("a-1/f")
    name.type, name.size = kind, 1 << 60
    (tmp_path / "a-1.tar").write_bytes(name.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    (tmp_path / "new").mkdir()
    with pytest.raises(UnpackingError, match="longer than there is memory"):
        extract(tmp_path / "a-1.tar", tmp_path / "new")


@pytest.mark.usefixtures("_filters")
@pytest.mark.parametrize("when", ["inf", "nan", "1e300"])
def test_time_that_is_none_is_refused(tmp_path: Path, when: str) -> None:
    with tarfile.open(tmp_path / "a-1.tar", "w") as tar:
        member = tarfile.TarInfo("a-1/f")
        member.pax_headers = {"mtime": when}
        tar.addfile(member)
    (tmp_path / "new").mkdir()
    with pytest.raises(UnpackingError):
        extract(tmp_path / "a-1.tar", tmp_path / "new")


def test_files_of_a_zip_have_the_modes_that_pip_gives_them(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a-1.zip", "w") as archive:
        archive.writestr("a-1/", "")
        for mode in MODES:
            info = zipfile.ZipInfo(f"a-1/{mode:o}")
            info.external_attr = mode << 16
            archive.writestr(info, "")
    (tmp_path / "new").mkdir()
    extract(tmp_path / "a-1.zip", tmp_path / "new")
    expected = {f"{mode:o}": given for mode, given in MODES.items()}
    assert modes(tmp_path / "new/a-1") == expected


def test_files_of_a_zip_have_their_times(tmp_path: Path) -> None:
    """By which make tells what has to be made again: configure, say, of what it is made from."""
    times = {
        "new": (2020, 1, 1, 12, 0, 2),
        "old": (1980, 1, 1, 0, 0, 0),
        "none": (1980, 0, 0, 0, 0, 0),
    }
    with zipfile.ZipFile(tmp_path / "a-1.zip", "w") as archive:
        for name, date in times.items():
            archive.writestr(zipfile.ZipInfo(name, date), "")
    (tmp_path / "a").mkdir()
    began = time.time()
    extract(tmp_path / "a-1.zip", tmp_path / "a")
    new, old, none = ((tmp_path / "a" / name).stat().st_mtime for name in times)
    assert time.localtime(new)[:6] == times["new"]
    assert time.localtime(old)[:6] == times["old"]
    assert none > began - 1
