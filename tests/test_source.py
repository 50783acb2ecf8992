from __future__ import annotations

import stat
import zipfile
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.builds.source import BuildSystem, build_system, unpacked
from sage_pkginstall.errors import BuildError
from tests.sources import make_sdist
from tests.trees import modes, plant, tree

if TYPE_CHECKING:
    from pathlib import Path

LEGACY = BuildSystem(("setuptools>=40.8.0",), "setuptools.build_meta:__legacy__", ())


def test_source_without_pyproject_is_built_by_setuptools(tmp_path: Path) -> None:
    plant(tmp_path, {"setup.py": b""})
    assert build_system(tmp_path) == LEGACY


def test_pyproject_without_build_system_is_built_by_setuptools(tmp_path: Path) -> None:
    plant(tmp_path, {"pyproject.toml": b"[project]\nname = 'x'\n"})
    assert build_system(tmp_path) == LEGACY


def test_build_system_is_what_pyproject_says(tmp_path: Path) -> None:
    text = b"[build-system]\nrequires=['a>1']\nbuild-backend='b:c'\nbackend-path=['.']\n"
    plant(tmp_path, {"pyproject.toml": text})
    assert build_system(tmp_path) == BuildSystem(("a>1",), "b:c", (".",))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"[build-system]\nbuild-backend = 'x'\n", "has no 'requires'"),
        (b"[build-system]\nrequires = 'x'\n", "'requires' of .* is no list of strings"),
        (b"[build-system]\nrequires = [1]\n", "'requires' of .* is no list of strings"),
        (b"[build-system]\nrequires = []\nbuild-backend = 1\n", "build-backend .* is no string"),
        (b"build-system = 1\n", "has no 'requires'"),
        (b"[build-system\n", "pyproject.toml cannot be read"),
        (b"\xff", "pyproject.toml cannot be read"),
        (b"a = " + b"[" * 5000, "pyproject.toml cannot be read"),
    ],
)
def test_bad_pyproject_is_refused_with_the_reason(tmp_path: Path, text: bytes, reason: str) -> None:
    plant(tmp_path, {"pyproject.toml": text})
    with pytest.raises(BuildError, match=reason):
        build_system(tmp_path)


def test_directory_that_is_no_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"neither pyproject.toml nor setup.py"):
        build_system(tmp_path)


def test_directory_is_built_where_it_is(tmp_path: Path) -> None:
    assert unpacked(tmp_path, tmp_path / "unused") == tmp_path


def test_sdist_is_unpacked(tmp_path: Path) -> None:
    sdist = make_sdist(tmp_path / "a-1.tar.gz", {"a-1/setup.py": b"x", "a-1/b/c": b"y"})
    (tmp_path / "new").mkdir()
    top = unpacked(sdist, tmp_path / "new")
    assert top == tmp_path / "new" / "a-1"
    assert tree(top) == {"setup.py": b"x", "b/c": b"y"}


def test_zipped_sdist_is_unpacked_with_modes(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a-1.zip", "w") as archive:
        info = zipfile.ZipInfo("a-1/configure")
        info.external_attr = (stat.S_IFREG | 0o755) << 16
        archive.writestr(info, "y")
        archive.writestr("a-1/setup.py", "x")
    (tmp_path / "new").mkdir()
    top = unpacked(tmp_path / "a-1.zip", tmp_path / "new")
    assert tree(top) == {"setup.py": b"x", "configure": b"y"}
    assert modes(top)["configure"] == 0o755


@pytest.mark.parametrize("name", ["../evil", "a-1/../../evil"])
def test_sdist_that_leaves_its_directory_is_refused(tmp_path: Path, name: str) -> None:
    sdist = make_sdist(tmp_path / "a-1.tar.gz", {"a-1/setup.py": b"x", name: b"y"})
    (tmp_path / "new").mkdir()
    with pytest.raises(BuildError, match="neither a directory nor an sdist"):
        unpacked(sdist, tmp_path / "new")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_file_that_is_no_sdist_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a-1.tar.gz"
    path.write_bytes(content)
    (tmp_path / "new").mkdir()
    with pytest.raises(BuildError, match="neither a directory nor an sdist"):
        unpacked(path, tmp_path / "new")


def test_missing_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="there is no such file"):
        unpacked(tmp_path / "missing.tar.gz", tmp_path)


def test_sdist_with_two_tops_is_refused(tmp_path: Path) -> None:
    sdist = make_sdist(tmp_path / "a-1.tar.gz", {"a-1/setup.py": b"x", "b": b""})
    (tmp_path / "new").mkdir()
    with pytest.raises(BuildError, match="holds one directory"):
        unpacked(sdist, tmp_path / "new")
