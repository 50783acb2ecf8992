"""Messages of the functions of sage-dist-helpers, of the commands beside them, and of make."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from tests.conftest import ROOT
from tests.messages.desk import produces
from tests.sageworld import BIN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.messages.desk import Desk

HELPERS = BIN / "sage-dist-helpers"


def scripts(desk: Desk, *texts: str, **variables: str) -> str:
    """What scripts of a package say, each of which must fail."""
    directory = desk.directory / "build"
    directory.mkdir(exist_ok=True)
    trees = ("SAGE_ROOT", "SAGE_LOCAL", "SAGE_INST_LOCAL", "SAGE_VENV", "SAGE_SPKG_SCRIPTS")
    given = {
        **dict.fromkeys(trees, str(desk.prefix)),
        "PKG_NAME": "foo-1",
        "PKG_BASE": "foo",
        "SAGE_SPKG_WHEELS": str(desk.directory / "store"),
    }
    return "".join(_failing(text, directory, {**given, **variables}) for text in texts)


def told(words: Sequence[str | Path], variables: Mapping[str, str]) -> str:
    """What a command that must fail says."""
    ended = subprocess.run(words, env=variables, capture_output=True, text=True, check=False)
    assert ended.returncode
    return ended.stderr


def _failing(text: str, directory: Path, variables: dict[str, str]) -> str:
    ended = subprocess.run(
        ["bash", "-c", f". '{HELPERS}'\n{text}"],
        cwd=directory,
        env={**os.environ, "COLUMNS": "500", **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode, ended.stdout + ended.stderr
    return ended.stderr


@produces(
    "{variable} undefined ... exiting",
    "Error configuring {package}",
    "Error configuring {package} with cmake",
    "Error building {package}",
    "Error checking {package}",
    "Error installing {package}",
    "usage: sdh_install [-T] SOURCE... DESTINATION",
    "Error installing into {directory}: it is not a directory",
    "Error creating directory {directory}",
    "Error installing {file}: it does not exist",
    "Error installing {file} into {directory}",
)
def test_helpers_for_other_languages(desk: Desk) -> str:
    return scripts(
        desk,
        "sdh_check_vars NO_SUCH_VARIABLE",
        "sdh_configure",
        "sdh_cmake -Snowhere",
        "sdh_make",
        "sdh_make_check",
        "sdh_make_install",
        "sdh_install one",
        "touch file; sdh_install file file",
        "touch file; sdh_install file file/below/it",
        "sdh_install missing .",
        "mkdir -p to/file; touch file; sdh_install file to",
    )


@produces(
    "Error building a wheel for {package}",
    "Error building an editable {package}",
    "Error installing {package}: no wheel found after building",
    "Error storing {wheel} in {store}",
    "Warning: could not uninstall {names} (status {status})",
)
def test_helpers_for_python(desk: Desk) -> str:
    (desk.directory / "store").write_bytes(b"")
    wheel = "mkdir -p dist; touch dist/foo-1-py3-none-any.whl; "
    return scripts(
        desk,
        "sdh_build_wheel nowhere",
        "sdh_pip_editable_install nowhere",
        "rm -rf dist; mkdir dist; sdh_store_wheel .",
        f"{wheel} sdh_store_wheel .",
        "SAGE_VENV=/nowhere sdh_pip_uninstall foo; exit 1",
    )


@produces("Error: no DLL of {name} in {directory}")
def test_helpers_for_windows(desk: Desk) -> str:
    return scripts(desk, "OSTYPE=msys; sdh_generate_windows_lib_files foo")


@produces("cannot run '{command}': there is no such command; see sage -h")
def test_sage(desk: Desk) -> str:
    return told([BIN / "sage", "--nonsense"], {**os.environ, "SAGE_ROOT": str(desk.directory)})


@produces(
    "sage-pkginstall: cannot find a Python to run the tool: run 'make' in {checkout}, or set"
    " SAGE_PKGINSTALL_PYTHON to a Python >= 3.10 that can import {libraries}"
)
def test_tool_without_python(desk: Desk) -> str:
    tool = desk.directory / "build" / "bin"
    tool.mkdir(parents=True)
    shutil.copy2(BIN / "sage-pkginstall", tool)
    programs = desk.directory / "programs"
    programs.mkdir()
    for name in ("readlink", "sh"):
        (programs / name).symlink_to(shutil.which(name) or "")
    return told([tool / "sage-pkginstall", "--version"], {"PATH": str(programs)})


@produces(
    'cannot build in "{directory}": make cannot handle paths with blanks',
    'cannot build in "{directory}": make cannot handle paths with {characters}',
    "cannot make a target environment: {python} does not run; name a Python that does, make"
    " PYTHON=python3.12 say",
    "cannot build wheels of SHARD={text}: it is not K/N, the K-th of N slices",
    "cannot make {environment}: {python} is not there; on Debian: apt-get install python3"
    " python3-venv",
)
def test_make(desk: Desk) -> str:
    blank = desk.directory / "a blank"
    blank.mkdir()
    shutil.copy2(ROOT / "Makefile", blank)
    dollar = desk.directory / "a$dollar"
    dollar.mkdir()
    shutil.copy2(ROOT / "Makefile", dollar)
    trees = {name: str(desk.prefix) for name in ("SAGE_LOCAL", "SAGE_VENV")}
    rules: list[str | Path] = ["make", "-f", ROOT / "build/make/Makefile", "wheels", "SHARD=3"]
    named: list[str | Path] = ["make", "-f", ROOT / "build/make/Makefile", "list"]
    environment: list[str | Path] = [ROOT / "build/setup/environment", desk.directory / "made"]
    return "".join(
        (
            told(["make", "-C", blank], os.environ),
            told(["make", "-C", dollar], os.environ),
            told(rules, {**os.environ, **trees, "SAGE_ROOT": str(desk.directory)}),
            told(named, {"PATH": os.environ["PATH"], "PYTHON": "no-such-python"}),
            told(environment, {**os.environ, "PYTHON": "no-such-python"}),
        )
    )
