"""Other users cannot write what is ours, and what they plant is neither followed nor obeyed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import venv as stdlib_venv
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.builds.cache import unpacked_wheels
from sage_pkginstall.engine.files import delete_tree
from sage_pkginstall.engine.journal import Journal, JournalFile
from sage_pkginstall.engine.lock import LockSettings, TreeLock
from sage_pkginstall.engine.plan import Operation, PlanRequest
from sage_pkginstall.engine.tree import Tree, TreeSettings
from sage_pkginstall.engine.trust import others_who_write
from sage_pkginstall.engine.workspace import StagingArea
from sage_pkginstall.environment import target_environment
from sage_pkginstall.errors import JournalError, LockError, TransactionError
from sage_pkginstall.operations.uninstall import uninstall
from tests.engine_tree import commit
from tests.sageworld import SageWorld
from tests.torture.others import SecondUser, copy_tool, may_write, public_directory
from tests.trees import modes, plant, tree
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunCli

AREA = "var/tmp/sage"
LOCK = "var/lock/pip3.lock"
NAME = "T-1-00000000"
EVIL = Journal("evil", NAME, (Operation("remove", "lib/precious", f"{AREA}/{NAME}/old/1", 0, 0),))

DIE = """
import os, pathlib, sys
from sage_pkginstall.engine.journal import Journal
from sage_pkginstall.engine.tree import Tree
os.umask(0)
tree = Tree(pathlib.Path(sys.argv[1]))
with tree.workspace() as workspace, tree.locked("x"):
    (workspace.tree / "half").write_text("")
    journal = Journal("x", workspace.name, ())
    tree.journal.draft(journal, durable=False)
    tree.journal.publish(journal, durable=False)
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def other() -> SecondUser:
    return SecondUser.named("nobody")


@pytest.fixture
def public() -> Iterator[Path]:
    with public_directory() as directory:
        yield directory


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


# ------------------------------------------------------------------------ under any umask


@pytest.mark.parametrize("mask", [0o000, 0o002, 0o022, 0o077])
def test_others_write_nothing_that_the_engine_made(
    public: Path, other: SecondUser, mask: int
) -> None:
    prefix = public / "prefix"
    prefix.mkdir()
    ended = subprocess.run(
        [sys.executable, "-c", DIE.replace("umask(0)", f"umask({mask})"), prefix], check=False
    )
    assert ended.returncode == -signal.SIGKILL
    found = {path.name.partition("-")[0] for path in (prefix / AREA).iterdir()}
    assert found == {"T", "journal"}
    assert may_write(other, prefix) == []


def test_nobody_else_can_keep_the_lock(public: Path, other: SecondUser) -> None:
    """Whoever can open a file, for reading even, can hold a flock on it for ever."""
    with umask(0), Tree(public).locked("x"):
        pass
    ended = other.run(["flock", "--nonblock", public / LOCK, "true"])
    assert "Permission denied" in ended.stderr


@pytest.mark.slow
def test_others_write_neither_store_nor_records(public: Path, other: SecondUser) -> None:
    prefix = public / "prefix"
    stdlib_venv.EnvBuilder(symlinks=True, with_pip=False).create(prefix)
    world = SageWorld.make(public, prefix)
    install = 'sdh_store_and_pip_install_wheel .; echo >f; sdh_install f "$SAGE_SHARE"'
    files = {"spkg-install.in": install, "spkg-prerm.in": ":"}
    world.package("foo", "1.0", files, wheel=make_wheel(public, "foo", "1.0"))
    with umask(0):
        world.spkg("-s", "foo")
    records = tree(prefix / "var/lib/sage")
    assert {path.partition("/")[0] for path in records} == {"installed", "scripts", "wheels"}
    writable = {Path(path).relative_to(prefix) for path in may_write(other, prefix / "var")}
    # What scripts make in a build directory has the modes that they give it; but only its
    # owner may put something there.
    assert {path.parts[:4] for path in writable} <= {("var", "tmp", "sage", "build")}
    assert Path(AREA, "build") not in writable
    assert Path(AREA, "build", "foo-1.0") not in writable


