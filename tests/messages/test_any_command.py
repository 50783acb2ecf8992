"""Messages that any command may give."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.environment import target_environment
from sage_pkginstall.errors import ManagedEnvironmentError
from sage_pkginstall.operations.managed import refuse_managed
from tests.conftest import ROOT, START
from tests.messages.desk import produces
from tests.trees import plant, tree
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.messages.desk import Desk


@produces("cannot tell the prefix: give --prefix or --python, or set SAGE_VENV or VIRTUAL_ENV")
def test_no_prefix(desk: Desk) -> str:
    return desk.cli("status", status=2).stderr


@produces("cannot use prefix {directory}: it is not a directory")
def test_missing_prefix(desk: Desk) -> str:
    return desk.cli("status", "--prefix", desk.directory / "none", status=2).stderr


@produces("cannot use --prefix {directory}: the prefix of {python} is {prefix}")
def test_python_of_another_prefix(desk: Desk) -> str:
    python = desk.prefix / "bin" / "python3"
    return desk.cli("log", "--prefix", desk.directory, "--python", python, status=2).stderr


@produces("cannot find {name} in {prefix}: it is not installed")
def test_unknown_name(desk: Desk) -> str:
    said = {desk.run(command, "nothing", status=1) for command in ("show", "files", "verify")}
    return max(said)


@produces(
    "cannot run '{command}': there is no such command; see sage-pkginstall --help",
    "cannot run '{option}': the command comes first; see sage-pkginstall --help",
    "cannot show the page of {name}: there is no such command",
    "cannot find the package directories: give --packages, or set SAGE_ROOT",
    "cannot find the package directories: SAGE_ROOT is not set; run 'sage --buildsh'?",
    "cannot tell the target: SAGE_VENV is not set; run 'sage --buildsh'?",
)
def test_wrong_words(desk: Desk) -> str:
    said = desk.cli("nonsense", status=2).stderr
    said += desk.cli("--prefix", desk.prefix, "list", status=2).stderr
    said += desk.cli("manual", "nonsense", status=2).stderr
    said += desk.cli("make-rules", status=2).stderr
    said += desk.cli("spkg", "foo", status=2).stderr
    return said + desk.cli("pip-install", "foo", status=3).stderr


@produces("cannot use target interpreter {path}: {reason}")
def test_no_interpreter(desk: Desk) -> str:
    plant(desk.directory, {"python3": b""})
    return desk.cli("list", "--python", desk.directory / "python3", status=1).stderr


@produces(
    "cannot change {prefix}: the system manages it (PEP 668); use a virtual environment"
    " ('python3 -m venv --without-pip DIRECTORY'), or, at your own risk, --break-system-packages"
)
def test_managed_prefix(desk: Desk) -> str:
    environment = target_environment(desk.prefix)._replace(externally_managed="by us")
    with pytest.raises(ManagedEnvironmentError) as caught:
        refuse_managed(environment)
    return str(caught.value)


@produces(
    "cannot go on: {reason}: '{path}'; do this as a user who may, the owner of the prefix, say",
    "cannot go on: {reason}: '{path}'; make room, then repeat the command",
    "cannot change {prefix}: {reason} at {path}; nothing was changed",
)
def test_failing_disk(desk: Desk) -> str:
    wheel = make_wheel(desk.directory, "foo", "1")
    before = tree(desk.prefix)
    said = ""
    for fault in ("EACCES@1", "ENOSPC@1", "ENOSPC@3"):
        said += desk.run("install", wheel, status=1, env={"SAGE_PKGINSTALL_FAIL": fault})
    assert {p for p in set(tree(desk.prefix)) - set(before) if not p.startswith("var")} == set()
    return said


def failing(error: str) -> str:
    """What the command line says of an error that any library may raise."""
    code = f"""
import errno, os, shutil, sys
from sage_pkginstall.cli import main
def fail(_arguments):
    raise {error}
