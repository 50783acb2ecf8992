"""The log of transactions: outside of the prefix, one line each, never in the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sage_pkginstall import recover
from sage_pkginstall.engine import quiet
from sage_pkginstall.engine.lock import LockSettings, TreeLock
from sage_pkginstall.engine.tree import Tree
from sage_pkginstall.environment import target_environment
from sage_pkginstall.errors import PkgInstallError
from sage_pkginstall.operations import history
from sage_pkginstall.operations.history import (
    log_files,
    logged_lock,
    note,
    read_transactions,
)
from sage_pkginstall.operations.uninstall import uninstall
from tests.conftest import ROOT, START
from tests.trees import plant, tree
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from tests.conftest import RunCli


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAGE_LOGS", str(tmp_path / "logs"))
    return tmp_path / "logs" / "transactions.jsonl"


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def die(venv: Path, tmp_path: Path, run_cli: RunCli) -> str:
    """Be killed in a transaction; return its label."""
    for n in range(1, 60):
        wheel = make_wheel(tmp_path, "dead", str(n))
        dies = {"SAGE_PKGINSTALL_FAIL": f"kill@{n}"}
        run_cli("install", "--prefix", venv, wheel, status=-9, env=dies)
        if (venv / "var/tmp/sage/journal").exists():
            return f"install dead {n}"
    raise AssertionError("no journal")


def test_each_transaction_is_one_line_with_its_facts(
    venv: Path, tmp_path: Path, logs: Path, run_cli: RunCli
) -> None:
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "foo", "1.0"))
    run_cli("uninstall", "--prefix", venv, "foo")
    first, second = lines(logs)
    assert first["label"] == "install foo 1.0"
    assert (first["prefix"], first["uid"]) == (str(venv), os.getuid())
    assert (first["result"], first["installed"]) == ("done", ["foo 1.0"])
    assert first["operations"] == {"place": 3}
    assert 0 < first["held"] < first["took"] < 60
    assert (second["label"], second["dropped"]) == ("uninstall foo 1.0", ["foo"])


def test_failed_transaction_is_logged_with_its_reason(
    venv: Path, tmp_path: Path, logs: Path, run_cli: RunCli
) -> None:
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "one", "1", {"a.py": "1"}))
    two = make_wheel(tmp_path, "two", "1", {"a.py": "2"})
    run_cli("install", "--conflicts", "error", "--prefix", venv, two, status=1)
    failed = lines(logs)[-1]
    assert failed["result"] == "failed"
    assert failed["error"].startswith("cannot install ")


def test_what_a_dead_process_began_is_named_by_who_finishes_it(
    venv: Path, tmp_path: Path, logs: Path, run_cli: RunCli
) -> None:
    one, two = (make_wheel(tmp_path, name, "1") for name in ("one", "two"))
    run_cli("install", "--prefix", venv, one)
    label = die(venv, tmp_path, run_cli)
    run_cli("install", "--prefix", venv, two)
    assert [line["recovered"] for line in lines(logs)] == [None, label]


def test_who_waited_for_the_dead_names_what_he_finished(
    venv: Path, tmp_path: Path, logs: Path, run_cli: RunCli
) -> None:
    label = die(venv, tmp_path, run_cli)
    journal, away = venv / "var/tmp/sage/journal", tmp_path / "journal"
    journal.rename(away)
    wheel = make_wheel(tmp_path, "two", "1")
    words = ["install", "--prefix", str(venv), str(wheel)]
    with TreeLock(Tree(venv).lock_path, "test", LockSettings()).hold():
        waiting = subprocess.Popen(
            [sys.executable, "-I", "-c", START, str(ROOT), *words],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert waiting.stderr is not None
        assert "waiting for the lock" in waiting.stderr.readline()
        away.rename(journal)
    waiting.communicate()
    assert [line["recovered"] for line in lines(logs)] == [label]
    assert f"(recovered before: {label})" in run_cli("log", "--prefix", venv).stdout


@pytest.mark.parametrize("words", [("uninstall", "nothing"), ("verify", "--fix")])
def test_who_changes_nothing_else_names_what_he_finished(
    venv: Path, tmp_path: Path, logs: Path, run_cli: RunCli, words: tuple[str, ...]
) -> None:
    label = die(venv, tmp_path, run_cli)
    run_cli(*words, "--prefix", venv, status=1 if "nothing" in words else 0)
    (line,) = lines(logs)
    assert (line["label"], line["recovered"]) == ("recover", label)


def test_api_logs_what_it_recovers(venv: Path, tmp_path: Path, logs: Path, run_cli: RunCli) -> None:
    label = die(venv, tmp_path, run_cli)
    recover(venv)
    assert [line["recovered"] for line in lines(logs)] == [label]


def test_who_ends_while_he_is_looked_at_is_not_dead(
    venv: Path, tmp_path: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    label = die(venv, tmp_path, run_cli)
    assert quiet.begun_by_the_dead(Tree(venv)) == label

    def end(_lock: Path) -> bool:
        (venv / "var/tmp/sage/journal").unlink()
        return False

    monkeypatch.setattr(quiet, "is_held", end)
    assert quiet.begun_by_the_dead(Tree(venv)) is None


def test_pip_that_fails_or_is_interrupted_is_logged_as_that(venv: Path, logs: Path) -> None:
    with logged_lock(Tree(venv), "pip install x") as ended:
        assert ended(3) == 3
    with suppress(KeyboardInterrupt), logged_lock(Tree(venv), "pip install y") as ended:
        raise KeyboardInterrupt
    found = read_transactions(venv, [logs])
    assert [(t.result, t.error) for t in found] == [
        ("failed", "it ended with status 3"),
        ("failed", "interrupted"),
    ]


def test_what_pip_uninstalls_is_told_by_its_name(venv: Path, logs: Path, run_cli: RunCli) -> None:
    (site,) = (venv / "lib").glob("python3*/site-packages")
    plant(site, {"Old_One.egg-link": b"/src"})
    uninstall(Tree(venv), target_environment(venv), ["old-one"], lambda _words: 0)
    (line,) = lines(logs)
    assert line["dropped"] == ["old-one"]
    assert "pip uninstall" in run_cli("log", "--prefix", venv, "old-one").stdout


def test_pip_under_the_lock_is_logged_too(
    venv: Path, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with logged_lock(Tree(venv), "pip install -e ."):
        assert not logs.exists()
    with suppress(PkgInstallError), logged_lock(Tree(venv), "pip uninstall foo"):
        raise PkgInstallError("pip ended with status 1")
    found = read_transactions(venv, [logs])
    assert [(t.label, t.result) for t in found] == [
        ("pip install -e .", "done"),
        ("pip uninstall foo", "failed"),
    ]
    assert found[0].held > 0


def test_passwords_are_not_logged(tmp_path: Path, logs: Path) -> None:
    url = "https://user:secret@host/simple"
    note(tmp_path, label=f"pip install -i {url} x@1", error=f"no {url}")
    assert "secret" not in logs.read_text()
    assert lines(logs)[0]["label"] == "pip install -i https://***@host/simple x@1"


def test_log_lies_in_the_users_state_directory_otherwise(
    venv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_cli: RunCli
) -> None:
    monkeypatch.delenv("SAGE_LOGS")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "foo", "1.0"))
    (file,) = log_files(venv)
    assert file.parent == tmp_path / "state" / "sage-pkginstall"
    assert [t.label for t in read_transactions(venv, [file])] == ["install foo 1.0"]
    assert log_files(tmp_path) != (file,)


def test_what_make_logged_is_found_without_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAGE_LOGS", str(tmp_path / "logs" / "pkgs"))
    note(tmp_path, label="by make")
    monkeypatch.delenv("SAGE_LOGS")
    monkeypatch.setenv("SAGE_ROOT", str(tmp_path))
    note(tmp_path, label="by hand")
    found = read_transactions(tmp_path, log_files(tmp_path))
    assert {t.label for t in found} == {"by make", "by hand"}  # of one moment, perhaps


def test_log_that_cannot_be_written_is_no_failure(
    venv: Path, tmp_path: Path, logs: Path, run_cli: RunCli
) -> None:
    logs.parent.write_text("in the way")
    ended = run_cli("install", "--prefix", venv, make_wheel(tmp_path, "foo", "1.0"))
    assert ended.stderr == ""


def test_log_is_not_written_through_a_link(tmp_path: Path, logs: Path) -> None:
    logs.parent.mkdir()
    logs.symlink_to(tmp_path / "elsewhere")
    note(tmp_path, label="x")
    assert not (tmp_path / "elsewhere").exists()


def test_log_is_bounded_and_the_older_one_still_read(
    tmp_path: Path, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_LIMIT", 2000)
    told = 0
    while told < 30 or not logs.exists():  # where lines are long, the last may end a file
        note(tmp_path, label=f"number {told}")
        told += 1
    assert set(tree(logs.parent)) == {"transactions.jsonl", "transactions.jsonl.1"}
    assert sum(file.stat().st_size for file in logs.parent.iterdir()) < 4500
    assert read_transactions(tmp_path, [logs])[-1].label == f"number {told - 1}"
    assert len(read_transactions(tmp_path, [logs])) > 5


def test_lines_of_many_writers_never_mix(
    tmp_path: Path, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: note(tmp_path, label=f"{n} " * 100), range(200)))
    assert len(lines(logs)) == 200


def test_damaged_lines_and_those_of_other_prefixes_are_passed_over(
    tmp_path: Path, logs: Path
) -> None:
    note(tmp_path, label="mine")
    note(Path("/"), label="not mine")
    with logs.open("ab") as file:
        file.write(b'\xff\n[]\n{"format": 1}\n{"format": 2, "label": "later"}\n')
        whole = json.loads(logs.read_bytes().splitlines()[0])
        file.write(json.dumps({**whole, "held": "long"}).encode() + b'\n{"form')
    assert [t.label for t in read_transactions(tmp_path, [logs])] == ["mine"]


def test_fields_of_other_types_are_no_traceback(
    tmp_path: Path, logs: Path, run_cli: RunCli
) -> None:
    note(tmp_path, label="mine")
    whole = json.loads(logs.read_bytes())
    odd = [None, 3, "x", [], [3], {"a": "b"}, {"place": 1}, 1e300, float("nan"), -1, 10**30]
    with logs.open("a") as file:
        for name in whole:
            file.writelines(f"{json.dumps({**whole, name: value})}\n" for value in odd)
        file.writelines(f"{json.dumps(value)}\n" for value in odd)
    assert "mine" in run_cli("log", "-n", "0", "--prefix", tmp_path).stdout
    said = run_cli("log", "-n", "0", "--json", "--prefix", tmp_path).stdout
    assert "NaN" not in said
    run_cli("log", "foo", "--prefix", tmp_path)
