"""Messages of staged trees that cannot be brought into a prefix."""

from __future__ import annotations

import errno
import fcntl
import io
import json
import os
from typing import TYPE_CHECKING

import pytest
from installer.utils import Scheme

from sage_pkginstall.engine import files
from sage_pkginstall.engine.lock import LockSettings, TreeLock
from sage_pkginstall.engine.staged import lay_in
from sage_pkginstall.environment import target_environment
from sage_pkginstall.errors import ConflictError, LockError, WheelError
from sage_pkginstall.wheels.destination import StagedDestination
from sage_pkginstall.wheels.staged_wheel import StagedWheel, WheelIdentity
from tests.messages.desk import produces
from tests.sageworld import SageWorld
from tests.trees import plant
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.messages.desk import Desk


@produces("cannot lock {path}: the file system gives no flock ({reason})")
def test_file_system_without_locks(desk: Desk) -> str:
    def flock(_file: object, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    settings = LockSettings()
    desk.patch.setattr(fcntl, "flock", flock)
    with (
        pytest.raises(LockError) as caught,
        TreeLock(desk.prefix / "lock", "test", settings).hold(),
    ):
        pass
    return str(caught.value)


@produces("cannot carry out journal {path}: its format is {format}, not {number}")
def test_journal_of_another_version(desk: Desk) -> str:
    plant(desk.prefix, {"var/tmp/sage/journal": b'{"format": 99}'})
    return desk.run("recover", status=1)


@produces(
    "cannot carry out journal {path}: {reason} at {place}; mend that, then run 'sage-pkginstall"
    " recover'"
)
def test_neither_done_nor_undone(desk: Desk) -> str:
    journal = desk.die_in_a_transaction()
    said = desk.run("recover", status=1, env={"SAGE_PKGINSTALL_FAIL": "EIO@1+"})
    assert journal.exists()
    return said


@produces(
    "cannot carry out journal {path}: {directory}, where its entries lie, is missing; bring it back"
    " (mount that file system, say), then run 'sage-pkginstall recover', or see its --help"
)
def test_workspace_is_missing(desk: Desk) -> str:
    journal = desk.die_in_a_transaction()
    for workspace in journal.parent.glob("T-*[!k]"):
        files.delete_tree(workspace)
    return desk.run("recover", status=1)


@produces("cannot install {path}: its directories are nested more than {number} deep")
def test_deep_tree(desk: Desk) -> str:
    staged = desk.directory / "staged"
    plant(staged, {"d/" * 101 + "x": b""})
    return desk.run("merge", staged, status=1) + desk.run("merge", "--move", staged, status=1)


@produces(
    "cannot install {path}: two staged entries lead to this one path",
    "cannot install {path}: the wheels of {name} and {other} have it with different contents;"
    " leave one of them out",
)
def test_two_of_one_path(desk: Desk) -> str:
    staged = desk.directory / "staged"
    plant(desk.prefix, {"lib/there": b""})
    plant(staged, {"lib/x": b"1", "other/x": b"2"})
    (desk.prefix / "other").symlink_to("lib")
    said = desk.run("merge", staged, status=1)
    wheels = [make_wheel(desk.directory, name, "1", {"both.py": name}) for name in ("foo", "bar")]
    return said + desk.run("install", "--conflicts", "error", *wheels, status=1)


@produces(
    "cannot install {path}: both {path} and {place} are staged",
    "cannot install {path}: it is a link in the staged tree; stage a directory",
    "cannot install {path}: a file, directory or link is staged in its way",
)
def test_scripts_stage_oddly(desk: Desk) -> str:
    world = SageWorld.make(desk.directory, desk.prefix)
    wheel = make_wheel(desk.directory, "foo", "1")
    staged = 'root="$SAGE_DESTDIR$SAGE_LOCAL"; mkdir -p "$root"; '
    (site,) = {path.relative_to(desk.prefix) for path in (desk.prefix / "lib").glob("python3*")}
    way = f'mkdir -p "$root/{site}" && echo >"$root/{site}/site-packages"'
    for name, script in {
        "a": 'ln -s "$PWD" "$root/var"',
        "b": f"mkdir dist && cp {wheel} dist && sdh_store_and_pip_install_wheel . && {way}",
    }.items():
        world.package(name, "1", {"spkg-install.in": staged + script})
    said = "".join(world.spkg(name, status=1).stderr for name in "ab")
    source, place = plant(desk.directory, {"1/x": b"", "2/x": b""}), desk.directory / "2"
    with pytest.raises(ConflictError) as caught:  # no command lays two trees into one
        lay_in(source / "1", place, move=False)
    return f"{said}{caught.value}"


@produces(
    "cannot install {wheel}: {path} leaves its scheme {scheme}",
    "cannot install {wheel}: {path} is no normal path",
)
def test_paths_that_no_wheel_has(desk: Desk) -> str:
    """The archive never says such a path; the destination does not rely on that."""
    environment = target_environment(desk.prefix)
    wheel = WheelIdentity(desk.directory / "foo-1.0-py3-none-any.whl", "foo", "foo-1.0.dist-info")
    destination = StagedDestination(StagedWheel(wheel, environment, desk.directory), "/python3")
    said = ""
    for path in ("../x", "a//x"):
        with pytest.raises(WheelError) as caught:
            destination.write_file(Scheme("data"), path, io.BytesIO(), is_executable=False)
        said += f"{caught.value}\n"
    return said


def request(desk: Desk, **values: object) -> Path:
    """A request of sage-spkg's to the program that SAGE_SUDO runs."""
    path = desk.directory / "request"
    path.write_text(json.dumps(values))
    return path


@produces(
    "cannot read record {path}: it is no regular file",
    "cannot read record {path}: it is no request of sage-spkg's: {name} is {value}",
    "cannot read record {path}: it is no request of sage-spkg's: it asks for {action}",
    "cannot read record {path}: it is no request of sage-spkg's: {text} is no name of a package,"
    " and no version",
    "cannot read record {path}: it is no request of sage-spkg's: {path} is no absolute path",
)
def test_requests_at_fault(desk: Desk) -> str:
    os.mkfifo(desk.directory / "fifo")
    said = desk.cli("commit-package", desk.directory / "fifo", status=1).stderr
    good = {
        "action": "remove",
        "package": "foo",
        "version": "1",
        "tree": str(desk.prefix),
        "python": "",
        "staged": "",
        "private": "",
        "keep": False,
    }
    for wrong in ({"tree": 1}, {"action": "x"}, {"package": "../x"}, {"tree": "x"}):
        said += desk.cli("commit-package", request(desk, **{**good, **wrong}), status=1).stderr
    return said
