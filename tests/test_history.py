"""The log of transactions: outside of the prefix, one line each, never in the way."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sage_pkginstall.engine.tree import Tree
from sage_pkginstall.errors import PkgInstallError
from sage_pkginstall.operations import history
from sage_pkginstall.operations.history import (
    log_files,
    logged_lock,
    note,
    read_transactions,
)
from tests.trees import tree
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from tests.conftest import RunCli


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAGE_LOGS", str(tmp_path / "logs"))
    return tmp_path / "logs" / "transactions.jsonl"


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


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
    for n in range(1, 60):
        wheel = make_wheel(tmp_path, "dead", str(n))
        dies = {"SAGE_PKGINSTALL_FAIL": f"kill@{n}"}
        run_cli("install", "--prefix", venv, wheel, status=-9, env=dies)
        if (venv / "var/tmp/sage/journal").exists():
            break
    run_cli("install", "--prefix", venv, two)
    assert [line["recovered"] for line in lines(logs)] == [None, f"install dead {n}"]


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
    for n in range(30):
        note(tmp_path, label=f"number {n}")
    assert set(tree(logs.parent)) == {"transactions.jsonl", "transactions.jsonl.1"}
    assert sum(file.stat().st_size for file in logs.parent.iterdir()) < 4500
    assert read_transactions(tmp_path, [logs])[-1].label == "number 29"
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
