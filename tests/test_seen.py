"""What a build may see of its package; what comes of it: test_packages_wheel_once.py."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.environment import target_environment
from sage_pkginstall.spkg.seen import installed_contents, surroundings
from sage_pkginstall.spkg.variables import read_variables
from tests.sources import make_wheel
from tests.trees import plant

if TYPE_CHECKING:
    from pathlib import Path

BUILD = "var/tmp/sage/build"


@pytest.mark.parametrize("given", [None, "elsewhere"])
def test_source_in_the_build_directory_is_of_the_package(
    tmp_path: Path, venv: Path, given: str | None
) -> None:
    area = tmp_path / (given or f"local/{BUILD}")
    plant(tmp_path, {"build/pkgs/tiny/type": b"standard\n"})
    plant(area, {"tiny-1.0/src/setup.py": b"", "other-1.0/src/setup.py": b""})
    environ = {"SAGE_ROOT": str(tmp_path), "PKG_BASE": "tiny", "PKG_NAME": "tiny-1.0"}
    if given is not None:
        environ["SAGE_BUILD_DIR"] = str(area)
    environment = target_environment(venv / "bin/python3")
    own = surroundings(environ, environment, area / "tiny-1.0/src")
    assert own.in_package
    assert own.dead == (str(area / "tiny-1.0"),)
    assert not surroundings(environ, environment, area / "other-1.0/src").in_package


@pytest.mark.parametrize("file", ["include/x.h", "etc/x.conf"])
def test_file_that_was_changed_and_given_its_old_time_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    monkeypatch.setenv("SAGE_PKGINSTALL_CACHE", str(tmp_path / "cache"))
    stamp = json.dumps({"files": [file]}).encode()
    plant(tmp_path, {"local/var/lib/sage/installed/tiny-1.0": stamp})
    variables = read_variables({"SAGE_ROOT": str(tmp_path)})
    header = plant(tmp_path / "local", {file: b"1"}) / file
    seen = [dict(installed_contents(variables, ["tiny"]))]
    before = header.stat()
    header.write_bytes(b"2")
    os.utime(header, ns=(before.st_atime_ns, before.st_mtime_ns))
    seen.append(dict(installed_contents(variables, ["tiny"])))
    assert seen[0] != seen[1]


@pytest.mark.parametrize("directory", ["wheels", "100%41"])
def test_wheels_of_a_package_count_wherever_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, directory: str
) -> None:
    monkeypatch.setenv("SAGE_PKGINSTALL_CACHE", str(tmp_path / "cache"))
    store = tmp_path / directory
    store.mkdir()
    records = "local/var/lib/sage"
    line = f"tiny@file://{store}/tiny-1.0-py3-none-any.whl ; python_version > '3'\n"
    plant(
        tmp_path,
        {
            f"{records}/installed/tiny-1.0": b"{}",
            f"{records}/scripts/tiny/spkg-requirements.txt": line.encode(),
        },
    )
    variables = read_variables({"SAGE_ROOT": str(tmp_path)})
    seen = []
    for text in ("x = 1\n", "x = 2\n"):
        make_wheel(store, "tiny-1.0-py3-none-any.whl", {"tiny.py": text})
        seen.append(dict(installed_contents(variables, ["tiny"])))
    assert seen[0] != seen[1]
