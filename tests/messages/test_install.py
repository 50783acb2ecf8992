"""Messages of install, uninstall and merge."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.api import install
from sage_pkginstall.engine import files
from sage_pkginstall.environment import target_environment
from sage_pkginstall.errors import ConflictError, RecordError
from sage_pkginstall.wheels.installed import installed_distributions
from sage_pkginstall.wheels.records import recorded_files
from tests.conftest import start_from
from tests.messages.desk import produces
from tests.trees import plant
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from tests.messages.desk import Desk


@produces(
    "cannot install wheels into {prefix}: it has no bin/python3; give --python, or make it a"
    " virtual environment"
)
def test_prefix_without_python(desk: Desk) -> str:
    (desk.directory / "plain").mkdir()
    wheel = make_wheel(desk.directory, "foo", "1")
    return desk.cli("install", "--prefix", desk.directory / "plain", wheel, status=2).stderr


@produces(
    "cannot install wheels into {prefix}: its bin/python3 is that of {other}; give --python if that"
    " is meant, or make it a virtual environment",
    "cannot install wheels into {prefix}: its bin/python3 is that of {other}; make it a virtual"
    " environment, or set SAGE_VENV to one",
)
def test_prefix_with_the_python_of_another_one(desk: Desk) -> str:
    borrower = start_from(desk.directory / "borrower", desk.prefix / "bin/python3")
    wheel = make_wheel(desk.directory, "foo", "1")
    said = desk.cli("install", "--prefix", borrower, wheel, status=2).stderr
    return said + desk.cli("pip-install", wheel, env={"SAGE_VENV": str(borrower)}, status=3).stderr


@produces(
    "cannot install {file}: it is not a wheel (NAME-VERSION-TAGS.whl); build it first, with"
    " 'sage-pkginstall build'",
    "cannot install {wheel}: there is no file {path}",
    "cannot install {wheel}: it is no regular file",
    "cannot install {wheel}: scripts cannot name '{path}', which is not UTF-8; use an"
    " environment of another name",
    "cannot install {wheel}: scripts cannot name '{path}', which has a tab or line break; use an"
    " environment of another name",
    "cannot install {wheel}: {other} is of the same distribution; give one of them",
    "cannot meet requirement '{text}': there is no fitting wheel in {store}",
    "cannot meet requirement '{text}': it cannot be read: {reason}",
    "cannot meet requirement '{text}': only file:// URLs are supported, nothing is downloaded",
)
def test_what_cannot_be_installed(desk: Desk) -> str:
    one, two = (make_wheel(desk.directory, "foo", version) for version in "12")
    said = desk.run("install", one, two, status=1)
    pipe = desk.directory / "pipe-1-py3-none-any.whl"
    os.mkfifo(pipe)
    said += desk.run("install", pipe, status=1)
    for name in (os.fsdecode(b"\xff"), "a\tb"):
        odd = desk.directory / name
        shutil.copytree(desk.prefix, odd, symlinks=True)
        said += desk.cli("install", "--prefix", odd, one, status=1).stderr
    for word in (
        "none-1-py3-none-any.whl",
        "bar",
        "foo[",
        "foo @ https://a/foo-1-py3-none-any.whl",
    ):
        said += desk.run("install", word, status=1)
    return said + desk.run("install", desk.directory, status=1)


@produces("cannot use link mode {mode}: it is one of copy, hardlink")
def test_link_mode_that_there_is_none_of(desk: Desk) -> str:
    wheel = make_wheel(desk.directory, "foo", "1")
    said = {"SAGE_PKGINSTALL_LINK_MODE": "symlink"}
    return desk.cli("install", "--prefix", desk.prefix, wheel, env=said, status=2).stderr


@produces(
    "cannot install {path} of {bringer}: {owner} owns it with another content",
    "Warning: {path} is overwritten: it belongs to {owner}; now it is that of {bringer}",
    "Warning: {path} is overwritten: no package owns it",
    "Warning: {path} is a link: it leads out of the prefix, and what it leads to stays",
    "cannot install {path} of {bringer}: it is a directory of {owner}, not a file; remove or"
    " rename one of them",
    "Warning: {path} is in two of the wheels, with different contents: that of {name} is installed",
)
def test_two_want_one_path(desk: Desk) -> str:
    plant(desk.site, {"mine.py": b"by hand"})
    desk.install("one", both="x = 1", mine="x = 1")
    two = make_wheel(desk.directory, "two", "1", {"both.py": "x = 2"})
    said = desk.run("install", "--conflicts", "error", two, status=1)
    assert "both.py of distribution two 1: distribution one 1 owns it" in said
    said += desk.run("install", two)
    plant(desk.site, {"mine.py": b"by hand"})
    desk.run("uninstall", "one")
    plant(desk.site, {"hand.py": b"by hand", "place/file": b""})
    said += desk.run("install", make_wheel(desk.directory, "three", "1", {"hand.py": "x = 1"}))
    four = make_wheel(desk.directory, "four", "1", {"deep/file/a.py": ""})
    desk.run("install", four)
    five = make_wheel(desk.directory, "five", "1", {"deep/file": ""})
    said += desk.run("install", five, status=1)
    desk.run("uninstall", "four")
    desk.run("install", four)
    shutil.move(desk.site / "deep", desk.directory / "sources")
    (desk.site / "deep").symlink_to(desk.directory / "sources")
    said += desk.run("uninstall", "four")
    six = make_wheel(desk.directory, "six", "1", {"same.py": "x = 6"})
    seven = make_wheel(desk.directory, "seven", "1", {"same.py": "x = 7"})
    return said + desk.run("install", six, seven)


@produces(
    "Warning: {name} needs {requirement}, which is not installed; install it, or add the package"
    " that provides it to {file}",
    "Warning: {name} needs {requirement}, but version {version} is installed; install a version of"
    " one or the other that fits",
)
def test_requirement_is_missing(desk: Desk) -> str:
    wheel = make_wheel(desk.directory, "foo", "1", metadata=["Requires-Dist: bar>=2"])
    return desk.run("install", wheel) + desk.run(
        "install", make_wheel(desk.directory, "bar", "1", {}), wheel
    )


@produces(
    "Warning: {info} has no readable RECORD: only that directory is removed, other files of"
    " {name} {version} may stay",
    "Warning: {name} {version} lists '{path}', which is outside of the prefix and stays",
    "Warning: {name} {version} lists '{path}', which belongs to the environment and stays",
)
def test_records_at_fault(desk: Desk) -> str:
    desk.install("foo")
    (desk.site / "foo-1.dist-info" / "RECORD").unlink()
    desk.install("bar")
    with (desk.site / "bar-1.dist-info" / "RECORD").open("a") as record:
        record.write("/etc/passwd,,\n../../../pyvenv.cfg,,\n")
    return desk.run("uninstall", "foo", "bar")


@produces(
    "cannot merge {path}: it is not a directory",
    "cannot merge {path}: it holds the prefix, or is part of its var/",
    "cannot merge {path} as '{name}': letters, digits, '_', '.' and '+' make the name of a package",
    "cannot install {path}: it is neither file, link nor directory",
)
def test_what_cannot_be_merged(desk: Desk) -> str:
    (desk.directory / "staged").mkdir()
    os.mkfifo(desk.directory / "staged" / "pipe")
    said = desk.run("merge", desk.directory / "none", status=2)
    said += desk.run("merge", desk.prefix, status=2)
    said += desk.run("merge", "--package", "two-words", desk.directory / "staged", status=2)
    return said + desk.run("merge", desk.directory / "staged", status=1)


@produces(
    "cannot install {wheel}: it is for {tags}; {python} is {implementation} {version} and takes"
    " wheels like {tag}",
    "cannot install {wheel}: it requires Python {versions}; {python} is Python {version}",
)
def test_wheels_for_others(desk: Desk) -> str:
    wheel = make_wheel(desk.directory, "foo", "1", tag="cp27-cp27m-win32")
    said = desk.run("install", wheel, status=1)
    wheel = make_wheel(desk.directory, "foo", "1", metadata=["Requires-Python: <3"])
    return said + desk.run("install", wheel, status=1)


@produces(
    "cannot read record {path}: there is no such file",
    "cannot read record {path}: it holds a NUL byte",
    "cannot read record {path}: an installation of kind {kind} lists no files",
    "cannot read record {path}: it does not tell which files {name} {version} has;"
    " uninstall that first",
)
def test_what_lists_no_files(desk: Desk) -> str:
    desk.install("foo", x="")
    desk.install("bar", y="")
    plant(desk.site, {"foo-1.dist-info/RECORD": b"\0"})
    (desk.site / "bar-1.dist-info/RECORD").unlink()
    plant(desk.site, {"old-1-py3.11.egg-info": b"Name: old\nVersion: 1\n"})
    environment = target_environment(desk.prefix)
    said = ""
    for installed in installed_distributions(environment):
        with pytest.raises(RecordError) as caught:
            recorded_files(environment, installed)
        said += f"{caught.value}\n"
    plant(desk.site, {"egg-1.egg": b"a zip file"})  # as setup.py install makes it
    for name in ("old", "egg"):
        wheel = make_wheel(desk.directory, name, "2")
        said += desk.run("install", wheel, status=1)
    return said


@produces(
    "cannot meet requirement '{text}': it has an option that is not supported; remove it",
    "cannot meet requirement '{text}': {name} is no name of a distribution",
    "cannot meet requirement '{text}': its marker cannot be read",
    "cannot meet requirement '{text}': its marker compares what cannot be compared",
    "cannot meet requirement '{text}': there is no file {path}",
    "cannot meet requirement '{text}': {wheel} is of another distribution",
    "cannot meet requirement '{text}': a hash in a URL is not supported; write --hash=sha256:…",
)
def test_requirements_at_fault(desk: Desk) -> str:
    place = f"file://{desk.directory}/foo-1-py3-none-any.whl"
    texts = [f"foo @ {place} --nonsense", f"!! @ {place}", f"foo @ {place} ; x", f"foo @ {place}"]
    texts += [f"foo @ file://{make_wheel(desk.directory, 'bar', '1')}"]
    texts += [f"foo @ {place}#sha256=0", 'foo; sys_platform ~= "linux"']
    return "".join(desk.run("install", text, status=1) for text in texts)


@produces(
    "cannot install {path} of {bringer}: it is a directory that cannot be moved, as those of a"
    " container's image; uninstall what has it, then repeat"
)
def test_directory_of_a_lower_layer(desk: Desk) -> str:
    desk.install("foo", "1", **{"x/a": ""})
    wheel = make_wheel(desk.directory, "foo", "2", {"x": ""})
    desk.patch.setattr(files, "can_move_directory", lambda *_: False)
    with pytest.raises(ConflictError) as caught:
        install([wheel], target_environment(desk.prefix))
    return str(caught.value)