main.find_function = lambda _command: fail
sys.exit(main.main(["list"]))
"""
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert ended.returncode == 1
    return ended.stderr


@produces("cannot go on: {reason}; make room, then repeat the command")
def test_disk_is_full_where_no_file_is_named(desk: Desk) -> str:
    return failing("OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))")


@produces("cannot go on: {path} could not be copied: {reason}")
def test_file_of_a_tree_that_cannot_be_copied(desk: Desk) -> str:
    plant(desk.directory, {"from/a": b""})
    os.mkfifo(desk.directory / "from" / "pipe")
    with pytest.raises(shutil.Error) as caught:
        shutil.copytree(desk.directory / "from", desk.directory / "to")
    said = failing(f"shutil.Error({caught.value.args[0]!r})")
    assert "[(" not in said
    return said


@produces("cannot go on: the current directory was deleted; go to another one")
def test_directory_is_gone(desk: Desk) -> str:
    code = f"cd {desk.directory} && mkdir gone && cd gone && rmdir ../gone && exec "
    words = [sys.executable, "-I", "-c", START, ROOT, "list", "--prefix", "x"]
    command = code + " ".join(shlex.quote(str(word)) for word in words)
    ended = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    return ended.stderr


@produces(
    "cannot wait {number} s for the lock: that is no time",
    "cannot use SAGE_LOCK_TIMEOUT={text}: it is no number of seconds",
)
def test_wrong_times(desk: Desk) -> str:
    assert desk.run("list", env={"SAGE_LOCK_TIMEOUT": ""}) == ""  # as if it were not set
    said = desk.run("list", "--lock-timeout", "nan", status=2)
    return said + desk.run("list", status=2, env={"SAGE_LOCK_TIMEOUT": "soon"})


@produces(
    "cannot use SAGE_PKGINSTALL_FAIL={text}: it is neither kill@N nor an error's name, as in"
    " ENOSPC@N"
)
def test_wrong_fail_points(desk: Desk) -> str:
    wheel = make_wheel(desk.directory, "foo", "1")
    return "".join(
        desk.run("install", wheel, status=2, env={"SAGE_PKGINSTALL_FAIL": text})
        for text in ("EFOO@1", "errorcode@1", "kill@x", "kill@", "kill@-1", "@1", "ENOSPC")
    )


@produces("cannot use '' as {argument}: an empty word is no path")
def test_empty_paths(desk: Desk) -> str:
    desk.patch.chdir(desk.directory)
    wheel = make_wheel(desk.directory, "foo", "1")
    before = tree(desk.directory)
    variables = {"SAGE_VENV": str(desk.prefix)}
    said = [
        desk.cli("uninstall", "--prefix", "", "foo", status=2, env=variables).stderr,
        desk.cli("list", "--python", "", status=2, env=variables).stderr,
        desk.run("log", "--file", "", status=2),
        desk.cli("timings", "--events", "", status=2).stderr,
        desk.cli("manual", "--all", "", status=2).stderr,
        desk.cli("flock", "", "true", status=2).stderr,
        desk.cli("logger", "true", "", status=2).stderr,
        desk.run("merge", "", status=2),
        desk.run("build", "", status=2),
        desk.run("build", "--wheel-dir", "", "source", status=2),
        desk.run("build", "--log", "", "source", status=2),
        desk.cli("pip-install", "-e", "", wheel, status=3, env=variables).stderr,
    ]
    assert tree(desk.directory) == before
    return "".join(said)


@produces("cannot read record {path}: {reason}")
def test_what_cannot_be_read(desk: Desk) -> str:
    plant(desk.directory, {"request": b"nonsense"})
    return desk.cli("commit-package", desk.directory / "request", status=1).stderr


@produces(
    "cannot write to standard output: {reason}; all else is done",
    "cannot write to standard output: {reason}",
)
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")  # noqa: PTH110
def test_output_that_cannot_be_written(desk: Desk) -> str:
    """What is done stays done, and is told to be; what was found keeps its exit status."""
    wheel = make_wheel(desk.directory, "foo", "1")
    said = _into_a_full_disk("install", "--prefix", desk.prefix, wheel)
    (desk.site / "foo.py").unlink()
    return said + _into_a_full_disk("verify", "--prefix", desk.prefix)


def _into_a_full_disk(*words: str | Path) -> str:
    command = [sys.executable, "-I", "-c", START, str(ROOT), *map(str, words)]
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 1
    return ended.stderr


@pytest.mark.parametrize(
    "words", [["--help"], ["list", "--help"], ["manual"], ["completion", "bash"]]
)
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")  # noqa: PTH110
def test_full_disk_is_told_and_a_closed_stream_is_no_error(words: list[str]) -> None:
    said = _into_a_full_disk(*words)
    assert re.fullmatch(r"sage-pkginstall[\w ]*: cannot .*: No space left .*\n", said)
    command = [sys.executable, "-I", "-c", START, str(ROOT), *words]
    closed = ["sh", "-c", f"{shlex.join(command)} >&-"]
    ended = subprocess.run(closed, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_what_was_said_stands_before_why_it_failed(desk: Desk) -> None:
    """As it happened, where both streams lead to one log."""
    desk.install("foo")
    words = ("uninstall", "--prefix", desk.prefix, "foo", "nothing")
    command = [sys.executable, "-I", "-c", START, str(ROOT), *map(str, words)]
    both = subprocess.STDOUT
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=both, text=True, check=False)
    assert ended.returncode == 1
    first, last = ended.stdout.splitlines()
    assert first == "uninstalled foo 1"
    assert "cannot find nothing" in last


@pytest.mark.parametrize("words", [["--help"], ["list", "--help"], ["manual"]])
def test_reader_that_ends_first_is_no_traceback(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-I", "-c", START, str(ROOT), *words]
    ended = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, "")


@produces("{message}; see {command} --help")
def test_wrong_option(desk: Desk) -> str:
    return desk.run("list", "--nonsense", status=2)


@pytest.mark.parametrize("words", [["--nonsense"], ["--root"], []], ids=str)
def test_every_failure_of_sage_pip_install_has_the_status_that_sage_expects(
    desk: Desk, words: list[str]
) -> None:
    desk.cli("pip-install", *words, status=3, env={"SAGE_VENV": str(desk.prefix)})


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")  # noqa: PTH110
def test_what_nobody_hears_is_no_failure(desk: Desk) -> None:
    """What is installed is installed: no status may say that nothing has changed."""
    wheel = make_wheel(desk.directory, "foo", "1", metadata=["Requires-Dist: bar"])
    words = ["install", "--prefix", str(desk.prefix), "-v", str(wheel)]
    command = [sys.executable, "-m", "sage_pkginstall", *words]
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=full, check=False)
    assert (ended.returncode, ended.stdout) == (0, b"installed foo 1\n")


def test_warning_is_one_line_whatever_names_hold(desk: Desk) -> None:
    plant(desk.prefix, {"share/a\nWarning: b": b"old"})
    plant(desk.directory, {"staged/share/a\nWarning: b": b"new"})
    said = desk.run("merge", "-q", desk.directory / "staged")
    assert said == "Warning: share/a\\nWarning: b is overwritten: no package owns it\n"
