"""The examples for other distributions (``examples/``) run, and do what they promise."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT
from tests.sources import make_source, make_wheel
from tests.trees import plant

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = ROOT / "examples"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory with wheels, and the tool on PATH."""
    for wheel in ("six-1.17.0-py2.py3-none-any.whl", "foo-1.0-py3-none-any.whl"):
        make_wheel(tmp_path / "wheels", wheel)
    path = [ROOT / "build/bin", *os.environ["PATH"].split(os.pathsep)]
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, path)))
    monkeypatch.setenv("SAGE_PKGINSTALL_PYTHON", sys.executable)
    return tmp_path


def output(*command: str | Path, cwd: Path, **variables: str | Path) -> str:
    given = {**os.environ, **{name: str(value) for name, value in variables.items()}}
    ended = subprocess.run(command, cwd=cwd, env=given, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def version_seen(python: Path, module: str, desk: Path) -> str:
    code = f"import {module}; print({module}.version)"
    return output(python, "-I", "-c", code, cwd=desk).strip()


def files_in_share(prefix: Path) -> set[str]:
    share = prefix / "share"
    return {str(path.relative_to(share)) for path in share.rglob("*") if path.is_file()}


@pytest.mark.needs("make")
def test_makefile_installs_in_parallel_and_only_what_is_new(desk: Path) -> None:
    shutil.copy(EXAMPLES / "makefile" / "Makefile", desk)
    plant(desk, {"data/greeting": b"hello"})
    output("make", "-j3", cwd=desk)
    assert version_seen(desk / "prefix/bin/python3", "foo", desk) == "1.0"
    assert files_in_share(desk / "prefix") == {"example/greeting"}
    assert "2 verified" in output("make", "check", cwd=desk)
    assert "Nothing to be done" in output("make", "-j3", cwd=desk)
    (desk / "wheels/foo-1.0-py3-none-any.whl").unlink()
    make_wheel(desk / "wheels", "foo-1.1-py3-none-any.whl")
    output("make", cwd=desk)
    assert version_seen(desk / "prefix/bin/python3", "foo", desk) == "1.1"


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.usefixtures("index")
def test_dockerfile_builds_the_application(desk: Path) -> None:
    """Run what the Dockerfile runs, below a directory instead of /, and without docker.

    So the base image, the layers and the file system of a container are not tested.
    """
    text = (EXAMPLES / "dockerfile" / "Dockerfile").read_text()
    text = text.replace("/opt/", f"{desk}/opt/").replace(
        "--no-cache-dir sage-pkginstall", str(ROOT)
    )
    steps = re.findall(r"^(RUN|COPY|CMD) (.*)$", text, re.MULTILINE)
    assert [step for step, _ in steps] == ["RUN"] * 2 + ["COPY"] + ["RUN"] * 3 + ["COPY", "CMD"]
    said = ""
    for step, words in steps:
        if step == "RUN":
            output("sh", "-ec", words, cwd=desk)
        elif step == "COPY" and not words.startswith("--from"):
            source, target = words.split()
            shutil.copytree(desk / source, target)
        elif step == "CMD":
            said = output(*json.loads(words), cwd=desk)
    assert said == "1.0\n"


def test_destdir_package_is_built_into_an_image_and_merged_whole(desk: Path, venv: Path) -> None:
    shutil.copytree(EXAMPLES / "destdir", desk / "destdir")
    source = make_source(desk / "hello", "hello")
    command = [desk / "destdir/build-package", desk / "destdir/hello.recipe"]
    output(*command, cwd=desk, PREFIX=venv, HELLO=source)
    assert files_in_share(venv) == {"hello/1.0.txt"}
    specification = source / "specification.json"
    specification.write_text(specification.read_text().replace('"1.0"', '"2.0"'))
    output(*command, cwd=desk, PREFIX=venv, HELLO=source, HELLO_VERSION="2.0")
    assert files_in_share(venv) == {"hello/2.0.txt"}
    assert output("sage-pkginstall", "list", "--prefix", venv, cwd=desk).split() == ["hello", "2.0"]
    assert "verified" in output("sage-pkginstall", "verify", "--prefix", venv, cwd=desk)


def test_destdir_package_that_fails_leaves_the_prefix_as_it_was(desk: Path, venv: Path) -> None:
    shutil.copytree(EXAMPLES / "destdir", desk / "destdir")
    source = make_source(desk / "hello", "hello", code="raise SystemExit('no luck')")
    ended = subprocess.run(
        [desk / "destdir/build-package", desk / "destdir/hello.recipe"],
        env={**os.environ, "PREFIX": str(venv), "HELLO": str(source)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert "no luck" in ended.stderr
    assert files_in_share(venv) == set()


def test_prefix_per_package_is_seen_in_a_view(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    script = EXAMPLES / "prefix-per-package" / "build.py"
    build: list[str | Path] = [sys.executable, script, desk / "store"]
    output(*build, *(desk / "wheels").iterdir(), cwd=desk)
    assert {path.name for path in (desk / "store").iterdir()} == {"six-1.17.0", "foo-1.0", "view"}
    view = desk / "store/view/bin/python3"
    assert version_seen(view, "foo", desk) == "1.0"
    newer = make_wheel(desk / "wheels", "foo-1.1-py3-none-any.whl")
    output(*build, newer, cwd=desk)
    assert version_seen(view, "foo", desk) == "1.1"
    assert (desk / "store/foo-1.0").exists()


def test_prefix_per_package_says_what_is_wrong(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    build = EXAMPLES / "prefix-per-package" / "build.py"
    ended = subprocess.run(
        [sys.executable, build, desk / "store", desk / "none-1-py3-none-any.whl"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("build.py: cannot install none-1-py3-none-any.whl: ")


def test_page_shows_every_example() -> None:
    page = (ROOT / "docs/how-to/use-without-sage.md").read_text()
    shown = set(re.findall(r"literalinclude} \.\./\.\./(examples/\S+)", page))
    assert shown == {str(p.relative_to(ROOT)) for p in EXAMPLES.rglob("*") if p.is_file()}
