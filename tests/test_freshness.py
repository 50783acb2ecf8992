"""A source never replaces another with the same size and second of modification."""

from __future__ import annotations

import os
import py_compile
import subprocess
import sys
from typing import TYPE_CHECKING

from sage_pkginstall.engine.freshness import freshen

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_700_000_000


def source(root: Path, text: str, seconds: int) -> Path:
    path = root / "p" / "m.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (seconds, seconds))
    return path


def test_same_second_and_size_becomes_newer(tmp_path: Path) -> None:
    source(tmp_path / "prefix", "x = 1\n", NOW)
    new = source(tmp_path / "staged", "x = 2\n", NOW)
    assert freshen(tmp_path / "staged", tmp_path / "prefix")
    assert new.stat().st_mtime == NOW + 1


def test_newer_or_other_size_is_left_alone(tmp_path: Path) -> None:
    source(tmp_path / "prefix", "x = 1\n", NOW)
    new = source(tmp_path / "staged", "x = 22\n", NOW)
    assert not freshen(tmp_path / "staged", tmp_path / "prefix")
    assert new.stat().st_mtime == NOW
    new = source(tmp_path / "staged", "x = 2\n", NOW + 5)
    freshen(tmp_path / "staged", tmp_path / "prefix")
    assert new.stat().st_mtime == NOW + 5


def test_staged_bytecode_stays_valid(tmp_path: Path) -> None:
    source(tmp_path / "prefix", "x = 1\n", NOW)
    new = source(tmp_path / "staged", "x = 2\n", NOW)
    py_compile.compile(str(new), invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)
    freshen(tmp_path / "staged", tmp_path / "prefix")
    command = [sys.executable, "-v", "-c", "import m; assert m.x == 2"]
    ended = subprocess.run(command, cwd=new.parent, capture_output=True, text=True, check=True)
    assert "m.cpython" in ended.stderr
    assert f"matches {new.parent}" in ended.stderr or "matches" in ended.stderr


def test_stale_bytecode_written_late_is_not_imported(tmp_path: Path) -> None:
    """A reader compiles the old source, is slow, and writes its .pyc after the upgrade."""
    old = source(tmp_path / "prefix", "x = 1\n", NOW)
    late = py_compile.compile(str(old), invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)
    assert late is not None
    new = source(tmp_path / "staged", "x = 2\n", NOW)
    freshen(tmp_path / "staged", tmp_path / "prefix")
    new.replace(old)  # the upgrade; the late .pyc lies in __pycache__ by now
    command = [sys.executable, "-c", "import m; print(m.x)"]
    ended = subprocess.run(command, cwd=old.parent, capture_output=True, text=True, check=True)
    assert ended.stdout == "2\n"
