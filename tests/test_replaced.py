"""What is installed in place of a wheel that a package has built counts for who sees it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.environment import target_environment
from sage_pkginstall.spkg.replaced import replaced_distributions
from tests.once import world_with_cache
from tests.sources import make_wheel, source_files

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sageworld import SageWorld

SCRIPTS = {
    "wheels": "cd src && sdh_pip_install --no-build-isolation .\n",
    "of isolated": "cd src && sdh_pip_install .\n",  # which finds programs in PATH
    "packages": "cd src && sdh_pip_install --no-build-isolation .\n",
}


@pytest.fixture
def world(tmp_path: Path, venv: Path) -> SageWorld:
    return world_with_cache(tmp_path, venv)


def install(world: SageWorld, *wheels: Path) -> None:
    world.run("sage-pkginstall", "install", "--prefix", world.prefix, *wheels)


@pytest.mark.parametrize("kept", SCRIPTS)
def test_distribution_that_pip_has_replaced_counts(
    tmp_path: Path, world: SageWorld, kept: str
) -> None:
    """By ``sage -pip install``: the package's own records stay as they were."""
    world.env["SAGE_PKGINSTALL_BUILT"] = kept
    python = {"version_requirements.txt": "x\n"}
    own = make_wheel(tmp_path / "a", "needed-1.0-py3-none-any.whl", entry_points="[a]\nb = needed")
    world.package("needed", "1.0", python, wheel=own)
    world.spkg("needed")
    files = {**python, "spkg-install.in": SCRIPTS[kept], "dependencies": "needed |\n"}
    world.package("tiny", "1.0", files, source=source_files("tiny"))
    other = make_wheel(tmp_path / "b", "needed-2.0-py3-none-any.whl")
    same_version = make_wheel(tmp_path / "c", own.name, {"needed.py": "x = 1\n"})

    def is_taken() -> bool:
        return "Taken from the cache" in world.spkg("tiny").stdout

    assert [is_taken(), is_taken()] == [False, True]
    install(world, other)
    assert [is_taken(), is_taken()] == [False, True]
    install(world, same_version)
    assert not is_taken()
    install(world, own)
    assert is_taken()


@pytest.mark.parametrize("kept", SCRIPTS)
def test_distribution_of_a_package_of_kind_pip_counts(
    tmp_path: Path, world: SageWorld, kept: str
) -> None:
    """It has no records but pip's own."""
    world.env["SAGE_PKGINSTALL_BUILT"] = kept
    world.package("needed", "1.0", {"requirements.txt": "needed>=1\n"})
    python = {"version_requirements.txt": "x\n", "dependencies": "needed |\n"}
    files = {**python, "spkg-install.in": SCRIPTS[kept]}
    world.package("tiny", "1.0", files, source=source_files("tiny"))

    def is_taken() -> bool:
        return "Taken from the cache" in world.spkg("tiny").stdout

    for version in ("1.0", "2.0"):
        install(world, make_wheel(tmp_path, f"needed-{version}-py3-none-any.whl"))
        assert [is_taken(), is_taken()] == [False, True]


def test_distribution_that_came_from_its_wheel_does_not_count(
    tmp_path: Path, venv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAGE_PKGINSTALL_CACHE", str(tmp_path / "cache"))
    gone = make_wheel(tmp_path, "gone-1.0-py3-none-any.whl")
    environment = target_environment(venv)
    assert dict(replaced_distributions(environment, [gone])) == {
        f"gone in place of {gone.name}": "nothing"
    }
    site = venv / environment.site_directories[0]
    shutil.unpack_archive(gone, site, "zip")
    assert dict(replaced_distributions(environment, [gone])) == {}
