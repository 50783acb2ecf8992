"""One package, one transaction: also by SAGE_SUDO, in two trees, and for two at once."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import venv as stdlib_venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.patience import PATIENCE, read_until, wait_until
from tests.sageworld import BIN, SageWorld
from tests.trees import plant
from tests.wheelmaker import make_wheel

INSTALLED = "var/lib/sage/installed"

pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path, venv: Path) -> SageWorld:
    return SageWorld.make(tmp_path, venv)


def test_sudo_runs_what_writes_into_the_prefix(world: SageWorld, tmp_path: Path) -> None:
    before = world.tree()
    sudo = tmp_path / "sudo"
    # As sudo does it, variables are not handed on.
    sudo.write_text(f'#!/bin/sh\necho "$*" >>"{tmp_path}/asked"\nexec env -i PATH="$PATH" "$@"\n')
    sudo.chmod(0o755)
    install = 'sdh_store_and_pip_install_wheel .; echo >f; sdh_install f "$SAGE_SHARE"'
    world.package(
        "foo", "1.0", {"spkg-install.in": install}, wheel=make_wheel(tmp_path, "foo", "1.0")
    )
    world.spkg("foo", SAGE_SUDO=str(sudo))
    assert {"share/f", f"{INSTALLED}/foo-1.0"} <= world.paths()
    assert any(path.endswith("/foo.py") for path in world.paths())
    world.clean("foo", SAGE_SUDO=str(sudo))
    assert world.tree() == before
    asked = (tmp_path / "asked").read_text().splitlines()
    assert [" commit-package " in line for line in asked] == [True, True]


@pytest.fixture
def local(world: SageWorld, tmp_path: Path) -> Path:
    """Return SAGE_LOCAL, which is another tree than the environment."""
    world.env["SAGE_LOCAL"] = str(tmp_path / "local")
    return tmp_path / "local"


def test_wheels_of_a_package_of_another_tree_go_to_the_environment(
    world: SageWorld, tmp_path: Path, local: Path
) -> None:
    install = 'sdh_store_and_pip_install_wheel .; echo >f; sdh_install f "$SAGE_SHARE"'
    world.package(
        "foo", "1.0", {"spkg-install.in": install}, wheel=make_wheel(tmp_path, "foo", "1.0")
    )
    before = world.tree()
    world.spkg("foo")
    assert (local / "share/f").exists()
    assert (local / INSTALLED / "foo-1.0").exists()
    assert any(path.endswith("/foo.py") for path in world.paths())
    world.clean("foo")
    assert world.tree() == before
    assert not (local / "share").exists()


def move_from_local(world: SageWorld, tmp_path: Path) -> None:
    """Install foo as a package of SAGE_LOCAL, then as one of SAGE_VENV: both have a record."""
    script = {"spkg-install.in": "sdh_store_and_pip_install_wheel ."}
    wheel = make_wheel(tmp_path, "foo", "1.0")
    for more in ({}, {"version_requirements.txt": "foo\n"}):
        world.package("foo", "1.0", {**script, **more}, wheel=wheel)
        world.spkg("foo")


def test_distribution_of_a_package_of_the_environment_stays_with_it(
    world: SageWorld, tmp_path: Path, local: Path
) -> None:
    """SAGE_LOCAL has a record of an older foo, which brought the same distribution."""
    move_from_local(world, tmp_path)
    before = world.tree()
    world.clean("foo", local)
    assert world.tree() == before
    assert not list((local / INSTALLED).glob("*"))


@pytest.mark.parametrize("way", ["clean", "upgrade"])
def test_distribution_of_a_package_of_sage_local_stays_with_it(
    world: SageWorld, tmp_path: Path, local: Path, way: str
) -> None:
    """It was that of a package of SAGE_VENV once, of which nobody has thought since."""
    script = {"spkg-install.in": "sdh_store_and_pip_install_wheel ."}
    python = {**script, "version_requirements.txt": "foo\n"}
    world.package("old", "1", python, wheel=make_wheel(tmp_path, "foo", "1.0"))
    world.spkg("old")
    world.package("new", "1", script, wheel=make_wheel(tmp_path, "foo", "2.0"))
    world.spkg("new")
    if way == "clean":
        world.clean("old")
    else:
        world.package("old", "2", python, wheel=make_wheel(tmp_path, "bar", "2.0"))
        world.spkg("old")
    assert any(path.endswith("/foo-2.0.dist-info/RECORD") for path in world.paths())
    world.clean("new")
    assert not any(path.endswith("/foo.py") for path in world.paths())


def test_what_a_package_left_in_sage_local_keeps_no_distribution(
    world: SageWorld, tmp_path: Path, local: Path
) -> None:
    move_from_local(world, tmp_path)
    world.clean("foo", world.prefix)
    assert (local / INSTALLED / "foo-1.0").exists()
    assert not any(path.endswith("/foo.py") for path in world.paths())


def test_distribution_that_an_old_record_of_another_tree_lists_stays(
    world: SageWorld, tmp_path: Path, local: Path
) -> None:
    """As older versions of Sage did, SAGE_LOCAL had Python packages itself; pip brought ours."""
    listed = "lib/python3.8/site-packages/foo-0.9.dist-info/METADATA"
    stamp = json.dumps({"package_name": "foo", "files": [listed]}).encode()
    plant(local, {listed: b"", f"{INSTALLED}/foo-0.9": stamp})
    world.run("sage-pip-install", make_wheel(tmp_path, "foo", "1.0"))
    before = world.tree()
    world.clean("foo", local)
    assert world.tree() == before
    assert not (local / listed).exists()


def test_wheels_go_to_the_environment_though_sage_local_has_a_python_too(
    world: SageWorld, tmp_path: Path
) -> None:
    local = tmp_path / "local"
    stdlib_venv.EnvBuilder(symlinks=True, with_pip=False).create(local)
    world.env["SAGE_LOCAL"] = str(local)
    install = 'echo "$SAGE_VENV" >v; sdh_install v "$SAGE_SHARE"; sdh_store_and_pip_install_wheel .'
    wheel = make_wheel(tmp_path, "foo", "1.0")
    world.package("foo", "1.0", {"spkg-install.in": install}, wheel=wheel)
    before = world.tree()
    world.spkg("foo")
    assert (local / "share/v").read_text() == f"{world.prefix}\n"
    assert any(path.endswith("/foo.py") for path in world.paths())
    assert not list(local.glob("lib/python3*/site-packages/foo.py"))
    world.clean("foo")
    assert world.tree() == before


def test_tree_with_an_interpreter_of_its_own_is_the_target(
    world: SageWorld, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    stdlib_venv.EnvBuilder(symlinks=True, with_pip=False).create(other)
    world.package("foo", "1.0", {}, wheel=make_wheel(tmp_path, "foo", "1.0"))
    before = world.tree()
    world.spkg("foo", other)
    assert world.tree() == before
    assert list(other.glob("lib/python3*/site-packages/foo.py"))


def test_wheels_without_any_target_are_refused(world: SageWorld, tmp_path: Path) -> None:
    world.package("foo", "1.0", {}, wheel=make_wheel(tmp_path, "foo", "1.0"))
    empty = str(tmp_path / "empty")
    ended = world.spkg("foo", empty, status=1, SAGE_LOCAL=empty, SAGE_VENV=empty)
    assert "its wheels have no target" in ended.stderr


def test_package_goes_to_the_tree_of_its_kind(world: SageWorld, tmp_path: Path) -> None:
    world.env["SAGE_LOCAL"] = str(tmp_path / "local")
    world.package("foo", "1", {"spkg-install.in": ":"})
    world.package("bar", "1", {"spkg-install.in": ":", "version_requirements.txt": "bar"})
    world.spkg("foo")
    world.spkg("bar")
    assert [path.name for path in (tmp_path / "local" / INSTALLED).iterdir()] == ["foo-1"]
    assert [path.name for path in (world.prefix / INSTALLED).iterdir()] == ["bar-1"]


def test_missing_requirement_of_a_wheel_is_a_warning(world: SageWorld, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "foo", "1.0", metadata=["Requires-Dist: bar >=2"])
    world.package("foo", "1.0", {}, wheel=wheel)
    said = world.spkg("foo").stderr
    assert "foo needs bar >=2, which is not installed" in said
    assert "build/pkgs/foo/dependencies" in said


WAITS = 'touch "$BEGUN"; until [ -e "$GO" ]; do sleep 0.05; done'


def build_twice_at_once(world: SageWorld, tmp_path: Path) -> None:
    """Build foo, whose script WAITS, twice: the second one until the first is done with."""
    names = {name.upper(): str(tmp_path / name) for name in ("begun", "go")}
    with world.start("sage-spkg", "foo", **names) as first:
        wait_until((tmp_path / "begun").exists)
        with world.start("sage-spkg", "foo", **names) as second:
            assert second.stdout is not None
            read_until(second.stdout, "waiting for another build of foo-1")
            (tmp_path / "go").touch()
            said = [process.communicate()[0] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), said
    assert "waiting for another build" not in said[0]


def test_two_builds_of_one_package_wait_for_each_other(world: SageWorld, tmp_path: Path) -> None:
    install = f'{WAITS}; echo x >f; sdh_install f "$SAGE_SHARE"'
    world.package("foo", "1", {"spkg-install.in": install})
    build_twice_at_once(world, tmp_path)
    assert world.tree()["share/f"] == b"x\n"
    assert not (world.prefix / "var/tmp/sage/build").exists()


def test_build_waits_for_what_a_killed_one_left_running(world: SageWorld, tmp_path: Path) -> None:
    """It would write into the staged tree of the next one, where the same path leads to."""
    late = f"""{WAITS}
