"""The reference pages name what there is, all of it and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sage_pkginstall.cli.main import COMMANDS
from sage_pkginstall.spkg.search_paths import search_paths
from sage_pkginstall.spkg.variables import PackageVariables, read_variables
from tests.conftest import ROOT, RunCli

REFERENCE = ROOT / "docs" / "reference"
HELPERS = ROOT / "build" / "bin" / "sage-dist-helpers"

# Internal: called by the helpers and the make rules, not by people.
INTERNAL = {"stage-wheel", "make-rules"}
FOREIGN = {"pip"}  # its options are pip's


def page_of(command: str) -> str:
    """Return the section about a command, without what follows the next heading."""
    sections = re.split(r"^## ", (REFERENCE / "commands.md").read_text(), flags=re.MULTILINE)
    found = [
        s for s in sections if s.split("\n")[0].removeprefix("sage-") in (command, f"-{command}")
    ]
    assert len(found) == 1, f"{command} has {len(found)} sections"
    return found[0]


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - INTERNAL - FOREIGN))
def test_every_command_and_option_is_documented(command: str, run_cli: RunCli) -> None:
    common = re.split(r"^## ", (REFERENCE / "commands.md").read_text(), flags=re.MULTILINE)[2]
    page = page_of(command) + common + "--help"
    options = set(re.findall(r"(?<![\w-])--[a-z][\w-]+", run_cli(command, "--help").stdout))
    documented = set(re.findall(r"(?<![\w-])--[a-z][\w-]+", page))
    accepted_from_pip = command in ("pip-install", "pip-uninstall")
    assert accepted_from_pip or options - documented == set()


def test_every_helper_is_documented_in_the_file_and_on_its_page() -> None:
    text = HELPERS.read_text()
    functions = set(re.findall(r"^(sdh_\w+)\(\)", text, re.MULTILINE))
    head = text.split("\n\n", 1)[0] + text.split("\nsdh_die()", 1)[0]
    assert set(re.findall(r"^#   (sdh_\w+)", head, re.MULTILINE)) == functions
    page = (REFERENCE / "helpers.md").read_text()
    assert set(re.findall(r"^\| `(sdh_\w+)", page, re.MULTILINE)) == functions


def test_every_variable_of_ours_is_documented() -> None:
    sources = [*(ROOT / "sage_pkginstall").rglob("*.py"), *(ROOT / "build" / "bin").iterdir()]
    ours = re.compile(r"\bSAGE_(?:PKGINSTALL_[A-Z0-9_]+|LOCK_TIMEOUT|FLOCK_HELD|BUILD_FRONTEND)\b")
    names = {name for path in sources for name in ours.findall(path.read_text())}
    page = (REFERENCE / "variables.md").read_text()
    assert {name for name in names if f"`{name}`" not in page} == set()


def test_every_variable_that_scripts_see_is_documented() -> None:
    common = read_variables({"SAGE_ROOT": "/r"})
    place = PackageVariables(common, Path("/t"), "foo", "1.2.p3")
    seen = {*place.exports(), *place.staging_exports(), *place.final_exports()}
    seen |= {*search_paths(place, Path("/bin"))}
    page = (REFERENCE / "variables.md").read_text()
    assert {name for name in seen if f"`{name}`" not in page} == set()
