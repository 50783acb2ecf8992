"""build/setup and the top Makefile: environments whole or not at all, goals passed on."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT
from tests.trees import plant, tree

if TYPE_CHECKING:
    from pathlib import Path

ENVIRONMENT = ROOT / "build" / "setup" / "environment"

# Stands for build/make/Makefile: says how often it was run, and with what.
PACKAGES = """\
$(shell echo run >> runs)
all foo bar: ; @echo made $@ $(MAKEFLAGS)
stamp: ; touch $@
done: done.stamp
done.stamp: ; touch $@
.PHONY: all foo bar done
"""


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def run(
    *command: str | Path, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )


# ---------------------------------------------------------------------------- environment


def test_python_without_ensurepip_is_named_in_one_line_with_the_remedy(tmp_path: Path) -> None:
    python = script(tmp_path / "python", 'case $3 in *ensurepip*) exit 1;; esac; exec python3 "$@"')
    ended = run(ENVIRONMENT, "venv", "six", cwd=tmp_path, env={"PYTHON": str(python)})
    assert ended.returncode == 1
    assert ended.stderr == (
        f"cannot make venv: {python} has no ensurepip; on Debian: apt-get install python3-venv\n"
    )


def test_python_that_is_too_old_is_refused(tmp_path: Path) -> None:
    python = script(tmp_path / "python", "[ $1 = -I ] && exit 1; echo Python 3.7.3")
    ended = run(ENVIRONMENT, "venv", "six", cwd=tmp_path, env={"PYTHON": str(python)})
    assert ended.returncode == 1
    assert "Python 3.7.3 is too old, 3.10 is needed" in ended.stderr


# Stands in for a Python: it makes an environment of itself, and pip says how it is run.
PYTHON = """\
[ "$1" = -I ] || exit 9
case "$2 $3" in
    "-m venv") mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
    "-m pip") env | grep ^PIP_ >>said; shift 2; echo "$@" >>said ;;
    *) exec python3 "$@" ;;
esac
"""


def test_environment_is_that_of_its_directory_whichever_links_lead_there(tmp_path: Path) -> None:
    python = script(tmp_path / "python", PYTHON)
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "link").symlink_to("root")
    told = {"PYTHON": str(python), "PWD": str(tmp_path / "link")}
    assert run(ENVIRONMENT, "venv", "six", cwd=tmp_path / "link", env=told).returncode == 0
    program = (root / "venv" / "bin" / "python").resolve()
    assert (root / "venv" / "ready").read_text() == f"{root}\n{program}\n"


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_checkout_may_have_any_name_in_any_locale(tmp_path: Path, locale: str) -> None:
    """Python had a fatal error at its start, of the file that leads to the checkout."""
    source = tmp_path / "Prüfstand"
    source.mkdir()
    packages = plant(tmp_path / "packages", {"editable.pth": f"{source}\n".encode()})
    venv = f"""[ "$2 $3" = "-m venv" ] || exec python3 "$@"
python3 -m venv --without-pip "$4" && mv "$4/bin/python" "$4/bin/real"
cp "{tmp_path}/venv-python" "$4/bin/python" """
    pip = f"""[ "$2 $3" = "-m pip" ] || exec "${{0%python}}real" "$@"
