"""Messages of sources that cannot be had."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.lyingserver import liar
from tests.messages.desk import produces
from tests.sageworld import SageWorld

if TYPE_CHECKING:
    from tests.lyingserver import Liar
    from tests.messages.desk import Desk

NOTHING = {"spkg-install.in": "true"}
DIGEST = hashlib.sha256(b"the tarball").hexdigest()
NOWHERE = "http://127.0.0.1:9/"  # discard: nothing listens there


def checksums(tarball: str, url: str = "", digest: str = DIGEST) -> str:
    return f"tarball={tarball}\nsha256={digest}\nupstream_url={url}\n"


@produces(
    "cannot handle package {name}: pip cannot download {project} {version} (exit status {status}),"
    " as it says above; mend that, or put {file} into {directory}"
)
@pytest.mark.slow  # pip starts
def test_pip_cannot_download(desk: Desk) -> str:
    world = SageWorld.make(desk.directory, desk.prefix)
    url = "https://index.org/packages/source/f/foo/foo-1.tar.gz"
    world.package("foo", "1", {**NOTHING, "checksums.ini": checksums("foo-1.tar.gz", url)})
    said = ""
    for index in ({"PIP_NO_INDEX": "1"}, {"PIP_INDEX_URL": NOWHERE, "PIP_RETRIES": "0"}):
        settings = {"PIP_CONFIG_FILE": "/dev/null", "PIP_FIND_LINKS": "", **index}
        ended = world.spkg("foo", status=1, **settings)
        assert "No matching distribution found" in ended.stdout + ended.stderr
        said += ended.stderr
    assert list((world.root / "upstream").iterdir()) == []
    return said


@produces(
    "cannot handle package {name}: cannot download {url}: {reason}; mend that, or put {file} into"
    " {directory}",
    "cannot handle package {name}: the {algorithm} of {file}, as downloaded, is {found}, not"
    " {wanted}; it was not kept; try again, and if it comes again, find out who changed it",
)
def test_download_fails(desk: Desk) -> str:
    world = SageWorld.make(desk.directory, desk.prefix)

    def lie(request: Liar) -> None:
        if request.path == "/none":
            request.answer(b"", 404)
        elif request.path == "/short":
            request.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: 11\r\n\r\nthe")
        elif request.path == "/noise":
            request.wfile.write(b"noise\r\n\r\n")
        else:
            request.answer(b"another")

    said = ""
    with liar(lie) as server:
        urls = [f"{server}{path}" for path in ("none", "short", "noise", "other")]
        for url in (*urls, NOWHERE, "file:///etc/passwd", "http://x y/"):
            world.package("foo", "1", {**NOTHING, "checksums.ini": checksums("foo.gz", url)})
            ended = world.spkg("-o", "foo", status=1)
            assert ended.stderr.count("\n") == 1, ended.stderr
            said += ended.stderr
    assert list((world.root / "upstream").iterdir()) == []
    for reason in ("404", "after 3 of 11", "noise", "refused", "no URL of the web", "is no URL ("):
        assert reason in said
    return said


@produces(
    "cannot handle package {name}: {file} is missing; put it into {directory}, or allow its"
    " download from {url} with -o",
    "cannot handle package {name}: its checksums.ini has no sha256 of {file}; add it",
    "cannot handle package {name}: its checksums.ini has no {algorithm}: {text}",
    "cannot handle package {name}: its checksums.ini has no upstream_url: {text}",
    "cannot handle package {name}: none of its wheels fits this machine: {names}; add one that"
    " does, or its sources, to checksums.ini",
    "cannot handle package {name}: there is no Python to choose one of its wheels for; make an"
    " environment, with 'python3 -m venv --without-pip $SAGE_VENV' say",
)
def test_checksums_at_fault(desk: Desk) -> str:
    world = SageWorld.make(desk.directory, desk.prefix)
    (world.root / "upstream" / "b.gz").write_bytes(b"")
    wheels = [checksums(f"d-1-cp27-none-{machine}.whl") for machine in ("win32", "any")]
    for name, text in {
        "a": checksums("a.gz", NOWHERE),
        "b": "tarball=b.gz\n",
        "c": checksums("c.gz", digest="beef"),
        "d": "".join(wheels),
        "e": checksums("e.gz", "http://["),
    }.items():
        world.package(name, "1", {**NOTHING, "checksums.ini": text})
    empty = str(desk.directory / "empty")
    said = world.spkg("d", empty, status=1, SAGE_LOCAL=empty, SAGE_VENV=empty).stderr
    return said + "".join(world.spkg(name, status=1).stderr for name in "abcde")
