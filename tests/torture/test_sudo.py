"""SAGE_SUDO with real sudo and a second user: a prefix of root's, filled by who builds."""

from __future__ import annotations

import collections
import json
import os
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.engine.files import delete_tree
from sage_pkginstall.engine.staged import lay_in
from sage_pkginstall.errors import ConflictError, RecordError
from sage_pkginstall.spkg.commit_request import CommitRequest, read_request, write_request
from tests.sageworld import ENGINE, SageWorld
from tests.torture.others import (
    SecondUser,
    copy_tool,
    may_write,
    public_directory,
    second_user,
)
from tests.trees import Link, plant, tree
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.torture.conftest import TellFigures
    from tests.trees import Entry

INSTALLED = "var/lib/sage/installed"
STAGING = 'mkdir -p "$SAGE_DESTDIR_LOCAL/share" && cd "$SAGE_DESTDIR_LOCAL/share" && '


@dataclass(frozen=True)
class Sudoer:
    """A user who builds in a SAGE_ROOT of its own, and may use sudo."""

    user: SecondUser
    world: SageWorld
    tools: Path

    @property
    def prefix(self) -> Path:
        """The prefix, which is root's."""
        return self.world.prefix

    def package(
        self, name: str, version: str, files: Mapping[str, str | bytes], wheel: Path | None = None
    ) -> None:
        """Write the directory of a package, as the user's."""
        self.world.package(name, version, files, wheel=wheel)
        subprocess.run(["chown", "-R", str(self.user.number), self.world.root], check=True)

    def run(
        self, command: str, *arguments: str, status: int = 0, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of ours as the user; fail the test unless it exits with ``status``."""
        ended = self.start(command, *arguments, **env)
        assert ended.returncode == status, f"{ended.returncode}\n{ended.stdout}\n{ended.stderr}"
        return ended

    def start(self, command: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command of ours as the user, however it ends."""
        variables = {
            "SAGE_ROOT": str(self.world.root),
            "SAGE_LOCAL": str(self.prefix),
            "SAGE_VENV": str(self.prefix),
            "SAGE_SUDO": "sudo -n",
            "HOME": str(self.world.root),
            **env,
        }
        return self.user.run([str(self.tools / command), *arguments], variables)

    def state(self) -> dict[str, Entry]:
        """All that is in the prefix and no engine's; times in byte-code do not count."""
        found = tree(self.prefix, ignore=ENGINE)
        return {path: entry for path, entry in found.items() if not path.endswith(".pyc")}

    def foreign(self) -> list[str]:
        """Return what does not belong to root, and what the user may write."""
        said = subprocess.run(
            ["find", self.prefix, "!", "-uid", "0"], capture_output=True, text=True, check=True
        )
        area = str(self.prefix / "var/tmp/sage/build")  # as /tmp: sticky, for all who build
        wrong = {*said.stdout.splitlines(), *may_write(self.user, self.prefix)}
        return sorted(path for path in wrong if not f"{path}/".startswith(f"{area}/"))


@pytest.fixture(scope="module")
def user() -> Iterator[SecondUser]:
    with second_user() as user:
        rule = Path("/etc/sudoers.d") / user.name
        if not rule.parent.is_dir():
            pytest.skip("there is no /etc/sudoers.d")
        rule.write_text(f"{user.name} ALL=(root) NOPASSWD: ALL\n")
        rule.chmod(0o440)
        try:
            if user.run(["sudo", "-n", "true"]).returncode:
                pytest.skip("sudo does not work here")
            yield user
        finally:
            rule.unlink()


@pytest.fixture
def sudoer(user: SecondUser) -> Iterator[Sudoer]:
    with public_directory() as public:
        tools = copy_tool(public / "tool", user)
        prefix = public / "prefix"
        python = str((public / "tool" / ".tool" / "venv" / "bin" / "python").readlink())
        make = [python, "-m", "venv", "--without-pip", str(prefix)]
        subprocess.run(make, check=True, cwd="/", env={"PATH": os.environ["PATH"]})
        world = SageWorld.make(public, prefix)
        subprocess.run(["chown", "-R", str(user.number), world.root], check=True)
        yield Sudoer(user, world, tools)


# ------------------------------------------------------------------------ life of packages


@pytest.mark.slow
@pytest.mark.needs("sudo")
def test_staged_files_live_and_go(sudoer: Sudoer) -> None:
    before = sudoer.state()
    text = STAGING + "echo {0} >same && echo {0} >only{0} && ln -s same link && chmod 777 same"
    sudoer.package("foo", "1", {"spkg-install.in": text.format(1)})
    sudoer.run("sage-spkg", "foo")
    first = sudoer.state()
    assert first["share/same"] == b"1\n"
    assert first["share/link"] == Link("same")
    assert sudoer.foreign() == []
    sudoer.run("sage-spkg", "foo")
    assert _undated(sudoer.state()) == _undated(first)
    sudoer.package("foo", "2", {"spkg-install.in": text.format(2) + " && false"})
    sudoer.run("sage-spkg", "foo", status=1)
    assert _undated(sudoer.state()) == _undated(first)
    sudoer.package("foo", "2", {"spkg-install.in": text.format(2)})
    sudoer.run("sage-spkg", "foo")
    assert {"share/only2", f"{INSTALLED}/foo-2"} <= sudoer.state().keys()
    assert not {"share/only1", f"{INSTALLED}/foo-1"} & sudoer.state().keys()
    assert sudoer.foreign() == []
    sudoer.run("sage-spkg-uninstall", "foo")
    assert sudoer.state() == before


def _undated(state: dict[str, Entry]) -> dict[str, Entry]:
    def undated(path: str, entry: Entry) -> Entry:
        if not path.startswith(INSTALLED) or not isinstance(entry, bytes):
            return entry
        return json.dumps({**json.loads(entry), "install_date": ""}).encode()

    return {path: undated(path, entry) for path, entry in state.items()}


@pytest.mark.slow
@pytest.mark.needs("sudo")
def test_python_packages_live_and_go(sudoer: Sudoer) -> None:
    before = sudoer.state()
    for version in ("1", "1", "2"):
        wheel = make_wheel(sudoer.world.root, "foo", version, {"foo.py": f"x = {version}\n"})
        sudoer.package("foo", version, {}, wheel)
        sudoer.run("sage-spkg", "foo")
        python = sudoer.prefix / "bin" / "python3"
        said = sudoer.user.run([str(python), "-B", "-c", "import foo; print(foo.x)"])
        assert said.stdout == f"{version}\n"
        assert sudoer.foreign() == []
    sudoer.package("foo", "3", {"spkg-install.in": "false"})
    sudoer.run("sage-spkg", "foo", status=1)
    assert f"{INSTALLED}/foo-2" in sudoer.state()
    assert (
        "install package foo-2"
        in sudoer.run("sage-pkginstall", "log", "--prefix", str(sudoer.prefix)).stdout
    )
    sudoer.run("sage-spkg-uninstall", "foo")
    assert sudoer.state() == before


@pytest.mark.needs("sudo")
@pytest.mark.parametrize(
    "every",
    [pytest.param(4, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.torture)],
)
def test_killed_with_its_rights_it_leaves_old_or_new(
    sudoer: Sudoer, every: int, tell_figures: TellFigures
) -> None:
    """Kills of the privileged part, each before another step; then one ordinary command."""
    counts: collections.Counter[str] = collections.Counter()
    here = "1"
    text = STAGING + "echo {0} >same && echo {0} >only{0}"
    sudoer.package("foo", here, {"spkg-install.in": text.format(here)})
    sudoer.run("sage-spkg", "foo")
    for moment in range(1, 1000, every):
        new = "2" if here == "1" else "1"
        sudoer.package("foo", new, {"spkg-install.in": text.format(new)})
        ended = sudoer.start("sage-spkg", "foo", SAGE_PKGINSTALL_FAIL=f"kill@{moment}")
        subprocess.run(
            [sudoer.tools / "sage-pkginstall", "recover", "--prefix", sudoer.prefix], check=True
        )
        state = sudoer.state()
        is_new = state["share/same"] == f"{new}\n".encode()
        here = new if is_new else here
        assert {f"share/only{here}", f"{INSTALLED}/foo-{here}"} <= state.keys()
        assert len([path for path in state if path.startswith(("share/", INSTALLED))]) == 3
        assert sudoer.foreign() == []
        assert [path.name for path in (sudoer.prefix / "var/tmp/sage").iterdir()] == ["build"]
        counts["new" if is_new else "old"] += 1
        if ended.returncode == 0:  # it came to its end
            break
    told = f"killed {counts.total() - 1} times: old {counts['old']}, new {counts['new'] - 1}"
    tell_figures(told)
    assert counts["old"]
    assert counts["new"] > 1


# -------------------------------------------------------------- what reaches the privileged


@pytest.mark.slow
@pytest.mark.needs("sudo")
def test_environment_of_the_build_does_not_reach_the_rights(sudoer: Sudoer) -> None:
    """Even where sudo hands it on, and in front of our own tools on PATH."""
    trap = sudoer.world.root / "trap"
    plant(trap, {"sitecustomize.py": b"", "pip.conf": b"[install]\nuser = true\n"})
    planted = f"import os\nif os.geteuid() == 0: open({str(trap / 'sprung')!r}, 'a').close()\n"
    (trap / "sitecustomize.py").write_text(planted)
    for name in ("readlink", "python3", "uname"):
        script = f'#!/bin/sh\n[ "$(/usr/bin/id -u)" != 0 ] || : >>{trap}/sprung\nexit 1\n'
        (trap / name).write_text(script)
        (trap / name).chmod(0o755)
    (trap / "bashrc").write_text((trap / "uname").read_text().replace("exit 1", ""))
    subprocess.run(["chown", "-R", str(sudoer.user.number), trap], check=True)
    sudoer.package("foo", "1", {}, make_wheel(sudoer.world.root, "foo", "1"))
    sudoer.run(
        "sage-spkg",
        "foo",
        SAGE_SUDO="sudo -n -E",
        PYTHONPATH=str(trap),
        PYTHONSTARTUP=str(trap / "sitecustomize.py"),
        PYTHONUSERBASE=str(trap),
        PIP_CONFIG_FILE=str(trap / "pip.conf"),
        BASH_ENV=str(trap / "bashrc"),
        PATH=f"/usr/bin:/bin:{trap}",
        SAGE_PKGINSTALL_CACHE=str(trap / "cache"),
        SAGE_LOGS=str(trap / "logs"),
        SAGE_FLOCK_HELD=f"{sudoer.prefix / 'var/lock/pip3.lock'}:1",
    )
    assert f"{INSTALLED}/foo-1" in sudoer.state()
    assert not (trap / "sprung").exists()
    owned = subprocess.run(["find", trap, "-uid", "0"], capture_output=True, text=True, check=True)
    assert owned.stdout == ""  # nothing of root's is written where the user has links


@pytest.mark.slow
@pytest.mark.needs("sudo")
def test_tree_that_the_user_can_change_is_refused(sudoer: Sudoer) -> None:
    for name in ("foo", "bar"):
        sudoer.package(name, "1", {"spkg-install.in": STAGING + f"echo 1 >{name}"})
        sudoer.run("sage-spkg", name)
    before = sudoer.state()
    sudoer.user.own(sudoer.prefix / "share")
    said = sudoer.run("sage-spkg", "foo", status=1)
    text = f"{sudoer.prefix / 'share'} belongs to user {sudoer.user.name}"
    assert text in said.stdout + said.stderr
    os.chown(sudoer.prefix / "share", 0, 0)
    python = sudoer.prefix / "bin" / "python3"
    real = python.readlink()
    python.unlink()
    python.symlink_to(real)
    sudoer.user.own(python)  # now it could lead to a program of the user's
    said = sudoer.run("sage-spkg", "foo", status=1)
    assert f"{python} belongs to user {sudoer.user.name}" in said.stdout + said.stderr
    assert _undated(sudoer.state()) == _undated(before)


@pytest.mark.slow
@pytest.mark.needs("sudo")
def test_rights_of_staged_files_are_not_taken_over(sudoer: Sudoer) -> None:
    """A set-id program of the user's would be one of root's."""
    make = "cp /bin/true suid && chmod 6777 suid && mkdir open && chmod 3777 open && echo >open/f"
    sudoer.package("foo", "1", {"spkg-install.in": STAGING + make})
    sudoer.run("sage-spkg", "foo")
    assert (sudoer.prefix / "share/suid").stat().st_mode & 0o7777 == 0o755
    assert (sudoer.prefix / "share/open").stat().st_mode & 0o7777 == 0o755
    assert sudoer.foreign() == []


@pytest.mark.slow
@pytest.mark.needs("sudo")
@pytest.mark.parametrize("link", [INSTALLED, f"{INSTALLED}/foo-1", "var/lib/sage"])
def test_records_are_not_written_through_staged_links(sudoer: Sudoer, link: str) -> None:
    victim = plant(sudoer.world.root.parent / "victim", {"foo-1": b"precious"})
    target = victim / "foo-1" if link.endswith("foo-1") else victim
    place = f'"$SAGE_DESTDIR_LOCAL/{link}"'
    script = f'mkdir -p "$(dirname {place})" && ln -s {target} {place}'
    sudoer.package("foo", "1", {"spkg-install.in": script})
    sudoer.run("sage-spkg", "foo", status=0 if link.endswith("foo-1") else 1)
    assert tree(victim) == {"foo-1": b"precious"}


# ------------------------------------------------------------------------------ the request

GOOD = {
    "action": "install",
    "tree": "/nowhere",
    "package": "foo",
    "version": "1",
    "staged": "/nowhere/staged",
}


def test_request_is_what_was_written_but_for_what_a_reader_must_not_do(tmp_path: Path) -> None:
    request = CommitRequest("install", "/t", "foo", "1", staged="/s", move=True, keep=True)
    write_request(tmp_path / "r", request)
    read = read_request(tmp_path / "r")
    assert (read.move, read.caller) == (False, os.geteuid())
    assert (read.keep, read.label, read.staged) == (True, request.label, "/s")


@pytest.mark.parametrize(
    "change",
    [
        {"package": "../../etc/passwd"},
        {"package": ""},
        {"version": "1/../../x"},
        {"version": 1},
        {"tree": "relative"},
        {"tree": "/a\0b"},
        {"tree": ["/"]},
        {"action": "steal"},
        {"keep": "yes"},
        {"more": ""},
        {"staged": None},
    ],
)
def test_manipulated_request_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    (tmp_path / "r").write_text(json.dumps({**GOOD, **change}))
    with pytest.raises(RecordError):
        read_request(tmp_path / "r")


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", "[" * 100_000])
def test_what_is_no_request_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "r").write_text(text)
    with pytest.raises(RecordError):
        read_request(tmp_path / "r")


def test_request_is_neither_waited_for_nor_followed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "real").write_text(json.dumps(GOOD))
    (tmp_path / "link").symlink_to("real")
    for name in ("pipe", "link", "."):
        with pytest.raises(RecordError):
            read_request(tmp_path / name)