cp "{packages}"/* "${{0%/bin/python}}"/lib/python3.*/site-packages"""
    script(tmp_path / "venv-python", pip)
    python = script(tmp_path / "python", venv)
    told = {"PYTHON": str(python), "LC_ALL": locale}
    ended = run(ENVIRONMENT, "venv", "-e", ".", cwd=tmp_path, env=told)
    assert (ended.returncode, ended.stderr) == (0, "")
    code = "import sys; print(ascii(sys.path[-1]))"
    real = tmp_path / "venv" / "bin" / "real"
    ended = run(real, "-I", "-c", code, cwd=tmp_path, env=told)
    assert ended.stdout == f"{str(source)!a}\n"


def test_settings_of_pip_lead_nowhere_else(tmp_path: Path) -> None:
    python = script(tmp_path / "python", PYTHON)
    names = ("TARGET", "PREFIX", "ROOT", "PYTHON", "NO_DEPS", "DRY_RUN", "INDEX_URL")
    told = {"PYTHON": str(python), **{f"PIP_{name}": "x" for name in names}}
    assert run(ENVIRONMENT, "venv", "six", cwd=tmp_path, env=told).returncode == 0
    said = (tmp_path / "said").read_text().splitlines()
    assert {line.split("=")[0] for line in said if line.startswith("PIP_")} == {
        *("PIP_INDEX_URL", "PIP_CONFIG_FILE", "PIP_DISABLE_PIP_VERSION_CHECK", "PIP_NO_INPUT"),
    }
    calls = [line for line in said if not line.startswith("PIP_")]
    assert calls == [f"pip install --quiet --no-user {what}" for what in ("pip >=25.1", "six")]


@pytest.mark.slow
def test_former_environment_stays_when_the_new_one_fails(tmp_path: Path) -> None:
    (tmp_path / "venv.former").mkdir()
    (tmp_path / "venv.former" / "ready").write_text("here\n")
    (tmp_path / "venv").symlink_to("venv.former")
    before = tree(tmp_path)
    ended = run(ENVIRONMENT, "venv", "six", cwd=tmp_path, env={"PIP_NO_INDEX": "1"})
    assert ended.returncode != 0
    assert tree(tmp_path) == before


# ------------------------------------------------------------------------------- Makefile


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a tree with our Makefile, stand-ins for what it calls, and environments made."""
    root = tmp_path / "checkout"
    root.mkdir()
    shutil.copy(ROOT / "Makefile", root)
    (root / "pyproject.toml").touch()
    packages = root / "build" / "make" / "Makefile"
    packages.parent.mkdir(parents=True)
    packages.write_text(PACKAGES)
    script(
        root / "build" / "setup" / "environment",
        'cd "$(mkdir -p "$1/bin" && cd "$1" && pwd)" && : >>bin/python\n'
        '{ pwd -P | sed "s,/.tool/.*,,"; realpath bin/python; } >ready',
    )
    assert make(root, "foo").returncode == 0
    (root / "runs").unlink()
    return root


