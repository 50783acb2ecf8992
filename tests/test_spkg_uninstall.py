from __future__ import annotations

import json
import shutil
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.sageworld import SageWorld
from tests.trees import plant, tree
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.trees import Entry

INSTALLED = "var/lib/sage/installed"
SCRIPTS = "var/lib/sage/scripts"

pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path, venv: Path) -> SageWorld:
    return SageWorld.make(tmp_path, venv)


def site_of(world: SageWorld) -> str:
    (site,) = world.prefix.glob("lib/python3*/site-packages")
    return site.relative_to(world.prefix).as_posix()


def staged_copy(world: SageWorld, wheel: Path, package: str, **scripts: str) -> None:
    """Install a wheel as the old staged copy did: files, and a stamp that lists them."""
    site = site_of(world)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(world.prefix / site)
        files = [f"{site}/{name}" for name in archive.namelist()]
    document = {"package_name": package, "files": files}
    name = package.partition("-")[0]
    entries = {f"{SCRIPTS}/{name}/spkg-{key}": text.encode() for key, text in scripts.items()}
    plant(world.prefix, {f"{INSTALLED}/{package}": json.dumps(document).encode(), **entries})


def test_staged_copy_of_old_goes_with_its_python_files(world: SageWorld, tmp_path: Path) -> None:
    before = world.tree()
    staged_copy(world, make_wheel(tmp_path, "foo", "1.0"), "foo-1.0")
    cache = world.prefix / site_of(world) / "__pycache__"
    plant(cache, {"foo.cpython-311.pyc": b""})
    world.clean("foo")
    assert world.tree() == before
    assert not cache.exists()


def test_staged_copy_of_old_is_taken_over(world: SageWorld, tmp_path: Path) -> None:
    before = world.tree()
    old = make_wheel(tmp_path, "foo", "1.0", {"foo/__init__.py": "", "foo/gone.py": ""})
    staged_copy(world, old, "foo-1.0")
    new = make_wheel(tmp_path, "foo", "2.0", {"foo/__init__.py": ""})
    world.package("foo", "2.0", {}, wheel=new)
    world.spkg("foo")
    site = site_of(world)
    added = {path.removeprefix(f"{site}/") for path in world.paths() - set(before)}
    assert added == {
        "foo/__init__.py",
        *(f"foo-2.0.dist-info/{name}" for name in ("METADATA", "RECORD", "WHEEL")),
        *(f"foo-2.0.dist-info/{name}" for name in ("INSTALLER", "REQUESTED", "direct_url.json")),
        f"{INSTALLED}/foo-2.0",
        f"{SCRIPTS}/foo/spkg-piprm",
        f"{SCRIPTS}/foo/spkg-requirements.txt",
        "var/lib/sage/wheels/foo-2.0-py3-none-any.whl",
    }
    world.clean("foo")
    assert world.tree() == before


def test_files_that_another_distribution_took_over_stay(world: SageWorld, tmp_path: Path) -> None:
    files = {"shared/__init__.py": ""}
    staged_copy(world, make_wheel(tmp_path, "foo", "1.0", files), "foo-1.0")
    world.package("bar", "1", {}, wheel=make_wheel(tmp_path, "bar", "1", files))
    world.spkg("bar")
    world.clean("foo")
    assert f"{site_of(world)}/shared/__init__.py" in world.paths()


def test_hand_made_pip_uninstall_script_is_run(world: SageWorld, tmp_path: Path) -> None:
    before = world.tree()
    script = f"#!/bin/sh\necho mine >'{tmp_path}/ran'\n"
    staged_copy(world, make_wheel(tmp_path, "foo", "1.0"), "foo-1.0", piprm=script)
    (world.prefix / SCRIPTS / "foo/spkg-piprm").chmod(0o755)
    world.clean("foo")
    assert (tmp_path / "ran").read_text() == "mine\n"
    assert world.tree() == before


def test_failing_hand_made_script_keeps_the_package(world: SageWorld, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "foo", "1.0")
    staged_copy(world, wheel, "foo-1.0", piprm="exit 9")
    before = world.tree()
    assert "its record stays" in world.clean("foo", status=9).stderr
    assert world.tree() == before


@pytest.mark.parametrize("script", ["spkg-legacy-uninstall", "spkg-legacy-uninstall.in"])
def test_stamp_without_manifest_has_a_legacy_uninstall(world: SageWorld, script: str) -> None:
    before = world.tree()
    text = 'rm "$SAGE_LOCAL/share/old" && rmdir "$SAGE_LOCAL/share"\n'
    shebang = "" if script.endswith(".in") else "#!/bin/sh\n"
    world.package("foo", "2", {script: shebang + text})
    plant(world.prefix, {"share/old": b"", f"{INSTALLED}/foo-1": b"INSTALL DATE: then\n"})
    world.clean("foo")
    assert world.tree() == before