mkdir -p "$SAGE_DESTDIR_LOCAL/share" && touch "$SAGE_DESTDIR_LOCAL/share/late" && touch "$DONE" """
    names = {name.upper(): str(tmp_path / name) for name in ("begun", "go", "done")}
    world.package("foo", "1", {"spkg-install.in": late})
    with world.start("sage-spkg", "foo", **names) as killed:
        wait_until((tmp_path / "begun").exists)
        killed.kill()
        killed.wait()
        world.package("foo", "1", {"spkg-install.in": 'sdh_install "$0" "$SAGE_SHARE"'})
        with world.start("sage-spkg", "foo") as second:
            assert second.stdout is not None
            read_until(second.stdout, "what one that was killed has left running")
            (tmp_path / "go").touch()
            said, _ = second.communicate()
    assert second.returncode == 0, said
    assert (tmp_path / "done").exists()
    assert "share/spkg-install" in world.paths()
    assert "share/late" not in world.paths()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_what_scripts_have_started(
    world: SageWorld, tmp_path: Path, number: signal.Signals
) -> None:
    """As Ctrl-C in a terminal does, also below the script."""
    below = tmp_path / "below"  # as long as one of them can write there
    os.mkfifo(below)
    install = f"""exec >"{below}"; bash -c 'printf x; sleep 1000; :'; true"""
    world.package("foo", "1", {"spkg-install.in": install})
    with world.start("sage-spkg", "foo") as process, below.open("rb", buffering=0) as running:
        assert running.read(1) == b"x"
        process.send_signal(number)
        assert select.select([running], [], [], PATIENCE)[0] == [running]
        assert running.read(1) == b""
        assert "interrupted; nothing is half installed" in process.communicate()[0]
    assert process.returncode == 130


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell")
def test_what_a_failing_script_has_left_running_is_ended(world: SageWorld, tmp_path: Path) -> None:
    """It would write into the next build's staged tree."""
    background = "bash -c 'trap \"\" TERM; echo >begun; while :; do sleep 0.1; done' & echo $! >pid"
    install = f"cd '{tmp_path}'; {background}; until [ -e begun ]; do sleep 0.1; done; exit 7"
    world.package("foo", "1", {"spkg-install.in": install})
    world.spkg("foo", status=1)
    left = Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/cmdline")
    assert not left.exists() or not left.read_text()  # nobody has waited for it yet


