"""Messages of the lock, of the journal, and of what repairs."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT, START
from tests.messages.desk import produces
from tests.trees import lose_a_staged_file, plant
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.messages.desk import Desk


@produces(
    "waiting for the lock {path}, held by process {pid} ({label}), since {time} ({seconds} s)",
    "cannot lock {path}: gave up after {seconds} s; it is held by process {pid} ({label}), since"
    " {time} ({age} s); end that process if it hangs, then repeat",
    "{command}: interrupted; nothing is half installed",
)
def test_somebody_holds_the_lock(desk: Desk) -> str:
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


@produces(
    "cannot lock {path}: a sage-flock -s, which waits for this command, shares it; use -x there"
)
def test_command_below_who_shares_the_lock(desk: Desk) -> str:
    lock = desk.prefix / "var/lock/pip3.lock"
    tool: list[str | Path] = [sys.executable, "-I", "-c", START, ROOT]
    share: list[str | Path] = ["flock", "-s", lock, *tool]
    desk.cli(*share, "flock", "-s", lock, "true")
    said = desk.cli(*share, "flock", lock, "true", status=1).stderr
    assert "waiting" not in said
    return desk.cli(*share, "recover", "--prefix", desk.prefix, status=1).stderr


@produces(
    "cannot lock descriptor {number}: it is not open",
    "cannot run {command}: there is no such command",
    "cannot run {command}: it is not executable",
)
def test_flock_at_fault(desk: Desk) -> str:
    lock = desk.directory / "lock"
    said = desk.cli("flock", "99", "true", status=2).stderr
    said += desk.cli("flock", lock, "no-such-command", status=127).stderr
    return said + desk.cli("flock", lock, desk.directory, status=126).stderr


@produces("there was nothing to recover")
def test_nothing_to_recover(desk: Desk) -> str:
    return desk.run("recover")


@produces(
    "recovered: {label}",
    "Warning: '{label}' was begun by a process that died; 'sage-pkginstall recover' finishes it",
)
def test_something_to_recover(desk: Desk) -> str:
    desk.die_in_a_transaction()
    planned = desk.run("install", "--dry-run", make_wheel(desk.directory, "foo", "1"))
    assert "was begun by a process that died" in planned
    return desk.run("verify") + desk.run("recover")


@produces("undone, as it could not be finished: {label}")
def test_something_to_undo(desk: Desk) -> str:
    desk.die_in_a_transaction()
    lose_a_staged_file(desk.prefix)
    return desk.run("recover")


@produces(
    "cannot carry out journal {path}: it is damaged ({error}); see 'sage-pkginstall recover"
    " --help'",
    "cannot carry out journal {path}: its format is {number}, not {number}; run 'sage-pkginstall"
    " recover' of the version that wrote it, or see 'sage-pkginstall recover --help'",
    "Warning: cannot carry out journal {path}: {reason}",
    "Warning: the journal was given up: {reason}",
    "Warning: what was being changed may be half old and half new; 'sage-pkginstall verify'"
    " tells what, and 'sage-pkginstall verify --fix' or installing it again mends it",
    "moved to {directory}; delete that when all is well",
)
def test_damaged_journal(desk: Desk) -> str:
    plant(desk.prefix, {"var/tmp/sage/journal": b"{damaged"})
    said = desk.run("verify") + desk.run("recover", status=1) + desk.run("recover", "--discard")
    (desk.prefix / "var/tmp/sage/journal").write_bytes(b'{"format": 1}')
    return said + desk.run("recover", status=1)


@produces(
    "cannot carry out journal {path}: {prefix} is a copy, made without the times of its files, or"
    " got other owners or modes, so that {path} does not tell whether it is old or new;"
    " see 'sage-pkginstall recover --help'"
)
def test_copy_without_times(desk: Desk) -> str:
    desk.run("install", make_wheel(desk.directory, "dead", "0"))
    desk.die_in_a_transaction()
    copy = desk.directory / "copy"
    subprocess.run(["cp", "-r", desk.prefix, copy], check=True)
    # In the second of the kill, a time of the copy could be that of what was staged.
    subprocess.run(
        ["find", copy, "-exec", "touch", "-h", "-t", "200001010000", "{}", "+"], check=True
    )
    return desk.cli("recover", "--prefix", copy, status=1).stderr


@produces(
    "cannot lock {path}: it is a symbolic link, which is not followed; remove it",
    "cannot lock {path}: it is no regular file; remove it",
    "cannot change {prefix}: its staging area {directory} cannot be used: {reason}; nothing was"
    " changed",
)
def test_what_lies_in_the_way(desk: Desk) -> str:
    wheel = make_wheel(desk.directory, "foo", "1")
    lock = desk.prefix / "var/lock/pip3.lock"
    lock.parent.mkdir(parents=True)
    lock.symlink_to("/dev/null")
    said = desk.run("install", wheel, status=1)
    lock.unlink()
    os.mkfifo(lock)
    said += desk.run("install", wheel, status=1)
    lock.unlink()
    (desk.prefix / "var/tmp/sage").rmdir()
    plant(desk.prefix, {"var/tmp/sage": b""})
    return said + desk.run("install", wheel, status=1)


@produces(
    "cannot lock {path}: it belongs to user {owner}, and only {user}, to whom {prefix} belongs,"
    " root and whoever runs this are obeyed there; look what it is, and remove it"
)
def test_what_others_planted(desk: Desk) -> str:
    if os.geteuid():
        pytest.skip("only root can give files away")
    plant(desk.prefix, {"var/lock/pip3.lock": b""})
    os.chown(desk.prefix / "var/lock/pip3.lock", 12345, -1)
    return desk.run("install", make_wheel(desk.directory, "foo", "1"), status=1)


@produces(
    "cannot lock {path}: gave up after {seconds} s; it is held by another program; end that process"
    " if it hangs, then repeat",
    "waiting for the lock {path}, held by {holder} ...",
)
def test_another_program_holds_the_lock(desk: Desk) -> str:
    wheel = make_wheel(desk.directory, "foo", "1")
    lock = plant(desk.prefix, {"var/lock/pip3.lock": b""}) / "var/lock/pip3.lock"
    waits: list[str | Path] = [sys.executable, "-I", "-c", START, ROOT, "flock", lock, "true"]
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        said = desk.run("install", "--lock-timeout", "0", wheel, status=1)
        with subprocess.Popen(waits, stderr=subprocess.PIPE) as waiting:
            assert waiting.stderr is not None
            begun = os.read(waiting.stderr.fileno(), 4096)
            fcntl.flock(held, fcntl.LOCK_UN)
            said += (begun + waiting.stderr.read()).decode()
    assert said.endswith(" ... ok\n")
    return said