@pytest.mark.parametrize("status", [0, 1])
def test_upgrade_from_a_stamp_without_manifest_leaves_no_stale_file(
    world: SageWorld, status: int
) -> None:
    legacy = f'#!/bin/sh\nrm "$SAGE_LOCAL/share/old"; echo said; exit {status}\n'
    install = 'echo >new && sdh_install new "$SAGE_SHARE"\n'
    plant(world.prefix, {"share/old": b"", f"{INSTALLED}/foo-1": b"INSTALL DATE: then\n"})
    files = {"spkg-legacy-uninstall": legacy, "spkg-install.in": install}
    world.package("foo", "2", {**files, "spkg-install.in": f"{install}false"})
    world.spkg("foo", status=1)
    assert {"share/old", f"{INSTALLED}/foo-1"} <= world.paths()
    world.package("foo", "2", files)
    assert "said" in world.spkg("foo", status=status).stdout
    assert (f"{INSTALLED}/foo-1" in world.paths()) == bool(status)
    assert ("share/new" in world.paths()) != bool(status)
    assert "share/old" not in world.paths()
    if status == 0:
        assert "said" not in world.spkg("foo").stdout


def test_all_stamps_go(world: SageWorld) -> None:
    before = world.tree()
    names = ("foo-1", "foo-1.2.p1", "foo-none")
    plant(world.prefix, {f"{INSTALLED}/{name}": b"{}" for name in names})
    world.clean("foo")
    assert world.tree() == before


def test_version_may_have_a_dash(world: SageWorld) -> None:
    before = world.tree()
    plant(world.prefix, {f"{INSTALLED}/foo-1.2-rc1": b"{}"})
    world.clean("foo")
    assert world.tree() == before


@pytest.mark.parametrize("sudo", ["", "env"])
def test_removal_that_was_killed_is_finished_by_the_next(world: SageWorld, sudo: str) -> None:
    """The stamp goes first: then nothing tells of the package any more, but the journal."""
    before = world.tree()
    world.package("foo", "1", {"spkg-install.in": 'echo >f; sdh_install f "$SAGE_SHARE"'})
    for step in range(5, 20):  # what is before that changes nothing in the tree
        world.spkg("foo")
        world.clean("foo", status=-9, SAGE_PKGINSTALL_FAIL=f"kill@{step}")
        if not (world.prefix / INSTALLED / "foo-1").exists():
            break
    assert "share/f" in world.paths()
    world.clean("foo", SAGE_SUDO=sudo)
    assert world.tree() == before


def test_keep_files_removes_the_stamps_only(world: SageWorld) -> None:
    world.package("foo", "1", {"spkg-install.in": 'echo >f; sdh_install f "$SAGE_SHARE"'})
    world.spkg("foo")
    before = world.paths()
    world.clean("-k", "foo")
    assert before - world.paths() == {f"{INSTALLED}/foo-1"}


@pytest.mark.parametrize("directory", ["share", "lib", "var"])
@pytest.mark.parametrize("where", ["disk", "venv/opt"], ids=["outside", "inside"])
def test_package_goes_through_a_link_of_the_prefix_as_it_came(
    world: SageWorld, tmp_path: Path, directory: str, where: str
) -> None:
    """`ln -s /other/disk/share local/share`; also with the link within the prefix."""
    place = tmp_path / where / directory
    plant(world.prefix, {f"{directory}/kept": b""})
    place.parent.mkdir(parents=True)
    shutil.move(world.prefix / directory, place)
    (world.prefix / directory).symlink_to(place)
    script = (
        'touch f-$PKG_VER; sdh_install f-* "$SAGE_SHARE/foo"; sdh_store_and_pip_install_wheel .'
    )
    before = outside_too(world, place)
    for version in ("1", "2", "2"):
        files = {"spkg-install.in": script, "version_requirements.txt": "foo\n"}
        wheel = make_wheel(tmp_path, "foo", version, {f"foo{version}/__init__.py": ""})
        world.package("foo", version, files, wheel=wheel)
        assert "Warning" not in world.spkg("foo").stderr
        assert [stamp.name for stamp in (world.prefix / INSTALLED).iterdir()] == [f"foo-{version}"]
        assert [info.name for info in world.prefix.glob(f"{site_of(world)}/*.dist-info")] == [
            f"foo-{version}.dist-info"
        ]
        assert [file.name for file in world.prefix.glob("share/foo/*")] == [f"f-{version}"]
    world.clean("foo")
    assert outside_too(world, place) == before


