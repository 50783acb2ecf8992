"""Messages of the packages of make."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING

from tests.conftest import ROOT, START
from tests.messages.desk import produces
from tests.patience import read_until, wait_until
from tests.sageworld import BIN, SageWorld
from tests.terminal import CTRL_C, run_in_terminal
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from tests.messages.desk import Desk


@produces(
    "cannot handle package {name}: there is no directory {directory}",
    "cannot handle package {name}: it is no name of a package",
    "cannot handle package {name}: its directory is that of version {version}, not {other}",
    "cannot handle package {name}: {directory} has no file 'type'",
    "cannot handle package {name}: its script {script} failed (exit status {status}); its log lies"
    " in {directory}",
    "cannot do two things at once: give one mode at most",
    "[{name}] failed (status {status}); the end of {log}:",
)
def test_packages_at_fault(desk: Desk) -> str:
    world = SageWorld.make(desk.directory, desk.prefix)
    world.package("foo", "1", {"spkg-install.in": "echo why; exit 7"})
    (world.packages / "bar").mkdir()
    said = world.spkg("-d", "-b", "foo", status=1).stderr
    for name in ("none", "../foo", "foo-2", "bar", "foo"):
        said += world.spkg(name, status=1).stderr
    log, command = desk.directory / "foo.log", shlex.join([str(BIN / "sage-spkg"), "foo"])
    told = world.run("sage-logger", "-p", command, log, V="0", status=1)
    assert "why" in told.stdout.split("the end of")[1]
    return said + told.stdout


@produces(
    "waiting for another build of {package}, or what one that was killed has left running in"
    " {directory}"
)
def test_build_directory_in_use(desk: Desk) -> str:
    world = SageWorld.make(desk.directory, desk.prefix)
    begun, go = desk.directory / "begun", desk.directory / "go"
    script = f'touch "{begun}"; until [ -e "{go}" ]; do sleep 0.05; done'
    world.package("foo", "1", {"spkg-install.in": script})
    with world.start("sage-spkg", "foo"):
        wait_until(begun.exists)
        with world.start("sage-spkg", "foo") as second:
            assert second.stdout is not None
            said = read_until(second.stdout, "\n")
            go.touch()
            return said + second.communicate()[0]


@produces(
    "Warning: {script}, or the program that its first line names, is not there",
    "Warning: {script} cannot be run: {reason}",
)
def test_scripts_that_cannot_be_run(desk: Desk) -> str:
    world = SageWorld.make(desk.directory, desk.prefix)
    said = ""
    for program in ("no/such/program", "dev/null"):
        world.package("foo", "1", {"spkg-install": f"#!/{program}\n"})
        said += world.spkg("foo", status=1).stderr
    return said


@produces(
    "cannot handle package {name}: its type {text} is none of {types}",
    "cannot handle package {name}: its package-version.txt holds no version: {text}",
    "cannot handle package {name}: its checksums.ini names no tarball",
    "cannot handle package {name}: {file} cannot be read: {reason}",
    "cannot handle package {name}: {file} is missing; put it into {directory}",
    "cannot handle package {name}: the {algorithm} of {path} is {found}, not {wanted}; delete the"
    " file to have it downloaded anew",
    "cannot handle package {name}: {script} begins with a shebang; wrapped scripts are run by bash,"
    " so remove that line",
    "cannot handle package {name}: nothing is built and staged in {directory}; run sage-spkg"
    " without -p",
    "cannot handle package {name}: there is nothing to install: it stands for a package of the"
    " system; install that one",
)
def test_package_directories_at_fault(desk: Desk) -> str:
    world = SageWorld.make(desk.directory, desk.prefix)
    script = {"spkg-install.in": "true"}
    world.package("a", "1", {**script, "type": "good\n"})
    world.package("b", "no version", script)
    world.package("c", "1", {**script, "checksums.ini": "\n"})
    world.package("d", "1", script, source={"f": ""})
    (world.root / "upstream" / "d-1.tar.gz").unlink()
    world.package("e", "1", script, source={"f": ""})
    (world.root / "upstream" / "e-1.tar.gz").write_bytes(b"")
    world.package("f", "1", {"spkg-install.in": "#!/bin/sh\n"})
    world.package("g", "1", {})
    said = "".join(world.spkg(name, status=1).stderr for name in "abcdefg")
    world.package("h", "1", script)
    (world.package("i", "1", script) / "dependencies").mkdir()
    return said + world.spkg("-p", "h", status=1).stderr + world.spkg("i", status=1).stderr


@produces(
    "cannot handle package {name}: its staged tree holds Python modules or distributions ({paths});"
    " build a wheel and install it with sdh_pip_install (SAGE_STAGED_PYTHON=warn allows it)"
)
def test_staged_python(desk: Desk) -> str:
    world = SageWorld.make(desk.directory, desk.prefix)
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    install = f'd=$(python3 -c "{code}")\necho >m.py; sdh_install m.py "$d"\n'
    world.package("foo", "1", {"spkg-install.in": install})
    return world.spkg("foo", status=1).stderr


@produces(
    "cannot install nothing: name a wheel, or -r FILE",
    "cannot use SAGE_PIP_INSTALL_FLAGS={text}: {reason}",
    "cannot install {source} editable: --editable takes a source directory, and the one wheel that"
    " was built of it",
    "Warning: {name} is not installed, so there is nothing to uninstall",
)
def test_pip_at_fault(desk: Desk) -> str:
    sage = {"SAGE_VENV": str(desk.prefix)}
    wheel = make_wheel(desk.directory, "foo", "1")
    said = desk.cli("pip-install", status=3, env=sage).stderr
    said += desk.cli("pip-install", "-e", "nowhere", wheel, status=3, env=sage).stderr
    said += desk.cli("pip", "uninstall", "-y", "nothing", env=sage).stderr
    sage["SAGE_PIP_INSTALL_FLAGS"] = '"'
    return said + desk.cli("pip-install", status=3, env=sage).stderr


@produces(
    "cannot read {place}: there are no events of a build; let make build something first, or"
    " give --events"
)
def test_no_build(desk: Desk) -> str:
    return desk.cli("timings", status=1, env={"SAGE_LOGS": str(desk.directory)}).stderr


@produces(
    "{package} failed after {time}, in phase {phase}",
    "interrupted after {time}: {done} of {planned} packages are done",
    "cut off: {packages}",
    "not begun: {packages}",
    "nothing is half installed; the same command goes on from here",
)
def test_watched_make_that_fails_and_is_interrupted(desk: Desk) -> str:
    root = desk.directory / "sage"
    for directory in ("build/pkgs", "build/make", "upstream"):
        (root / directory).mkdir(parents=True)
    world = SageWorld(root, desk.prefix)
    for name, script, needs in (("bad", "exit 3", ""), ("slow", "sleep 99", ""), ("z", "", "slow")):
        files = {"spkg-install.in": script, "dependencies": needs, "trees.txt": "SAGE_LOCAL"}
        world.package(name, "1.0", files, source={"x": ""})
    trees = dict.fromkeys(("SAGE_LOCAL", "SAGE_VENV"), str(desk.prefix))
    env = {**os.environ, **trees, "SAGE_ROOT": str(root), "SAGE_PKGINSTALL_PYTHON": sys.executable}
    make = ("make", "-f", str(ROOT / "build/make/Makefile"), "-k", "-j2", "bad", "z")
    command = (sys.executable, "-I", "-c", START, str(ROOT), "watch", *make)
    shown = r"(?s)bad-1\.0 failed .* slow-1\.0 +build[^·]*0/3 done · 1 running"
    ended = run_in_terminal(command, env, {shown: CTRL_C})
    return ended.text
