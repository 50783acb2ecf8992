"""The old state or the new one: after every kill and every fault, at every step."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.engine import files, transaction
from sage_pkginstall.engine.holder import record_holder
from sage_pkginstall.engine.plan import Plan, PlanRequest
from sage_pkginstall.engine.planner import make_plan
from sage_pkginstall.engine.signals import signals_deferred
from sage_pkginstall.engine.tree import Committed, Prepared, Tree, TreeSettings
from sage_pkginstall.errors import JournalError, LockError, TransactionError
from tests import engine_tree
from tests.engine_tree import NEW, OLD, OTHERS, STATE, commit, write
from tests.trees import EMPTY, Entry, modes, tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sage_pkginstall.engine.workspace import Workspace

BEFORE: dict[str, Entry] = {**OLD, **OTHERS}
AFTER: dict[str, Entry] = {**NEW, **OTHERS}
FEW_PATHS = {"SAGE_PKGINSTALL_RENAMEAT2": "0"}
MOST_STEPS = 200
NOW = 1_700_000_000
LATER = 4_000_000_000
SLOT_ROW = '["remove", "lib/foo", "PATH", 0, 0, 0, 0]'


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    return fresh(tmp_path / "prefix")


def fresh(prefix: Path) -> Path:
    """Make a prefix whose last holder of the lock died.

    So every run plans twice, and makes the same steps; else that would be a matter of time.
    """
    write(prefix, {**OLD, **OTHERS})
    lock = prefix / "var" / "lock" / "pip3.lock"
    lock.parent.mkdir(parents=True)
    record_holder(lock, "killed")
    return prefix


def run(
    action: str, prefix: Path, settings: dict[str, str], *listed: str
) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).resolve().parent.parent
    return subprocess.run(
        [sys.executable, "-S", "-m", "tests.engine_tree", action, str(prefix), *listed],
        env={**os.environ, **settings},
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )


def contents(prefix: Path) -> dict[str, Entry]:
    return tree(prefix, ignore=STATE)


def assert_no_debris(prefix: Path) -> None:
    assert list((prefix / "var" / "tmp" / "sage").iterdir()) == []


def test_upgrade_replaces_exactly_what_was_recorded(prefix: Path) -> None:
    commit(Tree(prefix), NEW, engine_tree.request())
    assert contents(prefix) == AFTER
    assert_no_debris(prefix)


def test_upgrade_without_renameat2_does_the_same(prefix: Path) -> None:
    assert run("upgrade", prefix, FEW_PATHS).returncode == 0
    assert contents(prefix) == AFTER
    assert_no_debris(prefix)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, FEW_PATHS], ids=["renameat2", "rename"])
def test_killed_at_any_step_recovers_to_old_or_new(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    states = []
    for step in range(1, MOST_STEPS):
        prefix = fresh(tmp_path / str(step))
        ended = run("upgrade", prefix, {**settings, "SAGE_PKGINSTALL_FAIL": f"kill@{step}"})
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL
        assert run("recover", prefix, settings).returncode == 0
        assert contents(prefix) in (BEFORE, AFTER), f"step {step}"
        assert_no_debris(prefix)
        states.append(contents(prefix) == AFTER)
    assert states == sorted(states)  # one commit point: old before it, new after it
    assert {True, False} <= set(states)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, FEW_PATHS], ids=["renameat2", "rename"])
def test_killed_again_at_any_step_of_recovery(tmp_path: Path, settings: dict[str, str]) -> None:
    for step in range(1, MOST_STEPS, 3):
        prefix = fresh(tmp_path / str(step))
        first = run("upgrade", prefix, {**settings, "SAGE_PKGINSTALL_FAIL": f"kill@{step}"})
        if first.returncode == 0:
            break
        for kills in itertools.count(1):
            again = {**settings, "SAGE_PKGINSTALL_FAIL": f"kill@{kills}"}
            if run("recover", prefix, again).returncode == 0:
                break
        assert contents(prefix) in (BEFORE, AFTER), f"step {step}"
        assert_no_debris(prefix)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, FEW_PATHS], ids=["renameat2", "rename"])
@pytest.mark.parametrize("error", ["ENOSPC", "EACCES"])
def test_failing_at_any_step_leaves_the_old_state(
    tmp_path: Path, settings: dict[str, str], error: str
) -> None:
    for step in range(1, MOST_STEPS):
        prefix = fresh(tmp_path / str(step))
        ended = run("upgrade", prefix, {**settings, "SAGE_PKGINSTALL_FAIL": f"{error}@{step}"})
        if ended.returncode == 0:
            break
        assert contents(prefix) == BEFORE, f"step {step}: {ended.stderr}"
        assert_no_debris(prefix)
        assert run("upgrade", prefix, settings).returncode == 0
        assert contents(prefix) == AFTER
    else:
        pytest.fail("no run came to its end")
    assert contents(prefix) == AFTER


def copied_at_once(prefix: Path, copy: Path) -> None:
    subprocess.run(["cp", "-a", str(prefix), str(copy)], check=True)


def copied_in_whole_seconds(prefix: Path, copy: Path) -> None:
    """As tar and image layers do it."""
    shutil.copytree(prefix, copy, symlinks=True)
    for path in (copy, *copy.rglob("*")):
        status = path.lstat()
        os.utime(path, (status.st_atime, int(status.st_mtime)), follow_symlinks=False)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, FEW_PATHS], ids=["renameat2", "rename"])
@pytest.mark.parametrize("copy", [copied_at_once, copied_in_whole_seconds])
def test_copy_of_a_prefix_that_was_left_half_done_recovers_to_old_or_new(
    tmp_path: Path, settings: dict[str, str], copy: Callable[[Path, Path], None]
) -> None:
    """Its inodes are others than those that the journal names."""
    states = []
    for step in range(1, MOST_STEPS):
        prefix, other = fresh(tmp_path / str(step)), tmp_path / f"copy-{step}"
        for path in prefix.rglob("*"):
            os.utime(path, (NOW, NOW))
        ended = run("upgrade", prefix, {**settings, "SAGE_PKGINSTALL_FAIL": f"kill@{step}"})
        if ended.returncode == 0:
            break
        copy(prefix, other)
        recovered = run("recover", other, settings)
        assert recovered.returncode == 0, recovered.stderr
        assert contents(other) in (BEFORE, AFTER), f"step {step}"
        assert_no_debris(other)
        states.append(contents(other) == AFTER)
    assert states == sorted(states)
    assert {True, False} <= set(states)


def test_swap_within_a_second_is_told_in_a_copy_that_keeps_seconds(tmp_path: Path) -> None:
    """What is new never has the second of what it replaces."""
    states = []
    for step in range(1, MOST_STEPS):
        prefix, other = tmp_path / str(step), tmp_path / f"copy-{step}"
        write(prefix, {"lib/data": b"1", "lib/keep": b"k"})
        os.utime(prefix / "lib/data", (LATER, LATER))
        settings = {"SAGE_PKGINSTALL_FAIL": f"kill@{step}"}
        if run("replace", prefix, settings, "lib/data", str(LATER)).returncode == 0:
            break
        copied_in_whole_seconds(prefix, other)
        assert run("recover", other, {}).returncode == 0
        states.append(contents(other)["lib/data"] == b"new")
    assert states == sorted(states)
    assert {True, False} <= set(states)


def test_copy_without_times_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    prefix, other = fresh(tmp_path / "prefix"), tmp_path / "copy"
    for step in range(1, MOST_STEPS):
        run("upgrade", prefix, {"SAGE_PKGINSTALL_FAIL": f"kill@{step}"})
        if contents(prefix)["lib/foo/__init__.py"] == b"new":
            break
    subprocess.run(["cp", "-r", str(prefix), str(other)], check=True)
    for path in (other, *other.rglob("*")):  # in the second of the kill, it could be told
        os.utime(path, (NOW, NOW), follow_symlinks=False)
    before = tree(other, ignore=("var/lock",))
    with pytest.raises(JournalError, match=r"is a copy, .*, or got other owners or modes"):
        Tree(other).recover()
    assert tree(other, ignore=("var/lock",)) == before
    Tree(prefix).recover()
    assert contents(prefix) == AFTER


def test_copy_leaves_the_directories_of_the_original_alone(tmp_path: Path, elsewhere: Path) -> None:
    """On another file system, where the copy has its links lead as well."""
    prefix = linked(tmp_path / "deep" / "prefix", elsewhere / "lib")
    with Tree(prefix).workspace() as workspace:
        volume = workspace.volume_of(prefix / "lib")
        shutil.copytree(tmp_path / "deep" / "prefix", tmp_path / "copy", symlinks=True)
        assert Tree(tmp_path / "copy").area.collect() == (workspace.name,)
        assert volume.is_dir()
    assert not volume.exists()


@contextlib.contextmanager
def no_file_may_grow() -> Iterator[None]:
    """As on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_error_of_writing_names_the_file(prefix: Path) -> None:
    """The journal's draft, or what says who holds the lock."""
    area, lock = prefix / "var/tmp/sage", prefix / "var/lock/pip3.lock"
    removal = PlanRequest(replaced=frozenset({"bin/old"}))
    with no_file_may_grow(), pytest.raises(TransactionError, match=rf"{area}/T-.*/journal'"):
        commit(Tree(prefix), {}, removal)
    with no_file_may_grow(), pytest.raises(LockError, match=f"{lock}.holder: File too large"):
        Tree(prefix).recover()
    assert contents(prefix) == BEFORE


