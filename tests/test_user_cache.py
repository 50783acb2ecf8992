"""Where the user's cache is, and that its files are whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sage_pkginstall.user_cache import cache_directory, write_cached
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    import pytest

    from tests.conftest import RunCli


def test_process_of_the_same_number_elsewhere_keeps_its_file(tmp_path: Path) -> None:
    """Containers that share a cache have process numbers of their own."""
    half = tmp_path / f"note.json.{os.getpid()}"
    half.write_bytes(b"hal")
    write_cached(tmp_path / "note.json", b"ours")
    assert half.read_bytes() == b"hal"
    assert (tmp_path / "note.json").read_bytes() == b"ours"


def test_cache_directory_follows_the_variables(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SAGE_PKGINSTALL_CACHE", "/a/b")
    assert cache_directory() == Path("/a/b")
    monkeypatch.delenv("SAGE_PKGINSTALL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_directory() == Path("/x/sage-pkginstall")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", os.fspath(tmp_path))
    assert cache_directory() == tmp_path / ".cache/sage-pkginstall"


def test_user_without_a_home_directory_has_neither_cache_nor_log(
    venv: Path, tmp_path: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``~`` stays where nobody knows the user; here it stands for that itself."""
    monkeypatch.setenv("HOME", "~")
    monkeypatch.delenv("SAGE_PKGINSTALL_CACHE")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    wheel = make_wheel(tmp_path, "foo", "1")
    for _ in range(2):
        ended = run_cli("install", "--prefix", venv, wheel)
        assert (ended.stdout, ended.stderr) == ("installed foo 1\n", "")
    for command in ("verify", "status"):
        assert run_cli(command, "--prefix", venv).stderr == ""
    run_cli("cache", "info")
    run_cli("cache", "prune")
    assert "transactions cannot be logged" in run_cli("doctor", "--prefix", venv).stdout
    assert list((tmp_path / "empty").iterdir()) == []
