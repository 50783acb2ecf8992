"""A cache that machines share: a real nginx, and servers that lie, dawdle and die."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.builds.remote import Remote, RemoteSettings
from sage_pkginstall.builds.remote_settings import remote_of
from sage_pkginstall.builds.shelf import About, Shelf
from tests.lyingserver import Liar, liar
from tests.once import TAKEN, learn_tools, make_quiet
from tests.sources import make_source, make_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import RunCli

ROOT = Path(__file__).parent.parent
KEY = "0" * 64
INPUTS = {"source": "1" * 64}
HASTY = RemoteSettings(connect=2, idle=1, grace=1, slowest=10_000_000, retries=1, rest=0)
pytest.importorskip("urllib3")

CONFIGURATION = """
daemon off; master_process off; worker_processes 1; pid {root}/pid; error_log {root}/error.log;
{user}
events {{ worker_connections 512; }}
http {{
    access_log {root}/access.log;
    client_body_temp_path {root}/incoming;
    proxy_temp_path {root}/t1; fastcgi_temp_path {root}/t2;
    uwsgi_temp_path {root}/t3; scgi_temp_path {root}/t4;
    client_max_body_size 0;
    server {{
        listen 127.0.0.1:{port};
        root {root}/files;
        location / {{
            dav_methods PUT;
            create_full_put_path on;
        }}
        location /readonly/ {{ alias {root}/files/; limit_except GET {{ deny all; }} }}
        location /guarded/ {{
            if ($http_authorization != "Bearer secret") {{ return 401; }}
            alias {root}/files/;
            dav_methods PUT;
            create_full_put_path on;
        }}
    }}
}}
"""


class Nginx:
    """A real nginx on a port of its own, that can be killed and started again."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = root / "files"
        self.files.mkdir(parents=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        user = "user root;" if os.geteuid() == 0 else ""
        text = CONFIGURATION.format(root=root, port=self.port, user=user)
        (root / "nginx.conf").write_text(text)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        root = os.fspath(self.root)
        command = ["nginx", "-p", root, "-e", f"{root}/error.log", "-c", f"{root}/nginx.conf"]
        self.process = subprocess.Popen(command)
        while not answers(self.port):
            assert self.process.poll() is None, (self.root / "error.log").read_text()
            time.sleep(0.01)

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Nginx]:
    server = Nginx(tmp_path / "nginx")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def warnings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("SAGE_PKGINSTALL_CACHE", str(tmp_path / "cache"))
    return []


def about_of(wheel: Path) -> About:
    data = wheel.read_bytes()
    return About(wheel.name, hashlib.sha256(data).hexdigest(), len(data), "now", INPUTS)


def shelf_of(
    directory: Path, url: str, warnings: list[str], *, writable: bool = True, **headers: str
) -> Shelf:
    remote = Remote(url, warnings.append, writable=writable, headers=headers, settings=HASTY)
    return Shelf(directory, remote, warnings.append)


def keep_one(directory: Path, url: str, warnings: list[str]) -> Path:
    wheel = make_wheel(directory, "foo-1.0-py3-none-any.whl")
    shelf_of(directory / "builder", url, warnings).keep(KEY, wheel, about_of(wheel))
    return wheel


# ------------------------------------------------------------------------------ real nginx


@pytest.mark.needs("nginx")
def test_what_one_machine_built_another_takes(
    tmp_path: Path, nginx: Nginx, warnings: list[str]
) -> None:
    wheel = keep_one(tmp_path / "a", nginx.url, warnings)
    about = about_of(wheel)
    there = {
        str(path.relative_to(nginx.files)) for path in nginx.files.rglob("*") if path.is_file()
    }
    assert there == {f"ac/{KEY}", f"cas/{about.sha256}"}
    reader = shelf_of(tmp_path / "b", nginx.url, warnings, writable=False)
    (tmp_path / "got").mkdir()
    assert reader.take(KEY, INPUTS, tmp_path / "got") == about
    assert (tmp_path / "got" / wheel.name).read_bytes() == wheel.read_bytes()
    nginx.kill()
    assert reader.take(KEY, INPUTS, tmp_path / "got") == about  # it has a copy of its own now
    assert reader.take("1" * 64, INPUTS, tmp_path / "got") is None
    assert len(warnings) == 1
    nginx.start()


@pytest.mark.needs("nginx")
def test_what_a_backend_asked_for_is_shared(
    tmp_path: Path, nginx: Nginx, warnings: list[str]
) -> None:
    shelf_of(tmp_path / "a", nginx.url, warnings).note(KEY, ("setuptools>=1",))
    reader = shelf_of(tmp_path / "b", nginx.url, warnings)
    assert reader.asked(KEY) == ("setuptools>=1",)
    assert reader.take(KEY, INPUTS, tmp_path) is None
    assert warnings == []