def test_keep_files_removes_a_stamp_through_a_link(world: SageWorld) -> None:
    (world.prefix / "opt").mkdir()
    (world.prefix / "var").symlink_to("opt")
    world.package("foo", "1", {"spkg-install.in": ":"})
    world.spkg("foo")
    world.clean("-k", "foo")
    assert not list((world.prefix / INSTALLED).glob("*"))


def outside_too(world: SageWorld, place: Path) -> dict[str, Entry]:
    """What lies in the prefix and in a directory of it that is elsewhere, but what is ours."""
    found = {f"{place}/{path}": entry for path, entry in tree(place).items()} | world.tree()
    ours = ("var/lock/", "var/tmp/", ".pyc")
    return {path: entry for path, entry in found.items() if not any(one in path for one in ours)}


def test_own_sources_in_the_place_of_a_package_stay(world: SageWorld, tmp_path: Path) -> None:
    """`ln -s ~/src/foo site-packages/foo`, which pip leaves alone, too."""
    wheel = make_wheel(tmp_path, "foo", "1", {"foo/__init__.py": ""})
    world.package("foo", "1", {"version_requirements.txt": "foo\n"}, wheel=wheel)
    world.spkg("foo")
    installed = world.prefix / site_of(world) / "foo"
    shutil.move(installed, tmp_path / "my sources")
    installed.symlink_to(tmp_path / "my sources")
    ended = world.clean("foo")
    assert f"{site_of(world)}/foo is a link: it leads out of the prefix" in ended.stderr
    assert (tmp_path / "my sources" / "__init__.py").exists()
    assert not list(world.prefix.glob(f"{site_of(world)}/*.dist-info"))


def test_verbose_names_what_goes(world: SageWorld) -> None:
    world.package("foo", "1", {"spkg-install.in": 'echo >f; sdh_install f "$SAGE_SHARE/foo"'})
    world.spkg("foo")
    assert "removed share" in world.clean("-v", "foo").stdout


def test_log_directory(world: SageWorld, tmp_path: Path) -> None:
    world.package("foo", "1", {"spkg-install.in": ":", "spkg-prerm.in": "echo bye"})
    world.spkg("foo")
    world.clean("--log-directory", tmp_path / "logs", "foo")
    assert "[foo-1] bye\n" in (tmp_path / "logs/foo-1.log").read_text()


def test_package_without_directory_can_be_uninstalled(world: SageWorld) -> None:
    before = world.tree()
    world.package("foo", "1", {"spkg-install.in": ":", "spkg-prerm.in": ":"})
    world.spkg("foo")
    shutil.rmtree(world.packages / "foo")
    world.clean("foo", world.prefix)
    assert world.tree() == before


def test_package_without_directory_is_looked_for_in_both_trees(
    world: SageWorld, tmp_path: Path
) -> None:
    local = tmp_path / "local"
    local.mkdir()
    before = world.tree()
    world.package("foo", "1", {"spkg-install.in": ":", "version_requirements.txt": "foo\n"})
    world.spkg("foo", SAGE_LOCAL=str(local))
    (world.packages / "foo/type").write_text("standrad\n")
    assert "uninstalled foo" in world.clean("foo", SAGE_LOCAL=str(local)).stdout
    assert world.tree() == before


def test_wheel_that_is_gone_from_the_store_does_not_matter(
    world: SageWorld, tmp_path: Path
) -> None:
    before = world.tree()
    world.package("foo", "1.0", {}, wheel=make_wheel(tmp_path, "foo", "1.0"))
    world.spkg("foo")
    shutil.rmtree(world.prefix / "var/lib/sage/wheels")
    world.clean("foo")
    assert world.tree() == before


def test_distribution_that_pip_upgraded_goes_with_its_package(
    world: SageWorld, tmp_path: Path
) -> None:
    before = world.tree()
    world.package("foo", "1.0", {}, wheel=make_wheel(tmp_path, "foo", "1.0"))
    world.spkg("foo")
    newer = make_wheel(tmp_path, "foo", "3.0", {"foo3.py": ""})
    world.run("sage-pip-install", newer)
    assert f"{site_of(world)}/foo3.py" in world.paths()
    world.clean("foo")
    assert world.tree() == before


def test_distribution_that_another_package_names_too_stays(
    world: SageWorld, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path, "foo", "1.0")
    for name in ("foo", "bar"):
        install = {"spkg-install.in": "sdh_store_and_pip_install_wheel ."}
        world.package(name, "1.0", install, wheel=wheel)
        world.spkg(name)
    world.clean("foo")
    assert f"{site_of(world)}/foo.py" in world.paths()
    world.clean("bar")
    assert f"{site_of(world)}/foo.py" not in world.paths()
