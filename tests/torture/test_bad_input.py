"""Bad wheels: status 1 (3 for sage-pip-install), one clear line, nothing changed."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT, START
from tests.torture.stage import Stage
from tests.wheelmaker import Member, make_wheel, members, record_of, write_zip

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAME = "foo-2.0-py3-none-any.whl"


def no_wheel(directory: Path) -> Path:
    path = directory / NAME
    path.write_text("This is no zip file.")
    return path


def truncated(directory: Path) -> Path:
    path = make_wheel(directory, "foo", "2.0", {"foo.py": "x = 1\n" * 999})
    path.write_bytes(path.read_bytes()[:-99])
    return path


def wrong_hash(directory: Path) -> Path:
    """RECORD is right for another content of the same size."""
    content = members("foo", "2.0", {"foo.py": "x = 1\n"})
    changed = [replace(m, data=b"x = 2\n") if m.name == "foo.py" else m for m in content]
    return write_zip(directory / NAME, changed)


def leaving_path(directory: Path) -> Path:
    content = [*members("foo", "2.0")[:-1], Member("../../outside.py", b"x = 1\n")]
    return write_zip(directory / NAME, [*content, record_of(content, "foo-2.0.dist-info/RECORD")])


def other_name(directory: Path) -> Path:
    return write_zip(directory / NAME, members("bar", "2.0"))


def other_tags(directory: Path) -> Path:
    return make_wheel(directory, "foo", "2.0", tag="cp27-cp27m-win32")


def other_python(directory: Path) -> Path:
    return make_wheel(directory, "foo", "2.0", metadata=["Requires-Python: <3"])


BAD: dict[Callable[[Path], Path], str] = {
    no_wheel: "zip",
    truncated: "zip",
    wrong_hash: "foo.py",
    leaving_path: "../../outside.py",
    other_name: "bar",
    other_tags: "cp27-cp27m-win32",
    other_python: "<3",
}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    directory = tmp_path_factory.mktemp("stage")
    return Stage.build(directory, [("install", str(make_wheel(directory, "foo", "1.0")))])


def one_line(stderr: str, wheel: Path, what: str) -> None:
    (line,) = stderr.splitlines()
    assert wheel.name in line
    assert what in line


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_install_refuses_in_one_line_and_changes_nothing(
    stage: Stage, tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    before = stage.state()
    wheel = make(tmp_path)
    ended = stage.run(("install", str(wheel)))
    assert ended.returncode == 1
    assert ended.stdout == ""
    one_line(ended.stderr, wheel, BAD[make])
    assert stage.state() == before
    assert stage.debris() == []


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_sage_pip_install_refuses_with_status_three(
    stage: Stage, tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    before = stage.state()
    wheel = make(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-I", "-c", START, str(ROOT), "pip-install", str(wheel)],
        env={**os.environ, "SAGE_VENV": str(stage.prefix)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 3
    one_line(ended.stderr, wheel, BAD[make])
    assert stage.state() == before
    assert stage.debris() == []