def test_interrupt_waits_for_applying_though_another_thread_gets_it() -> None:
    over = threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    done: list[str] = []

    def apply() -> None:
        with signals_deferred():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
            done.append("applied")
        done.append("went on")

    try:
        with pytest.raises(KeyboardInterrupt):
            apply()
    finally:
        over.set()
        other.join()
    assert done == ["applied"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interrupt_does_not_hide_another_signal_that_came_meanwhile() -> None:
    over = threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    came: list[int] = []
    former = signal.signal(signal.SIGTERM, lambda number, _frame: came.append(number))

    def apply() -> None:
        with signals_deferred():
            for number in (signal.SIGINT, signal.SIGTERM):
                os.kill(os.getpid(), number)
                time.sleep(0.05)
            assert came == []

    try:
        with pytest.raises(KeyboardInterrupt):
            apply()
        assert came == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, former)
        over.set()
        other.join()


def test_locks_are_had_where_only_who_may_write_gets_exclusive_ones(
    prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on NFS: the lock of the tree, and those of workspaces, also of a dead process."""
    run("upgrade", prefix, {"SAGE_PKGINSTALL_FAIL": "kill@2"})
    assert list((prefix / "var" / "tmp" / "sage").iterdir()) != []
    flock = fcntl.flock

    def as_on_nfs(descriptor: int, operation: int) -> None:
        access = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
        if operation & fcntl.LOCK_EX and access == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", as_on_nfs)
    commit(Tree(prefix), NEW, engine_tree.request())
    assert contents(prefix) == AFTER
    assert_no_debris(prefix)


def test_plan_is_made_anew_after_the_first_holder_of_all_has_died(prefix: Path) -> None:
    (prefix / "var" / "lock" / "pip3.lock.holder").unlink()
    calls: list[frozenset[str] | None] = []

    def prepare(changed: frozenset[str] | None) -> Prepared:
        for n in itertools.count(1) if not calls else ():
            run("upgrade", prefix, {"SAGE_PKGINSTALL_FAIL": f"kill@{n}"})
            if (prefix / "var" / "tmp" / "sage" / "journal").exists():
                break
        calls.append(changed)
        return Prepared(Plan(()))  # which rests on no directory that could tell

    other = Tree(prefix)
    with other.workspace() as workspace:
        other.commit(workspace, "foo", prepare)
    assert calls == [None, None]
    assert contents(prefix) == AFTER


def test_persistent_fault_keeps_the_journal_and_the_next_command_undoes(prefix: Path) -> None:
    ended = run("upgrade", prefix, {"SAGE_PKGINSTALL_FAIL": "EIO@8+"})
    assert "JournalError" in ended.stderr
    assert run("recover", prefix, {}).returncode == 0
    assert contents(prefix) in (BEFORE, AFTER)
    assert_no_debris(prefix)


def test_what_was_said_to_be_done_is_not_undone_for_a_journal_that_stays(
    prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk failed when the journal was to be removed, and does so again."""
    engine = Tree(prefix)

    def unlink(path: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    with monkeypatch.context() as failing:
        failing.setattr(files, "unlink", unlink)
        done = commit(engine, NEW, engine_tree.request())
        assert done.warning is not None
        assert done.warning.startswith("everything is installed")
        with pytest.raises(JournalError, match="Input/output error"):
            engine.recover()
    assert contents(prefix) == AFTER
    assert engine.recover() == transaction.Recovery("foo", undone=False)
    assert contents(prefix) == AFTER
    assert_no_debris(prefix)


def killed_at_the_commit_point(directory: Path, settings: dict[str, str]) -> Path:
    for step in range(1, MOST_STEPS):
        prefix = fresh(directory / str(step))
        run("upgrade", prefix, {**settings, "SAGE_PKGINSTALL_FAIL": f"kill@{step}"})
        if (prefix / "var/tmp/sage/journal").exists():
            return prefix
    pytest.fail("no kill left a journal")


@pytest.mark.parametrize("settings", [{}, FEW_PATHS], ids=["renameat2", "rename"])
@pytest.mark.parametrize("which", [0, -1])
def test_swap_is_undone_whose_staged_entry_is_gone(
    tmp_path: Path, settings: dict[str, str], which: int
) -> None:
    """What was there before lies at its path still."""
    prefix = killed_at_the_commit_point(tmp_path, settings)
    operations = json.loads((prefix / "var/tmp/sage/journal").read_bytes())["operations"]
    slots = [prefix / slot for kind, _, slot, *_ in operations if kind == "swap"]
    slots[which].rename(tmp_path / "lost")
    recovered = run("recover", prefix, settings)
    assert recovered.returncode == 0, recovered.stderr
    assert contents(prefix) == BEFORE
    assert_no_debris(prefix)


def test_journal_of_what_can_not_even_be_undone_is_named_as_it_lies_there(tmp_path: Path) -> None:
    prefix = killed_at_the_commit_point(tmp_path, {})
    area = prefix / "var/tmp/sage"
    operations = json.loads((area / "journal").read_bytes())["operations"]
    (slot,) = (slot for kind, path, slot, *_ in operations if (kind, path) == ("swap", "lib/foo"))
    for both in (slot, "lib/foo"):
        files.delete_tree(prefix / both)
    for _ in range(2):
        with pytest.raises(JournalError) as caught:
            Tree(prefix).recover()
        assert caught.value.journal == area / "undo"
        assert caught.value.journal.exists()


def test_byte_code_that_python_made_anew_after_the_kill_goes_with_its_source(
    tmp_path: Path,
) -> None:
    listed, prefix = ("lib/a.py", "lib/__pycache__/a.x.pyc"), tmp_path
    for step in range(1, MOST_STEPS):
        prefix = tmp_path / str(step)
        write(prefix, {**dict.fromkeys(listed, b"old"), "lib/__pycache__/b.x.pyc": b"others"})
        run("remove", prefix, {"SAGE_PKGINSTALL_FAIL": f"kill@{step}"}, *listed)
        if (prefix / "var/tmp/sage/journal").exists():
            break
    (prefix / listed[1]).rename(tmp_path / "old")  # its inode shall not be given to another
    write(prefix, {listed[1]: b"made by python"})
    recovered = run("recover", prefix, {})
    assert recovered.returncode == 0, recovered.stderr
    assert contents(prefix) == {"lib/__pycache__/b.x.pyc": b"others"}


@pytest.mark.parametrize("path", ["bin/old", "lib/gone", "lib/ns/gone.py"])
@pytest.mark.parametrize("settings", [{}, FEW_PATHS], ids=["renameat2", "rename"])
def test_what_was_replaced_after_the_kill_is_not_removed(
    tmp_path: Path, settings: dict[str, str], path: str
) -> None:
    """By pip, to mend what the kill broke: that is nothing which the transaction knew of."""
    prefix = killed_at_the_commit_point(tmp_path, settings)
    mine = f"{path}/mine" if path == "lib/gone" else path
    if mine != path:
        (prefix / path).rename(tmp_path / "old")  # its inode shall not be given to another
    write(prefix, {mine: b"replaced"})  # a file keeps it
    recovered = run("recover", prefix, settings)
    assert recovered.returncode == 0, recovered.stderr
    assert contents(prefix) == {**AFTER, mine: b"replaced"}
    assert_no_debris(prefix)


@pytest.mark.parametrize(
    ("settings", "step"), [({}, 17), (FEW_PATHS, 31)], ids=["renameat2", "rename"]
)
@pytest.mark.parametrize("undoing", [False, True])
def test_what_was_replaced_after_the_kill_stays(
    tmp_path: Path, settings: dict[str, str], step: int, *, undoing: bool
) -> None:
    """By pip, to mend what the kill broke, or by an editor: its inode is that of no journal."""
    prefix = killed_at_the_commit_point(tmp_path, settings)
    killed = run("recover", prefix, {**settings, "SAGE_PKGINSTALL_FAIL": f"kill@{step}"})
    assert killed.returncode == -signal.SIGKILL
    assert (prefix / "type" / "k").exists()  # the last swap is done
    for path in ("bin/foo", "share"):
        (prefix / path).rename(tmp_path / path.replace("/", "-"))  # its inode is not given again
    assert not (prefix / "bin/old").exists()
    replaced = dict.fromkeys(("bin/foo", "bin/old", "share/doc/a"), b"replaced")
    write(prefix, replaced)
    if undoing:
        area = prefix / "var/tmp/sage"
        (area / "journal").rename(area / "undo")
    recovered = run("recover", prefix, settings)
    assert recovered.returncode == 0, recovered.stderr
    assert contents(prefix) == {**(BEFORE if undoing else AFTER), **replaced}
    assert_no_debris(prefix)


@pytest.mark.parametrize("path", ["bin/foo", "lib/foo/b.py"])
def test_what_was_written_after_the_kill_stays_though_it_has_the_inode_of_what_came(
    tmp_path: Path, path: str
) -> None:
    """A file system gives that to the next file if the one that came was deleted."""
    prefix = killed_at_the_commit_point(tmp_path, FEW_PATHS)
    killed = run("recover", prefix, {**FEW_PATHS, "SAGE_PKGINSTALL_FAIL": "kill@31"})
    assert killed.returncode == -signal.SIGKILL
    write(prefix, {path: b"written by an editor"})
    area = prefix / "var/tmp/sage"
    (area / "journal").rename(area / "undo")
    recovered = run("recover", prefix, FEW_PATHS)
    assert recovered.returncode == 0, recovered.stderr
    assert contents(prefix) == {**BEFORE, path: b"written by an editor"}
    assert_no_debris(prefix)


@pytest.mark.parametrize("undoing", [False, True])
def test_what_was_put_where_nothing_was_between_two_renames_stays(
    tmp_path: Path, *, undoing: bool
) -> None:
    """A file is replaced by a directory, without an exchange: the kill leaves a gap."""
    prefix = tmp_path
    for step in range(1, MOST_STEPS):
        prefix = fresh(tmp_path / str(step))
        run("upgrade", prefix, {**FEW_PATHS, "SAGE_PKGINSTALL_FAIL": f"kill@{step}"})
        if not (prefix / "type").exists():
            break
    area = prefix / "var/tmp/sage"
    if undoing:
        (area / "journal").rename(area / "undo")
    write(prefix, {"type": b"mine"})
    recovered = run("recover", prefix, FEW_PATHS)
    assert recovered.returncode == 0, recovered.stderr
    others = BEFORE if undoing else {k: v for k, v in AFTER.items() if k != "type/k"}
    assert contents(prefix) == {**others, "type": b"mine"}
    assert_no_debris(prefix)


@pytest.mark.parametrize(
    ("settings", "step"), [({}, 17), (FEW_PATHS, 31)], ids=["renameat2", "rename"]
)
@pytest.mark.parametrize("path", ["lib/foo", "lib/ns/x.py", "type"])
def test_what_was_removed_after_the_kill_is_brought_back_by_undoing(
    tmp_path: Path, settings: dict[str, str], step: int, path: str
) -> None:
    """Who finds an install broken off may remove the package, and then recover."""
    prefix = killed_at_the_commit_point(tmp_path, settings)
    killed = run("recover", prefix, {**settings, "SAGE_PKGINSTALL_FAIL": f"kill@{step}"})
    assert killed.returncode == -signal.SIGKILL
    assert (prefix / "type" / "k").exists()  # the last swap is done
    files.delete_tree(prefix / path)
    recovered = run("recover", prefix, settings)
    assert recovered.returncode == 0, recovered.stderr
    cache = "lib/foo/__pycache__"  # without an exchange, that was no part of the transaction
    assert tree(prefix, ignore=(*STATE, cache)) == {
        name: entry for name, entry in BEFORE.items() if not name.startswith(cache)
    }
    assert_no_debris(prefix)


def test_damaged_journal_is_reported_and_nothing_touched(prefix: Path) -> None:
    area = prefix / "var" / "tmp" / "sage"
    write(area, {"journal": b"{not json"})
    with pytest.raises(JournalError, match="damaged"):
        Tree(prefix, TreeSettings(durable=False)).recover()
    assert contents(prefix) == BEFORE


@pytest.mark.parametrize(
    ("workspace", "row"),
    [
        ("T-1-00000000", '["place", "\\u0000", "", 0, 0, 0, 0]'),
        ("T-1-00000000", '["prune", "lib/\\ud800", "", 0, 0, 0, 0]'),
        ("T-1-00000000", '["swap", "lib/a", "x", Infinity, 0, 0, 0]'),
        ("", '["remove", "lib/a", "/./etc", 0, 0, 0, 0]'),
        ("../../x", '["remove", "lib/a", "x", 0, 0, 0, 0]'),
    ],
)
def test_journal_of_what_cannot_be_is_damaged(prefix: Path, workspace: str, row: str) -> None:
    write(prefix / "var" / "tmp" / "sage", {"journal": journal_of(workspace, row)})
    with pytest.raises(JournalError, match="damaged"):
        Tree(prefix, TreeSettings(durable=False)).recover()
    assert contents(prefix) == BEFORE


def test_journal_of_another_format_is_quoted_in_one_line(prefix: Path) -> None:
    write(prefix / "var" / "tmp" / "sage", {"journal": b'{"format": "4\\u001b[2J\\n"}'})
    with pytest.raises(JournalError, match=r"its format is '4\\x1b\[2J\\n', not 3"):
        Tree(prefix, TreeSettings(durable=False)).recover()


def test_directory_that_is_staged_empty_stays_when_its_old_files_go(tmp_path: Path) -> None:
    tree_of_prefix = Tree(tmp_path)
    write(tmp_path, {"share/cache/a": b"a", "share/other": b"other"})
    with tree_of_prefix.workspace() as workspace:
        (workspace.tree / "share" / "cache").mkdir(parents=True)
        wanted = PlanRequest(replaced=frozenset({"share/cache/a"}))
        engine_tree.commit_staged(tree_of_prefix, workspace, wanted, exchange=True)
    assert contents(tmp_path) == {"share/cache": EMPTY, "share/other": b"other"}


def test_undoing_that_was_killed_before_a_directory_had_its_mode(tmp_path: Path) -> None:
    """Of mkdir and chmod the second is done again, too."""
    (tmp_path / "lib" / "e").mkdir(parents=True)
    undo = journal_of("T-1-00000000", f'["prune", "lib/e", "", 0, {0o2775}, 0, 0]')
    write(tmp_path / "var" / "tmp" / "sage", {"undo": undo})
    Tree(tmp_path).recover()
    assert modes(tmp_path, ignore=STATE)["lib/e"] == 0o2775
    assert_no_debris(tmp_path)


def journal_of(workspace: str, row: str) -> bytes:
    head = f'"format": 3, "label": "x", "workspace": "{workspace}", "identity": [0, 0]'
    return f'{{{head}, "operations": [{row}]}}'.encode()


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A directory on another file system."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == Path(tempfile.gettempdir()).stat().st_dev:
        pytest.skip("there is one file system only")
    with tempfile.TemporaryDirectory(dir=shared) as directory:
        yield Path(directory)


def linked(prefix: Path, lib: Path) -> Path:
    """A fresh prefix whose ``lib`` is elsewhere; it is named by a link of another depth."""
    lib.mkdir()
    prefix.mkdir(parents=True)
    (prefix / "lib").symlink_to(lib)
    link = prefix.parent.parent / "link"
    link.symlink_to(fresh(prefix))
    return link


@pytest.mark.slow
def test_killed_with_a_directory_on_another_file_system(tmp_path: Path, elsewhere: Path) -> None:
    def state() -> tuple[dict[str, Entry], dict[str, Entry]]:
        return tree(lib), tree(prefix, ignore=(*STATE, "lib"))

    states: list[tuple[dict[str, Entry], dict[str, Entry]]] = []
    for step in range(1, MOST_STEPS):
        lib = elsewhere / str(step)
        prefix = linked(tmp_path / str(step) / "deep" / "prefix", lib)
        states[:1] = states[:1] or [state()]
        ended = run("upgrade", prefix, {"SAGE_PKGINSTALL_FAIL": f"kill@{step}"})
        if ended.returncode != 0:
            assert ended.returncode == -signal.SIGKILL, ended.stderr
            recovered = run("recover", prefix, {})
            assert recovered.returncode == 0, recovered.stderr
        assert_no_debris(prefix)
        states.append(state())
        if ended.returncode == 0:
            break
    before, after = states[0], states[-1]
    commit_point = states.index(after)
    assert states == [before] * commit_point + [after] * (len(states) - commit_point)
    assert 1 < commit_point < len(states) - 1
    assert sorted(elsewhere.parent.glob(".T-*")) == []


def test_directory_is_not_exchanged_where_another_file_system_cannot(
    tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be absent between two renames, with all that is in it."""
    prefix = linked(tmp_path / "deep" / "prefix", elsewhere / "lib")
    rename = files._renamer()
    if rename is None:
        pytest.skip("no file system exchanges entries here")
    there = os.fsencode(elsewhere.parent) + b"/"

    def cannot_there(old: bytes, new: bytes, flags: int) -> int:
        return errno.EINVAL if there in old + new else rename(old, new, flags)

    monkeypatch.setattr(files, "_rename_with_flags", cannot_there)
    done = commit(Tree(prefix), NEW, engine_tree.request())
    swapped = {one.path for one in done.plan.operations if one.kind == "swap"}
    assert "lib/foo" not in swapped
    assert {"lib/foo/__init__.py", "lib/ns/x.py", "type"} <= swapped
    assert {f"lib/{path}": data for path, data in tree(elsewhere / "lib").items()} == {
        path: data for path, data in AFTER.items() if path.startswith("lib/")
    }


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/../../b"])
@pytest.mark.parametrize("row", ['["remove", "PATH", "var/tmp/sage/x", 0, 0, 0, 0]', SLOT_ROW])
def test_journal_that_leaves_the_prefix_is_refused(prefix: Path, path: str, row: str) -> None:
    area = prefix / "var" / "tmp" / "sage"
    row = row.replace("PATH", path)
    write(area, {"journal": journal_of("T-1-00000000", row)})
    with pytest.raises(JournalError, match="leaves the prefix"):
        Tree(prefix, TreeSettings(durable=False)).recover()
    assert contents(prefix) == BEFORE


@pytest.mark.parametrize("module", ["Mod", "mod"])
def test_removal_undone_with_its_bytecode_directory_leaves_the_old_state(
    tmp_path: Path, module: str
) -> None:
    """One operation takes ``__pycache__``: nothing else may prune it, nor make it again."""
    old = {
        f"lib/{module}.py": b"m",
        f"lib/__pycache__/{module}.cpython-311.pyc": b"",
        f"lib/__pycache__/{module}.cpython-311.opt-1.pyc": b"made by python -O",
        "lib/other": b"other",
    }
    write(tmp_path, old)
    replaced = frozenset(path for path in old if "opt-1" not in path and "other" not in path)
    for step in range(1, MOST_STEPS):
        settings = {"SAGE_PKGINSTALL_FAIL": f"EACCES@{step}"}
        ended = run("remove", tmp_path, settings, *replaced)
        if ended.returncode == 0:
            break
        assert contents(tmp_path) == old, f"step {step}: {ended.stderr}"
    assert contents(tmp_path) == {"lib/other": b"other"}


MINE = {"share/doc/mine": b"mine", "lib/ns/sub/mine": b"mine"}


@pytest.mark.parametrize("settings", [{}, FEW_PATHS], ids=["renameat2", "rename"])
def test_directory_that_somebody_has_made_since_the_last_look_is_merged_into(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    """By ``mkdir -p``, which takes no lock of ours; without that, it could not be placed."""
    prefix = killed_at_the_commit_point(tmp_path, settings)
    write(prefix, MINE)
    recovered = run("recover", prefix, settings)
    assert recovered.returncode == 0, recovered.stderr
    assert contents(prefix) == {**AFTER, **MINE}
    assert_no_debris(prefix)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, FEW_PATHS], ids=["renameat2", "rename"])
@pytest.mark.parametrize("action", ["kill", "ENOSPC"])
def test_stopped_at_any_step_while_merging_into_what_somebody_has_made(
    tmp_path: Path, settings: dict[str, str], action: str
) -> None:
    commit_point = killed_at_the_commit_point(tmp_path, settings).name
    states = []
    for step in range(1, MOST_STEPS):
        prefix = fresh(tmp_path / f"met-{step}")
        run("upgrade", prefix, {**settings, "SAGE_PKGINSTALL_FAIL": f"kill@{commit_point}"})
        write(prefix, MINE)
        stopped = {**settings, "SAGE_PKGINSTALL_FAIL": f"{action}@{step}"}
        first = run("recover", prefix, stopped).returncode
        assert run("recover", prefix, settings).returncode == 0
        assert contents(prefix) in ({**BEFORE, **MINE}, {**AFTER, **MINE}), f"step {step}"
        assert_no_debris(prefix)
        states.append(contents(prefix) == {**AFTER, **MINE})
        if first == 0 and states[-1]:
            break
    assert set(states) == {True} if action == "kill" else {True, False}


def commit_beside(
    prefix: Path,
    new: dict[str, bytes],
    others: Callable[[Workspace, Plan], dict[str, bytes]],
    replaced: Iterable[str] = (),
) -> Committed:
    """Bring ``new``, while somebody without our lock writes after each time that it is planned."""
    tree, request = Tree(prefix), PlanRequest(replaced=frozenset(replaced))

    def prepare(workspace: Workspace) -> Prepared:
        plan = make_plan(workspace, request, exchange=True)
        write(prefix, others(workspace, plan))
        return Prepared(plan)

    with tree.workspace() as workspace:
        write(workspace.tree, new)
        return tree.commit(workspace, "foo", lambda _: prepare(workspace))


def test_what_somebody_writes_between_the_last_look_and_the_renames_stays(tmp_path: Path) -> None:
    write(tmp_path, {"lib/ns/other.py": b"other"})
    written: dict[str, bytes] = {}

    def others(workspace: Workspace, plan: Plan) -> dict[str, bytes]:
        placed = [one.path for one in plan.operations if (workspace.tree / one.path).is_dir()]
        written.update({f"{path}/mine": b"mine" for path in placed})
        return written

    commit_beside(tmp_path, NEW, others)
    assert {"share/mine", "lib/foo/mine"} <= written.keys()
    assert contents(tmp_path) == {**NEW, "lib/ns/other.py": b"other", **written}
    assert_no_debris(tmp_path)


def test_byte_code_that_a_reader_writes_between_two_renames_is_replaced(tmp_path: Path) -> None:
    """It imports a source as soon as that has come, and its directory has others'."""
    cache = "lib/ns/__pycache__"
    before = {"lib/ns/other.py": b"other", f"{cache}/other.x-1.pyc": b"other"}
    compiled = [f"{cache}/a.x-1.pyc", f"{cache}/b.x-1.pyc"]
    new = {"lib/ns/a.py": b"new", "lib/ns/b.py": b"new", **dict.fromkeys(compiled, b"new")}
    write(tmp_path, before)
    readers = iter(compiled)  # what is planned again knows of the first
    commit_beside(tmp_path, new, lambda _workspace, _plan: {next(readers): b"a reader's"})
    assert contents(tmp_path) == {**before, **new}


def test_file_that_somebody_writes_where_one_is_to_be_placed_counts_as_there(
    tmp_path: Path,
) -> None:
    """The transaction is undone and planned again, which tells of the file."""
    names = iter(("lib/foo/a", "lib/foo/b"))
    new = {"bin/foo": b"foo", "lib/foo/a": b"new", "lib/foo/b": b"new", "lib/foo/c": b"new"}
    write(tmp_path, {"lib/b": b"b"})
    committed = commit_beside(
        tmp_path, new, lambda _workspace, _plan: dict.fromkeys(itertools.islice(names, 1), b"mine")
    )
    assert contents(tmp_path) == {"lib/b": b"b", **new}
    told = "lib/foo/b is overwritten: no package owns it"
    assert told in [notice.message for notice in committed.plan.notices]
    assert_no_debris(tmp_path)


def test_who_is_overtaken_each_time_fails_and_leaves_what_others_wrote(tmp_path: Path) -> None:
    written: dict[str, bytes] = {"lib/foo/mine": b"mine"}

    def others(_workspace: Workspace, plan: Plan) -> dict[str, bytes]:
        clash = next(one.path for one in plan.operations if one.kind == "place")
        written[clash] = b"mine"
        return {clash: b"mine"}

    write(tmp_path, written)
    new = {f"lib/foo/{name}": b"new" for name in "abcdefghij"}
    with pytest.raises(TransactionError, match=r"File exists at '.*'; nothing was changed"):
        commit_beside(tmp_path, new, others)
    assert contents(tmp_path) == written
    assert_no_debris(tmp_path)


def test_what_somebody_takes_away_after_the_last_look_comes_all_the_same(tmp_path: Path) -> None:
    old = {f"lib/ns/{name}/x": b"old" for name in "abc"}
    new = dict.fromkeys(old, b"new")
    names = iter("ab")  # what is planned again knows that the first is gone

    def others(_workspace: Workspace, _plan: Plan) -> dict[str, bytes]:
        for name in itertools.islice(names, 1):
            files.delete_tree(tmp_path / "lib" / "ns" / name)
        return {}

    write(tmp_path, {**old, "lib/ns/other": b"other"})
    commit_beside(tmp_path, new, others, replaced=old)
    assert contents(tmp_path) == {**new, "lib/ns/other": b"other"}
    assert_no_debris(tmp_path)


def test_what_somebody_takes_away_while_it_is_looked_at_is_no_fault(tmp_path: Path) -> None:
    """Byte-code, say, which users delete by the directory."""
    old = {f"lib/foo/{name}/x": b"old" for name in "abc"}
    write(tmp_path, old)
    names = iter("ab")
    tree = Tree(tmp_path)

    def prepare(workspace: Workspace) -> Prepared:
        for name in itertools.islice(names, 1):
            files.delete_tree(tmp_path / "lib" / "foo" / name)
            (tmp_path / "lib" / "foo" / name).stat()
        return Prepared(make_plan(workspace, PlanRequest(replaced=frozenset(old)), exchange=True))

    with tree.workspace() as workspace:
        tree.commit(workspace, "foo", lambda _: prepare(workspace))
    assert contents(tmp_path) == {}
    assert_no_debris(tmp_path)


def test_what_somebody_writes_into_a_directory_before_it_is_moved_stays(tmp_path: Path) -> None:
    """Each time that it is planned, into those that are exchanged or removed as a whole."""
    packages = [f"lib/{name}" for name in "abcdef"]
    old = {f"{package}/{path}": b"old" for package in packages for path in ("x", "sub/x", "sub/y")}
    new = {f"{package}/{path}": b"new" for package in packages[:3] for path in ("x", "sub/x")}
    written: dict[str, bytes] = {}

    def others(_workspace: Workspace, plan: Plan) -> dict[str, bytes]:
        operations = (one for one in plan.operations if one.kind != "prune")
        moved = [one.path for one in operations if one.path in packages]
        chosen = [path for path in (*moved[:1], *moved[-1:]) if f"{path}/mine" not in written]
        names = ("mine", "sub/mine", "mine.d/a/b", "sub/y", "__pycache__/x.x-1.pyc")
        writes = {f"{path}/{name}": b"mine" for path in chosen for name in names}
        written.update({name: data for name, data in writes.items() if "mine" in name})
        return writes

    write(tmp_path, {**old, "lib/other": b"other"})
    commit_beside(tmp_path, new, others, replaced=old)
    found = contents(tmp_path)
    assert {"lib/a/mine", "lib/f/mine", "lib/b/mine", "lib/e/mine"} <= written.keys()
    assert {path: data for path, data in found.items() if "__pycache__" not in path} == {
        **new,
        **written,
        "lib/other": b"other",
    }
    assert_no_debris(tmp_path)
