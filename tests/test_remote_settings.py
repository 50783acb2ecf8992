"""How the remote cache is told where it is and who asks: variables, ~/.netrc, a library."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.builds.remote import Remote
from sage_pkginstall.builds.remote_settings import remote_of
from sage_pkginstall.errors import UsageError
from tests.lyingserver import Liar, liar
from tests.trees import plant

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("urllib3")


@pytest.fixture
def warnings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("SAGE_PKGINSTALL_CACHE", str(tmp_path / "cache"))
    return []


def test_netrc_is_asked_for_the_host_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warnings: list[str]
) -> None:
    plant(tmp_path, {".netrc": b"machine 127.0.0.1 login me password word\n"})
    (tmp_path / ".netrc").chmod(0o600)
    sent: list[str | None] = []

    def listens(request: Liar) -> None:
        sent.append(request.headers["Authorization"])
        request.answer(b"", 404)

    with liar(listens) as url:
        for address in (url, url.replace("127.0.0.1", "localhost")):
            environ = {"SAGE_PKGINSTALL_REMOTE": address, "HOME": str(tmp_path)}
            remote = remote_of(environ, warnings.append)
            assert remote is not None
            remote.get("ac/x")
    assert sent == ["Basic bWU6d29yZA==", None]
    assert warnings == []


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({"SAGE_PKGINSTALL_REMOTE": "ftp://x/"}, "no URL that begins with http"),
        ({"SAGE_PKGINSTALL_REMOTE": "http:///x"}, "no URL"),
        ({"SAGE_PKGINSTALL_REMOTE": "http://x/\x1b[31m"}, "no URL"),
        ({"SAGE_PKGINSTALL_REMOTE": "http://x/#part"}, "something behind its path"),
        (
            {"SAGE_PKGINSTALL_REMOTE": "http://x/", "SAGE_PKGINSTALL_REMOTE_MODE": "write"},
            "neither read nor read-write",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused(environ: dict[str, str], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        remote_of(environ, print)


def test_without_a_url_there_is_no_remote() -> None:
    assert remote_of({}, print) is None


def test_missing_library_is_named(
    tmp_path: Path, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "urllib3.exceptions", None)
    assert Remote("http://127.0.0.1:9/", warnings.append).get("ac/x") is None
    assert "install urllib3" in warnings[0]


def test_library_that_is_too_old_is_named(
    tmp_path: Path, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As 2.0 and 2.1 of it are, which some systems have."""
    monkeypatch.delattr("urllib3.response.HTTPResponse.read1")
    monkeypatch.delattr("urllib3.response.BaseHTTPResponse.read1")
    assert Remote("http://127.0.0.1:9/", warnings.append).get("ac/x") is None
    assert "install urllib3 >= 2.2" in warnings[0]


def test_end_of_a_line_is_no_part_of_a_token() -> None:
    """It is there when the token comes from a file."""
    environ = {"SAGE_PKGINSTALL_REMOTE": "http://x/", "SAGE_PKGINSTALL_REMOTE_TOKEN": "secret\n"}
    remote = remote_of(environ, print)
    assert remote is not None
    assert remote._headers == {"Authorization": "Bearer secret"}


@pytest.mark.parametrize(
    "environ",
    [
        {"SAGE_PKGINSTALL_REMOTE": "http://x/", "SAGE_PKGINSTALL_REMOTE_TOKEN": "secret\nword"},
        {"SAGE_PKGINSTALL_REMOTE": "http://x/", "SAGE_PKGINSTALL_REMOTE_TOKEN": "sécret"},
        {"SAGE_PKGINSTALL_REMOTE": "http://me:secret@x/"},
        {"SAGE_PKGINSTALL_REMOTE": "me:secret@x/"},
        {"SAGE_PKGINSTALL_REMOTE": "http://x/cache?sig=secret"},
    ],
)
def test_secret_that_cannot_be_used_is_refused_and_not_told(environ: dict[str, str]) -> None:
    with pytest.raises(UsageError) as failure:
        remote_of(environ, print)
    assert "cret" not in str(failure.value)


@pytest.mark.parametrize("word", ["password my secret", "passwrd secret"])
def test_damaged_netrc_is_told_without_its_words(
    tmp_path: Path, warnings: list[str], word: str
) -> None:
    path = tmp_path / "netrc"
    path.write_text(f"machine x login me {word}\n")
    environ = {"SAGE_PKGINSTALL_REMOTE": "http://x/", "NETRC": str(path)}
    assert remote_of(environ, warnings.append) is not None
    assert f"{path} is not read: a word near line" in warnings[0]
    assert "secret" not in warnings[0]
    assert "passwrd" not in warnings[0]


def test_netrc_in_another_encoding_is_not_read(tmp_path: Path, warnings: list[str]) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_bytes(b"# caf\xe9\nmachine x login a password b\n")
    environ = {"SAGE_PKGINSTALL_REMOTE": "http://x/", "NETRC": str(netrc)}
    assert remote_of(environ, warnings.append) is not None
    assert "without a password" in warnings[0]