@pytest.mark.needs("nginx")
def test_who_may_only_read_writes_nothing(
    tmp_path: Path, nginx: Nginx, warnings: list[str]
) -> None:
    wheel = make_wheel(tmp_path, "foo-1.0-py3-none-any.whl")
    shelf = shelf_of(tmp_path / "a", nginx.url, warnings, writable=False)
    shelf.keep(KEY, wheel, about_of(wheel))
    assert list(nginx.files.rglob("*")) == []
    assert warnings == []
    shelf = shelf_of(tmp_path / "a", nginx.url + "readonly/", warnings)
    shelf.keep(KEY, wheel, about_of(wheel))  # the server forbids it
    assert list(nginx.files.rglob("*")) == []
    assert "403" in warnings[0]


@pytest.mark.needs("nginx")
def test_token_opens_a_guarded_server(tmp_path: Path, nginx: Nginx, warnings: list[str]) -> None:
    wheel = make_wheel(tmp_path, "foo-1.0-py3-none-any.whl")
    url = nginx.url + "guarded"
    environ = {"SAGE_PKGINSTALL_REMOTE": url, "SAGE_PKGINSTALL_REMOTE_MODE": "read-write"}
    stranger = Shelf(tmp_path / "a", remote_of(environ, warnings.append), warnings.append)
    stranger.keep(KEY, wheel, about_of(wheel))
    assert "401" in warnings.pop()
    friend = {**environ, "SAGE_PKGINSTALL_REMOTE_TOKEN": "secret"}
    shelf = Shelf(tmp_path / "b", remote_of(friend, warnings.append), warnings.append)
    shelf.keep(KEY, wheel, about_of(wheel))
    assert (nginx.files / "ac" / KEY).exists()
    assert warnings == []


@pytest.mark.needs("nginx")
@pytest.mark.parametrize("part", ["ac", "cas"])
def test_entry_that_rotted_on_the_server_is_reported_and_missing(
    tmp_path: Path, nginx: Nginx, warnings: list[str], part: str
) -> None:
    wheel = keep_one(tmp_path / "a", nginx.url, warnings)
    (entry,) = (nginx.files / part).iterdir()
    entry.write_bytes(b"x" * entry.stat().st_size)
    (tmp_path / "got").mkdir()
    reader = shelf_of(tmp_path / "b", nginx.url, warnings)
    assert reader.take(KEY, INPUTS, tmp_path / "got") is None
    assert [entry.name in warning and "is damaged" in warning for warning in warnings] == [True]
    assert list((tmp_path / "got").iterdir()) == []
    assert not (tmp_path / "b" / "built").exists()
    assert wheel.exists()


@pytest.mark.needs("nginx")
def test_build_takes_from_the_server_what_another_cache_has_not(
    tmp_path: Path, venv: Path, nginx: Nginx, run_cli: RunCli
) -> None:
    source = make_source(tmp_path / "src")
    make_quiet(source)
    said = {}
    for name in ("a", "b"):
        learn_tools(tmp_path / name)
        env = {
            "SAGE_PKGINSTALL_CACHE": str(tmp_path / name),
            "SAGE_PKGINSTALL_REMOTE": nginx.url,
            "SAGE_PKGINSTALL_REMOTE_MODE": "read-write" if name == "a" else "read",
        }
        words = ("--prefix", venv, "--store", tmp_path, "--wheel-dir", tmp_path / f"dist-{name}")
        said[name] = run_cli("build", *words, source, env=env).stderr
    assert TAKEN not in said["a"]
    assert TAKEN in said["b"]


