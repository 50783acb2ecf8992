"""The project's own files agree with each other."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

if TYPE_CHECKING:
    from pathlib import Path

PYPROJECT = ROOT / "pyproject.toml"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def sections(path: Path) -> dict[str, list[str]]:
    """Return the lines of a TOML file by the array that they stand in."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in path.read_text().splitlines():
        if match := re.match(r'"?([\w*/.-]+)"? = \[$', line):
            name = match[1]
        elif line == "]":
            name = ""
        elif name and line.strip():
            found.setdefault(name, []).append(line)
    return found


def test_every_ignored_rule_has_a_reason() -> None:
    ignored = [
        line
        for name, lines in sections(PYPROJECT).items()
        if name == "ignore" or name.endswith((".py", "**"))
        for line in lines
    ]
    assert len(ignored) > 10
    assert [line for line in ignored if "#" not in line] == []


def test_checking_tools_are_pinned() -> None:
    groups = tomllib.loads(PYPROJECT.read_text())["dependency-groups"]
    tools = [tool for group in groups.values() for tool in group if isinstance(tool, str)]
    assert tools
    assert [tool for tool in tools if " ==" not in tool] == []


def test_layers_stand_in_their_order_where_newcomers_look() -> None:
    contracts = tomllib.loads(PYPROJECT.read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["id"] == "layers")
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("## Where things are")[2]
    found = [table.find(f"{name}/`") + table.find(f"{name}.py`") for name in layers]
    assert -2 not in found
    assert found == sorted(found)


def test_ci_runs_the_commands_of_the_readme_and_nothing_else() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    commands = script.split('cd "$(dirname "$0")/.."\n')[1].split("\n")
    section = (ROOT / "README.md").read_text().split("## Two commands")[1].split("\n## ")[0]
    shown = re.findall(r"^    (make .*?)(?: +#.*)?$", section, re.MULTILINE)
    assert [command for command in commands if command] == shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_environments_can_be_made_alone(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    (checkout / "build").mkdir(parents=True)
    (checkout / "build" / "setup").symlink_to(ROOT / "build" / "setup")
    for name in ("Makefile", "pyproject.toml"):
        (checkout / name).symlink_to(ROOT / name)
    command = ["make", "--dry-run", ".tool/bench/ready"]
    run = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert "build/setup/environment .tool/bench" in run.stdout


def test_readme_fits_a_page() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 100


def test_source_archive_has_what_checks_and_builds_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flit = pytest.importorskip("flit_core.buildapi")
    copy = tmp_path / "checkout"
    for name in ("sage_pkginstall", "build", "tests", "docs", "data", "examples", ".ci", ".github"):
        shutil.copytree(ROOT / name, copy / name, symlinks=True)
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy2(path, copy / path.name)
    (copy / "build" / "make" / "packages.mk").touch()  # `make` was here
    monkeypatch.chdir(copy)
    archive = flit.build_sdist(str(tmp_path))
    with tarfile.open(tmp_path / archive) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    for needed in (
        ".ci/run",
        "Makefile",
        "build/bin/sage-pkginstall",
        "tests/trees.py",
        "LICENSE",
        "data/share/man/man1/sage-pkginstall.1",
    ):
        assert needed in names
    assert not [name for name in names if "__pycache__" in name or name.endswith(".mk")]
