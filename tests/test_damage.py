from __future__ import annotations

import io
import random
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.builds.source import unpacked
from sage_pkginstall.errors import BuildError, PkgInstallError
from sage_pkginstall.spkg.unpack import unpack

if TYPE_CHECKING:
    from pathlib import Path

DATA = bytes(random.Random(1).choices(b"abcdefgh", k=200_000))  # noqa: S311 -- noise
"""Compressed well, so that what is damaged is content and no header."""


def sdist(path: Path) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a-1/setup.py", DATA)
        return path
    mode = f"w:{path.suffix[1:]}"
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        member = tarfile.TarInfo("a-1/setup.py")
        member.size = len(DATA)
        tar.addfile(member, io.BytesIO(DATA))
    return path


def damaged(path: Path) -> Path:
    data = bytearray(sdist(path).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(byte ^ 0x55 for byte in data[middle : middle + 40])
    path.write_bytes(data)
    return path


def encrypted(path: Path) -> Path:
    data = bytearray(sdist(path).read_bytes())
    for signature, flags in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        data[data.find(signature) + flags] |= 1
    path.write_bytes(data)
    return path


SUFFIXES = (".tar.gz", ".tar.xz", ".tar.bz2", ".zip")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_sdist_is_refused(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "new").mkdir()
    with pytest.raises(BuildError, match="neither a directory nor an sdist"):
        unpacked(damaged(tmp_path / f"a-1{suffix}"), tmp_path / "new")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_sdist_that_is_whole_is_unpacked(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "new").mkdir()
    top = unpacked(sdist(tmp_path / f"a-1{suffix}"), tmp_path / "new")
    assert (top / "setup.py").read_bytes() == DATA


def test_encrypted_sdist_is_refused(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    with pytest.raises(BuildError, match="is encrypted"):
        unpacked(encrypted(tmp_path / "a-1.zip"), tmp_path / "new")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_archive_of_upstream_is_refused(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(PkgInstallError, match="cannot unpack"):
        unpack(damaged(tmp_path / f"a-1{suffix}"), tmp_path / "src")
