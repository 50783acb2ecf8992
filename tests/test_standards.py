"""What docs/reference/standards.md says of each standard is shown by a test, some of them here."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT
from tests.trees import tree
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunCli

PAGE = ROOT / "docs" / "reference" / "standards.md"
PEPS = [
    "376",
    "427",
    "440",
    "491",
    "503",
    "508",
    "517",
    "518",
    "610",
    "621",
    "627",
    "639",
    "660",
    "668",
    "735",
]
ROWS = {
    row[0]: row[1]
    for row in re.findall(r"^\| \[(\d+)\].*\| (.*?) \|$", PAGE.read_text(), re.MULTILINE)
}
NOTICE = "This Python is the system's.\nAsk the system for packages."


def test_page_has_every_standard() -> None:
    assert list(ROWS) == PEPS


@pytest.mark.parametrize("pep", PEPS)
def test_named_tests_are_there(pep: str) -> None:
    named = re.findall(r"`(\w+)::(\w+)`", ROWS[pep])
    assert named
    for module, name in named:
        code = ast.parse((ROOT / "tests" / f"{module}.py").read_text())
        assert name in {node.name for node in code.body if isinstance(node, ast.FunctionDef)}


def site(prefix: Path) -> Path:
    (found,) = prefix.glob("lib/python3*/site-packages")
    return found


def distribution(prefix: Path, name: str) -> importlib.metadata.Distribution:
    (found,) = importlib.metadata.distributions(name=name, path=[str(site(prefix))])
    return found


def test_importlib_finds_all_files_of_what_is_installed(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    before = set(tree(venv))
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "foo", "1", {"foo/a.py": "a = 1\n"}))
    listed = distribution(venv, "foo").files
    assert listed is not None
    there = {os.path.relpath(path.locate(), venv) for path in listed}
    made = {path for path in set(tree(venv)) - before if not path.startswith("var/")}
    assert {path for path in made if not (venv / path).is_dir()} == there


def test_record_has_relative_paths_and_every_file(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "foo", "1", {"foo/a.py": "a = 1\n"}))
    rows = (site(venv) / "foo-1.dist-info/RECORD").read_text().splitlines()
    paths = [row.split(",")[0] for row in rows]
    assert not [path for path in paths if path.startswith("/")]
    assert {"foo-1.dist-info/RECORD", "foo-1.dist-info/INSTALLER", "foo/a.py"} <= set(paths)
    assert all((site(venv) / path).is_file() for path in paths)


def with_wheel_version(wheel: Path, version: str) -> Path:
    """Return the wheel, rewritten to say that it is of this version of the format."""
    with zipfile.ZipFile(wheel) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    changed = wheel.parent / version / wheel.name
    changed.parent.mkdir()
    old = next(data for name, data in content.items() if name.endswith("/WHEEL"))
    new = re.sub(rb"Wheel-Version: .*", f"Wheel-Version: {version}".encode(), old)
    with zipfile.ZipFile(changed, "w") as archive:
        for name, data in content.items():
            if name.endswith("/WHEEL"):
                archive.writestr(name, new)
            elif name.endswith("/RECORD"):
                rows = data.decode().splitlines()
                hashed = [row for row in rows if "/WHEEL," not in row]
                info = name.partition("/")[0]
                archive.writestr(name, "\n".join([*hashed, _row(f"{info}/WHEEL", new)]) + "\n")
            else:
                archive.writestr(name, data)
    return changed


def _row(path: str, data: bytes) -> str:
    import base64  # noqa: PLC0415 - for this only
    import hashlib  # noqa: PLC0415

    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(data)}"


def test_only_the_major_version_of_a_wheel_decides(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    wheel = make_wheel(tmp_path, "foo", "1")
    run_cli("install", "--prefix", venv, with_wheel_version(wheel, "1.9"))
    said = run_cli("install", "--prefix", venv, with_wheel_version(wheel, "2.0"), status=1).stderr
    assert "2.0" in said


def test_origin_of_a_wheel_is_what_pip_would_record(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    wheel = make_wheel(tmp_path, "foo", "1")
    run_cli("install", "--prefix", venv, wheel)
    ours = json.loads(distribution(venv, "foo").read_text("direct_url.json") or "")
    other = tmp_path / "other"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", other], check=True)
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", other / "bin/python3"]
    subprocess.run([*pip, "install", "-q", "--no-index", "--no-deps", wheel], check=True)
    assert ours == json.loads(distribution(other, "foo").read_text("direct_url.json") or "")


def test_licence_files_are_installed(venv: Path, tmp_path: Path, run_cli: RunCli) -> None:
    files = {"foo.py": "", "foo-1.dist-info/licenses/LICENSE": "Do as you like.\n"}
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "foo", "1", files))
    assert distribution(venv, "foo").read_text("licenses/LICENSE") == "Do as you like.\n"


def test_own_metadata_is_that_of_the_project_table(tmp_path: Path) -> None:
    pytest.importorskip("flit_core")
    code = f"from flit_core.buildapi import build_wheel; print(build_wheel({str(tmp_path)!r}))"
    built = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    with zipfile.ZipFile(tmp_path / built.stdout.strip()) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        metadata = archive.read(name).decode()
        assert name.replace("METADATA", "licenses/LICENSE") in archive.namelist()
    fields = dict(line.split(": ", 1) for line in metadata.partition("\n\n")[0].splitlines())
    assert fields["Name"] == "sage-pkginstall"
    assert fields["Requires-Python"] == ">=3.10"
    assert fields["License-Expression"] == "MIT"
    assert fields["License-File"] == "LICENSE"


@pytest.fixture
def managed(venv: Path, tmp_path: Path) -> Path:
    """A prefix whose interpreter says what that of a system says, about an EXTERNALLY-MANAGED."""
    notice = tmp_path / "EXTERNALLY-MANAGED"
    indented = NOTICE.replace("\n", "\n ")
    notice.write_text(f"[externally-managed]\nError={indented}\n")
    real, said = venv / "bin/python", venv / "bin/python3"
    real.unlink()
    real.symlink_to(os.path.realpath(sys.executable))
    said.unlink()
    said.write_text(f'#!/bin/sh\n"{real}" "$@" | sed \'s|"notice": null|"notice": "{notice}"|\'\n')
    said.chmod(0o755)
    return venv


COMMANDS = {
    "install": ("install", "--prefix", "PREFIX", "WHEEL"),
    "uninstall": ("uninstall", "--prefix", "PREFIX", "foo"),
    "sage-pip-install": ("pip-install", "WHEEL"),
    "sage-pip-uninstall": ("pip-uninstall", "foo"),
    "sage -pip": ("pip", "uninstall", "--yes", "foo"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_managed_environment_is_refused_in_the_words_of_its_file(
    command: str, managed: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    places = {"PREFIX": str(managed), "WHEEL": str(make_wheel(tmp_path, "foo", "1"))}
    words = [places.get(word, word) for word in COMMANDS[command]]
    before = tree(managed)
    status = 3 if command == "sage-pip-install" else 2
    said = run_cli(*words, status=status, env={"SAGE_VENV": str(managed)}).stderr
    first, *rest = said.splitlines()
    assert f"cannot change {managed}: the system manages it (PEP 668); use a virtual" in first
    assert first.endswith("--break-system-packages")
    assert [line.strip() for line in rest] == NOTICE.splitlines()
    assert tree(managed) == before


@pytest.mark.parametrize("command", COMMANDS)
def test_managed_environment_may_be_broken_deliberately(
    command: str, managed: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    wheel = make_wheel(tmp_path, "foo", "1")
    places = {"PREFIX": str(managed), "WHEEL": str(wheel)}
    words = [places.get(word, word) for word in COMMANDS[command]]
    if "WHEEL" not in COMMANDS[command]:
        run_cli("install", "--break-system-packages", "--prefix", managed, wheel)
    at = 2 if words[0] == "pip" else 1
    words.insert(at, "--break-system-packages")
    run_cli(*words, env={"SAGE_VENV": str(managed)})
    assert (site(managed) / "foo.py").exists() == ("WHEEL" in COMMANDS[command])


def test_managed_environment_may_be_planned_for_and_installed_elsewhere(
    managed: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    wheel = make_wheel(tmp_path, "foo", "1")
    run_cli("install", "--dry-run", "--prefix", managed, wheel)
    run_cli("install", "--root", tmp_path / "D", "--prefix", managed, wheel)
    target = tmp_path / "target"
    run_cli("pip", "install", "--target", target, wheel, env={"SAGE_VENV": str(managed)})
    assert (target / "foo.py").exists()
    assert not (site(managed) / "foo.py").exists()
