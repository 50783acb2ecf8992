"""Every message in docs/reference/messages.md is produced here, and no other is in it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from sage_pkginstall.engine.tree import Tree
from sage_pkginstall.environment import target_environment
from sage_pkginstall.errors import ManagedEnvironmentError
from sage_pkginstall.operations.managed import refuse_managed
from sage_pkginstall.reports.doctor import examine
from sage_pkginstall.reports.finding import Examination
from tests.conftest import ROOT, START, RunCli
from tests.sageworld import BIN, SageWorld
from tests.sources import make_source
from tests.terminal import CTRL_C, run_in_terminal
from tests.trees import plant, tree
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

PAGE = ROOT / "docs" / "reference" / "messages.md"


@dataclass
class Desk:
    """A prefix, and what can be asked of it."""

    prefix: Path
    directory: Path
    cli: RunCli
    patch: pytest.MonkeyPatch

    @property
    def site(self) -> Path:
        (found,) = (self.prefix / "lib").glob("python3*/site-packages")
        return found

    def run(self, *words: str | Path, status: int = 0, env: Mapping[str, str] | None = None) -> str:
        """What a command says about the prefix, on both streams."""
        command, *rest = words
        ended = self.cli(command, "--prefix", self.prefix, *rest, status=status, env=env)
        return ended.stdout + ended.stderr

    def install(self, name: str, version: str = "1", **files: str) -> Path:
        content = {f"{module}.py": text for module, text in files.items()}
        wheel = make_wheel(self.directory, name, version, content or None)
        self.run("install", wheel)
        return wheel

    def stamp(self, name: str, text: str) -> None:
        plant(self.prefix, {f"var/lib/sage/installed/{name}": text.encode()})

    def doctor(self, **facts: Any) -> str:
        """What doctor finds, in this process."""
        variables = {"PATH": str(self.prefix / "bin")}
        given = {"variables": variables, "which": lambda _: "/usr/bin/x", **facts}
        environment = target_environment(self.prefix)
        examination = Examination(Tree(self.prefix), environment, **given)
        before = tree(self.prefix)
        found = "\n".join(one.text for one in examine(examination) if one.level != "ok")
        assert tree(self.prefix) == before
        return found


SCENARIOS: dict[str, tuple[Callable[[Desk], str], tuple[str, ...]]] = {}


def produces(*messages: str) -> Callable[[Callable[[Desk], str]], Callable[[Desk], str]]:
    def register(scenario: Callable[[Desk], str]) -> Callable[[Desk], str]:
        SCENARIOS[scenario.__name__] = (scenario, messages)
        return scenario

    return register


# ------------------------------------------------------------------------------ any command


@produces("cannot tell the prefix: give --prefix or --python, or set SAGE_VENV")
def no_prefix(desk: Desk) -> str:
    return desk.cli("status", status=2).stderr


@produces("cannot use prefix {directory}: it is not a directory")
def missing_prefix(desk: Desk) -> str:
    return desk.cli("status", "--prefix", desk.directory / "none", status=2).stderr


@produces("cannot use --prefix {directory}: the prefix of {python} is {prefix}")
def python_of_another_prefix(desk: Desk) -> str:
    python = desk.prefix / "bin" / "python3"
    return desk.cli("log", "--prefix", desk.directory, "--python", python, status=2).stderr


@produces("cannot find {name} in {prefix}: it is not installed")
def unknown_name(desk: Desk) -> str:
    said = {desk.run(command, "nothing", status=1) for command in ("show", "files", "verify")}
    return max(said)


@produces(
    "cannot run '{command}': there is no such command",
    "cannot show the page of {name}: there is no such command",
    "cannot find the package directories: give --packages, or set SAGE_ROOT",
    "cannot find the package directories: SAGE_ROOT is not set",
    "cannot tell the target: SAGE_VENV is not set; run 'sage --buildsh'?",
)
def wrong_words(desk: Desk) -> str:
    said = desk.cli("nonsense", status=2).stderr
    said += desk.cli("manual", "nonsense", status=2).stderr
    said += desk.cli("make-rules", status=2).stderr
    said += desk.cli("spkg", "foo", status=2).stderr
    return said + desk.cli("pip-install", "foo", status=3).stderr


@produces("cannot use target interpreter {path}: {reason}")
def no_interpreter(desk: Desk) -> str:
    plant(desk.directory, {"python3": b""})
    return desk.cli("list", "--python", desk.directory / "python3", status=1).stderr


@produces(
    "cannot change {prefix}: the system manages it (PEP 668); use a virtual environment"
    " ('python3 -m venv --without-pip DIRECTORY'), or, at your own risk, --break-system-packages"
)
def managed_prefix(desk: Desk) -> str:
    environment = target_environment(desk.prefix)._replace(externally_managed="by us")
    with pytest.raises(ManagedEnvironmentError) as caught:
        refuse_managed(environment)
    return str(caught.value)


@produces(
    "cannot go on: {reason}: '{path}'; do this as a user who may, the owner of the prefix, say",
    "cannot go on: {reason}: '{path}'; make room, then repeat the command",
    "cannot change {prefix}: {reason}; nothing was changed",
)
def failing_disk(desk: Desk) -> str:
    wheel = make_wheel(desk.directory, "foo", "1")
    before = tree(desk.prefix)
    said = ""
    for fault in ("EACCES@1", "ENOSPC@1", "ENOSPC@3"):
        said += desk.run("install", wheel, status=1, env={"SAGE_PKGINSTALL_FAIL": fault})
    assert {p for p in set(tree(desk.prefix)) - set(before) if not p.startswith("var")} == set()
    return said


@produces("cannot go on: the current directory was deleted; go to another one")
def directory_is_gone(desk: Desk) -> str:
    code = f"cd {desk.directory} && mkdir gone && cd gone && rmdir ../gone && exec "
    words = [sys.executable, "-I", "-c", START, ROOT, "list", "--prefix", "x"]
    command = code + " ".join(shlex.quote(str(word)) for word in words)
    ended = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    return ended.stderr


@produces(
    "cannot wait {number} s for the lock: that is no time",
    "cannot use SAGE_LOCK_TIMEOUT={text}: it is no number of seconds",
)
def wrong_times(desk: Desk) -> str:
    said = desk.run("list", "--lock-timeout", "nan", status=2)
    return said + desk.run("list", status=2, env={"SAGE_LOCK_TIMEOUT": "soon"})


@produces(
    "waiting for the lock {path}, held by process {pid} ({label}), since {time} ({seconds} s)",
    "cannot lock {path}: gave up after {seconds} s; it is held by process {pid} ({label}), since"
    " {time} ({age} s); end that process if it hangs, then repeat",
    "{command}: interrupted; nothing is half installed",
)
def somebody_holds_the_lock(desk: Desk) -> str:
    wheel = make_wheel(desk.directory, "foo", "1")
    tool: list[str | Path] = [sys.executable, "-I", "-c", START, ROOT]
    lock, pipe = desk.prefix / "var/lock/pip3.lock", subprocess.PIPE
    hold = [*tool, "flock", lock, "sh", "-c", "echo held; read end"]
    install = [*tool, "install", "--prefix", desk.prefix, wheel]
    with subprocess.Popen(hold, stdin=pipe, stdout=pipe) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        said = desk.run("install", "--lock-timeout", "0.5", wheel, status=1)
        with subprocess.Popen(install, stderr=pipe) as waiting:
            assert waiting.stderr is not None
            said += waiting.stderr.readline().decode()
            waiting.send_signal(signal.SIGINT)
            said += waiting.communicate()[1].decode()
        assert waiting.returncode == 130
        holder.communicate(b"\n")
    assert not (desk.site / "foo.py").exists()
    return said


@produces("cannot read record {path}: {reason}")
def what_cannot_be_read(desk: Desk) -> str:
    plant(desk.directory, {"request": b"nonsense"})
    return desk.cli("commit-package", desk.directory / "request", status=1).stderr


# ---------------------------------------------------------------------------------- install


@produces(
    "cannot install wheels into {prefix}: it has no bin/python3; give --python, or make it a"
    " virtual environment"
)
def prefix_without_python(desk: Desk) -> str:
    (desk.directory / "plain").mkdir()
    wheel = make_wheel(desk.directory, "foo", "1")
    return desk.cli("install", "--prefix", desk.directory / "plain", wheel, status=2).stderr


@produces(
    "cannot install {file}: it is not a wheel (NAME-VERSION-TAGS.whl); build it first, with"
    " 'sage-pkginstall build'",
    "cannot install {wheel}: there is no file {path}",
    "cannot install {wheel}: {other} is of the same distribution; give one of them",
    "cannot meet requirement '{text}': there is no fitting wheel in {store}",
    "cannot meet requirement '{text}': it cannot be read: {reason}",
    "cannot meet requirement '{text}': only file:// URLs are supported, nothing is downloaded",
)
def what_cannot_be_installed(desk: Desk) -> str:
    one, two = (make_wheel(desk.directory, "foo", version) for version in "12")
    said = desk.run("install", one, two, status=1)
    for word in (
        "none-1-py3-none-any.whl",
        "bar",
        "foo[",
        "foo @ https://a/foo-1-py3-none-any.whl",
    ):
        said += desk.run("install", word, status=1)
    return said + desk.run("install", desk.directory, status=1)


@produces(
    "cannot install {path} of {bringer}: {owner} owns it with another content",
    "Warning: {path} is overwritten: it belongs to {owner}; now it is that of {bringer}",
    "Warning: {path} is overwritten: no package owns it",
    "cannot install {path} of {bringer}: it is a directory of {owner}, not a file; remove or"
    " rename one of them",
    "Warning: {path} is in two of the wheels, with different contents: that of {name} is installed",
)
def two_want_one_path(desk: Desk) -> str:
    plant(desk.site, {"mine.py": b"by hand"})
    desk.install("one", both="x = 1", mine="x = 1")
    two = make_wheel(desk.directory, "two", "1", {"both.py": "x = 2"})
    said = desk.run("install", "--conflicts", "error", two, status=1)
    assert "both.py of distribution two 1: distribution one 1 owns it" in said
    said += desk.run("install", two)
    plant(desk.site, {"mine.py": b"by hand"})
    desk.run("uninstall", "one")
    plant(desk.site, {"hand.py": b"by hand", "place/file": b""})
    said += desk.run("install", make_wheel(desk.directory, "three", "1", {"hand.py": "x = 1"}))
    four = make_wheel(desk.directory, "four", "1", {"deep/file/a.py": ""})
    desk.run("install", four)
    five = make_wheel(desk.directory, "five", "1", {"deep/file": ""})
    said += desk.run("install", five, status=1)
    six = make_wheel(desk.directory, "six", "1", {"same.py": "x = 6"})
    seven = make_wheel(desk.directory, "seven", "1", {"same.py": "x = 7"})
    return said + desk.run("install", six, seven)


@produces(
    "Warning: {name} needs {requirement}, which is not installed; install it, or add the package"
    " that provides it to {file}"
)
def requirement_is_missing(desk: Desk) -> str:
    wheel = make_wheel(desk.directory, "foo", "1", metadata=["Requires-Dist: bar>=2"])
    return desk.run("install", wheel)


@produces(
    "Warning: {info} has no readable RECORD: only that directory is removed, other files of"
    " {name} may stay",
    "Warning: {name} lists '{path}', which is outside of the prefix and stays",
)
def records_at_fault(desk: Desk) -> str:
    desk.install("foo")
    (desk.site / "foo-1.dist-info" / "RECORD").unlink()
    desk.install("bar")
    with (desk.site / "bar-1.dist-info" / "RECORD").open("a") as record:
        record.write("/etc/passwd,,\n")
    return desk.run("uninstall", "foo", "bar")


# ------------------------------------------------------------------------------------ build


@produces(
    "cannot build {source}: it holds neither pyproject.toml nor setup.py",
    "cannot build {source}: it is neither a directory nor an sdist ({reason})",
    "cannot use -C '{text}': it is not KEY=VALUE",
    "cannot empty {directory}: it holds {path}",
)
def what_cannot_be_built(desk: Desk) -> str:
    plant(desk.directory, {"source/a": b"", "file": b""})
    source = desk.directory / "source"
    goal = ("-w", str(desk.directory / "dist"))
    said = desk.run("build", *goal, source, status=1)
    said += desk.run("build", *goal, desk.directory / "file", status=1)
    said += desk.run("build", *goal, "-C", "x", source, status=2)
    return said + desk.run("build", "-w", desk.directory, source, status=2)


@produces(
    "cannot build {source}: {what}; {log} has the whole log, which ends:",
    "Warning: cannot meet requirement '{requirement}': {reason}. Building {name} without"
    " isolation; add what provides it, behind the '|', to {file}",
)
def backend_fails(desk: Desk) -> str:
    source = make_source(
        desk.directory / "source",
        requires=["bar>=2"],
        code="print('no luck', flush=True); os._exit(3)",
    )
    variables = {"SAGE_ROOT": "/sage", "PKG_BASE": "tiny"}
    said = desk.run("build", "-w", desk.directory / "dist", source, status=1, env=variables)
    assert "behind the '|', to /sage/build/pkgs/tiny/dependencies" in said
    assert "no luck" in said.split("which ends:")[1]
    return said


@produces(
    "cannot merge {path}: it is not a directory",
    "cannot install {path}: it is neither file, link nor directory",
)
def what_cannot_be_merged(desk: Desk) -> str:
    (desk.directory / "staged").mkdir()
    os.mkfifo(desk.directory / "staged" / "pipe")
    said = desk.run("merge", desk.directory / "none", status=2)
    return said + desk.run("merge", desk.directory / "staged", status=1)


# --------------------------------------------------------------------------------- packages


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
def packages_at_fault(desk: Desk) -> str:
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
    "cannot handle package {name}: its type {text} is none of {types}",
    "cannot handle package {name}: its package-version.txt holds no version: {text}",
    "cannot handle package {name}: its checksums.ini names no tarball",
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
def package_directories_at_fault(desk: Desk) -> str:
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
    return said + world.spkg("-p", "h", status=1).stderr


@produces(
    "cannot handle package {name}: its staged tree holds Python modules or distributions ({paths});"
    " build a wheel and install it with sdh_pip_install (SAGE_STAGED_PYTHON=warn allows it)"
)
def staged_python(desk: Desk) -> str:
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
def pip_at_fault(desk: Desk) -> str:
    sage = {"SAGE_VENV": str(desk.prefix)}
    wheel = make_wheel(desk.directory, "foo", "1")
    said = desk.cli("pip-install", status=3, env=sage).stderr
    said += desk.cli("pip-install", "-e", "nowhere", wheel, status=3, env=sage).stderr
    said += desk.cli("pip", "uninstall", "-y", "nothing", env=sage).stderr
    sage["SAGE_PIP_INSTALL_FLAGS"] = '"'
    return said + desk.cli("pip-install", status=3, env=sage).stderr


@produces(
    "cannot lock descriptor {number}: it is not open",
    "cannot run {command}: there is no such command",
    "cannot run {command}: it is not executable",
)
def flock_at_fault(desk: Desk) -> str:
    lock = desk.directory / "lock"
    said = desk.cli("flock", "99", "true", status=2).stderr
    said += desk.cli("flock", lock, "no-such-command", status=127).stderr
    return said + desk.cli("flock", lock, desk.directory, status=126).stderr


@produces("{path}: unowned: no distribution or package has it")
def unowned_path(desk: Desk) -> str:
    (desk.prefix / "mine").write_text("")
    return desk.run("owner", "mine", status=1)


@produces("{path}: unknown: there is no such file in {prefix}, and nobody owns it")
def unknown_path(desk: Desk) -> str:
    return desk.run("owner", "nothing", status=1)


@produces("{path}: outside: it does not lie in {prefix}")
def outside_path(desk: Desk) -> str:
    return desk.run("owner", "/", status=1)


# ----------------------------------------------------------------------------------- status


@produces("nothing changed behind our back")
def untouched(desk: Desk) -> str:
    return desk.run("status")


@produces(
    "{name} {version} was uninstalled",
    "{name} {version} was installed again by {installer}",
    "{name} {version} was replaced by {other} by {installer}",
    "{owner}: changed after it was installed",
    "Installed by others, of no package:",
    "Files that nobody owns:",
)
def changed_by_pip_and_by_hand(desk: Desk) -> str:
    for name, version in (("again", "1"), ("newer", "2"), ("guest", "1")):
        desk.install(name, version)
        (desk.site / f"{name}-{version}.dist-info" / "INSTALLER").write_text("pip\n")
    for name in ("again", "newer", "gone"):
        line = f"{name} @ file:///wheels/{name}-1-py3-none-any.whl\n"
        plant(desk.prefix, {f"var/lib/sage/scripts/{name}/spkg-requirements.txt": line.encode()})
        desk.stamp(f"{name}-1", "{}")
    desk.stamp("data-1", '{"files": ["share/data"]}')
    plant(desk.prefix, {"share/data": b""})
    later = time.time() + 10
    for path in (desk.prefix / "share/data", desk.site / "again-1.dist-info" / "RECORD"):
        os.utime(path, (later, later))
    (desk.site / "mine.py").write_text("")
    return desk.run("status")


@produces("no transaction is known; looked into {files}")
def no_transaction(desk: Desk) -> str:
    return desk.run("log")


# ------------------------------------------------------------------------- timings and watch


@produces(
    "cannot read {place}: there are no events of a build; let make build something first, or"
    " give --events"
)
def no_build(desk: Desk) -> str:
    return desk.cli("timings", status=1, env={"SAGE_LOGS": str(desk.directory)}).stderr


@produces(
    "{package} failed after {time}, in phase {phase}",
    "interrupted after {time}: {done} of {planned} packages are done",
    "cut off: {packages}",
    "not begun: {packages}",
    "nothing is half installed; the same command goes on from here",
)
def watched_make_that_fails_and_is_interrupted(desk: Desk) -> str:
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
    ended = run_in_terminal(command, env, {r" slow-1\.0 +build[^·]*0/3 done · 1 running": CTRL_C})
    return ended.text


# ----------------------------------------------------------------------------------- verify


@produces(
    "{owner}: {path}: missing (not there)",
    "{owner}: {path}: size ({found} bytes, {recorded} recorded)",
    "{owner}: {path}: hash ({found}, {recorded} recorded)",
    "{owner}: {path}: type (a directory)",
    "{owner}: {path}: unlisted (not in RECORD)",
    "{owner}: {path}: outside (lies outside {prefix})",
    "{owner}: {path}: record ({reason})",
    "{path}: no distribution or package owns it",
)
def damaged_files(desk: Desk) -> str:
    desk.install("foo", a="", b="b = 1", c="c = 1", d="")
    desk.install("bar")
    for name in "ad":
        (desk.site / f"{name}.py").unlink()
    (desk.site / "d.py").mkdir()
    (desk.site / "b.py").write_text("b = 2")
    (desk.site / "c.py").write_text("c = 22")
    (desk.site / "foo-1.dist-info" / "mine").write_text("")
    with (desk.site / "foo-1.dist-info" / "RECORD").open("a") as record:
        record.write("/etc/passwd,,\n")
    (desk.site / "bar-1.dist-info" / "RECORD").unlink()
    (desk.site / "mine.py").write_text("")
    return desk.run("verify", status=1)


@produces(
    "Warning: cannot repair {distribution}: there is no wheel of it in {store};"
    " install it from where it came from, or give --store"
)
def wheel_is_gone(desk: Desk) -> str:
    desk.install("foo").unlink()
    (desk.site / "foo.py").unlink()
    return desk.run("verify", "--fix", status=1)


@produces(
    "Warning: cannot repair {distribution}: several versions of it are installed;"
    " uninstall it, then install the one you want"
)
def several_versions(desk: Desk) -> str:
    desk.install("foo")
    plant(desk.site, {"foo-0.dist-info/METADATA": b"Name: foo\nVersion: 0\n"})
    return desk.run("verify", "--fix", status=1)


@produces(
    "Warning: cannot repair {distribution}: {path} belongs to {owner}, too, with another"
    " content; uninstall one of them"
)
def one_path_of_two(desk: Desk) -> str:
    desk.install("one", both="x = 1")
    desk.install("two", both="x = 2")
    return desk.run("verify", "--fix", status=1)


@produces("Warning: cannot repair {distribution}: cannot install {wheel}: {reason}")
def stored_wheel_is_bad(desk: Desk) -> str:
    desk.install("foo").unlink()
    (desk.site / "foo.py").unlink()
    make_wheel(desk.directory, "foo", "1", record="")
    return desk.run("verify", "--fix", "--store", desk.directory, status=1)


@produces(
    "Warning: cannot repair {package}: no wheel holds its files; build it again, with"
    " 'make NAME-clean' and 'make NAME'"
)
def file_of_a_package_is_gone(desk: Desk) -> str:
    desk.stamp("data-1", '{"files": ["share/data"]}')
    return desk.run("verify", "--fix", status=1)


# ---------------------------------------------------------------------------------- recover


def die_in_a_transaction(desk: Desk) -> Path:
    journal = desk.prefix / "var/tmp/sage/journal"
    for n in range(1, 60):
        wheel = make_wheel(desk.directory, "dead", str(n))
        dies = {"SAGE_PKGINSTALL_FAIL": f"kill@{n}"}
        desk.run("install", wheel, status=-9, env=dies)
        if journal.exists():
            return journal
    raise AssertionError("no journal")


@produces("there was nothing to recover")
def nothing_to_recover(desk: Desk) -> str:
    return desk.run("recover")


@produces("recovered: {label}")
def something_to_recover(desk: Desk) -> str:
    die_in_a_transaction(desk)
    return desk.run("recover")


@produces(
    "cannot carry out journal {path}: it is damaged ({error}); see 'sage-pkginstall recover"
    " --help'",
    "Warning: the journal was given up: {reason}",
    "Warning: what was being changed may be half old and half new; 'sage-pkginstall verify'"
    " tells what, and 'sage-pkginstall verify --fix' or installing it again mends it",
    "moved to {directory}; delete that when all is well",
)
def damaged_journal(desk: Desk) -> str:
    plant(desk.prefix, {"var/tmp/sage/journal": b"{damaged"})
    return desk.run("recover", status=1) + desk.run("recover", "--discard")


# ----------------------------------------------------------------------------------- doctor


@produces("{prefix} has no bin/python3: wheels cannot be installed")
def doctor_of_a_prefix_without_python(desk: Desk) -> str:
    (desk.directory / "plain").mkdir()
    return desk.cli("doctor", "--prefix", desk.directory / "plain").stdout


@produces("{prefix} is managed by the system (PEP 668): it is not changed")
def doctor_of_a_managed_prefix(desk: Desk) -> str:

    environment = target_environment(desk.prefix)._replace(externally_managed="by us")
    examination = Examination(Tree(desk.prefix), environment, {}, lambda _: "x")
    return "\n".join(one.text for one in examine(examination))


@produces("{path} cannot be written")
def doctor_without_rights(desk: Desk) -> str:
    desk.patch.setattr(os, "access", lambda _path, mode: mode != os.W_OK)
    return desk.doctor()


@produces("{path} belongs to user {uid}, the prefix to user {owner}")
def doctor_of_two_owners(desk: Desk) -> str:
    if os.geteuid():
        pytest.skip("only root can give files away")
    os.chown(desk.prefix / "bin", 12345, -1)
    return desk.doctor()


@produces("the prefix belongs to user {owner}, and you are user {uid}")
def doctor_of_anothers_prefix(desk: Desk) -> str:
    if os.geteuid():
        pytest.skip("only root can give files away")
    os.chown(desk.prefix, 12345, -1)
    return desk.doctor()


@produces(
    "{directory} lies on another file system than the prefix: what goes there is copied"
    " first, and takes longer"
)
def doctor_of_two_file_systems(desk: Desk) -> str:
    (desk.prefix / "share").symlink_to("/dev")
    return desk.doctor()


@produces(
    "the file system cannot exchange two entries (renameat2): upgrades are done file by"
    " file, and a directory that becomes a file is absent for a moment"
)
def doctor_without_exchange(desk: Desk) -> str:
    env = {"SAGE_PKGINSTALL_RENAMEAT2": "0"}
    return desk.run("doctor", env=env)


@produces("the file system of the prefix gives no flock ({reason})")
def doctor_without_flock(desk: Desk) -> str:
    def flock(_file: object, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    desk.patch.setattr(fcntl, "flock", flock)
    return desk.doctor()


@produces(
    "only {number} MB are free on the file system of the prefix",
    "the file system of the prefix has no inode left",
)
def doctor_of_a_full_disk(desk: Desk) -> str:
    full = os.statvfs_result((4096, 4096, 10**6, 9, 9, 10**6, 0, 0, 0, 255))
    desk.patch.setattr(os, "statvfs", lambda _: full)
    return desk.doctor()


@produces("cannot look: {reason}")
def doctor_that_fails(desk: Desk) -> str:
    def statvfs(_path: object) -> None:
        raise PermissionError(errno.EACCES, "no")

    desk.patch.setattr(os, "statvfs", statvfs)
    return desk.doctor()


@produces("{lock} is a symbolic link, which is not followed")
def doctor_of_a_planted_lock(desk: Desk) -> str:
    (desk.prefix / "var/lock").mkdir(parents=True)
    (desk.prefix / "var/lock/pip3.lock").symlink_to("/dev/null")
    return desk.doctor()


@produces(
    "{lock} is held by a program that does not say who it is",
    "{lock} is held by process {pid} ({label}), since {time} ({seconds} s)",
)
def doctor_while_others_hold_the_lock(desk: Desk) -> str:
    plant(desk.prefix, {"var/lock/pip3.lock": b""})
    lock = desk.prefix / "var/lock/pip3.lock"
    code = (
        "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, 2); print(1, flush=True); input()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code, lock], stdin=pipe, stdout=pipe) as foreign:
        assert foreign.stdout is not None
        foreign.stdout.readline()
        said = desk.doctor()
        facts = {"pid": foreign.pid, "label": "long work", "since": 1000, "token": "t"}
        plant(desk.prefix, {"var/lock/pip3.lock.holder": json.dumps(facts).encode()})
        said += "\n" + desk.doctor()
        foreign.kill()
    return said


@produces("the journal {path} cannot be used: {reason}")
def doctor_of_a_damaged_journal(desk: Desk) -> str:
    plant(desk.prefix, {"var/tmp/sage/journal": b"{damaged"})
    return desk.run("doctor", status=1)


@produces(
    "'{label}' was begun by a process that died",
    "{number} staging directories of dead processes lie in {directory}",
)
def doctor_of_what_the_dead_left(desk: Desk) -> str:
    die_in_a_transaction(desk)
    return desk.doctor()


@produces("{directory} holds a discarded transaction")
def doctor_after_discarding(desk: Desk) -> str:
    (desk.prefix / "var/tmp/sage/discarded-1").mkdir(parents=True)
    return desk.doctor()


@produces(
    "the stamps of {packages} list no files",
    "{names}: installed in a way that lists no files (egg-link, distutils)",
    "{records}: no RECORD",
    "{names}: several versions are installed",
)
def doctor_of_old_records(desk: Desk) -> str:
    desk.stamp("old-1", "PACKAGE NAME: old")
    desk.install("foo")
    plant(
        desk.site,
        {"foo-0.dist-info/METADATA": b"Name: foo\nVersion: 0\n", "dev.egg-link": b"/src\n.\n"},
    )
    return desk.doctor()


@produces("transactions cannot be logged in {file}")
def doctor_without_a_log(desk: Desk) -> str:
    (desk.directory / "logs").mkdir()
    (desk.directory / "logs/transactions.jsonl").symlink_to("/dev/null")
    return desk.doctor()


@produces("there is no C compiler ({names})", "there is no {program}")
def doctor_without_programs(desk: Desk) -> str:
    return desk.doctor(which=lambda _: None)


@produces("CC names {program}, which is not there")
def doctor_of_a_wrong_compiler(desk: Desk) -> str:
    return desk.doctor(which=lambda _: None, variables={"CC": "nocc -O2"})


@produces("{directory} is not in PATH")
def doctor_without_path(desk: Desk) -> str:
    return desk.doctor(variables={"PATH": "/usr/bin"})


@produces("{directory} comes before {binaries} in PATH: its python3 is run")
def doctor_of_path_order(desk: Desk) -> str:
    plant(desk.directory, {"first/python3": b""})
    path = f"{desk.directory}/first:{desk.prefix}/bin"
    return desk.doctor(variables={"PATH": path})


@produces("{variable} is set, which leads Python or pip away from the prefix")
def doctor_of_variables(desk: Desk) -> str:
    path = str(desk.prefix / "bin")
    return desk.doctor(variables={"PATH": path, "PYTHONPATH": "/src"})


# ------------------------------------------------------------------------------ the tests


def messages() -> Iterator[str]:
    """The messages of the page: the first column of its tables."""
    for line in PAGE.read_text().splitlines():
        found = re.match(r"\| `(.*?)` (?<!\\)\|", line)
        if found:
            yield found[1].replace("\\|", "|")


def pattern(message: str) -> str:
    return re.sub(r"\\\{\w+\\\}", ".+", re.escape(message))


@pytest.fixture
def desk(
    venv: Path, tmp_path: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    monkeypatch.setenv("SAGE_LOGS", str(tmp_path / "logs"))
    with monkeypatch.context() as patch:
        yield Desk(venv, tmp_path, run_cli, patch)


@pytest.mark.parametrize("name", SCENARIOS)
def test_message_is_produced(name: str, desk: Desk) -> None:
    scenario, expected = SCENARIOS[name]
    said = scenario(desk)
    assert "Traceback" not in said
    missing = [message for message in expected if not re.search(pattern(message), said)]
    assert missing == [], said


def test_page_has_each_message_once() -> None:
    listed = list(messages())
    assert sorted(listed) == sorted(m for _, expected in SCENARIOS.values() for m in expected)
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("words", [["--help"], ["list", "--help"], ["manual"]])
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")  # noqa: PTH110
def test_full_disk_is_told_and_a_closed_stream_is_no_error(words: list[str]) -> None:
    command = [sys.executable, "-I", "-c", START, str(ROOT), *words]
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 1
    assert re.fullmatch(r"sage-pkginstall[\w ]*: cannot go on: No space left .*\n", ended.stderr)
    closed = ["sh", "-c", f"{shlex.join(command)} >&-"]
    ended = subprocess.run(closed, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("words", [["--help"], ["list", "--help"], ["manual"]])
def test_reader_that_ends_first_is_no_traceback(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-I", "-c", START, str(ROOT), *words]
    ended = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, "")


def test_healthy_prefix_has_no_findings(desk: Desk) -> None:
    desk.install("foo")
    assert desk.doctor() == ""
