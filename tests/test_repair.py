"""Repairing what was found, and giving up a journal that nothing can be done with."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall import Recovery, recover
from sage_pkginstall.engine import journal, transaction, workspace
from sage_pkginstall.engine.lock import TreeLock
from sage_pkginstall.engine.tree import Tree
from sage_pkginstall.engine.trust import open_trusted
from sage_pkginstall.operations.discard import discard
from tests.conftest import ROOT, START
from tests.overtaking import overtaken
from tests.trees import lose_a_staged_file, tree
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunCli

CLEAN = {
    "verify": "1 verified: every file there, every recorded hash right\n",
    "status": "nothing changed behind our back\n",
}
STATE = ("var/lock", "var/tmp")


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAGE_LOGS", str(tmp_path / "logs"))
    return tmp_path / "logs"


def site(venv: Path) -> Path:
    (found,) = (venv / "lib").glob("python3*/site-packages")
    return found


def content(venv: Path) -> dict[str, object]:
    """Everything but byte-code, in which the time of its source stands."""
    found = tree(venv, ignore=STATE)
    return {path: entry for path, entry in found.items() if not path.endswith(".pyc")}


# verify --fix


def test_fix_installs_again_what_was_damaged_by_hand(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    modules = {"foo/__init__.py": "", "foo/a.py": "a = 1", "foo/b.py": ""}
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "foo", "1", modules))
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "bar", "1"))
    before = content(venv)
    (site(venv) / "foo" / "a.py").write_text("a = 2")
    (site(venv) / "foo" / "b.py").unlink()
    ended = run_cli("verify", "--fix", "--prefix", venv)
    assert ended.stdout.startswith("installed again: foo 1\n2 verified")
    assert ended.stderr == ""
    assert content(venv) == before


@pytest.mark.parametrize("where", ["store", "option"])
def test_fix_takes_the_wheel_of_the_store_if_the_original_changed(
    venv: Path, tmp_path: Path, run_cli: RunCli, where: str
) -> None:
    wheel = make_wheel(tmp_path, "foo", "1", {"foo.py": "x = 1"})
    run_cli("install", "--prefix", venv, wheel)
    store = venv / "var/lib/sage/wheels" if where == "store" else tmp_path / "wheels"
    store.mkdir(parents=True)
    wheel.rename(store / wheel.name)
    make_wheel(tmp_path, "foo", "1", {"foo.py": "x = 'another'"})
    (site(venv) / "foo.py").unlink()
    options: list[str | Path] = ["--store", store] if where == "option" else []
    run_cli("verify", "--fix", "--prefix", venv, *options)
    assert (site(venv) / "foo.py").read_text() == "x = 1"
    assert not (site(venv) / "foo-1.dist-info/direct_url.json").exists()  # it came by its name


def test_fix_puts_no_copy_in_the_place_of_what_is_editable(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    wheel = make_wheel(tmp_path, "foo", "1", {"foo.pth": "/src"})
    env = {"SAGE_VENV": str(venv)}
    run_cli("pip-install", "--editable", tmp_path, wheel, env=env)
    (site(venv) / "foo.pth").write_text("damaged")
    before = content(venv)
    ended = run_cli("verify", "--fix", "--store", tmp_path, "--prefix", venv, status=1)
    told = "Warning: cannot repair foo 1: it is editable; install it again from its source"
    assert told in ended.stderr
    assert content(venv) == before


def test_fix_says_what_it_cannot_repair(venv: Path, tmp_path: Path, run_cli: RunCli) -> None:
    wheel = make_wheel(tmp_path, "foo", "1", {"foo.py": "x = 1"})
    run_cli("install", "--prefix", venv, wheel)
    wheel.unlink()
    (site(venv) / "foo.py").unlink()
    ended = run_cli("verify", "--fix", "--prefix", venv, status=1)
    assert "Warning: cannot repair foo 1: there is no wheel of it in " in ended.stderr
    assert "foo.py: missing (not there)" in ended.stdout


def test_fix_goes_on_with_the_next_one_when_the_machine_fails(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    for name in ("bar", "foo"):
        run_cli("install", "--prefix", venv, make_wheel(tmp_path, name, "1"))
        (site(venv) / f"{name}.py").write_text("damaged")
    full = {"SAGE_PKGINSTALL_FAIL": "ENOSPC@1"}
    ended = run_cli("verify", "--fix", "--prefix", venv, status=1, env=full)
    assert "Warning: cannot repair bar 1: No space left on device at '" in ended.stderr
    assert ended.stdout.startswith("installed again: foo 1\n")


def test_fix_does_not_pass_a_conflict_on_to_the_other_owner(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    for name in ("one", "two"):
        wheel = make_wheel(tmp_path, name, "1", {"shared.py": f"x = '{name}'"})
        run_cli("install", "--prefix", venv, wheel)
    before = content(venv)
    ended = run_cli("verify", "--fix", "--prefix", venv, status=1)
    assert "shared.py belongs to distribution two 1, too, with another content" in ended.stderr
    assert content(venv) == before


def test_fix_removes_debris_and_keeps_what_somebody_made(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "foo", "1"))
    before = content(venv)
    (site(venv) / "mine.txt").write_text("mine")
    for name in ("~oo/a.py", "~oo-1.dist-info/RECORD", "gone-2.dist-info/INSTALLER"):
        (site(venv) / name).parent.mkdir(exist_ok=True)
        (site(venv) / name).write_text("")
    (site(venv) / "__pycache__" / "nothing.cpython-311.pyc").write_bytes(b"")
    ended = run_cli("verify", "--fix", "--json", "--prefix", venv, status=1)
    base = site(venv).relative_to(venv).as_posix()
    document = json.loads(ended.stdout)
    assert document["repaired"]["removed"] == [
        f"{base}/__pycache__/nothing.cpython-311.pyc",
        f"{base}/gone-2.dist-info",
        f"{base}/gone-2.dist-info/INSTALLER",
        f"{base}/~oo-1.dist-info/RECORD",
        f"{base}/~oo/a.py",
    ]
    assert document["unowned"] == [f"{base}/mine.txt"]
    assert content(venv) == {**before, f"{base}/mine.txt": b"mine"}
    assert "remove debris" in run_cli("log", "--prefix", venv).stdout


def test_fix_removes_every_record_without_metadata(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    """Empty, of directories only, two of one name, or beside a version that is sound."""
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "foo", "2", {"foo.py": ""}))
    before = content(venv)
    for name in ("empty-1", "hollow-1", "twice-1", "twice-2", "foo-1"):
        (site(venv) / f"{name}.dist-info").mkdir()
    (site(venv) / "hollow-1.dist-info/licenses/old").mkdir(parents=True)
    for name in ("twice-1", "twice-2", "foo-1"):
        (site(venv) / f"{name}.dist-info/INSTALLER").write_text("pip")
    run_cli("verify", "--prefix", venv, status=1)
    ended = run_cli("verify", "--fix", "--prefix", venv)
    base = site(venv).relative_to(venv).as_posix()
    assert f"removed: {base}/empty-1.dist-info\n" in ended.stdout
    assert ended.stderr == ""
    assert content(venv) == before


def test_fix_installs_again_what_has_a_record_without_metadata_beside_it(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "foo", "2", {"foo.py": ""}))
    before = content(venv)
    (site(venv) / "foo.py").write_text("damaged")
    (site(venv) / "foo-1.dist-info").mkdir()
    assert "installed again: foo 2" in run_cli("verify", "--fix", "--prefix", venv).stdout
    assert content(venv) == before


@pytest.mark.parametrize("below", ["", "licenses/old"])
def test_empty_record_goes_with_its_name(
    venv: Path, tmp_path: Path, run_cli: RunCli, below: str
) -> None:
    ghost = site(venv) / "foo-1.dist-info"
    (ghost / below).mkdir(parents=True)
    run_cli("uninstall", "--prefix", venv, "foo")
    assert not ghost.exists()
    (ghost / below).mkdir(parents=True)
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "foo", "2"))
    assert not ghost.exists()
    assert run_cli("list", "--prefix", venv).stdout.split() == ["foo", "2"]


def test_fix_leaves_several_versions_of_one_distribution_to_the_user(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "foo", "2", {"foo.py": ""}))
    ghost = site(venv) / "foo-1.dist-info"
    ghost.mkdir()
    (ghost / "METADATA").write_text("Name: foo\nVersion: 1\n")
    ended = run_cli("verify", "--fix", "--prefix", venv, status=1)
    assert "cannot repair foo 1: several versions of it are installed" in ended.stderr
    assert ghost.exists()


def test_record_that_is_a_directory_is_a_finding_like_others(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "foo", "1"))
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "bar", "1"))
    before = content(venv)
    record = site(venv) / "foo-1.dist-info" / "RECORD"
    record.unlink()
    record.mkdir()
    (site(venv) / "bar.py").unlink()
    found = run_cli("verify", "--prefix", venv, status=1).stdout
    assert "foo-1.dist-info/RECORD: record (Is a directory)" in found
    assert "bar.py: missing" in found
    run_cli("verify", "--fix", "--prefix", venv)
    assert content(venv) == before


def test_fix_of_an_intact_prefix_does_nothing(venv: Path, tmp_path: Path, run_cli: RunCli) -> None:
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "foo", "1"))
    before = tree(venv)
    assert run_cli("verify", "--fix", "--prefix", venv).stdout.startswith("1 verified")
    assert tree(venv) == before


def test_fix_of_what_was_left_half_done_finishes_that_first(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    """It is no damage of the old version, which would come back."""
    one, two = (make_wheel(tmp_path, "foo", v, {"foo.py": v, "a.py": v}) for v in "12")
    for step in range(5, 60):
        run_cli("install", "--prefix", venv, one)
        dies = {"SAGE_PKGINSTALL_FAIL": f"kill@{step}"}
        run_cli("install", "--prefix", venv, two, status=-9, env=dies)
        if (site(venv) / "a.py").read_text() == "2":
            break
    seen = run_cli("verify", "--prefix", venv, status=1)
    began = "Warning: 'install foo 2' was begun by a process that died"
    assert f"{began}; 'sage-pkginstall recover' finishes it" in seen.stderr
    assert began in run_cli("status", "--prefix", venv).stderr
    fixed = run_cli("verify", "--fix", "--prefix", venv)
    assert fixed.stdout.startswith("1 verified")
    assert fixed.stderr == ""
    assert (site(venv) / "foo.py").read_text() == "2"
    assert list(site(venv).glob("foo-1.dist-info")) == []


def test_what_a_killed_doctor_tried_out_is_deleted_by_the_next_command(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    wheel = make_wheel(tmp_path, "foo", "1")
    run_cli("install", "--prefix", venv, wheel)
    before = sorted(venv.iterdir())
    dies = {"SAGE_PKGINSTALL_FAIL": "kill@1"}
    run_cli("doctor", "--prefix", venv, status=-9, env=dies)
    assert sorted(venv.iterdir()) == before
    run_cli("install", "--prefix", venv, wheel)
    assert list((venv / "var/tmp/sage").iterdir()) == []


def test_journal_that_no_command_can_carry_out_is_told(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    """What is there may be half old and half new, and nothing can be installed."""
    wheel = make_wheel(tmp_path, "foo", "1")
    run_cli("install", "--prefix", venv, wheel)
    journal = venv / "var/tmp/sage/journal"
    journal.write_text('{"format": 99}')
    told = f"Warning: cannot carry out journal {journal}: its format is 99, not 3"
    for command in (("verify",), ("verify", "--fix"), ("status",), ("install", "--dry-run", wheel)):
        assert told in run_cli(*command, "--prefix", venv).stderr
    with Tree(venv).lock_path.open("r+b") as lock:  # another version is at work
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run_cli("verify", "--prefix", venv).stderr == ""


@pytest.mark.parametrize("command", ["verify", "status"])
def test_damage_that_comes_while_it_is_looked_at_is_told_beside_what_was_there(
    venv: Path, tmp_path: Path, run_cli: RunCli, command: str
) -> None:
    """The other distribution was looked at before; it is found the second time."""
    for name in ("a", "foo"):
        wheel = make_wheel(tmp_path, name, "1", {f"{name}.py": "x = 1"})
        run_cli("install", "--prefix", venv, wheel)
    (site(venv) / "mine.txt").write_text("mine")
    wheel = make_wheel(tmp_path, "b", "1", {"a.py": "x = 'other'"})
    ended = overtaken([command, "--prefix", venv], ["install", "--prefix", venv, wheel])
    assert "mine.txt" in ended.stdout
    assert "a.py" in ended.stdout


@pytest.mark.parametrize("command", ["verify", "status"])
def test_upgrade_while_it_is_looked_at_is_no_damage(
    venv: Path, tmp_path: Path, run_cli: RunCli, command: str
) -> None:
    """The upgrade comes between listing what is installed and reading its records."""
    one, two = (make_wheel(tmp_path, "foo", v, {"foo.py": f"x = {v}"}) for v in "12")
    run_cli("install", "--prefix", venv, one)
    ended = overtaken([command, "--prefix", venv], ["install", "--prefix", venv, two])
    assert (site(venv) / "foo.py").read_text() == "x = 2"
    assert ended.stderr == ""
    assert ended.stdout == CLEAN[command]
    assert ended.returncode == 0


@pytest.mark.parametrize("other", ["uninstall", "upgrade"])
def test_fix_leaves_what_others_have_changed_since_it_looked(
    venv: Path, tmp_path: Path, run_cli: RunCli, other: str
) -> None:
    """Neither does it bring back what they uninstalled, nor an older version."""
    one, two = (make_wheel(tmp_path, "foo", v, {"foo.py": f"x = {v}"}) for v in "12")
    run_cli("install", "--prefix", venv, one)
    (site(venv) / "foo.py").write_text("damaged")
    at: list[str | Path] = ["--prefix", venv]
    words = ["uninstall", *at, "foo"] if other == "uninstall" else ["install", *at, two]
    ended = overtaken(["verify", "--fix", *at], words, one.name)
    told = "cannot repair foo 1: another command has changed it meanwhile; verify it again"
    assert told in ended.stderr
    assert ended.returncode == 0, ended.stdout
    there = {path.name for path in site(venv).glob("foo*")}
    assert there == ({"foo.py", "foo-2.dist-info"} if other == "upgrade" else set())


def test_recover_tells_what_it_did_and_not_what_others_did(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    kill_in_a_transaction(venv, tmp_path, run_cli)
    tree_of = Tree(venv)
    words = [sys.executable, "-I", "-c", START, str(ROOT), "recover", "--prefix", str(venv)]
    pipe = subprocess.PIPE
    with ExitStack() as stack:
        stack.enter_context(TreeLock(tree_of.lock_path, "test", tree_of.settings.lock).hold())
        waiting = subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True)
        assert waiting.stderr is not None
        assert "waiting for the lock" in waiting.stderr.readline()
        assert transaction.recover(venv, tree_of.journal, durable=False) is not None
    assert waiting.communicate()[0] == "there was nothing to recover\n"


# recover --discard


def kill_in_a_transaction(venv: Path, tmp_path: Path, run_cli: RunCli) -> str:
    """Leave a journal; return the label of its transaction."""
    for n in range(1, 60):
        wheel = make_wheel(tmp_path, "foo", str(n), {"foo.py": "", "bar.py": ""})
        dies = {"SAGE_PKGINSTALL_FAIL": f"kill@{n}"}
        run_cli("install", "--prefix", venv, wheel, status=-9, env=dies)
        if (venv / "var/tmp/sage/journal").exists():
            return f"install foo {n}"
    raise AssertionError("no journal")


@pytest.mark.parametrize("option", [(), ("--discard",)])
def test_what_cannot_be_finished_is_said_to_be_undone(
    venv: Path, tmp_path: Path, run_cli: RunCli, option: tuple[str, ...]
) -> None:
    before = tree(venv)
    label = kill_in_a_transaction(venv, tmp_path, run_cli)
    lose_a_staged_file(venv)
    ended = run_cli("recover", *option, "--json", "--prefix", venv)
    told = json.loads(ended.stdout)
    assert (told["recovered"], told["undone"]) == (label, True)
    assert run_cli("list", "--prefix", venv).stdout == ""
    left = {path for path in tree(venv) if not path.startswith("var/")}
    assert left == set(before)


def test_api_tells_what_was_recovered(venv: Path, tmp_path: Path, run_cli: RunCli) -> None:
    label = kill_in_a_transaction(venv, tmp_path, run_cli)
    assert recover(venv) == Recovery(label, undone=False)
    assert recover(venv) is None


def test_discard_of_a_sound_journal_carries_it_out(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    label = kill_in_a_transaction(venv, tmp_path, run_cli)
    ended = run_cli("recover", "--discard", "--prefix", venv)
    assert ended.stdout == f"recovered: {label}\n"
    assert set(tree(venv / "var/tmp/sage")) == set()
    run_cli("verify", "--prefix", venv)


def test_discard_moves_a_damaged_journal_aside_with_all_it_is_about(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    kill_in_a_transaction(venv, tmp_path, run_cli)
    area = venv / "var/tmp/sage"
    (area / "journal").write_bytes(b"{damaged")
    other = make_wheel(tmp_path, "other", "1")
    refused = run_cli("install", "--prefix", venv, other, status=1)
    assert "it is damaged" in refused.stderr
    assert "recover --help" in refused.stderr
    assert "--discard" in run_cli("recover", "--help").stdout
    ended = run_cli("recover", "--discard", "--prefix", venv)
    assert "Warning: the journal was given up: it is damaged" in ended.stderr
    assert "may be half old and half new" in ended.stderr
    (place,) = area.iterdir()
    assert ended.stdout == f"moved to {place}; delete that when all is well\n"
    assert {path.name.partition("-")[0] for path in place.iterdir()} == {"T", "journal"}
    run_cli("install", "--prefix", venv, other)
    assert place.exists()
    assert "  discard the journal: it is damaged" in run_cli("log", "--prefix", venv).stdout


def test_discard_lets_the_owner_of_a_workspace_end_meanwhile(
    venv: Path, tmp_path: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_in_a_transaction(venv, tmp_path, run_cli)
    area = venv / "var/tmp/sage"
    (area / "journal").write_bytes(b"{damaged")
    (area / "T-1-00000000.lock").touch()

    def opened(path: Path, flags: int, prefix: Path) -> int:
        descriptor = open_trusted(path, flags, prefix)
        if path.name == "T-1-00000000.lock":
            path.unlink()
        return descriptor

    monkeypatch.setattr(workspace, "open_trusted", opened)
    place = discard(Tree(venv)).place
    assert place is not None
    assert (place / "journal").exists()


def test_discard_moves_a_journal_aside_that_the_disk_does_not_give_back(
    venv: Path, tmp_path: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_in_a_transaction(venv, tmp_path, run_cli)

    def unreadable(path: Path, _flags: int, prefix: Path) -> int:
        return open_trusted(path, os.O_WRONLY, prefix)  # so that reading fails, not opening

    monkeypatch.setattr(journal, "open_trusted", unreadable)
    done = discard(Tree(venv))
    assert done.reason == "Bad file descriptor"
    assert done.place is not None
    assert (done.place / "journal").exists()


def test_discard_twice_at_one_time_keeps_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    area = tmp_path / "var/tmp/sage"
    area.mkdir(parents=True)
    monkeypatch.setattr(time, "strftime", lambda _format: "discarded-then")
    for text in ("{one", "{two", "{three"):
        (area / "journal").write_text(text)
        discard(Tree(tmp_path))
    assert tree(area) == {
        "discarded-then/journal": b"{one",
        "discarded-then-2/journal": b"{two",
        "discarded-then-3/journal": b"{three",
    }


def test_discard_without_a_journal_does_nothing(venv: Path, run_cli: RunCli) -> None:
    ended = run_cli("recover", "--discard", "--json", "--prefix", venv)
    document = {"schema": 1, "recovered": None, "undone": False, "discarded": None, "reason": None}
    assert json.loads(ended.stdout) == document


def test_recovery_is_logged(venv: Path, tmp_path: Path, run_cli: RunCli) -> None:
    label = kill_in_a_transaction(venv, tmp_path, run_cli)
    run_cli("recover", "--prefix", venv)
    assert run_cli("log", "--prefix", venv).stdout.endswith(f"(recovered before: {label})\n")


def test_discard_moves_what_the_journal_names_while_another_looks_at_it(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    """Who collects debris takes its lock; the next one would delete what the prefix had."""
    kill_in_a_transaction(venv, tmp_path, run_cli)
    area = venv / "var/tmp/sage"
    workspace = area / json.loads((area / "journal").read_bytes())["workspace"]
    (workspace / "precious").write_text("old")
    with (area / f"{workspace.name}.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        always = {"SAGE_PKGINSTALL_FAIL": "EIO@1+"}  # all but what is done for this
        run_cli("recover", "--discard", "--prefix", venv, env=always)
    (place,) = area.iterdir()
    assert (place / workspace.name / "precious").read_text() == "old"
