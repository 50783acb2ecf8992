"""Messages of sage-spkg while it builds and installs, of make's rules, and of pip's words."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.errors import PackageError
from sage_pkginstall.spkg.build_directory import erase, make_fresh
from sage_pkginstall.spkg.package import read_package
from sage_pkginstall.spkg.variables import PackageVariables, read_variables
from tests.conftest import ROOT, START
from tests.messages.desk import produces
from tests.sageworld import BIN, SageWorld
from tests.sources import make_source
from tests.terminal import CTRL_D, run_in_terminal
from tests.trees import plant
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from tests.messages.desk import Desk

NOTHING = {"spkg-install.in": "true"}


@produces(
    "cannot handle package {name}: its tree {variable} is not set",
    "cannot handle package {name}: its trees.txt holds no variable: '{text}'",
    "cannot handle package {name}: its checksums.ini names no file: '{text}'",
    "cannot handle package {name}: it is experimental, and the answer was no",
    "cannot unpack {archive}: {reason}; if it is not what upstream offers, delete it and mend"
    " checksums.ini",
    "cannot handle package {name}: {patch} does not apply (exit status {status})",
    "cannot handle package {name}: its scripts deleted {directory}, where it is staged",
)
def test_more_package_directories_at_fault(desk: Desk) -> str:
    world = SageWorld.make(desk.directory, desk.prefix)
    world.package("a", "1", {**NOTHING, "trees.txt": "SAGE_NOWHERE"})
    world.package("b", "1", {**NOTHING, "trees.txt": "a/b"})
    world.package("c", "1", {**NOTHING, "checksums.ini": "tarball=a/b\nsha256=1\n"})
    world.package("d", "1", {**NOTHING, "type": "experimental"})
    digest = hashlib.sha256(b"junk").hexdigest()
    world.package("e", "1", {**NOTHING, "checksums.ini": f"tarball=e.gz\nsha256={digest}\n"})
    (world.root / "upstream/e.gz").write_bytes(b"junk")
    world.package("f", "1", {**NOTHING, "patches/a.patch": "nonsense"}, source={"x": ""})
    world.package("g", "1", {"spkg-install.in": 'rm -r "$SAGE_BUILD_DIR/$PKG_NAME"'})
    return "".join(world.spkg("-n", name, status=1).stderr for name in "abcdefg")


@produces(
    "cannot use SAGE_SUDO={text}: {reason}",
    "cannot use SAGE_SUDO={text}: there is no program {name}",
    "cannot handle package {name}: {program} could not change {prefix} (exit status {status})",
)
def test_sudo_at_fault(desk: Desk) -> str:
    world = SageWorld.make(desk.directory, desk.prefix)
    world.package("foo", "1", NOTHING)
    said = world.spkg("foo", status=2, SAGE_SUDO='"').stderr
    said += world.spkg("foo", status=2, SAGE_SUDO="no-such-sudo -n").stderr
    return said + world.spkg("foo", status=1, SAGE_SUDO="false").stderr


@produces(
    "cannot handle package {name}: it is installed in {prefix}, but its script {script} failed"
    " (exit status {status})",
    "Warning: {number} staged files are left out, as they do not belong to {prefix}: {paths}",
)
def test_installed_with_a_fault(desk: Desk) -> str:
    world = SageWorld.make(desk.directory, desk.prefix)
    script = 'mkdir "$SAGE_DESTDIR/opt" && echo >"$SAGE_DESTDIR/opt/x"'
    world.package("foo", "1", {"spkg-install.in": script, "spkg-postinst.in": "exit 4"})
    said = world.spkg("foo", status=1).stderr
    assert (desk.prefix / "var/lib/sage/installed/foo-1").exists()
    world.package("foo", "1", {"spkg-install.in": script})
    return said + world.spkg("foo").stderr


@produces(
    "cannot handle package {name}: pip could not install its requirements (exit status {status})"
)
def test_pip_package_at_fault(desk: Desk) -> str:
    world = SageWorld.make(desk.directory, desk.prefix)
    world.package("foo", "1", {"requirements.txt": "./nothing.whl\n"})
    return world.spkg("foo", status=1).stderr


@produces(
    "Warning: cannot handle package {name}: its dependencies name '{word}', which is no package",
    "cannot read package directories in {directory}: there is no such directory",
)
def test_rules_at_fault(desk: Desk) -> str:
    world = SageWorld.make(desk.directory, desk.prefix)
    world.package("foo", "1", {**NOTHING, "dependencies": "bar\n"})
    rules = ("make-rules", "--packages")
    said = desk.cli(*rules, world.packages).stderr
    return said + desk.cli(*rules, desk.directory / "none", status=2).stderr


@produces(
    "cannot queue a wheel: no script of a package runs this",
    "cannot read record {path}: it is no request of sage-spkg's: {reason}",
)
def test_commands_that_others_run(desk: Desk) -> str:
    plant(desk.directory, {"request": b"[]"})
    said = desk.cli("stage-wheel", "foo.whl", status=2).stderr
    return said + desk.cli("commit-package", desk.directory / "request", status=1).stderr


@produces("cannot uninstall {name} from {directory}: it is not a directory")
def test_uninstalling_from_nowhere(desk: Desk) -> str:
    world = SageWorld.make(desk.directory, desk.prefix)
    return world.clean("foo", desk.directory / "none", status=2).stderr


@produces(
    "cannot meet requirement '-r {file}': the files include each other",
    "cannot meet requirement '-r {file}': no file can be called that",
    "cannot meet requirement '{line}': the option {option} is not supported here ({file}:{number})",
    "cannot meet requirement '{line}': {wheel} has none of the hashes given",
    "cannot meet requirement '{line}': a hash in a URL is not supported; write --hash=sha256:…"
    " ({file}:{number})",
    "Warning: {file} does not name what '{line}' brought; uninstall that by its name",
)
def test_requirements_files_at_fault(desk: Desk) -> str:
    wheel = make_wheel(desk.directory, "foo", "1")
    file = desk.directory / "requirements.txt"
    sage = {"SAGE_VENV": os.fspath(desk.prefix)}
    said = ""
    for line in (
        f"-r {file}",
        "-r a\0b",
        "--nonsense",
        f"foo @ {wheel.as_uri()} --hash=sha256:{'0' * 64}",
        f"foo @ {wheel.as_uri()}#sha256={'0' * 64}",
    ):
        file.write_text(f"{line}\n")
        said += desk.cli("pip-install", "-r", file, status=3, env=sage).stderr
    file.write_text("-e .\n")
    return said + desk.cli("pip-uninstall", "-r", file, env=sage).stderr


@produces(
    "cannot handle package {name}: its script {script} failed (exit status {status}); nothing was"
    " removed",
    "cannot handle package {name}: its script {script} failed (exit status {status}); its record"
    " stays",
    "Warning: {name} is uninstalled, but its script {script} failed (exit status {status})",
)
def test_scripts_fail_while_uninstalling(desk: Desk) -> str:
    world = SageWorld.make(desk.directory, desk.prefix)
    said = ""
    for name, status in (("prerm", 4), ("postrm", 0)):
        world.package(name, "1", {**NOTHING, f"spkg-{name}.in": "exit 4"})
        world.spkg(name)
        said += world.clean(name, status=status).stderr
    desk.stamp("old-1", "{}")
    plant(desk.prefix, {"var/lib/sage/scripts/old/spkg-piprm": b"exit 4\n"})
    return said + world.clean("old", desk.prefix, status=4).stderr


@produces(
    "Warning: {name} needs {requirement}, which is not installed; add the package that provides it"
    " to {file}",
    "Warning: {name} needs {requirement}, but version {version} is installed; build a version of"
    " one or the other that fits",
)
def test_dependency_that_is_not_named(desk: Desk) -> str:
    desk.install("baz")
    world = SageWorld.make(desk.directory, desk.prefix)
    needs = ["Requires-Dist: bar", "Requires-Dist: baz>=2"]
    wheel = make_wheel(desk.directory, "foo", "1", metadata=needs)
    world.package("foo", "1", {}, wheel=wheel)
    return world.spkg("foo").stderr


@produces(
    "cannot handle package {name}: a package's name is of letters, digits, '_', '.' and '+'",
    "cannot handle package {name}: {text} is no version",
    "cannot handle package {name}: it has no script spkg-install; write spkg-install.in",
    "cannot handle package {name}: its wheels have no target: neither {tree} nor SAGE_VENV has a"
    " python3 of its own; make a virtual environment there ('python3 -m venv --without-pip"
    " DIRECTORY')",
    "cannot read record {path}: it has a line that is none of ours: {line}",
    "Warning: {directory} is kept: an editable distribution is there",
)
def test_packages_at_odds(desk: Desk) -> str:
    world = SageWorld.make(desk.directory, desk.prefix)
    world.package("b", "1", {}, source={"x": ""})
    world.package("c", "1", {}, wheel=make_wheel(desk.directory, "c", "1"))
    world.package(
        "d", "1", {"spkg-install.in": 'echo x >"$SAGE_PKGINSTALL_PACKAGE_DIR/wheels.jsonl"'}
    )
    said = "".join(world.spkg(word, status=1).stderr for word in ("a-1/2", "b", "d"))
    empty = str(desk.directory / "empty")
    said += world.spkg("c", empty, status=1, SAGE_LOCAL=empty, SAGE_VENV=empty).stderr
    with pytest.raises(PackageError) as caught:  # make tells it
        read_package(world.packages / "a-b")
    source = make_source(desk.directory / "e")
    files = {path.name: path.read_text() for path in source.iterdir()}
    world.package("e", "1", {"spkg-install.in": "cd src; sdh_pip_editable_install ."}, source=files)
    return f"{said}{caught.value}\n{world.spkg('e').stderr}"


@produces("{name} is experimental. Install it? [Y/n]")
def test_experimental_package_on_a_terminal(desk: Desk) -> str:
    world = SageWorld.make(desk.directory, desk.prefix)
    world.package("foo", "1", {**NOTHING, "type": "experimental"})
    trees = dict.fromkeys(("SAGE_LOCAL", "SAGE_VENV"), str(desk.prefix))
    env = {**os.environ, "SAGE_ROOT": str(world.root), **trees}
    said = ""
    for answer in (b"n\n", CTRL_D):
        ended = run_in_terminal([BIN / "sage-spkg", "foo"], env, {r"\[Y/n\]": answer})
        assert ended.status == 1
        assert "the answer was no" in ended.text
        said += ended.text
    return said


@produces(
    "cannot handle package {name}: cannot make {directory}: {reason}",
    "cannot handle package {name}: {program} cannot make {directory}",
    "cannot handle package {name}: it could not be uninstalled from {tree} (exit status {status})",
)
def test_directories_that_cannot_be_made(desk: Desk) -> str:
    world = SageWorld.make(desk.directory, desk.prefix)
    world.package("foo", "1", NOTHING)
    world.spkg("foo")
    said = ""
    for sudo in ("", "false"):  # nobody makes directories in /sys
        env = {"SAGE_BUILD_DIR": "/sys/none", "SAGE_SUDO": sudo}
        said += world.spkg("foo", status=1, **env).stderr
    return said + world.clean("foo", status=1, SAGE_SUDO="false").stderr


@produces(
    "cannot handle package {name}: its build directory {directory} cannot be deleted: {reason}"
)
def test_build_directory_that_stays(desk: Desk) -> str:
    world = SageWorld.make(desk.directory, desk.prefix)
    variables = read_variables({"SAGE_ROOT": str(world.root), "SAGE_LOCAL": str(desk.prefix)})
    place = PackageVariables(variables, desk.prefix, "foo", "1")
    plant(place.build_directory, {"x": b""})

    def rmdir(path: str, **_: object) -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), path)  # a mount lies there, say

    desk.patch.setattr(os, "rmdir", rmdir)
    with pytest.raises(PackageError) as caught:
        erase(place, lambda _: 1)
    return str(caught.value)


@produces("cannot handle package {name}: somebody else has just made {directory}; remove it")
def test_build_directory_that_somebody_makes_meanwhile(desk: Desk) -> str:
    world = SageWorld.make(desk.directory, desk.prefix)
    variables = read_variables({"SAGE_ROOT": str(world.root), "SAGE_LOCAL": str(desk.prefix)})
    place = PackageVariables(variables, desk.prefix, "foo", "1")
    plant(place.build_directory, {"x": b""})
    rmdir = os.rmdir

    def replaced(path: str, **at: int) -> None:
        rmdir(path, **at)
        plant(place.private_directory, {"staged": b""})

    desk.patch.setattr(os, "rmdir", replaced)
    with pytest.raises(PackageError) as caught:
        make_fresh(place, lambda _: 1)
    return str(caught.value)


@produces("cannot handle package {name}: {directory} belongs to user {user}; remove it")
def test_build_directory_of_somebody_else(desk: Desk) -> str:
    if os.geteuid():
        pytest.skip("only root gives files away")
    world = SageWorld.make(desk.directory, desk.prefix)
    world.package("foo", "1", NOTHING)
    world.spkg("-b", "foo")
    os.chown(desk.prefix / "var/tmp/sage/build/foo-1", 12345, -1)
    said = world.spkg("-p", "foo", status=1).stderr
    assert not (desk.prefix / "var/lib/sage/installed").exists()
    return said


# Runs sage-spkg; its build directory is busy when it is to be deleted at the end.
BUSY = """
import errno, os, sys
from sage_pkginstall.cli.package import install