def test_build_does_not_wait_for_a_daemon_that_one_left(world: SageWorld, tmp_path: Path) -> None:
    daemons = tmp_path / "daemons"
    install = f'sleep 1000 >/dev/null 2>&1 & echo $! >>"{daemons}"; {WAITS}'
    world.package("foo", "1", {"spkg-install.in": install})
    try:
        build_twice_at_once(world, tmp_path)
        for daemon in daemons.read_text().split():
            os.kill(int(daemon), 0)
    finally:
        for daemon in daemons.read_text().split():
            os.kill(int(daemon), signal.SIGKILL)


def test_two_packages_that_own_the_same_file_come_at_once(world: SageWorld, tmp_path: Path) -> None:
    before = world.tree()
    for name in ("one", "two"):
        files = {"backports/__init__.py": "", f"backports/{name}.py": ""}
        world.package(name, "1", {}, wheel=make_wheel(tmp_path, name, "1", files))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(world.spkg, ("one", "two")))
    world.clean("one")
    assert any(path.endswith("backports/__init__.py") for path in world.paths())
    world.clean("two")
    assert world.tree() == before


def test_killed_build_leaves_nothing_in_the_way(world: SageWorld) -> None:
    before = world.tree()
    world.package("foo", "1", {"spkg-install.in": "kill -9 $PPID; sleep 0.2"})
    ended = subprocess.run(
        [BIN / "sage-spkg", "foo"],
        env={**os.environ, "SAGE_ROOT": str(world.root), "SAGE_LOCAL": str(world.prefix)},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == -9
    assert world.tree() == before
    world.package("foo", "1", {"spkg-install.in": "true"})
    world.spkg("foo")
    world.clean("foo")
    assert world.tree() == before
