"""What is hashed of a source; what counts for a build: test_build_inputs.py."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from sage_pkginstall.builds.source_files import hash_files
from tests.trees import plant

if TYPE_CHECKING:
    from pathlib import Path


def test_all_kinds_of_files_are_told_apart(tmp_path: Path) -> None:
    plant(tmp_path, {"a/b": b"", "a/c/d": b"x", "script": b"x"})
    plant(tmp_path, {".git/config": b"", "a/__pycache__/b.pyc": b"", "left/out": b""})
    (tmp_path / "script").chmod(0o755)
    (tmp_path / "link").symlink_to("a/b")
    found = hash_files(tmp_path, [tmp_path / "left"])
    assert {name: text.split()[0] for name, text in found.items()} == {
        "a/": "directory", "a/b": "-", "a/c/": "directory", "a/c/d": "-", "script": "x",
        "link": "link",
    }  # fmt: skip
    assert found["a/c/d"][1:] == found["script"][1:]


def test_what_tests_and_linters_leave_does_not_count(tmp_path: Path) -> None:
    plant(tmp_path, {"setup.py": b"", "a/x.py": b""})
    before = hash_files(tmp_path)
    left = (".pytest_cache/lastfailed", ".coverage", "a/.mypy_cache/x.json", ".hypothesis/x")
    plant(tmp_path, dict.fromkeys(left, b"1"))
    assert hash_files(tmp_path) == before


def test_directories_may_lie_deep_in_one_another(tmp_path: Path) -> None:
    deep = "/".join(["d"] * 1500)
    subprocess.run(["mkdir", "-p", deep], cwd=tmp_path, check=True)
    assert len(hash_files(tmp_path)) == 1500
    subprocess.run(["rm", "-rf", "d"], cwd=tmp_path, check=True)


def test_what_cython_makes_anew_counts_as_old(tmp_path: Path) -> None:
    """``touch x.pyx`` has it made of what stands there now, and not of what stood there once."""
    plant(
        tmp_path, {"x.pyx": b"", "x.pxd": b"", "x.c": b"", "y.pyx": b"", "y.cpp": b"", "z.c": b""}
    )
    for name, when in {"x.pyx": 1, "x.pxd": 1, "x.c": 2, "y.pyx": 3, "y.cpp": 2, "z.c": 0}.items():
        os.utime(tmp_path / name, (when, when))
    assert _old(tmp_path) == {"y.cpp"}
    os.utime(tmp_path / "x.pxd", (3, 3))
    os.utime(tmp_path / "y.cpp", (3, 3))
    assert _old(tmp_path) == {"x.c"}


def _old(directory: Path) -> set[str]:
    return {name for name, text in hash_files(directory).items() if text.endswith(" old")}