CLIENTS = """
import hashlib, os, random, sys, time, zipfile
from pathlib import Path
from sage_pkginstall.builds.remote import Remote, RemoteSettings
from sage_pkginstall.builds.shelf import About, Shelf
import urllib3

root, url, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
settings = RemoteSettings(connect=2, idle=5, retries=1, rest=0.05)

def content(number):
    return random.Random(number).randbytes(200_000)

def client(me):
    here = root / str(me)
    here.mkdir()
    os.environ["SAGE_PKGINSTALL_CACHE"] = str(here)
    warned = []
    for turn in range(12):
        number = (turn + me) % 12
        key = hashlib.sha256(str(number).encode()).hexdigest()
        remote = Remote(url, warned.append, writable=True, settings=settings)
        shelf = Shelf(here / str(turn), remote, warned.append)
        about = shelf.take(key, {}, here)
        if about is None:
            wheel = here / f"foo{number}-1.0-py3-none-any.whl"
            wheel.write_bytes(content(number))
            digest = hashlib.sha256(content(number)).hexdigest()
            about = About(wheel.name, digest, 200_000, "now", {})
            shelf.keep(key, wheel, about)
        if (here / about.file).read_bytes() != content(number):
            return 3
        time.sleep(random.random() / 4)
    print(len(warned), flush=True)
    return 0

children = []
for me in range(count):
    child = os.fork()
    if child == 0:
        try:
            os._exit(client(me))
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(2)
    children.append(child)
sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


@pytest.mark.slow
@pytest.mark.needs("nginx")
def test_many_clients_survive_a_server_that_is_killed_again_and_again(
    tmp_path: Path, nginx: Nginx, warnings: list[str]
) -> None:
    (tmp_path / "clients").mkdir()
    words = [tmp_path / "clients", nginx.url, "64"]
    clients = subprocess.Popen(
        [sys.executable, "-c", CLIENTS, *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    kills = 0
    while clients.poll() is None:
        time.sleep(0.4)
        nginx.kill()
        time.sleep(0.1)
        nginx.start()
        kills += 1
    said = clients.communicate()[0].split()
    assert clients.returncode == 0
    assert len(said) == 64
    assert kills > 1
    assert sum(map(int, said)) > 0  # or the kills did not matter
    for path in (nginx.files / "cas").iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    for path in (nginx.files / "ac").iterdir():
        about = About.read(path.read_bytes())
        assert (nginx.files / "cas" / about.sha256).stat().st_size == about.size


# -------------------------------------------------------------------------- lying servers


def fails(request: Liar) -> None:
    request.answer(b"", 500)


def says_nothing(request: Liar) -> None:
    time.sleep(3)


def hangs_up(request: Liar) -> None:
    request.connection.close()


def speaks_nonsense(request: Liar) -> None:
    request.wfile.write(b"\x00\xff nonsense\r\n\r\n")


def sends_half(request: Liar) -> None:
    request.answer(b"{", Content_Length="1000")


def never_ends(request: Liar) -> None:
    request.answer(b"", Content_Length=str(10**12))
    while True:
        request.wfile.write(b"x" * 65536)


def drips(request: Liar) -> None:
    request.answer(b"", Content_Length="1000000")
    while True:
        request.wfile.write(b"x")
        request.wfile.flush()
        time.sleep(0.05)


def drips_a_header(request: Liar) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        request.wfile.write(b"x")
        time.sleep(0.05)


def drips_a_header_of_a_large_wheel(request: Liar) -> None:
    if "/ac/" in request.path:
        request.answer(told("foo-1.0-py3-none-any.whl", "0" * 64, 4 << 30))
    else:
        drips_a_header(request)


def drips_a_large_wheel(request: Liar) -> None:
    if "/ac/" in request.path:
        request.answer(told("foo-1.0-py3-none-any.whl", "0" * 64, 4 << 30))
    else:
        drips(request)


def fails_without_end(request: Liar) -> None:
    request.answer(b"", 503, Content_Length=str(10**12))
    while True:
        request.wfile.write(b"x" * 65536)


def redirects_without_end(request: Liar) -> None:
    request.answer(b"", 302, Location=request.path, Content_Length=str(10**12))
    while True:
        request.wfile.write(b"x" * 65536)


def redirects_for_ever(request: Liar) -> None:
    request.answer(b"", 302, Location=request.path)


def says_come_back_in_a_year(request: Liar) -> None:
    request.answer(b"", 503, Retry_After="31536000")


def told(file: str, digest: str, size: float) -> bytes:
    document = {"file": file, "sha256": digest, "size": size, "made": "", "inputs": INPUTS}
    return json.dumps(document).encode()


def has_no_wheel(request: Liar) -> None:
    digest = hashlib.sha256(b"a tar").hexdigest()
    request.answer(b"a tar" if "/cas/" in request.path else told("foo-1.0.tar", digest, 5))


def has_no_end(request: Liar) -> None:
    text = told("foo-1.0-py3-none-any.whl", "0" * 64, 1).replace(b'"size": 1', b'"size": 1e999')
    request.answer(text)


def nests(request: Liar) -> None:
    request.answer(b"[" * 200_000)


def leads_out(request: Liar) -> None:
    digest = hashlib.sha256(b"evil").hexdigest()
    request.answer(b"evil" if "/cas/" in request.path else told("../../evil.whl", digest, 4))


def is_no_object(request: Liar) -> None:
    request.answer(b"[1, 2]")


def has_another_wheel(request: Liar) -> None:
    data = b"another wheel"
    digest = hashlib.sha256(b"the wheel").hexdigest()
    document = told("foo-1.0-py3-none-any.whl", digest, len(data))
    request.answer(data if "/cas/" in request.path else document)


def mixes_up_entries(request: Liar) -> None:
    digest = hashlib.sha256(b"a wheel").hexdigest()
    about = About("foo-1.0-py3-none-any.whl", digest, 7, "now", {"source": "2" * 64})
    request.answer(b"a wheel" if "/cas/" in request.path else about.written())


LIES = [
    fails, says_nothing, hangs_up, speaks_nonsense, sends_half, never_ends, drips,
    redirects_for_ever, says_come_back_in_a_year, leads_out, is_no_object, has_another_wheel,
    mixes_up_entries, has_no_wheel, has_no_end, nests, drips_a_header, fails_without_end,
    redirects_without_end, drips_a_header_of_a_large_wheel, drips_a_large_wheel,
]  # fmt: skip


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: str(lie.__name__))
def test_server_that_lies_is_reported_once_and_does_no_harm(
    tmp_path: Path, warnings: list[str], lie: Callable[[Liar], None]
) -> None:
    (tmp_path / "got").mkdir()
    with liar(lie) as url:
        shelf = shelf_of(tmp_path / "a", url, warnings)
        assert shelf.take(KEY, INPUTS, tmp_path / "got") is None
        assert len(warnings) == 1
        assert url in warnings[0]
    assert list((tmp_path / "got").iterdir()) == []
    assert not (tmp_path / "evil.whl").exists()
    assert not (tmp_path / "a").exists()


def says_more_than_fits(request: Liar) -> None:
    request.answer(b"", 404 if request.command == "HEAD" else 201, Content_Length=str(10**12))


UNWILLING = [
    fails, says_nothing, hangs_up, redirects_for_ever, drips_a_header, says_more_than_fits,
]  # fmt: skip


@pytest.mark.parametrize("lie", UNWILLING, ids=lambda lie: str(lie.__name__))
def test_server_that_takes_nothing_is_no_failure_of_the_build(
    tmp_path: Path, warnings: list[str], lie: Callable[[Liar], None]
) -> None:
    wheel = make_wheel(tmp_path, "foo-1.0-py3-none-any.whl")
    with liar(lie) as url:
        shelf_of(tmp_path / "a", url, warnings).keep(KEY, wheel, about_of(wheel))
    assert len(warnings) == 1
    assert shelf_of(tmp_path / "a", url, []).take(KEY, INPUTS, tmp_path) == about_of(wheel)


def test_wheel_that_comes_too_late_is_not_written(tmp_path: Path, warnings: list[str]) -> None:
    """The wheel that is built meanwhile has the same name."""
    data = b"a wheel"
    is_answered = threading.Event()

    def dawdles(request: Liar) -> None:
        if "/ac/" in request.path:
            digest = hashlib.sha256(data).hexdigest()
            request.answer(told("foo-1.0-py3-none-any.whl", digest, len(data)))
            return
        request.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        for _ in range(60):
            request.wfile.write(b"x")
            time.sleep(0.05)
        request.wfile.write(b"\r\nContent-Length: 7\r\n\r\n" + data)
        is_answered.set()

    (tmp_path / "got").mkdir()
    with liar(dawdles) as url:
        shelf = shelf_of(tmp_path / "a", url, warnings)
        assert shelf.take(KEY, INPUTS, tmp_path / "got") is None
        assert not is_answered.is_set()
        assert is_answered.wait(10)
        time.sleep(0.2)
    assert list((tmp_path / "got").iterdir()) == []
    assert len(warnings) == 1


def test_server_that_forgets_what_it_took_gets_no_entry(
    tmp_path: Path, warnings: list[str]
) -> None:
    wheel = make_wheel(tmp_path, "foo-1.0-py3-none-any.whl")
    asked: list[str] = []

    def forgets(request: Liar) -> None:
        asked.append(f"{request.command} {request.path[:4]}")
        request.rfile.read(int(request.headers.get("Content-Length") or 0))
        request.answer(b"", 201 if request.command == "PUT" else 404)

    with liar(forgets) as url:
        shelf_of(tmp_path / "a", url, warnings).keep(KEY, wheel, about_of(wheel))
    assert asked == ["HEAD /cas", "PUT /cas", "HEAD /cas"]
    assert "does not have what it took" in warnings[0]


def test_who_we_are_is_told_to_no_host_that_the_server_leads_to(warnings: list[str]) -> None:
    sent: list[str | None] = []

    def listens(request: Liar) -> None:
        sent.append(request.headers["Authorization"])
        request.answer(b"here")

    def leads(request: Liar) -> None:
        sent.append(request.headers["Authorization"])
        request.answer(b"", 307, Location="/again" if request.path == "/ac/x" else other)

    with liar(listens) as other, liar(leads) as url:
        environ = {"SAGE_PKGINSTALL_REMOTE": url, "SAGE_PKGINSTALL_REMOTE_TOKEN": "secret"}
        remote = remote_of(environ, warnings.append)
        assert remote is not None
        assert remote.get("ac/x") == b"here"
    assert sent == ["Bearer secret", "Bearer secret", None]


def test_what_is_sent_names_its_hash(tmp_path: Path, warnings: list[str]) -> None:
    wheel = make_wheel(tmp_path, "foo-1.0-py3-none-any.whl")
    seen: dict[str, tuple[str | None, bytes]] = {}

    def takes(request: Liar) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if request.command == "PUT":
            seen[request.path[:4]] = (request.headers["Content-Digest"], body)
            request.answer(b"", 201)
        elif "/cas" in seen:
            request.answer(seen["/cas"][1])
        else:
            request.answer(b"", 404)

    with liar(takes) as url:
        shelf_of(tmp_path / "a", url, warnings).keep(KEY, wheel, about_of(wheel))
    assert warnings == []
    digest = base64.b64encode(hashlib.sha256(wheel.read_bytes()).digest()).decode()
    assert seen["/cas"] == (f"sha-256=:{digest}:", wheel.read_bytes())
    assert About.read(seen["/ac/"][1]) == about_of(wheel)


def test_server_that_failed_is_left_alone_by_later_processes(
    tmp_path: Path, warnings: list[str]
) -> None:
    asked: list[str] = []

    def counts(request: Liar) -> None:
        asked.append(request.path)
        hangs_up(request)

    with liar(counts) as url:
        for _ in range(3):
            settings = RemoteSettings(retries=0, rest=3600)
            Remote(url, warnings.append, settings=settings).get("ac/x")
    assert len(asked) == 1
    assert len(warnings) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_disk_that_is_full_is_no_fault_of_the_server(tmp_path: Path, warnings: list[str]) -> None:
    full, down = tmp_path / "full", tmp_path / "cache/remote-down"
    full.symlink_to("/dev/full")
    with liar(lambda request: request.answer(b"x" * 100_000)) as url:
        assert not Remote(url, warnings.append).get_file("cas/x", full, 100_000)
        assert not Remote(url, warnings.append).get_file("cas/x", tmp_path / "no/x", 100_000)
        assert not Remote(url, warnings.append, writable=True).put_file("cas/x", tmp_path / "no")
    assert len(warnings) == 3
    assert "No space left on device" in warnings[0]
    assert not full.is_symlink()
    assert not down.exists()


@pytest.mark.parametrize("first", [307, 503])
def test_large_file_is_sent_in_blocks_and_whole_again_if_that_is_wanted(
    tmp_path: Path, warnings: list[str], first: int
) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(40_000_000)
    lengths: list[int] = []

    def asks_again(request: Liar) -> None:
        if request.command == "HEAD":
            there = len(lengths) > 1
            request.answer(b"", 200 if there else 404, Content_Length=str(40_000_000 * there))
            return
        left = int(request.headers["Content-Length"])
        lengths.append(0)
        while left and (block := request.rfile.read(min(left, 65536))):
            left -= len(block)
            lengths[-1] += len(block)
        if len(lengths) == 1:
            request.answer(b"", first, Location="/elsewhere")
        else:
            request.answer(b"", 201)

    tracemalloc.start()
    try:
        with liar(asks_again) as url:
            assert Remote(url, warnings.append, writable=True).put_file("cas/x", large)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert lengths == [40_000_000, 40_000_000]
    assert warnings == []


@pytest.mark.parametrize("text", ["???", "foo >=", "foo; no_such_marker == '1'"])
def test_note_of_a_server_with_a_bad_requirement_is_not_used(
    tmp_path: Path, warnings: list[str], text: str
) -> None:
    with liar(lambda request: request.answer(json.dumps({"requires": [text]}).encode())) as url:
        assert shelf_of(tmp_path / "a", url, warnings).asked(KEY) is None
    assert "is damaged" in warnings[0]
    assert not (tmp_path / "a" / "asked").exists()