# --------------------------------------------------------------------------- the staged tree


def test_staged_tree_of_somebody_else_than_the_caller_is_not_copied(tmp_path: Path) -> None:
    staged = plant(tmp_path / "staged", {"f": b"secret"})
    (tmp_path / "to").mkdir()
    with pytest.raises(ConflictError, match="does not belong"):
        lay_in(staged, tmp_path / "to", move=False, owner=os.geteuid() + 1)
    assert tree(tmp_path / "to") == {}


def test_pipe_in_a_staged_tree_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "staged").mkdir()
    os.mkfifo(tmp_path / "staged" / "pipe")
    (tmp_path / "to").mkdir()
    with pytest.raises(ConflictError, match="neither file, link nor directory"):
        lay_in(tmp_path / "staged", tmp_path / "to", move=False)


@pytest.mark.slow
def test_links_swapped_in_while_copying_are_never_followed(tmp_path: Path) -> None:
    """A directory and a file take turns with links to what is nobody's business."""
    secret = plant(tmp_path / "secret", {"d/x": b"secret", "f": b"secret"})
    staged = plant(tmp_path / "staged", {f"n{n}": b"" for n in range(5)})
    plant(staged, {"d/x": b"open", "f": b"open"})
    over = threading.Event()
    swapper = threading.Thread(target=_swap, args=(staged, secret, over))
    swapper.start()
    outcomes: collections.Counter[str] = collections.Counter()
    try:
        for number in range(3000):
            if outcomes["copied"] and outcomes["refused"] and number > 50:
                break
            target = tmp_path / f"to{number}"
            target.mkdir()
            try:
                lay_in(staged, target, move=False)
                outcomes["copied"] += 1
            except (ConflictError, FileNotFoundError):
                outcomes["refused"] += 1
            assert b"secret" not in tree(target).values()
            delete_tree(target)
    finally:
        over.set()
        swapper.join()
    assert outcomes["refused"], "nothing was ever exchanged at the right moment"


def _swap(staged: Path, secret: Path, over: threading.Event) -> None:
    for name in ("d", "f"):
        (staged / f"{name}.link").symlink_to(secret / name)
    while not over.is_set():
        for name in ("d", "f"):
            for old, new in ((name, f"{name}.away"), (f"{name}.link", name), (name, f"{name}.link"),
                             (f"{name}.away", name)):  # fmt: skip
                (staged / old).rename(staged / new)
