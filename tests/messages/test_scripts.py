"""Messages of sage-spkg while it builds and installs, of make's rules, and of pip's words."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from tests.messages.desk import produces
from tests.sageworld import SageWorld
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
    "cannot meet requirement '{line}': the option {option} is not supported here ({file}:{number})",
    "cannot meet requirement '{line}': {wheel} has none of the hashes given",
    "cannot meet requirement '{line}': a hash in a URL is not supported; write --hash=sha256:…"
    " ({file}:{number})",
)
def test_requirements_files_at_fault(desk: Desk) -> str:
    wheel = make_wheel(desk.directory, "foo", "1")
    file = desk.directory / "requirements.txt"
    sage = {"SAGE_VENV": os.fspath(desk.prefix)}
    said = ""
    for line in (
        f"-r {file}",
        "--nonsense",
        f"foo @ {wheel.as_uri()} --hash=sha256:{'0' * 64}",
        f"foo @ {wheel.as_uri()}#sha256={'0' * 64}",
    ):
        file.write_text(f"{line}\n")
        said += desk.cli("pip-install", "-r", file, status=3, env=sage).stderr
    return said


@produces(
    "cannot handle package {name}: its script {script} failed (exit status {status}); nothing was"
    " removed",
    "Warning: {name} is uninstalled, but its script {script} failed (exit status {status})",
)
def test_scripts_fail_while_uninstalling(desk: Desk) -> str:
    world = SageWorld.make(desk.directory, desk.prefix)
    said = ""
    for name, status in (("prerm", 4), ("postrm", 0)):
        world.package(name, "1", {**NOTHING, f"spkg-{name}.in": "exit 4"})
        world.spkg(name)
        said += world.clean(name, status=status).stderr
    return said


@produces(
    "Warning: {name} needs {requirement}, which is not installed; add the package that provides it"
    " to {file}"
)
def test_dependency_that_is_not_named(desk: Desk) -> str:
    world = SageWorld.make(desk.directory, desk.prefix)
    wheel = make_wheel(desk.directory, "foo", "1", metadata=["Requires-Dist: bar"])
    world.package("foo", "1", {}, wheel=wheel)
    return world.spkg("foo").stderr
