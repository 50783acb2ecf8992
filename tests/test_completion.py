"""What bash, zsh and fish themselves complete with the scripts that we print."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.cli.manual import commands
from tests.conftest import ROOT, RunCli
from tests.trees import plant
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

KEPT = {
    "bash": ROOT / "data/share/bash-completion/completions/sage-pkginstall",
    "zsh": ROOT / "data/share/zsh/site-functions/_sage-pkginstall",
    "fish": ROOT / "data/share/fish/vendor_completions.d/sage-pkginstall.fish",
}
SHELLS = [pytest.param(shell, marks=pytest.mark.needs(shell)) for shell in KEPT]
NAMES = {command.name for command in commands()}


@pytest.fixture
def desk(tmp_path: Path, venv: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory with wheels and others, the tool on PATH, foo and bar installed."""
    for name in ("foo", "bar"):
        run_cli("install", "--prefix", venv, make_wheel(tmp_path, name, "1"))
    plant(tmp_path, {"desk/one.whl": b"", "desk/two.txt": b"", "desk/place/three.whl": b""})
    plant(tmp_path, {"root/build/pkgs/sympy/type": b"", "root/build/pkgs/scipy/type": b""})
    monkeypatch.setenv("PATH", f"{ROOT / 'build/bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("SAGE_PKGINSTALL_PYTHON", sys.executable)
    monkeypatch.setenv("SAGE_VENV", str(venv))
    monkeypatch.setenv("SAGE_ROOT", str(tmp_path / "root"))
    monkeypatch.chdir(tmp_path / "desk")
    return tmp_path / "desk"


def bash(line: str) -> set[str]:
    """Return what bash completes: it calls our function as readline does."""
    words = re.findall(r"[^ =]+|=|(?<= )$", line)  # COMP_WORDBREAKS
    quoted = " ".join(f"'{word}'" for word in words)
    code = f"""
        source {KEPT["bash"]}
        COMP_WORDS=({quoted}) COMP_CWORD={len(words) - 1} COMP_LINE='{line}' COMP_POINT={len(line)}
        handler=$(complete -p -- '{words[0]}' | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        $handler '{words[0]}' '{words[-1]}' '{words[-2]}'
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    ended = subprocess.run(
        ["bash", "--norc", "-c", code], check=True, capture_output=True, text=True
    )
    assert ended.stderr == ""
    return set(ended.stdout.split())


def fish(line: str) -> set[str]:
    code = f"source {KEPT['fish']}; complete -C '{line}'"
    ended = subprocess.run(
        ["fish", "--no-config", "-c", code], check=True, capture_output=True, text=True
    )
    assert ended.stderr == ""
    return {one.partition("\t")[0] for one in ended.stdout.splitlines()}


def zsh(line: str) -> set[str]:
    """Return what zsh lists at its prompt, where alone its completion works."""
    setup = (
        "PS1=READY%% ; unsetopt zle_bracketed_paste; autoload -Uz compinit; compinit -u -D;"
        f" source {KEPT['zsh']}; LISTMAX=9999;"
        " zstyle ':completion:*' menu no; setopt list_rows_first auto_list no_auto_menu;"
        " zstyle ':completion:*' list-separator '#'; bindkey '^T' list-choices; print SET''UP"
    )
    child, terminal = pty.fork()
    if child == 0:
        variables = {**os.environ, "TERM": "dumb", "COLUMNS": "300"}
        os.execvpe("zsh", ["zsh", "-f", "-i"], variables)  # noqa: S606 - a terminal is needed
    try:
        os.write(terminal, setup.encode() + b"\n")
        _until(terminal, r"SETUP\s.*READY%")
        os.write(terminal, line.encode() + b"\x14\x15print EN''DED\n")
        said = _until(terminal, r"ENDED\s")
    finally:
        os.close(terminal)
        os.waitpid(child, 0)
    shown = said.partition(line)[2].partition("READY%")[0]
    return {word for row in shown.splitlines() for word in row.partition("#")[0].split()}


def _until(terminal: int, end: str) -> str:
    """Return what the terminal shows until ``end``; the test is hung up if that never comes."""
    said = ""
    while not re.search(end, said, re.DOTALL):
        ready, _, _ = select.select([terminal], [], [], 60)
        assert ready, f"nothing more comes after {said!r}"
        said += os.read(terminal, 65536).decode(errors="replace")
        said = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x07|\r", "", said)
    return said


COMPLETE = {"bash": bash, "zsh": zsh, "fish": fish}


@pytest.mark.parametrize("shell", KEPT)
def test_kept_scripts_are_what_make_man_writes(shell: str, run_cli: RunCli) -> None:
    assert run_cli("completion", shell).stdout == KEPT[shell].read_text(), "run `make man`"


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("shell", SHELLS)
def test_commands_are_completed(shell: str) -> None:
    found = COMPLETE[shell]("sage-pkginstall ")
    assert found >= NAMES
    assert "stage-wheel" not in found


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("shell", SHELLS)
def test_options_are_completed(shell: str) -> None:
    found = COMPLETE[shell]("sage-pkginstall install --")
    assert {"--store", "--conflicts", "--break-system-packages", "--dry-run"} <= found
    assert "--discard" not in found


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("shell", SHELLS)
def test_values_of_an_option_are_completed(shell: str) -> None:
    assert COMPLETE[shell]("sage-pkginstall install --conflicts ") == {"warn", "error"}


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("shell", SHELLS)
def test_values_behind_an_equals_sign_are_completed(shell: str) -> None:
    found = COMPLETE[shell]("sage-pkginstall install --conflicts=")
    assert {word.rpartition("=")[2] for word in found} == {"warn", "error"}
    found = COMPLETE[shell]("sage-pkginstall install --conflicts=wa")
    assert {word.rpartition("=")[2] for word in found} == {"warn"}


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("shell", SHELLS)
def test_manual_takes_the_name_of_a_command(shell: str) -> None:
    assert COMPLETE[shell]("sage-pkginstall manual ins") == {"install"}


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("shell", SHELLS)
def test_wheels_and_directories_are_completed(shell: str) -> None:
    found = {word.rstrip("/") for word in COMPLETE[shell]("sage-pkginstall install ")}
    assert {"one.whl", "place"} <= found
    assert shell == "fish" or "two.txt" not in found  # fish puts wheels first, others after


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("shell", SHELLS)
def test_directories_are_completed_after_an_option_that_takes_one(shell: str) -> None:
    found = {word.rstrip("/") for word in COMPLETE[shell]("sage-pkginstall list --prefix ")}
    assert found == {"place"}


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("shell", SHELLS)
def test_installed_names_are_completed(shell: str) -> None:
    assert COMPLETE[shell]("sage-pkginstall uninstall ") == {"foo", "bar"}


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("shell", SHELLS)
def test_packages_are_completed(shell: str) -> None:
    assert COMPLETE[shell]("sage-spkg s") == {"scipy", "sympy"}


def test_names_of_the_prefix_that_the_line_names_are_told(
    desk: Path, venv: Path, run_cli: RunCli
) -> None:
    elsewhere = {"SAGE_VENV": str(desk)}
    for given in (["--prefix", str(venv)], [f"--prefix={venv}"], ["--prefix", "=", str(venv)]):
        line = ["sage-pkginstall", "show", *given]
        assert run_cli("completion", "names", *line, env=elsewhere).stdout == "bar\nfoo\n"
    assert run_cli("completion", "names", "show", env=elsewhere).stdout == ""
