"""The tool in one file: everything with any Python, and nothing installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import PurePath
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = [pytest.mark.network, pytest.mark.slow]


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory, asking: Mapping[str, str]) -> Path:
    file = tmp_path_factory.mktemp("dist") / "sage-pkginstall.pyz"
    script = ROOT / "build" / "setup" / "zipapp"
    subprocess.run([script, sys.executable, file], check=True, cwd=ROOT, env=asking)
    return file


def run(tool: Path, *words: str | Path) -> str:
    command = [sys.executable, "-I", "-S", str(tool), *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_file_installs_verifies_and_uninstalls(tool: Path, venv: Path, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "foo", "1.0", {"foo/__init__.py": "x = 1\n"})
    assert run(tool, "install", "--prefix", venv, wheel) == "installed foo 1.0\n"
    assert run(tool, "verify", "--prefix", venv).startswith("1 verified")
    assert run(tool, "uninstall", "--prefix", venv, "foo") == "uninstalled foo 1.0\n"


def test_file_holds_nothing_that_is_of_one_machine(tool: Path) -> None:
    with zipfile.ZipFile(tool) as archive:
        kinds = {PurePath(name).suffix for name in archive.namelist()}
    assert {".py", ".pyc"} < kinds
    assert kinds.isdisjoint({".so", ".pyd", ".dylib", ".exe"})


def test_byte_code_is_used_in_any_time_zone(tool: Path) -> None:
    code = "import sys, zipimport; importer = zipimport.zipimporter(sys.argv[1]);"
    code += " print(importer.get_code('sage_pkginstall').co_filename)"
    for zone in ("UTC", "EAST-9"):
        command = [sys.executable, "-c", code, str(tool)]
        environment = {**os.environ, "TZ": zone}
        ended = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        assert not ended.stdout.startswith(f"{tool}/")  # as for what is compiled now


@pytest.mark.needs("pypy3")
def test_file_installs_for_another_python(tool: Path, tmp_path: Path) -> None:
    prefix = tmp_path / "pypy"
    subprocess.run(["pypy3", "-m", "venv", "--without-pip", prefix], check=True)
    wheel = make_wheel(tmp_path, "foo", "1.0", {"foo/__init__.py": "x = 1\n"})
    run(tool, "install", "--prefix", prefix, wheel)
    (cached,) = prefix.glob("lib/pypy3*/site-packages/foo/__pycache__/*.pyc")
    assert "pypy" in cached.name


def test_file_has_the_page_of_timings_inside(tool: Path, tmp_path: Path) -> None:
    job = {"package": "foo", "version": "1.0", "tree": "/t", "kind": "normal", "mode": "all"}
    begins = {**job, "needs": [], "slots": 1, "log": "/l", "pid": 1, "event": "begins"}
    events, page = tmp_path / "run.jsonl", tmp_path / "page.html"
    events.write_text(json.dumps({"format": 1, "time": 1.0, "job": "1", **begins}) + "\n")
    assert run(tool, "timings", "--events", events, "-o", page) == f"{page}\n"
    assert '"name":"foo-1.0"' in page.read_text()
    assert "prefers-color-scheme" in page.read_text()
