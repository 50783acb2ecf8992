"""Scripts of entry points go with their distribution, though no record lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.trees import tree
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunCli

SCRIPTS = {"foo": "foo:main", "foo-gone": "foo.cli:main", "foo-own": "foo:main"}
OWN = b"#!/bin/sh\n# starts foo\n"
STATE = ("var",)


@pytest.fixture
def by_conda(venv: Path, tmp_path: Path, run_cli: RunCli) -> Path:
    """An environment with a distribution whose RECORD lists no scripts; one is another's."""
    files = {"foo/__init__.py": "", "foo/cli.py": ""}
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "foo", "1.0", files, scripts=SCRIPTS))
    (record,) = venv.glob("lib/python3*/site-packages/foo-1.0.dist-info/RECORD")
    lines = record.read_text().splitlines(keepends=True)
    record.write_text("".join(line for line in lines if "/bin/foo" not in line))
    (venv / "bin/foo-own").write_bytes(OWN)
    return venv


def test_unlisted_scripts_are_uninstalled(by_conda: Path, run_cli: RunCli) -> None:
    said = run_cli("uninstall", "--prefix", by_conda, "foo")
    assert said.stderr == ""
    found = {path: data for path, data in tree(by_conda, ignore=STATE).items() if "foo" in path}
    assert found == {"bin/foo-own": OWN}


def test_unlisted_scripts_are_upgraded(by_conda: Path, tmp_path: Path, run_cli: RunCli) -> None:
    new = make_wheel(tmp_path, "foo", "2.0", scripts={"foo": "foo:main"})
    assert run_cli("install", "--prefix", by_conda, new).stderr == ""
    assert {path.name for path in (by_conda / "bin").glob("foo*")} == {"foo", "foo-own"}


def test_link_or_script_of_another_owner_stays(
    by_conda: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    (by_conda / "bin/foo-own").unlink()
    (by_conda / "bin/foo-own").symlink_to("foo")
    other = make_wheel(tmp_path, "other", "1.0", scripts={"foo-gone": "foo.cli:main"})
    run_cli("install", "--prefix", by_conda, other)
    run_cli("uninstall", "--prefix", by_conda, "foo")
    assert {path.name for path in (by_conda / "bin").glob("foo*")} == {"foo-gone", "foo-own"}
