"""A tool that pip installed imports nothing from where PYTHONPATH leads."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT
from tests.trees import plant
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = "from sage_pkginstall.cli.main import program\nprogram()\n"


@pytest.fixture
def tool(venv: Path) -> Path:
    """The script that pip makes, in an environment that has this tool and what it needs."""
    (packages,) = venv.glob("lib/python3*/site-packages")
    needed = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "tool.pth").write_text("\n".join([str(ROOT), *needed]))
    script = venv / "bin" / "sage-pkginstall"
    script.write_text(f"#!{venv}/bin/python3\n{PROGRAM}")
    script.chmod(0o755)
    return script


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """What PYTHONPATH leads to: libraries that are just being changed."""
    broken = b"raise SystemExit('imported from the target')\n"
    return plant(tmp_path / "target", {"packaging/__init__.py": broken, "json.py": broken})


def _start(*command: str | Path, path: object) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": f"{path}"}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_script_imports_nothing_from_there(tool: Path, target: Path, tmp_path: Path) -> None:
    make_wheel(tmp_path, "foo", "1.0")
    words = ("install", "--prefix", tool.parent.parent, "--store", tmp_path, "--json", "foo >=1,<2")
    ended = _start(tool, *words, path=target)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert '{"name": "foo", "version": "1.0"}' in ended.stdout


def test_module_imports_nothing_from_there(tool: Path, target: Path) -> None:
    python = tool.parent / "python3"
    prefix = ("--prefix", tool.parent.parent)
    ended = _start(python, "-m", "sage_pkginstall", "list", *prefix, "--json", path=target)
    assert ended.stdout == '{"schema": 1, "distributions": []}\n', ended.stderr


def test_what_it_runs_gets_the_variable(tool: Path, target: Path, tmp_path: Path) -> None:
    command = ("printenv", "PYTHONPATH")
    ended = _start(tool, "flock", tmp_path / "lock", *command, path=target)
    assert ended.stdout == f"{target}\n", ended.stderr


def test_tool_that_is_found_there_is_used(tool: Path, tmp_path: Path) -> None:
    own = {"__init__.py": b"__version__ = 'own'\n", "cli/__init__.py": b""}
    for module in ("errors.py", "cli/main.py", "cli/python_path.py"):
        own[module] = (ROOT / "sage_pkginstall" / module).read_bytes()
    plant(tmp_path / "own" / "sage_pkginstall", own)
    ended = _start(tool, "--version", path=tmp_path / "own")
    assert ended.stdout == "sage-pkginstall own\n", ended.stderr