def test_others_write_nothing_in_the_cache(public: Path, other: SecondUser) -> None:
    cache = public / "above" / "cache"
    wheel = make_wheel(public, "foo", "1.0")
    stdlib_venv.EnvBuilder(symlinks=True, with_pip=False).create(public / "venv")
    with umask(0):
        unpacked_wheels([wheel], target_environment(public / "venv"), cache)
    assert any(path.endswith("foo.py") for path in tree(cache))
    assert may_write(other, public / "above") == []


def test_directory_that_was_open_to_others_is_closed(public: Path, other: SecondUser) -> None:
    for name in (AREA, "var/lock"):
        (public / name).mkdir(parents=True)
        (public / name).chmod(0o777)
    with Tree(public).workspace(), Tree(public).locked("x"):
        assert may_write(other, public) == []


def test_sticky_directory_stays_as_it_is(public: Path) -> None:
    lock = public / "var" / "lock"
    lock.mkdir(parents=True)
    lock.chmod(0o1777)
    with Tree(public).locked("x"):
        pass
    assert lock.stat().st_mode & 0o7777 == 0o1777


# --------------------------------------------------------------------------------- planted


@pytest.mark.parametrize("name", ["", ".holder", ".nested", ".nested.holder"])
@pytest.mark.parametrize("kind", ["link", "pipe", "file"])
def test_planted_lock_is_refused(
    public: Path, other: SecondUser, name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not followed, not waited for, not written to."""
    victim = plant(public / "home", {"victim": b"precious"}) / "victim"
    lock = public / LOCK
    if "nested" in name:
        with TreeLock(lock, "outer", LockSettings()).hold():
            holder = (lock.parent / "pip3.lock.holder").read_text()
            token = holder.partition('"token": "')[2].partition('"')[0]
            monkeypatch.setenv("SAGE_FLOCK_HELD", f"{lock}:{token}")
            _plant(lock.with_name(lock.name + name), kind, victim, other)
            with pytest.raises(LockError), TreeLock(lock, "x", LockSettings()).hold():
                pass
    else:
        _plant(lock.with_name(lock.name + name), kind, victim, other)
        with pytest.raises(LockError), TreeLock(lock, "x", LockSettings()).hold():
            pass
    assert victim.read_bytes() == b"precious"


def _plant(path: Path, kind: str, victim: Path, other: SecondUser) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if kind == "link":
        path.symlink_to(victim)
    elif kind == "pipe":
        os.mkfifo(path, 0o666)
    else:
        path.write_bytes(b"")
    other.own(path)


@pytest.mark.parametrize("name", [AREA, "var/lock"])
def test_planted_link_to_a_directory_is_refused(public: Path, other: SecondUser, name: str) -> None:
    home = plant(public / "home", {"precious": b"1"})
    (public / name).parent.mkdir(parents=True)
    (public / name).symlink_to(home)
    other.own(public / name)
    works = pytest.raises((LockError, TransactionError), match="belongs to user nobody")
    with works, Tree(public).workspace(), Tree(public).locked("x"):
        pass
    assert tree(home) == {"precious": b"1"}


@pytest.mark.parametrize("owner", ["nobody", "root"])
def test_planted_workspace_is_not_followed(public: Path, other: SecondUser, owner: str) -> None:
    """It looks like the debris of a dead process, and leads elsewhere."""
    home = plant(public / "home", {"a/precious": b"1", ".T-1-0/b": b"2"})
    (home / "a").chmod(0o755)
    area = public / AREA
    area.mkdir(parents=True)
    (area / NAME).symlink_to(home)
    (area / f"{NAME}.lock").write_bytes(b"")
    if owner == "nobody":
        other.own(area / NAME)
        other.own(area / f"{NAME}.lock")
    before = tree(home), modes(home)
    assert StagingArea(public).collect() == ()
    assert (tree(home), modes(home)) == before


def test_workspace_of_somebody_else_is_left_alone(public: Path, other: SecondUser) -> None:
    """Its list of volumes may name anything."""
    home = plant(public / "home", {f".{NAME}/precious": b"1"})
    area = plant(public / AREA, {f"{NAME}/volumes": os.fsencode(home / f".{NAME}")})
    (area / f"{NAME}.lock").write_bytes(b"")
    for path in (area / NAME, area / f"{NAME}.lock"):
        other.own(path)
    assert StagingArea(public).collect() == ()
    assert tree(home) == {f".{NAME}/precious": b"1"}


def test_deleting_a_link_leaves_alone_where_it_leads(tmp_path: Path) -> None:
    home = plant(tmp_path / "home", {"closed/precious": b"1"})
    (home / "closed").chmod(0o500)
    (tmp_path / "link").symlink_to(home)
    delete_tree(tmp_path / "link")
    assert not os.path.lexists(tmp_path / "link")
    assert (home / "closed").stat().st_mode & 0o777 == 0o500


# --------------------------------------------------------------------------------- journals


def plant_journal(prefix: Path, other: SecondUser, name: str = "journal") -> None:
    """Have ``other`` write a journal, where the group may write."""
    area = prefix / AREA
    area.mkdir(parents=True, exist_ok=True)
    os.chown(area, 0, other.group)
    area.chmod(0o775)
    text = EVIL.to_bytes().decode()
    ended = other.run(["sh", "-c", 'mkdir -p "$2/old"; printf %s "$3" >"$1"', "sh", area / name,
                       area / NAME, text])  # fmt: skip
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("name", ["journal", "undo"])
def test_journal_of_somebody_else_is_not_obeyed(
    public: Path, other: SecondUser, name: str, run_cli: RunCli
) -> None:
    plant(public, {"lib/precious": b"1"})
    plant_journal(public, other, name)
    staged = plant(public / "staged", {"lib/new": b"2"})
    for command in (("merge", str(staged)), ("recover",)):
        said = run_cli(*command, "--prefix", public, status=1).stderr
        assert "it belongs to user nobody" in said
        assert said.count("\n") == 1, said
    assert tree(public / "lib") == {"precious": b"1"}
    assert "belongs to user nobody" in run_cli("doctor", "--prefix", public, status=1).stdout
    run_cli("recover", "--discard", "--prefix", public)
    run_cli("merge", "--prefix", public, staged)
    assert tree(public / "lib") == {"precious": b"1", "new": b"2"}


@pytest.mark.parametrize("command", ["commit", "uninstall"])
def test_journal_of_somebody_else_at_work_is_waited_for(
    public: Path, other: SecondUser, command: str
) -> None:
    """As root's is for a user in whose prefix it works: under the lock, it is gone."""
    stdlib_venv.EnvBuilder(symlinks=True, with_pip=False).create(public)
    plant_journal(public, other)
    work = ExitStack()
    work.enter_context(TreeLock(public / LOCK, "at work", LockSettings()).hold())

    def end() -> None:
        (public / AREA / "journal").unlink()
        work.close()

    target = Tree(public, TreeSettings(LockSettings(10.0, waits=end), durable=False))
    if command == "commit":
        commit(target, {"lib/new": b"2"}, PlanRequest())
        assert (public / "lib" / "new").read_bytes() == b"2"
    else:
        done = uninstall(target, target_environment(public), ["foo"], lambda _words: 1)
        assert done.missing == ("foo",)
    assert not (public / AREA / "journal").exists()


def test_journal_that_is_a_link_is_not_followed(public: Path) -> None:
    mine = plant(public / "mine", {"journal": EVIL.to_bytes()}) / "journal"
    (public / AREA).mkdir(parents=True)
    (public / AREA / "journal").symlink_to(mine)
    with pytest.raises(JournalError, match="symbolic link, which is not followed"):
        JournalFile(public / AREA).read()


def test_journal_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / AREA).mkdir(parents=True)
    os.mkfifo(tmp_path / AREA / "journal")
    with pytest.raises(JournalError, match="no regular file"):
        Tree(tmp_path).recover()