def rmdir(path, *, dir_fd=None, really=os.rmdir):
    if os.path.basename(path) == "foo-1":
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), path)
    really(path, dir_fd=dir_fd)

os.rmdir = rmdir
sys.exit(install(["foo"]))
"""


@produces(
    "Warning: {name} is installed, but its build directory {directory} cannot be deleted: {reason}"
)
def test_build_directory_that_stays_when_all_is_done(desk: Desk) -> str:
    world = SageWorld.make(desk.directory, desk.prefix)
    world.package("foo", "1", NOTHING)
    env = {**os.environ, "SAGE_ROOT": str(world.root), "PATH": f"{BIN}:{os.environ['PATH']}"}
    env |= dict.fromkeys(("SAGE_LOCAL", "SAGE_VENV"), str(desk.prefix))
    command = [sys.executable, "-c", BUSY]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (ended.returncode, "var/lib/sage/installed/foo-1" in world.paths()) == (0, True)
    return ended.stderr


@produces("cannot handle package {name}: it is not on PATH; put the tool's build/bin there")
def test_tool_without_its_helpers(desk: Desk) -> str:
    world = SageWorld.make(desk.directory, desk.prefix)
    world.package("foo", "1", NOTHING)
    shutil.copytree(ROOT / "sage_pkginstall", desk.directory / "alone" / "sage_pkginstall")
    command = [sys.executable, "-I", "-c", START, str(desk.directory / "alone"), "spkg", "foo"]
    env = {**os.environ, "SAGE_ROOT": str(world.root), "PATH": os.defpath}
    env |= dict.fromkeys(("SAGE_LOCAL", "SAGE_VENV"), str(desk.prefix))
    ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    return ended.stderr


@produces(
    "cannot handle package {name}: {path} is not to be changed or run by SAGE_SUDO, since {reason};"
    " let it belong to root alone",
    "cannot install {path}: it does not belong to the user who asks for that",
    "cannot install {path}: it was changed while it was copied",
)
def test_what_root_does_not_do_for_others(desk: Desk) -> str:
    if os.geteuid():
        pytest.skip("only root can give files away")
    staged = plant(desk.directory / "staged", {"share/x": b""})
    link, tree, request = (desk.directory / name for name in ("link", "tree", "request"))
    link.symlink_to(staged)
    tree.mkdir()
    said = ""
    for asker, place, owner in ((0, link, 0), (0, staged, 12345), (12345, staged, 12345)):
        os.chown(staged, owner, -1)
        tree.chmod(0o777 if asker else 0o755)
        asked = {"action": "install", "package": "foo", "version": "1", "tree": str(tree)}
        request.write_text(json.dumps({**asked, "staged": str(place)}))
        os.chown(request, asker, -1)
        said += desk.cli("commit-package", request, status=1).stderr
    return said
