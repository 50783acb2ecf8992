"""What the hosting page is told (``.github/``): workflows, issue forms, and what they refer to."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

FORGE = ROOT / ".github"
WORKFLOWS = sorted((FORGE / "workflows").glob("*.yml"))
CONFIG = FORGE / "ISSUE_TEMPLATE" / "config.yml"
FORMS = sorted(set(CONFIG.parent.glob("*.yml")) - {CONFIG})
SCHEMAS = {
    "github-workflows": WORKFLOWS,
    "github-issue-forms": FORMS,
    "github-issue-config": [CONFIG],
}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_keep_the_schema_of_the_forge(schema: str) -> None:
    pytest.importorskip("check_jsonschema")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    ended = subprocess.run(
        [*command, *map(str, SCHEMAS[schema])], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_schema_finds_what_is_wrong(tmp_path: Path) -> None:
    pytest.importorskip("check_jsonschema")
    wrong = tmp_path / "wrong.yml"
    wrong.write_text("name: x\non: push\njobs: {a: {runs-on: x, stepz: []}}\n")
    command: list[str | Path] = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    ended = subprocess.run(
        [*command, "vendor.github-workflows", wrong], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1


def test_checks_run_for_every_python_and_system_that_we_run_on() -> None:
    text = (FORGE / "workflows/check.yml").read_text()
    assert re.findall(r'"(3\.\d+)"', text) == ["3.10", "3.11", "3.12", "3.13", "3.14"]
    assert 'requires-python = ">=3.10"' in (ROOT / "pyproject.toml").read_text()
    assert re.search(r"os: \[ubuntu-\S+, macos-\S+\]", text)
    assert text.count("run: .ci/run\n") == 1


def test_release_waits_for_the_checks_and_has_no_secret() -> None:
    text = (FORGE / "workflows/release.yml").read_text()
    assert "uses: ./.github/workflows/check.yml" in text
    assert "needs: [check, build]" in text
    assert "id-token: write" in text
    assert "secrets." not in text


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_may_only_read_unless_a_job_says_so(workflow: Path) -> None:
    assert "\npermissions:\n  contents: read\n" in workflow.read_text()


def test_files_that_are_named_are_there() -> None:
    text = "\n".join(path.read_text() for path in FORGE.rglob("*") if path.is_file())
    named = set(re.findall(r"\b((?:docs|tests)/[\w/.-]+\w|[A-Z]+\.md|\.ci/run)\b", text))
    assert {"SECURITY.md", "docs/how-to/debug-a-race.md", "tests/setup-debian"} <= named
    assert [name for name in named if not (ROOT / name).exists()] == []
