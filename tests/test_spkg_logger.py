from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.spkg.logger import logged_command
from tests.conftest import ROOT
from tests.patience import PATIENCE, wait_until
from tests.sageworld import BIN

if TYPE_CHECKING:
    from pathlib import Path


def logger(command: str, log: Path, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "sage-logger", *options, command, log],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_lines_go_to_the_terminal_and_to_the_log_under_a_prefix(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "foo-1.2.log"
    ended = logger("echo one; echo two >&2; printf rest", log, "-p")
    assert ended.stdout == "[foo-1.2] one\n[foo-1.2] two\n[foo-1.2] rest\n"
    assert log.read_text() == ended.stdout
    logger("echo again", log)
    assert log.read_text() == ended.stdout + "again\n"


@pytest.mark.parametrize(("command", "status"), [("true", 0), ("exit 3", 3), ("kill -9 $$", 137)])
def test_status_is_that_of_the_command(tmp_path: Path, command: str, status: int) -> None:
    assert logger(command, tmp_path / "log").returncode == status


def test_nothing_is_run_whose_log_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = logger(f"touch {tmp_path}/run", tmp_path / "file" / "log")
    assert ended.returncode == 1
    assert "cannot go on" in ended.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("no_threads")
def test_command_is_ended_where_no_thread_can_be_started(
    tmp_path: Path,
) -> None:
    with pytest.raises(BlockingIOError, match="no thread can be started"):
        logged_command(["sleep", "600"], "", tmp_path / "log", quiet=True, variables=os.environ)


def test_wrong_command_line(tmp_path: Path) -> None:
    assert logger("true", tmp_path / "log", "--nonsense").returncode == 2


def test_terminal_is_told_only_begin_and_end_where_v_is_0(tmp_path: Path) -> None:
    log = tmp_path / "foo.log"
    ended = logger("echo one", log, "-p", V="0")
    assert ended.stdout == f"[foo] begins; its log is {log}\n[foo] is done\n"
    assert log.read_text() == "[foo] one\n"


def test_terminal_is_told_how_the_log_of_a_failure_ends(tmp_path: Path) -> None:
    log = tmp_path / "foo.log"
    ended = logger("seq 100; false", log, V="0")
    first, second, *rest = ended.stdout.splitlines()
    assert first == f"[foo] begins; its log is {log}"
    assert second == f"[foo] failed (status 1); the end of {log}:"
    assert [line.strip() for line in rest] == [str(n) for n in range(89, 101)]


def test_daemon_that_a_command_leaves_behind_is_not_waited_for(tmp_path: Path) -> None:
    ended = logger("sleep 1000 & echo $!", tmp_path / "log")
    os.kill(int(ended.stdout), signal.SIGKILL)  # it is still there


def test_daemon_that_never_stops_writing_is_not_waited_for(tmp_path: Path) -> None:
    ended = logger("echo all; yes &", tmp_path / "log")
    assert ended.stdout.startswith("all\n")


def test_output_of_this_very_process_is_logged(tmp_path: Path) -> None:
    code = f"""
import os, subprocess, sys
from pathlib import Path
from sage_pkginstall.spkg.logger import logged
with logged("[x] ", Path({str(tmp_path / "log")!r})):
    print("out")
    print("err", file=sys.stderr)
    subprocess.run(["sh", "-c", "sleep 1000 & echo $! >'{tmp_path}/daemon'; echo child"])
print("after")
"""
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    os.kill(int((tmp_path / "daemon").read_text()), signal.SIGKILL)  # it is still there
    assert sorted(ended.stdout.splitlines()) == ["[x] child", "[x] out", "after"]
    assert ended.stderr == "[x] err\n"
    assert sorted((tmp_path / "log").read_text().splitlines()) == [
        "[x] child",
        "[x] err",
        "[x] out",
    ]


def test_many_lines_are_neither_lost_nor_mixed(tmp_path: Path) -> None:
    command = f"for i in $(seq 2000); do echo {'y' * 200}; done"
    ended = logger(f"({command}) & ({command}) >&2; wait", tmp_path / "log", "-p")
    assert ended.stdout.splitlines() == [f"[log] {'y' * 200}"] * 4000


def test_output_without_any_newline_comes_in_pieces(tmp_path: Path) -> None:
    command = "head -c 5000000 /dev/zero | tr '\\0' z"
    pieces = logger(command, tmp_path / "log", "-p").stdout.splitlines()
    assert len(pieces) > 1
    assert "".join(piece.removeprefix("[log] ") for piece in pieces) == "z" * 5_000_000


def test_what_was_written_before_a_kill_is_logged(tmp_path: Path) -> None:
    code = f"""
import os, signal, sys
from pathlib import Path
from sage_pkginstall.spkg.logger import logged
with logged("[x] ", Path({str(tmp_path / "log")!r})):
    print("out", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )
    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout == b"[x] out\n"


@pytest.mark.needs("ps")
def test_termination_ends_all_that_the_command_has_started(tmp_path: Path) -> None:
    """As a compiler below make below a script; and what would come next does not."""
    name = f"1000.{os.getpid()}"
    command = f"sh -c 'echo begun; sleep {name}; :'; sleep {name}; :"
    with subprocess.Popen(
        [BIN / "sage-logger", command, tmp_path / "log"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        wait_until(lambda: f"sleep {name}" in processes())
        process.terminate()
        try:
            assert process.wait(PATIENCE) == 128 + signal.SIGINT
            wait_until(lambda: f"sleep {name}" not in processes())
        finally:
            process.kill()


def processes() -> list[str]:
    """The command lines of all processes."""
    command = ("ps", "-A", "-o", "args=")
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_terminal_that_is_gone_does_not_stop_the_command(tmp_path: Path) -> None:
    command = "seq 100000; echo end"
    with subprocess.Popen(
        [BIN / "sage-logger", command, tmp_path / "log"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
    assert process.returncode == 0
    assert (tmp_path / "log").read_text().endswith("100000\nend\n")
