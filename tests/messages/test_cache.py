"""Messages of the cache of built wheels, of why-rebuilt, and of the cache that machines share."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.builds.source_files import hash_file
from tests.conftest import ROOT, START
from tests.lyingserver import liar
from tests.messages.desk import produces
from tests.once import learn_tools, package_files
from tests.sageworld import SageWorld
from tests.sources import make_source, source_files
from tests.trees import plant

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lyingserver import Liar
    from tests.messages.desk import Desk

pytest.importorskip("urllib3")

FOO = 'cd src && sdh_install f "$SAGE_SHARE"'


def build(desk: Desk, source: Path, *options: str, status: int = 0, **variables: str) -> str:
    """What a build says, with a cache of its own."""
    if not (desk.directory / "cache").exists():
        learn_tools(desk.directory / "cache")
    goal = ("--wheel-dir", desk.directory / "dist")
    env = {"SAGE_PKGINSTALL_CACHE": str(desk.directory / "cache"), **variables}
    return desk.run("build", *goal, *options, source, status=status, env=env)


@produces("cannot prune what was not used for {number} days: that is no time")
def test_pruning_by_no_time(desk: Desk) -> str:
    return "".join(
        desk.cli("cache", "prune", f"--days={days}", status=2).stderr for days in ("-1", "nan")
    )


@produces(
    "cannot tell why {name} was built: {cache} knows of no build of it; name the package, or the"
    " source",
    "{wheel} ({place}) was built, {time}: no build before that is known",
    "{wheel} ({place}) was taken from the cache, {time}",
    "{wheel} ({place}) was built again, {time}, because that was asked for: {option}",
    "{wheel} ({place}) was built again, {time}: nothing changed, but its entry in the cache was"
    " pruned, damaged, or never kept",
    "{wheel} ({place}) was built again, {time}, because of",
    "{wheel} ({place}) was built, {time}, without looking into the cache: {reason}",
    "Taken from the cache: {wheel}, built {time}",
)
def test_why_a_wheel_was_built(desk: Desk) -> str:
    source, cache = desk.directory / "source", desk.directory / "cache"
    env = {"SAGE_PKGINSTALL_CACHE": str(cache)}

    def why(status: int = 0) -> str:
        told = desk.cli("why-rebuilt", "source", status=status, env=env)
        return told.stdout + told.stderr

    said = why(2)
    make_source(source)
    for option in ([], [], ["--rebuild"]):
        said += build(desk, source, *option) + why()
    shutil.rmtree(cache / "built")
    said += build(desk, source) + why()
    make_source(source, code="0")
    said += build(desk, source) + why()
    (source / "out").symlink_to(desk.directory)
    return said + build(desk, source) + why()


@produces(
    "Built without looking into the cache: {reason}",
    "Warning: {wheel} is not kept in {cache}: {reason}; SAGE_PKGINSTALL_CACHE may name another"
    " directory",
    "Warning: {entry} is damaged ({reason}): the wheel is built anew",
)
def test_cache_that_is_of_no_use(desk: Desk) -> str:
    source = make_source(desk.directory / "source")
    plant(desk.directory, {"file": b""})
    said = build(desk, source, SAGE_PKGINSTALL_CACHE=str(desk.directory / "file"))
    build(desk, source)
    (entry,) = (desk.directory / "cache/built").iterdir()
    (entry / "about.json").write_text("{}")
    said += build(desk, source)
    (source / "out").symlink_to(desk.directory)
    return said + build(desk, source)


@produces("Warning: {entry} cannot be taken ({reason}): the wheel is built anew")
def test_entry_that_there_is_no_room_for(desk: Desk) -> str:
    source, said = make_source(desk.directory / "source"), desk.directory / "said"
    build(desk, source)
    full = "import errno, os, shutil\ndef full(a, b): raise OSError(errno.ENOSPC, 'full', b)\n"
    start = f"{full}shutil.copyfile = full\n{START}"
    command = [sys.executable, "-I", "-c", start, str(ROOT), "build", "--prefix", str(desk.prefix)]
    env = {**os.environ, "SAGE_PKGINSTALL_CACHE": str(desk.directory / "cache")}
    with said.open("wb") as file:
        goal = ["--wheel-dir", str(desk.directory / "dist")]
        subprocess.run([*command, *goal, str(source)], env=env, stderr=file, check=False)
    return said.read_text()


@produces("Waiting for another process that builds the same wheel")
def test_two_builds_of_one_wheel(desk: Desk) -> str:
    begun, go = desk.directory / "begun", desk.directory / "go"
    for fifo in (begun, go):
        os.mkfifo(fifo)
    code = f"open({str(begun)!r}, 'w').close(); open({str(go)!r}).close()"
    source = make_source(desk.directory / "source", code=code)
    command = [sys.executable, "-I", "-c", START, str(ROOT), "build", "--prefix", str(desk.prefix)]
    first = [*command, "-q", "-w", str(desk.directory / "first"), str(source)]
    second = [*command, "-w", str(desk.directory / "second"), str(source)]
    with subprocess.Popen(first) as one:
        begun.read_bytes()
        with subprocess.Popen(second, stderr=subprocess.PIPE) as two:
            assert two.stderr is not None
            said = two.stderr.readline()  # while it waits
            go.write_bytes(b"")
            said += two.stderr.read()
    assert (one.returncode, two.returncode) == (0, 0)
    return said.decode()


@produces(
    "cannot use SAGE_PKGINSTALL_REMOTE='{text}': it is no URL that begins with http:// or https://",
    "cannot use SAGE_PKGINSTALL_REMOTE_MODE='{text}': it is neither read nor read-write",
    "cannot use SAGE_PKGINSTALL_REMOTE: it holds a password; put it into ~/.netrc",
    "cannot use SAGE_PKGINSTALL_REMOTE: it has something behind its path, after a '?' or '#'",
    "cannot use SAGE_PKGINSTALL_REMOTE_TOKEN: it is no line of ASCII",
)
def test_remote_cache_that_cannot_be(desk: Desk) -> str:
    source = make_source(desk.directory / "source")
    remote, mode = "SAGE_PKGINSTALL_REMOTE", "SAGE_PKGINSTALL_REMOTE_MODE"
    url, token = "http://localhost/", "SAGE_PKGINSTALL_REMOTE_TOKEN"
    said = build(desk, source, status=2, **{remote: "ftp://localhost/"})
    said += build(desk, source, status=2, **{remote: url, mode: "write"})
    said += build(desk, source, status=2, **{remote: "http://me:secret@localhost/"})
    said += build(desk, source, status=2, **{remote: url + "?sig=secret"})
    return said + build(desk, source, status=2, **{remote: url, token: "two\nlines"})


@produces(
    "Warning: the remote cache {url} is not used: {fault}; the build goes on",
    "Warning: {file} is not read: {reason}; the remote cache is asked without a password",
    "Warning: {file} is not read: a word near line {number} cannot be understood; the remote cache"
    " is asked without a password",
)
def test_remote_cache_that_refuses(desk: Desk) -> str:
    source = make_source(desk.directory / "source")
    said = ""
    for content in (b"nonsense", b"caf\xe9"):
        plant(desk.directory, {"netrc": content})
        with liar(lambda request: request.answer(b"", 403)) as url:
            netrc = str(desk.directory / "netrc")
            said += build(desk, source, SAGE_PKGINSTALL_REMOTE=url, NETRC=netrc)
    return said


@produces(
    "Warning: {url}ac/{key} is damaged ({reason}): the wheel is built",
    "Warning: {url}ac/{key} is damaged ({reason}): the backend is asked",
)
def test_remote_cache_that_lies(desk: Desk) -> str:
    source = make_source(desk.directory / "source")
    with liar(lambda request: request.answer(b"{}")) as url:
        return build(desk, source, SAGE_PKGINSTALL_REMOTE=url)


@produces(
    "Warning: {wheel} is linked with {libraries}, which its package does not depend on, so it is"
    " not kept; its 'dependencies' file needs mending"
)
def test_library_that_is_found_by_chance(desk: Desk) -> str:
    world = SageWorld.make(desk.directory, desk.prefix)
    learn_tools(desk.directory / "cache")
    world.env["SAGE_PKGINSTALL_CACHE"] = str(desk.directory / "cache")
    text = 'echo > libx.so.1 && sdh_install libx.so.1 "$SAGE_LOCAL/lib"\n'
    world.package("library", "1", {"spkg-install.in": text})
    world.spkg("library")
    files = source_files()
    files["backend.py"] = files["backend.py"].replace(
        'f"{name}.json": json.dumps(report)', 'f"{name}.so": "\\x7fELF libc\\0libx.so.1\\0"'
    )
    world.package("tiny", "1.0", package_files(), source=files)
    said = world.spkg("tiny")
    return said.stdout + said.stderr


@produces(
    "{name} is not kept for the next time: {reason}",
    "Warning: {file} of the cache cannot be laid out ({reason}): the package is built",
)
def test_packages_that_are_not_taken(desk: Desk) -> str:
    world = SageWorld.make(desk.directory, desk.prefix)
    world.env["SAGE_PKGINSTALL_CACHE"] = str(desk.directory / "cache")
    world.env["SAGE_PKGINSTALL_BUILT"] = "packages"
    world.package("empty", "1", {"spkg-install.in": "true"}, source={"f": ""})
    world.package("foo", "1", {"spkg-install.in": FOO}, source={"f": ""})
    said = world.spkg("empty").stdout + world.spkg("foo").stdout
    (about,) = (desk.directory / "cache/built").glob("*/about.json")
    kept = about.with_name("foo-1.tar")
    kept.unlink()
    with tarfile.open(kept, "w") as tar:
        tar.addfile(tarfile.TarInfo("../foo"))
    document = {**json.loads(about.read_bytes()), "sha256": hash_file(kept)}
    about.write_text(json.dumps(document))
    return said + world.spkg("foo").stderr


@produces("Warning: {url}cas/{hash} is damaged ({reason}): the wheel is built")
def test_remote_cache_with_another_wheel(desk: Desk) -> str:
    source = make_source(desk.directory / "source")
    kept: dict[str, bytes] = {}

    def lie(request: Liar) -> None:
        if request.command == "PUT":
            body = request.rfile.read(int(request.headers["Content-Length"]))
            kept[request.path] = body[::-1] if "/cas/" in request.path else body
        found = kept.get(request.path)
        request.answer(found or b"", 200 if found else 404)

    with liar(lie) as url:
        remote = {"SAGE_PKGINSTALL_REMOTE": url, "SAGE_PKGINSTALL_REMOTE_MODE": "read-write"}
        build(desk, source, status=0, **remote)
        other = str(desk.directory / "other")
        return build(desk, source, status=0, **remote, SAGE_PKGINSTALL_CACHE=other)
