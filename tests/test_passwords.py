"""Passwords of URLs are neither shown nor written, whatever else a line says."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.cli.terminal import tell
from sage_pkginstall.engine.lock import LockSettings, TreeLock
from sage_pkginstall.passwords import has_password, without_passwords
from tests.conftest import ROOT, START
from tests.sources import make_source

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("foo @ https://me:secret@host/foo.whl", "foo @ https://***@host/foo.whl"),
        ("git+https://secret@host/foo@v1#egg=foo", "git+https://***@host/foo@v1#egg=foo"),
        ("-i http://me:p@ss@host:80/?a=b@c x@1", "-i http://***@host:80/?a=b@c x@1"),
        ("-r https:/me:secret@host/r.txt", "-r https:/***@host/r.txt"),
        ("two https://a@b/ and ftp://c:d@e", "two https://***@b/ and ftp://***@e"),
    ],
)
def test_passwords_are_left_out(text: str, left: str) -> None:
    assert has_password(text)
    assert without_passwords(text) == left


@pytest.mark.parametrize(
    "text",
    ["git+ssh://git@host/foo", "file:/a@b/c", "file:///a@b", "https://host/@x", "six @ https://h/"],
)
def test_what_is_no_password_stays(text: str) -> None:
    assert not has_password(text)
    assert without_passwords(text) == text


def test_message_has_no_password(capsys: pytest.CaptureFixture[str]) -> None:
    tell("cannot meet requirement 'git+https://secret@host/foo'")
    assert capsys.readouterr().err == "cannot meet requirement 'git+https://***@host/foo'\n"


def test_log_of_a_build_has_no_password(tmp_path: Path, venv: Path) -> None:
    requires = ["foo @ https://me:secret@host/foo.whl"]
    source = make_source(tmp_path / "bar", "bar", requires=requires)
    log = tmp_path / "log"
    at = ["--prefix", venv, "--store", tmp_path / "store", "-w", tmp_path / "dist", "--log", log]
    command = [sys.executable, "-I", "-c", START, str(ROOT), "build", *map(str, at), str(source)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    for said in (ended.stdout + ended.stderr, log.read_text()):
        assert "https://***@host/foo.whl" in said
        assert "secret" not in said


def test_who_waits_for_the_lock_sees_no_password(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with TreeLock(path, "pip install https://me:secret@host/x", LockSettings(10.0)).hold():
        pass
    told = path.with_name("lock.holder").read_text()
    assert "secret" not in told
    assert "pip install https://***@host/x" in told