def make(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run("make", *arguments, cwd=root)


def test_first_make_sets_up_the_tool(checkout: Path) -> None:
    shutil.rmtree(checkout / ".tool")
    assert make(checkout).stdout.startswith("Setting up the tool in .tool/venv\n")
    assert (checkout / ".tool" / "venv" / "ready").exists()


def test_second_make_sets_up_nothing(checkout: Path) -> None:
    ended = make(checkout)
    assert "Setting up" not in ended.stdout
    assert "made all" in ended.stdout


def test_tool_is_set_up_again_after_a_change_or_a_move(checkout: Path) -> None:
    # By times of our own: of files that are written at once, two may have the same one.
    os.utime(checkout / ENVIRONMENT.relative_to(ROOT), (100, 100))
    os.utime(checkout / ".tool" / "venv" / "ready", (200, 200))
    os.utime(checkout / "pyproject.toml", (300, 300))
    assert "Setting up the tool" in make(checkout).stdout
    moved = checkout.rename(checkout.with_name("moved"))
    assert "Setting up the tool" in make(moved).stdout
    assert "Setting up" not in make(moved).stdout


def test_tool_is_set_up_again_when_its_python_became_another(checkout: Path) -> None:
    python = checkout / ".tool" / "venv" / "bin" / "python"
    python.unlink()
    (checkout / "python3.99").touch()
    python.symlink_to(checkout / "python3.99")
    assert "Setting up the tool" in make(checkout).stdout
    assert "Setting up" not in make(checkout).stdout


def test_several_goals_are_one_run_with_the_jobserver(checkout: Path) -> None:
    ended = make(checkout, "-j3", "foo", "bar")
    assert (checkout / "runs").read_text() == "run\n"
    assert "made foo" in ended.stdout
    assert "made bar" in ended.stdout
    assert "jobserver" in ended.stdout


def test_keep_going_is_passed_on(checkout: Path) -> None:
    ended = make(checkout, "-k", "missing", "foo")
    assert "made foo" in ended.stdout
    assert ended.returncode == 2


def test_dry_run_changes_nothing(checkout: Path) -> None:
    assert "touch stamp" in make(checkout, "-n", "stamp").stdout
    assert not (checkout / "stamp").exists()


def test_dry_run_without_the_tool_tells_what_sets_it_up(checkout: Path) -> None:
    """Which packages there are is known to the tool alone: make failed, without one."""
    shutil.rmtree(checkout / ".tool")
    ended = make(checkout, "-n", "stamp")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "build/setup/environment .tool/venv" in ended.stdout
    assert ended.stdout.endswith("and then, with the tool: stamp\n")
    assert not (checkout / ".tool").exists()


def test_question_is_answered_by_the_status(checkout: Path) -> None:
    assert make(checkout, "-q", "done").returncode == 1
    assert make(checkout, "done").returncode == 0
    assert make(checkout, "-q", "done").returncode == 0


def test_touch_is_passed_on(checkout: Path) -> None:
    assert make(checkout, "-t", "stamp").returncode == 0
    assert (checkout / "stamp").exists()


def test_packages_inherit_no_flag_that_changes_their_makefiles(checkout: Path) -> None:
    words = make(checkout, "foo").stdout.split()
    assert words == ["made", "foo", "--no-print-directory"]


@pytest.mark.parametrize("name", ["values.py", "timings.js"])
def test_tool_in_one_file_is_made_again_once_the_tool_has_changed(
    checkout: Path, name: str
) -> None:
    zipapp = script(checkout / "build/setup/zipapp", 'mkdir -p dist && echo made >>"$2"')
    source = checkout / "sage_pkginstall" / name
    source.parent.mkdir()
    source.touch()
    file = checkout / "dist" / "sage-pkginstall.pyz"
    make(checkout, "foo")
    assert not file.exists()
    make(checkout, "dist")
    make(checkout, "foo")
    assert file.read_text() == "made\n"
    for path in (checkout / "pyproject.toml", ENVIRONMENT.relative_to(ROOT), zipapp):
        os.utime(checkout / path, (100, 100))
    os.utime(checkout / ".tool" / "venv" / "ready", (200, 200))
    os.utime(file, (300, 300))
    os.utime(source, (400, 400))
    make(checkout, "foo")
    assert file.read_text() == "made\nmade\n"


@pytest.mark.parametrize("character", "$#:;=|*?'\"`\\&<>()")
def test_checkout_in_a_path_that_make_cannot_handle_is_refused(
    tmp_path: Path, character: str
) -> None:
    checkout = tmp_path / f"a{character}b"
    checkout.mkdir()
    shutil.copy(ROOT / "Makefile", checkout)
    ended = make(checkout, "help")
    assert ended.returncode == 2
    assert f"make cannot handle paths with {character}." in ended.stderr


@pytest.mark.parametrize("variable", ["SAGE_LOCAL", "SAGE_VENV"])
def test_tree_in_a_path_that_make_cannot_handle_is_refused(
    checkout: Path, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "/trees/sage=10")
    ended = make(checkout, "foo")
    assert ended.returncode == 2
    assert '/trees/sage=10": make cannot handle paths with =.' in ended.stderr


def test_clean_keeps_what_is_installed_and_distclean_keeps_upstream(checkout: Path) -> None:
    building = "local/var/lib/sage/venv-python3.11/var/tmp/sage/build"
    made = ("build/make/packages.mk", "sage_pkginstall/cli/__pycache__/main.cpython-311.pyc")
    for name in ("local/bin/foo", "upstream/foo.tar", "logs/foo", f"{building}/foo/src", *made):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).touch()
    make(checkout, "clean")
    assert (checkout / "local" / "bin" / "foo").exists()
    assert not (checkout / "logs").exists()
    assert not (checkout / building).exists()
    make(checkout, "distclean")
    assert not (checkout / "local").exists()
    assert not (checkout / ".tool").exists()
    assert [name for name in made if (checkout / name).exists()] == []
    assert (checkout / "upstream" / "foo.tar").exists()