def test_pipes_in_the_staging_area_keep_nobody_waiting(
    public: Path, other: SecondUser, run_cli: RunCli
) -> None:
    plant_journal(public, other)
    os.mkfifo(public / AREA / "T-2-00000000.lock", 0o666)
    other.own(public / AREA / "T-2-00000000.lock")
    run_cli("doctor", "--prefix", public, status=1)
    run_cli("recover", "--discard", "--prefix", public)
    staged = plant(public / "staged", {"lib/new": b"2"})
    run_cli("merge", "--prefix", public, staged)
    assert tree(public / "lib") == {"new": b"2"}


def test_journal_of_the_owner_of_the_prefix_is_finished_by_root(
    public: Path, other: SecondUser
) -> None:
    prefix = plant(public / "prefix", {"lib/precious": b"1"})
    plant_journal(prefix, other)
    other.own(prefix)
    found = Tree(prefix).recover()
    assert found is not None
    assert found.label == "evil"
    assert tree(prefix / "lib") == {}


# ------------------------------------------------------------------------ the second user


@pytest.mark.slow
def test_second_user_is_told_in_one_line_what_is_not_allowed(
    public: Path, other: SecondUser
) -> None:
    tool = copy_tool(public / "tool", other) / "sage-pkginstall"
    staged = plant(public / "staged", {"lib/new": b"2"})
    prefix = plant(public / "prefix", {"lib/old": b"1"})
    merge = [str(word) for word in (tool, "merge", "--prefix", prefix, staged)]

    def refusal() -> str:
        ended = other.run(merge)
        assert ended.returncode == 1
        assert ended.stderr.count("\n") == 1, ended.stderr
        return ended.stderr

    assert f"{prefix}: its staging area" in refusal()
    assert "Permission denied" in refusal()
    assert subprocess.run(merge, check=False).returncode == 0  # root: all of it is root's now
    assert "Permission denied" in refusal()
    for command in ("list", "verify", "log"):
        ended = other.run([str(tool), command, "--prefix", str(prefix)])
        assert ended.returncode == 0, ended.stderr
    (prefix / AREA / "journal").write_bytes(EVIL.to_bytes())
    (prefix / AREA / "journal").chmod(0o600)
    for path in (prefix, prefix / AREA, prefix / "var/lock"):
        other.own(path)
    said = refusal()
    assert "it belongs to user root; go on as that user or as root" in said
    assert tree(prefix, ignore=("var",)) == {"lib/old": b"1", "lib/new": b"2"}


def test_who_else_may_change_a_path_is_known(public: Path, other: SecondUser) -> None:
    path = plant(public, {"a/b/file": b""}) / "a" / "b" / "file"
    assert others_who_write(path) is None
    (public / "link").symlink_to(public / "a")
    assert others_who_write(public / "link" / "b" / "file") is None
    (public / "a").chmod(0o777)
    assert others_who_write(path) == f"everybody may write to {public / 'a'}"
    assert others_who_write(public / "link" / "b" / "file") is not None
    (public / "a").chmod(0o1777)
    assert others_who_write(path) is None
    os.chown(public / "a", 0, other.group)
    (public / "a").chmod(0o775)
    assert others_who_write(path) == f"the group of {public / 'a'} may write to it"
    (public / "a").chmod(0o755)
    other.own(public / "link")
    assert others_who_write(public / "link" / "b" / "file") is not None
    other.own(path)
    assert others_who_write(path) == f"{path} belongs to user nobody"
