"""Manual pages say what ``--help`` says, come with a wheel, and are those that are kept."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.cli.main import COMMANDS
from sage_pkginstall.cli.manual import commands, pages
from tests.conftest import ROOT, RunCli

if TYPE_CHECKING:
    from pathlib import Path

PAGES = pages()
KEPT = ROOT / "data" / "share"
DESCRIBED = {command.name: command for command in commands()}


def test_every_command_that_people_call_has_a_page() -> None:
    left_out = {"stage-wheel", "commit-package", "make-rules"}
    assert set(DESCRIBED) == set(COMMANDS) - left_out
    assert len(PAGES) == len(DESCRIBED) + 1


@pytest.mark.parametrize("name", DESCRIBED)
def test_every_argument_is_explained(name: str) -> None:
    command = DESCRIBED[name]
    assert command.summary
    assert command.description
    silent = [a for a in (*command.options, *command.positionals) if not a.help]
    assert [a for a in silent if a.metavar != "WORD"] == []


@pytest.mark.parametrize("name", [name for name in DESCRIBED if DESCRIBED[name].options])
def test_page_and_help_have_the_same_options(name: str, run_cli: RunCli) -> None:
    said = run_cli(name, "--help", env={"COLUMNS": "200"}).stdout
    flags = {flag for option in DESCRIBED[name].options for flag in option.flags}
    assert {f for f in flags if not re.search(rf"(?<![\w-]){re.escape(f)}(?![\w-])", said)} == set()
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]+", said.partition("options:")[2])) <= flags | {
        flag for option in DESCRIBED[name].options for flag in re.findall(r"--[\w-]+", option.help)
    }
    assert "\0" not in said


def test_kept_pages_are_what_make_man_writes() -> None:
    kept = {path.stem: path.read_text() for path in (KEPT / "man" / "man1").iterdir()}
    assert kept == PAGES, "run `make man`"


@pytest.mark.needs("groff")
@pytest.mark.parametrize("page", PAGES)
def test_groff_finds_nothing_wrong(page: str) -> None:
    ended = subprocess.run(
        ["groff", "-man", "-ww", "-z"],
        input=PAGES[page],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stderr == ""


@pytest.mark.needs("groff")
def test_options_can_be_copied_from_a_page() -> None:
    text = subprocess.run(
        ["groff", "-man", "-Tutf8", "-P-cbou"],
        input=PAGES["sage-pkginstall-install"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "--break-system-packages" in text
    assert "--conflicts warn|error" in text


def test_synopsis_tells_what_may_be_left_out() -> None:
    synopses = {name: text.split("\n")[6].replace("\\", "") for name, text in PAGES.items()}
    assert synopses["sage-flock"] == "[OPTIONS] FILE|FD [COMMAND...]"
    assert synopses["sage-spkg"] == "[OPTIONS] NAME[-VERSION] [TREE]"
    assert synopses["sage-pkginstall-verify"] == "[OPTIONS] [NAME...]"
    assert synopses["sage-pkginstall-install"] == "[OPTIONS] WHEEL..."


def test_page_of_a_command_is_printed(run_cli: RunCli) -> None:
    assert run_cli("manual", "install").stdout == PAGES["sage-pkginstall-install"]
    assert run_cli("manual", "spkg").stdout == PAGES["sage-spkg"]
    assert run_cli("manual").stdout == PAGES["sage-pkginstall"]
    said = run_cli("manual", "nothing", status=2).stderr
    assert said.endswith("cannot show the page of nothing: there is no such command\n")


def test_all_pages_replace_the_old_ones_and_none_of_others(tmp_path: Path, run_cli: RunCli) -> None:
    (tmp_path / "sage-gone.1").write_text(PAGES["sage-flock"])
    (tmp_path / "sage-preparse.1").write_text(".TH SAGE-PREPARSE 1\n")
    run_cli("manual", "--all", tmp_path)
    assert {path.stem for path in tmp_path.iterdir()} == {*PAGES, "sage-preparse"}


def test_wheel_brings_pages_and_completions(tmp_path: Path) -> None:
    pytest.importorskip("flit_core")
    code = f"from flit_core.buildapi import build_wheel; print(build_wheel({str(tmp_path)!r}))"
    built = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    with zipfile.ZipFile(tmp_path / built.stdout.strip()) as archive:
        names = {name.partition(".data/data/share/")[2] for name in archive.namelist()} - {""}
    assert names == {str(path.relative_to(KEPT)) for path in KEPT.rglob("*") if path.is_file()}
    assert {f"man/man1/{page}.1" for page in PAGES} < names
