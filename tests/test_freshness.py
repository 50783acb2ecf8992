"""A source never replaces another with the same size and second of modification."""

from __future__ import annotations

import compileall
import os
import py_compile
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from sage_pkginstall.engine.freshness import freshen

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

NOW = 1_700_000_000


def source(root: Path, text: str, seconds: int) -> Path:
    path = root / "p" / "m.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (seconds, seconds))
    return path


def freshened(root: Path) -> bool:
    def renew(path: Path) -> None:
        shutil.copy2(path, root / "copy")
        (root / "copy").replace(path)

    return freshen(root / "staged", root / "prefix", renew)


def test_same_second_and_size_becomes_newer(tmp_path: Path) -> None:
    source(tmp_path / "prefix", "x = 1\n", NOW)
    new = source(tmp_path / "staged", "x = 2\n", NOW)
    assert freshened(tmp_path)
    assert new.stat().st_mtime == NOW + 1


def test_file_with_another_name_elsewhere_keeps_its_time_there(tmp_path: Path) -> None:
    source(tmp_path / "prefix", "x = 1\n", NOW)
    new = source(tmp_path / "staged", "x = 2\n", NOW)
    (tmp_path / "cached").hardlink_to(new)
    assert freshened(tmp_path)
    assert new.stat().st_mtime == NOW + 1
    assert (tmp_path / "cached").stat().st_mtime == NOW


def test_file_that_is_the_old_one_itself_stays_as_it_is(tmp_path: Path) -> None:
    new = source(tmp_path / "staged", "x = 2\n", NOW)
    old = tmp_path / "prefix" / "p" / "m.py"
    old.parent.mkdir(parents=True)
    old.hardlink_to(new)
    assert not freshened(tmp_path)
    assert old.samefile(new)


def test_newer_or_other_size_is_left_alone(tmp_path: Path) -> None:
    source(tmp_path / "prefix", "x = 1\n", NOW)
    new = source(tmp_path / "staged", "x = 22\n", NOW)
    assert not freshened(tmp_path)
    assert new.stat().st_mtime == NOW
    new = source(tmp_path / "staged", "x = 2\n", NOW + 5)
    freshened(tmp_path)
    assert new.stat().st_mtime == NOW + 5


def test_staged_bytecode_stays_valid(tmp_path: Path) -> None:
    source(tmp_path / "prefix", "x = 1\n", NOW)
    new = source(tmp_path / "staged", "x = 2\n", NOW)
    py_compile.compile(str(new), invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)
    freshened(tmp_path)
    command = [sys.executable, "-v", "-c", "import m; assert m.x == 2"]
    ended = subprocess.run(command, cwd=new.parent, capture_output=True, text=True, check=True)
    assert "m.cpython" in ended.stderr
    assert f"matches {new.parent}" in ended.stderr or "matches" in ended.stderr


def test_bytecode_of_a_longer_name_stays_valid(tmp_path: Path) -> None:
    """``m.x.cpython-311.pyc`` is that of ``m.x.py``, which is new and stays as it is."""
    source(tmp_path / "prefix", "x = 1\n", NOW)
    new = source(tmp_path / "staged", "x = 2\n", NOW)
    other = new.with_name("m.x.py")
    other.write_text("y = 1\n")
    py_compile.compile(str(other), invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)
    (code,) = (new.parent / "__pycache__").iterdir()
    before = code.read_bytes()
    assert freshened(tmp_path)
    assert code.read_bytes() == before


def staged_bytecode(root: Path) -> Path:
    """Stage a source that needs another time, and return a place for its byte-code."""
    source(root / "prefix", "x = 1\n", NOW)
    new = source(root / "staged", "x = 2\n", NOW)
    return new.parent / "__pycache__" / f"m.{sys.implementation.cache_tag}.pyc"


def test_bytecode_with_another_name_elsewhere_is_not_changed_there(tmp_path: Path) -> None:
    bytecode = staged_bytecode(tmp_path)
    py_compile.compile(str(bytecode.parents[1] / "m.py"), cfile=str(bytecode))
    before = bytecode.read_bytes()
    (tmp_path / "elsewhere").hardlink_to(bytecode)
    (tmp_path / "elsewhere").chmod(0o444)
    assert freshened(tmp_path)
    assert (tmp_path / "elsewhere").read_bytes() == before
    assert bytecode.read_bytes()[8:12] == (NOW + 1).to_bytes(4, "little")


def test_nothing_is_written_through_links_in_place_of_bytecode(tmp_path: Path) -> None:
    bytecode = staged_bytecode(tmp_path)
    victim = tmp_path / "victim" / bytecode.name
    victim.parent.mkdir()
    victim.write_bytes(bytes(100))
    bytecode.parent.mkdir()
    bytecode.symlink_to(victim)
    assert freshened(tmp_path)
    assert victim.read_bytes() == bytes(100)
    bytecode.unlink()
    bytecode.parent.rmdir()
    bytecode.parent.symlink_to(victim.parent)
    source(tmp_path / "prefix", "x = 1\n", NOW + 5)
    assert freshened(tmp_path)
    assert victim.read_bytes() == bytes(100)


def test_what_is_no_file_in_place_of_bytecode_is_left_alone(tmp_path: Path) -> None:
    bytecode = staged_bytecode(tmp_path)
    bytecode.mkdir(parents=True)
    assert freshened(tmp_path)
    bytecode.rmdir()
    bytecode.parent.rmdir()
    bytecode.parent.write_text("")
    source(tmp_path / "prefix", "x = 1\n", NOW + 5)
    assert freshened(tmp_path)


def test_directory_of_bytecode_is_listed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"m{number}.py" for number in range(20)]
    for root in ("prefix", "staged"):
        first = source(tmp_path / root, "x = 1\n", NOW)
        for name in names:
            shutil.copy2(first, first.with_name(name))
    compileall.compile_dir(tmp_path / "staged", quiet=1)
    listed: list[str] = []
    listdir = os.listdir

    def noted(path: str) -> list[str]:
        listed.append(path)
        return listdir(path)

    monkeypatch.setattr(os, "listdir", noted)
    assert freshened(tmp_path)
    assert listed == [os.fspath(tmp_path / "staged/p/__pycache__")]
    for code in (tmp_path / "staged/p/__pycache__").iterdir():
        assert int.from_bytes(code.read_bytes()[8:12], "little") == NOW + 1


def test_stale_bytecode_written_late_is_not_imported(tmp_path: Path) -> None:
    """A reader compiles the old source, is slow, and writes its .pyc after the upgrade."""
    old = source(tmp_path / "prefix", "x = 1\n", NOW)
    late = py_compile.compile(str(old), invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)
    assert late is not None
    new = source(tmp_path / "staged", "x = 2\n", NOW)
    freshened(tmp_path)
    new.replace(old)  # the upgrade; the late .pyc lies in __pycache__ by now
    command = [sys.executable, "-c", "import m; print(m.x)"]
    ended = subprocess.run(command, cwd=old.parent, capture_output=True, text=True, check=True)
    assert ended.stdout == "2\n"
