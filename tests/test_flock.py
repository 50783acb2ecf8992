"""What sage-flock does with signals; that it locks, test_old_faults.py shows."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.cli.flock import _NOT_EXECUTABLE, flock
from sage_pkginstall.engine.holder import describe, last_holder
from sage_pkginstall.errors import LockError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

# Runs sage-flock, to which a signal comes while its command is being started.
EARLY = """
import os, signal, subprocess, sys
from sage_pkginstall.cli.flock import flock

class Popen(subprocess.Popen):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        signal.raise_signal(int(number))

number, *rest = sys.argv[1:]
subprocess.Popen = Popen
sys.exit(flock(rest))
"""

FLOCK = "import sys; from sage_pkginstall.cli.flock import flock; sys.exit(flock(sys.argv[1:]))"
HANDLED = "import signal; print(*map(signal.getsignal, (signal.SIGINT, signal.SIGTERM)))"


def run_early(number: signal.Signals, lock: Path, *command: str) -> int:
    words = [sys.executable, "-c", EARLY, str(int(number)), str(lock), *command]
    return subprocess.run(words, check=False).returncode


def test_sigterm_that_comes_while_the_command_starts_is_handed_on(tmp_path: Path) -> None:
    ended = run_early(signal.SIGTERM, tmp_path / "lock", "sleep", "60")
    assert ended == 128 + signal.SIGTERM


def test_sigint_that_comes_while_the_command_starts_leaves_the_lock_held(tmp_path: Path) -> None:
    assert run_early(signal.SIGINT, tmp_path / "lock", "sh", "-c", "sleep 0.1; exit 5") == 5


@pytest.mark.parametrize("ignored", ["", "INT", "TERM"])
def test_command_ignores_the_signals_that_it_would_ignore_without_us(
    tmp_path: Path, ignored: str
) -> None:
    start = ["sh", "-c", f"trap '' {ignored}; exec \"$@\"", "sh"] if ignored else []
    command = [sys.executable, "-c", HANDLED]
    locked = [sys.executable, "-c", FLOCK, str(tmp_path / "lock")]
    alone, below = (
        subprocess.run([*start, *words], stdout=subprocess.PIPE, check=True).stdout
        for words in (command, [*locked, *command])
    )
    assert below == alone


def test_file_that_gives_no_lock_is_not_told_to_be_a_closed_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    monkeypatch.setattr(fcntl, "flock", fails)
    with pytest.raises(LockError, match=f"cannot lock {tmp_path}/lock: Bad file descriptor"):
        flock([str(tmp_path / "lock"), "true"])


@pytest.mark.parametrize("number", ["99", "9" * 30])
def test_descriptor_that_is_not_open_is_told(number: str) -> None:
    with pytest.raises(UsageError, match=f"cannot lock descriptor {number}: it is not open"):
        flock([number, "true"])


def test_only_what_is_to_be_locked_must_be_named(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        flock([])
    assert "required: FILE|FD;" in capfd.readouterr().err


def test_script_that_names_no_interpreter_cannot_be_run(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("true\n")
    script.chmod(0o755)
    assert flock([str(tmp_path / "lock"), str(script)]) == _NOT_EXECUTABLE


def run_with_descriptor(file: Path, *words: str) -> int:
    """Run sage-flock with ``file`` as its descriptor 9."""
    script = 'exec 9>"$1"; shift; exec "$@"'
    flock = [sys.executable, "-c", FLOCK, *words]
    return subprocess.run(["sh", "-c", script, "sh", str(file), *flock], check=False).returncode


def test_command_gets_all_descriptors(tmp_path: Path) -> None:
    lock, file = tmp_path / "lock", tmp_path / "file"
    assert run_with_descriptor(file, str(lock), "sh", "-c", "echo got >&9") == 0
    assert file.read_text() == "got\n"


def test_command_does_not_get_the_descriptor_of_the_lock(tmp_path: Path) -> None:
    """A daemon that it leaves behind would keep the lock."""
    assert run_with_descriptor(tmp_path / "lock", "9", "sh", "-c", "echo got >&9") != 0


def test_command_waits_for_who_works_below_a_sage_flock_that_is_gone(tmp_path: Path) -> None:
    """It has the tree's lock then; but `pip`, say, would change what the other one changes."""
    lock, nested = tmp_path / "lock", tmp_path / "lock.nested"
    words = [sys.executable, "-c", FLOCK, str(lock), "echo", "ran"]
    with nested.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        pipe = subprocess.PIPE
        with subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            told = process.stderr.read(len("waiting for"))
            fcntl.flock(file, fcntl.LOCK_UN)
            told += process.stderr.read()
            assert process.stdout.read() == "ran\n"
    assert told == f"waiting for the lock {nested}, held by another program ... ok\n"


def test_commands_below_a_sage_flock_take_the_same_lock_in_turn(tmp_path: Path) -> None:
    """Scripts of packages do so, which somebody runs with the lock; and installers below them."""
    lock, log = tmp_path / "var/lock/pip3.lock", tmp_path / "log"
    flock = [sys.executable, "-c", FLOCK]
    script = """
        lock=$1 log=$2; shift 2
        turn() { "$@" sh -c 'echo begins >> "$1"; sleep 0.2; echo ends >> "$1"' sh "$log"; }
        turn "$@" "$lock" & turn "$@" -s "$lock" & turn "$@" "$lock" "$@" "$lock" & wait
    """
    below = ["sh", "-c", script, "sh", str(lock), str(log), *flock]
    subprocess.run([*flock, str(lock), *below], timeout=60, check=True)
    assert log.read_text() == 3 * "begins\nends\n"
    recover = [sys.executable, "-m", "sage_pkginstall", "recover", "--prefix", str(tmp_path)]
    subprocess.run([*flock, str(lock), *flock, str(lock), *recover], timeout=60, check=True)


def test_who_has_ended_is_not_told_to_hold_the_lock(tmp_path: Path) -> None:
    """Somebody may hold it who keeps no record; "end that process" would be another one's end."""
    lock = tmp_path / "lock"
    assert flock([str(lock), "false"]) == 1
    assert describe(last_holder(lock)) == "another program"
    holder = last_holder(lock)
    assert holder is not None
    assert holder.changes == ((holder.token, None),)  # of which nothing is known
