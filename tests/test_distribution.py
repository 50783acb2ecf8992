"""The wheel of this tool, as ``pip install`` and ``pipx run`` take it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall import __version__
from tests.conftest import ROOT
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.usefixtures("index")]


def output(*command: str | Path, **variables: str) -> str:
    ended = subprocess.run(
        command, check=False, capture_output=True, text=True, env={**os.environ, **variables}
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    code = f"from flit_core.buildapi import build_wheel; print(build_wheel({str(tmp_path)!r}))"
    built = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return tmp_path / built.stdout.strip()


def test_pip_installs_the_checkout_with_command_pages_and_interface(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    output(sys.executable, "-m", "venv", tool)
    output(tool / "bin/python", "-m", "pip", "install", "--quiet", ROOT)
    command = tool / "bin/sage-pkginstall"
    assert output(command, "--version") == f"sage-pkginstall {__version__}\n"
    assert (tool / "share/man/man1/sage-pkginstall.1").is_file()
    assert (tool / "share/fish/vendor_completions.d/sage-pkginstall.fish").is_file()
    code = "import sage_pkginstall; print(sage_pkginstall.install.__module__)"
    assert output(tool / "bin/python", "-I", "-c", code) == "sage_pkginstall.api\n"
    env = tmp_path / "env"
    output(sys.executable, "-m", "venv", "--without-pip", env)
    foo = make_wheel(tmp_path, "foo", "1.0")
    assert output(command, "install", "--prefix", env, foo) == "installed foo 1.0\n"
    assert output(command, "verify", "--prefix", env).startswith("1 verified")


@pytest.mark.needs("uv")
def test_wheel_runs_without_being_installed(wheel: Path, venv: Path, tmp_path: Path) -> None:
    foo = make_wheel(tmp_path / "wheels", "foo", "1.0")
    run = ("uv", "tool", "run", "--python", sys.executable, "--from", wheel, "sage-pkginstall")
    cache = str(tmp_path / "cache")
    said = output(*run, "install", "--prefix", venv, foo, UV_CACHE_DIR=cache)
    assert said == "installed foo 1.0\n"
