"""tests/setup-debian: names what is missing, installs it where it may, fails where CI is set."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = ROOT / "tests" / "setup-debian"
ROWS = re.findall(r"^([\w.]+) +([\w-]+)$", SCRIPT.read_text().split("'")[1], re.MULTILINE)
NEEDED, PACKAGES = zip(*ROWS, strict=True)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Return the PATH of a machine with nothing but the shell, and a user's id."""
    for program in ("bash", "env"):
        (tmp_path / program).symlink_to(shutil.which(program) or program)
    provide(tmp_path, "id", "echo 1000")
    return tmp_path


def provide(machine: Path, program: str, text: str = "") -> None:
    path = machine / program
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def setup(machine: Path, **env: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.fspath(machine), **env}
    return subprocess.run([SCRIPT], env=environ, capture_output=True, text=True, check=False)


def test_nothing_is_said_when_all_is_there(machine: Path) -> None:
    for program in NEEDED:
        provide(machine, program)
    ended = setup(machine, CI="true")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_user_is_told_what_to_install(machine: Path) -> None:
    provide(machine, "strace")
    ended = setup(machine)
    assert ended.returncode == 0
    assert ended.stderr.endswith(f"skipped without: apt-get install {' '.join(PACKAGES[1:])}\n")
    assert "sudo" in PACKAGES


def test_missing_program_is_an_error_in_ci(machine: Path) -> None:
    assert setup(machine, CI="true").returncode == 1


def test_root_on_debian_installs_only_what_is_missing(machine: Path) -> None:
    for program in NEEDED[1:]:
        provide(machine, program)
    provide(machine, "id", "echo 0")
    log = machine / "log"
    tool = machine / "strace"
    provide(
        machine,
        "apt-get",
        f'echo "$@" >>{log}; [ "$1" = update ] || {{ : >{tool}; /bin/chmod +x {tool}; }}',
    )
    ended = setup(machine, CI="true")
    assert ended.returncode == 0
    assert ended.stdout == "Installing what tests need: strace\n"
    assert log.read_text() == "update -qq\ninstall -qq --no-install-recommends strace\n"


def test_failing_apt_get_is_named(machine: Path) -> None:
    provide(machine, "id", "echo 0")
    provide(machine, "apt-get", "exit 100")
    ended = setup(machine)
    assert ended.returncode == 0
    assert "apt-get failed" in ended.stderr
    assert "apt-get install strace sudo pypy3 patch" in ended.stderr


def test_package_that_the_release_lacks_keeps_no_other_out(machine: Path) -> None:
    for program in NEEDED[2:]:
        provide(machine, program)
    provide(machine, "id", "echo 0")
    give = f"for p; do case $p in strace) exit 100;; sudo) : >{machine}/sudo;; esac; done"
    give += f"; [ ! -e {machine}/sudo ] || /bin/chmod +x {machine}/sudo"
    provide(machine, "apt-get", give)
    ended = setup(machine)
    assert ended.returncode == 0
    assert ended.stdout == "Installing what tests need: strace sudo\n"
    assert ended.stderr.endswith(
        "cannot install strace: apt-get failed\n"
        "Tests that need them are skipped without: apt-get install strace\n"
    )
