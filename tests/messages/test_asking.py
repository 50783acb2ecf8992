"""Messages of owner, status, log and verify."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from tests.messages.desk import produces
from tests.overtaking import overtaken
from tests.trees import plant
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.messages.desk import Desk


@produces("{path}: unowned: no distribution or package has it")
def test_unowned_path(desk: Desk) -> str:
    (desk.prefix / "mine").write_text("")
    return desk.run("owner", "mine", status=1)


@produces("{path}: unknown: there is no such file in {prefix}, and nobody owns it")
def test_unknown_path(desk: Desk) -> str:
    return desk.run("owner", "nothing", status=1)


@produces("{path}: outside: it does not lie in {prefix}")
def test_outside_path(desk: Desk) -> str:
    return desk.run("owner", "/", status=1)


@produces("nothing changed behind our back")
def test_untouched(desk: Desk) -> str:
    return desk.run("status")


@produces(
    "{name} {version} was uninstalled",
    "{name} {version} was installed again by {installer}",
    "{name} {version} was replaced by {other} by {installer}",
    "{owner}: changed after it was installed",
    "Installed by others, of no package:",
    "Files that nobody owns:",
)
def test_changed_by_pip_and_by_hand(desk: Desk) -> str:
    for name, version in (("again", "1"), ("newer", "2"), ("guest", "1")):
        desk.install(name, version)
        (desk.site / f"{name}-{version}.dist-info" / "INSTALLER").write_text("pip\n")
    for name in ("again", "newer", "gone"):
        line = f"{name} @ file:///wheels/{name}-1-py3-none-any.whl\n"
        plant(desk.prefix, {f"var/lib/sage/scripts/{name}/spkg-requirements.txt": line.encode()})
        desk.stamp(f"{name}-1", "{}")
    desk.stamp("data-1", '{"files": ["share/data"]}')
    plant(desk.prefix, {"share/data": b""})
    later = time.time() + 10
    for path in (desk.prefix / "share/data", desk.site / "again-1.dist-info" / "RECORD"):
        os.utime(path, (later, later))
    (desk.site / "mine.py").write_text("")
    return desk.run("status")


@produces("no transaction is known; looked into {files}")
def test_no_transaction(desk: Desk) -> str:
    return desk.run("log")


@produces(
    "{owner}: {path}: missing (not there)",
    "{owner}: {path}: size ({found} bytes, {recorded} recorded)",
    "{owner}: {path}: hash ({found}, {recorded} recorded)",
    "{owner}: {path}: type (a directory)",
    "{owner}: {path}: unlisted (not in RECORD)",
    "{owner}: {path}: outside (lies outside {prefix})",
    "{owner}: {path}: record ({reason})",
    "{path}: no distribution or package owns it",
)
def test_damaged_files(desk: Desk) -> str:
    desk.install("foo", a="", b="b = 1", c="c = 1", d="")
    desk.install("bar")
    for name in "ad":
        (desk.site / f"{name}.py").unlink()
    (desk.site / "d.py").mkdir()
    (desk.site / "b.py").write_text("b = 2")
    (desk.site / "c.py").write_text("c = 22")
    (desk.site / "foo-1.dist-info" / "mine").write_text("")
    with (desk.site / "foo-1.dist-info" / "RECORD").open("a") as record:
        record.write("/etc/passwd,,\n")
    (desk.site / "bar-1.dist-info" / "RECORD").unlink()
    (desk.site / "mine.py").write_text("")
    return desk.run("verify", status=1)


@produces(
    "Warning: cannot repair {distribution}: there is no wheel of it in {store};"
    " install it from where it came from, or give --store"
)
def test_wheel_is_gone(desk: Desk) -> str:
    desk.install("foo").unlink()
    (desk.site / "foo.py").unlink()
    return desk.run("verify", "--fix", status=1)


@produces(
    "Warning: cannot repair {distribution}: several versions of it are installed;"
    " uninstall it, then install the one you want"
)
def test_several_versions(desk: Desk) -> str:
    desk.install("foo")
    plant(desk.site, {"foo-0.dist-info/METADATA": b"Name: foo\nVersion: 0\n"})
    return desk.run("verify", "--fix", status=1)


@produces(
    "Warning: cannot repair {distribution}: {path} belongs to {owner}, too, with another"
    " content; uninstall one of them"
)
def test_one_path_of_two(desk: Desk) -> str:
    desk.install("one", both="x = 1")
    desk.install("two", both="x = 2")
    return desk.run("verify", "--fix", status=1)


@produces(
    "Warning: cannot repair {distribution}: another command has changed it meanwhile;"
    " verify it again"
)
def test_what_is_repaired_is_uninstalled_meanwhile(desk: Desk) -> str:
    wheel = desk.install("foo")
    (desk.site / "foo.py").unlink()
    at: list[str | Path] = ["--prefix", desk.prefix]
    return overtaken(["verify", "--fix", *at], ["uninstall", *at, "foo"], wheel.name).stderr


@produces("Warning: cannot repair {distribution}: it is editable; install it again from its source")
def test_editable_file_is_damaged(desk: Desk) -> str:
    wheel = make_wheel(desk.directory, "foo", "1", {"foo.pth": "/src"})
    env = {"SAGE_VENV": str(desk.prefix)}
    desk.cli("pip-install", "--editable", desk.directory, wheel, env=env)
    (desk.site / "foo.pth").unlink()
    return desk.run("verify", "--fix", status=1)


@produces("Warning: cannot repair {distribution}: {reason} at {path}")
def test_disk_is_full_while_one_is_repaired(desk: Desk) -> str:
    desk.install("foo")
    (desk.site / "foo.py").unlink()
    full = {"SAGE_PKGINSTALL_FAIL": "ENOSPC@1"}
    return desk.run("verify", "--fix", status=1, env=full)


@produces("Warning: cannot repair {distribution}: cannot install {wheel}: {reason}")
def test_stored_wheel_is_bad(desk: Desk) -> str:
    desk.install("foo").unlink()
    (desk.site / "foo.py").unlink()
    make_wheel(desk.directory, "foo", "1", record="")
    return desk.run("verify", "--fix", "--store", desk.directory, status=1)


@produces(
    "Warning: cannot repair {package}: no wheel holds its files; build it again, with"
    " 'make NAME-clean' and 'make NAME'"
)
def test_file_of_a_package_is_gone(desk: Desk) -> str:
    desk.stamp("data-1", '{"files": ["share/data"]}')
    return desk.run("verify", "--fix", status=1)
