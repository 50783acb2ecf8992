"""Messages of doctor."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.engine.tree import Tree
from sage_pkginstall.environment import target_environment
from sage_pkginstall.reports import condition
from sage_pkginstall.reports.doctor import examine
from sage_pkginstall.reports.finding import Examination
from tests.conftest import start_from
from tests.messages.desk import produces
from tests.torture.mounts import mounted
from tests.trees import Link, plant

if TYPE_CHECKING:
    from tests.messages.desk import Desk


@produces("{prefix} has no bin/python3: wheels cannot be installed")
def test_doctor_of_a_prefix_without_python(desk: Desk) -> str:
    (desk.directory / "plain").mkdir()
    return desk.cli("doctor", "--prefix", desk.directory / "plain").stdout


@produces("{prefix}/bin/python3 is that of another prefix: wheels cannot be installed")
def test_doctor_of_a_prefix_with_the_python_of_another_one(desk: Desk) -> str:
    borrower = start_from(desk.directory / "borrower", desk.prefix / "bin/python3")
    return desk.cli("doctor", "--prefix", borrower).stdout


@produces("{prefix} is managed by the system (PEP 668): it is not changed")
def test_doctor_of_a_managed_prefix(desk: Desk) -> str:

    environment = target_environment(desk.prefix)._replace(externally_managed="by us")
    examination = Examination(Tree(desk.prefix), environment, {}, lambda _: "x")
    return "\n".join(one.text for one in examine(examination))


@produces("{path} cannot be written")
def test_doctor_without_rights(desk: Desk) -> str:
    desk.patch.setattr(os, "access", lambda _path, mode: mode != os.W_OK)
    return desk.doctor()


def test_what_is_closed_to_its_own_owner_can_be_opened(desk: Desk) -> None:
    desk.patch.setattr(os, "access", lambda _path, mode: mode != os.W_OK)
    (desk.prefix / "bin").chmod(0o555)
    examination = Examination(Tree(desk.prefix), target_environment(desk.prefix), {}, lambda _: "x")
    (said,) = [
        one for one in examine(examination) if one.text.startswith(f"{desk.prefix}/bin cannot")
    ]
    assert said.remedy == f"chmod u+w {desk.prefix}/bin"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_what_is_mounted_for_reading_only_is_to_be_mounted_for_writing(desk: Desk) -> None:
    """Neither its owner nor root can write there, as this one knew no better than to advise."""
    with mounted(desk.directory / "mounted", "tmpfs", "ro") as prefix:
        (said,) = condition.rights(Examination(Tree(prefix), None, {}, lambda _: "x"))
    assert said.text == f"{prefix} cannot be written"
    assert said.remedy == "mount its file system for writing"


def test_link_that_leads_nowhere_cannot_be_written(desk: Desk) -> None:
    plant(desk.directory / "plain", {"bin": Link("nowhere")})
    (said,) = condition.rights(Examination(Tree(desk.directory / "plain"), None, {}, lambda _: "x"))
    assert said.text == f"{desk.directory}/plain/bin cannot be written"


@produces("{path} belongs to user {uid}, the prefix to user {owner}")
def test_doctor_of_two_owners(desk: Desk) -> str:
    if os.geteuid():
        pytest.skip("only root can give files away")
    os.chown(desk.prefix / "bin", 12345, -1)
    return desk.doctor()


@produces("the prefix belongs to user {owner}, and you are user {uid}")
def test_doctor_of_anothers_prefix(desk: Desk) -> str:
    if os.geteuid():
        pytest.skip("only root can give files away")
    os.chown(desk.prefix, 12345, -1)
    return desk.doctor()


@produces(
    "{directory} lies on another file system than the prefix: what goes there is copied"
    " first, and takes longer"
)
def test_doctor_of_two_file_systems(desk: Desk) -> str:
    (desk.prefix / "share").symlink_to("/dev")
    return desk.doctor()


@produces(
    "the file system cannot exchange two entries (renameat2): upgrades are done file by"
    " file, and a directory that becomes a file is absent for a moment"
)
def test_doctor_without_exchange(desk: Desk) -> str:
    env = {"SAGE_PKGINSTALL_RENAMEAT2": "0"}
    return desk.run("doctor", env=env)


@produces("the file system of the prefix gives no flock ({reason})")
def test_doctor_without_flock(desk: Desk) -> str:
    def flock(_file: object, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    desk.patch.setattr(fcntl, "flock", flock)
    return desk.doctor()


@produces(
    "only {number} MB are free on the file system of the prefix",
    "the file system of the prefix has no inode left",
)
def test_doctor_of_a_full_disk(desk: Desk) -> str:
    full = os.statvfs_result((4096, 4096, 10**6, 9, 9, 10**6, 0, 0, 0, 255))
    desk.patch.setattr(os, "statvfs", lambda _: full)
    return desk.doctor()


@produces("cannot look: {reason}")
def test_doctor_that_fails(desk: Desk) -> str:
    def statvfs(_path: object) -> None:
        raise PermissionError(errno.EACCES, "no")

    desk.patch.setattr(os, "statvfs", statvfs)
    plant(desk.prefix, {"var/lib/sage/installed": b"where a directory should be"})
    said = desk.doctor()
    assert f"cannot look: cannot read record {desk.prefix}/var/lib/sage/installed: Not a" in said
    return said


@produces("{lock} is a symbolic link, which is not followed")
def test_doctor_of_a_planted_lock(desk: Desk) -> str:
    (desk.prefix / "var/lock").mkdir(parents=True)
    (desk.prefix / "var/lock/pip3.lock").symlink_to("/dev/null")
    return desk.doctor()


@produces(
    "{lock} is held by a program that does not say who it is",
    "{lock} is held by process {pid} ({label}), since {time} ({seconds} s)",
)
def test_doctor_while_others_hold_the_lock(desk: Desk) -> str:
    plant(desk.prefix, {"var/lock/pip3.lock": b""})
    lock = desk.prefix / "var/lock/pip3.lock"
    code = (
        "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, 2); print(1, flush=True); input()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code, lock], stdin=pipe, stdout=pipe) as foreign:
        assert foreign.stdout is not None
        foreign.stdout.readline()
        said = desk.doctor()
        facts = {"pid": foreign.pid, "label": "long work", "since": 1000, "token": "t"}
        plant(desk.prefix, {"var/lock/pip3.lock.holder": json.dumps(facts).encode()})
        said += "\n" + desk.doctor()
        foreign.kill()
    return said


@produces("the journal {path} cannot be used: {reason}")
def test_doctor_of_a_damaged_journal(desk: Desk) -> str:
    plant(desk.prefix, {"var/tmp/sage/journal": b"{damaged"})
    return desk.run("doctor", status=1)


@produces(
    "'{label}' was begun by a process that died",
    "{number} staging directories of dead processes lie in {directory}",
)
def test_doctor_of_what_the_dead_left(desk: Desk) -> str:
    desk.die_in_a_transaction()
    return desk.doctor()


@produces("{directory} holds a discarded transaction")
def test_doctor_after_discarding(desk: Desk) -> str:
    (desk.prefix / "var/tmp/sage/discarded-1").mkdir(parents=True)
    return desk.doctor()


@produces(
    "the stamps of {packages} list no files",
    "{names}: installed in a way that lists no files (egg-link, distutils)",
    "{records}: no RECORD",
    "{names}: several versions are installed",
)
def test_doctor_of_old_records(desk: Desk) -> str:
    desk.stamp("old-1", "PACKAGE NAME: old")
    desk.install("foo")
    plant(
        desk.site,
        {"foo-0.dist-info/METADATA": b"Name: foo\nVersion: 0\n", "dev.egg-link": b"/src\n.\n"},
    )
    return desk.doctor()


@produces("transactions cannot be logged in {file}")
def test_doctor_without_a_log(desk: Desk) -> str:
    (desk.directory / "logs").mkdir()
    (desk.directory / "logs/transactions.jsonl").symlink_to("/dev/null")
    return desk.doctor()


@produces("there is no C compiler ({names})", "there is no {program}")
def test_doctor_without_programs(desk: Desk) -> str:
    return desk.doctor(which=lambda _: None)


@produces("CC names {program}, which is not there")
def test_doctor_of_a_wrong_compiler(desk: Desk) -> str:
    return desk.doctor(which=lambda _: None, variables={"CC": "nocc -O2"})


@produces("{directory} is not in PATH")
def test_doctor_without_path(desk: Desk) -> str:
    return desk.doctor(variables={"PATH": "/usr/bin"})


@produces("{directory} comes before {binaries} in PATH: its python3 is run")
def test_doctor_of_path_order(desk: Desk) -> str:
    plant(desk.directory, {"first/python3": b""})
    path = f"{desk.directory}/first:{desk.prefix}/bin"
    return desk.doctor(variables={"PATH": path})


@produces("{variable} is set, which leads Python or pip away from the prefix")
def test_doctor_of_variables(desk: Desk) -> str:
    path = str(desk.prefix / "bin")
    return desk.doctor(variables={"PATH": path, "PYTHONPATH": "/src"})


def test_healthy_prefix_has_no_findings(desk: Desk) -> None:
    desk.install("foo")
    roomy = os.statvfs_result((4096, 4096, 10**6, 10**6, 10**6, 10**6, 10**6, 10**6, 0, 255))
    desk.patch.setattr(os, "statvfs", lambda _: roomy)  # whatever this machine has
    assert desk.doctor() == ""
