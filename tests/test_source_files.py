"""What is hashed of a source; what counts for a build: test_build_inputs.py."""

from __future__ import annotations

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


def test_directories_may_lie_deep_in_one_another(tmp_path: Path) -> None:
    deep = "/".join(["d"] * 1500)
    subprocess.run(["mkdir", "-p", deep], cwd=tmp_path, check=True)
    assert len(hash_files(tmp_path)) == 1500
    subprocess.run(["rm", "-rf", "d"], cwd=tmp_path, check=True)
