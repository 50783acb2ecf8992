"""Facts about an interpreter: our own process says what the one that is asked says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import packaging
import pytest

from sage_pkginstall import introspection, target_tags
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Run as build/bin/sage-pkginstall runs us, by any Python: the facts by default, and as told.
SCRIPT = """import json, subprocess, sys
sys.path[:0] = sys.argv[1:3]
from pathlib import Path
from packaging.markers import default_environment
from packaging.tags import sys_tags
from sage_pkginstall.interpreter import interpreter_facts, is_our_program
from sage_pkginstall.target_tags import tags_of
python = Path(sys.argv[3])
asked = lambda command: subprocess.run(command, capture_output=True)
told = interpreter_facts(python, asked)
print(json.dumps({
    "ours": is_our_program(python),
    "facts": interpreter_facts(python, None),
    "told": told,
    "taken": tags_of(told),
    "markers": default_environment(),
    "tags": [str(tag) for tag in sys_tags()],
}))
"""
ISOLATED = ("-I", "-S")
NO_SCHEME = sys.version_info < (3, 11)
OURS_ONLY = pytest.mark.skipif(NO_SCHEME, reason="this Python has no scheme for environments")


def program_of(python: str) -> str:
    """Return the program that environments of ``python`` are made of."""
    code = "import sys; print(sys._base_executable)"
    return subprocess.check_output([python, "-I", "-c", code], text=True).strip()


def programs() -> Iterator[str]:
    """Yield other Pythons of this machine that can run us, this one first."""
    yield program_of(sys.executable)
    names = ("python3", "python3.11", "python3.12", "python3.13", "python3.14")
    path = os.pathsep.join([*os.get_exec_path(), "/usr/bin"])
    for name in names:
        for directory in dict.fromkeys(path.split(os.pathsep)):
            python = shutil.which(name, path=directory)
            code = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
            if python and not subprocess.call([python, "-c", code], stderr=subprocess.DEVNULL):
                yield program_of(python)


PROGRAMS = list(dict.fromkeys(os.path.realpath(program) for program in programs()))


def answer(tool: Path | str, python: Path, *options: str, **variables: str) -> dict[str, Any]:
    """Return what we say of ``python`` when ``tool`` runs us."""
    above = os.fspath(Path(packaging.__path__[0]).parent)
    command = [tool, *(options or ISOLATED), "-c", SCRIPT, os.fspath(ROOT), above, python]
    printed = subprocess.check_output(command, env={**os.environ, **variables})
    answer: dict[str, Any] = json.loads(printed)
    return answer


def environment(directory: Path, program: str = PROGRAMS[0], *options: str) -> Path:
    """Make a virtual environment."""
    words = [program, "-m", "venv", "--without-pip", *options, os.fspath(directory)]
    subprocess.run(words, check=True)
    return directory


@OURS_ONLY
@pytest.mark.parametrize("program", PROGRAMS)
def test_we_say_what_an_environment_of_our_program_says(program: str, tmp_path: Path) -> None:
    tool = environment(tmp_path / "tool", program) / "bin/python"
    target = environment(tmp_path / "target", program)
    linked = tmp_path / "linked"
    linked.symlink_to("target")
    for run_by, python in (
        (tool, target / "bin/python3"),
        (tool, tool),
        (program, linked / "bin/python"),
    ):
        said = answer(run_by, python)
        assert said["ours"] or sys.platform == "darwin"  # where a framework may start another
        assert said["facts"] == said["told"]
        assert said["markers"] == said["facts"]["markers"]
        assert said["tags"] == said["taken"]


@OURS_ONLY
def test_variables_change_both_answers_or_none(tmp_path: Path) -> None:
    python = environment(tmp_path / "venv") / "bin/python3"
    for variables in (
        {"PYTHONPLATLIBDIR": "lib77", "PYTHONHOME": "/nowhere", "PYTHONPATH": os.fspath(tmp_path)},
        {"DEB_PYTHON_INSTALL_LAYOUT": "deb"},
        {"_PYTHON_HOST_PLATFORM": "linux-other"},
    ):
        said = answer(PROGRAMS[0], python, **variables)
        assert said["facts"] == said["told"]


def copy_the_program(venv: Path) -> None:
    """As ``python -m venv --copies`` and virtualenv do."""
    program = (venv / "bin/python3").resolve()
    (venv / "bin/python3").unlink()
    shutil.copy2(program, venv / "bin/python3")


def name_another_home(venv: Path) -> None:
    """As an environment of a Python that was reached by a link."""
    configuration = venv / "pyvenv.cfg"
    (venv / "root").symlink_to(Path(PROGRAMS[0]).parent.parent)
    lines = configuration.read_text().splitlines()
    lines = [f"home = {venv}/root/bin" if line.startswith("home") else line for line in lines]
    configuration.write_text("\n".join(lines))


def name_no_home(venv: Path) -> None:
    (venv / "pyvenv.cfg").write_text("version = 3\n")


def configure_beside_the_program(venv: Path) -> None:
    shutil.copy(venv / "pyvenv.cfg", venv / "bin/pyvenv.cfg")


def lose_the_configuration(venv: Path) -> None:
    (venv / "pyvenv.cfg").unlink()


@pytest.mark.parametrize(
    "change",
    [
        copy_the_program,
        name_another_home,
        name_no_home,
        configure_beside_the_program,
        lose_the_configuration,
    ],
)
def test_what_is_unusual_is_asked(change: Callable[[Path], None], tmp_path: Path) -> None:
    venv = environment(tmp_path / "venv")
    change(venv)
    said = answer(PROGRAMS[0], venv / "bin/python3")
    assert not said["ours"]
    assert said["facts"] == said["told"]


def test_another_program_is_asked(tmp_path: Path) -> None:
    for program in PROGRAMS[1:]:
        venv = environment(tmp_path / Path(program).name, program)
        said = answer(PROGRAMS[0], venv / "bin/python3")
        assert not said["ours"]
        assert said["facts"] == said["told"]


def test_base_interpreter_is_asked() -> None:
    said = answer(PROGRAMS[0], Path(PROGRAMS[0]))
    assert not said["ours"]
    assert said["facts"] == said["told"]


@pytest.mark.parametrize("options", [("-I",), ("-S",), ("-E", "-s")])
def test_who_is_not_isolated_asks(options: tuple[str, ...], tmp_path: Path) -> None:
    """A sitecustomize or a variable may have changed what we would say."""
    python = environment(tmp_path / "venv") / "bin/python3"
    said = answer(PROGRAMS[0], python, *options)
    assert not said["ours"]
    assert said["facts"] == said["told"]


def pythons_with_pip() -> Iterator[tuple[str, list[str]]]:
    """Yield each Python of this machine that has pip, with the tags that pip gives it."""
    code = "from pip._vendor.packaging.tags import sys_tags; print(*sys_tags(), sep=chr(10))"
    names = ["pypy3", *(f"python3.{minor}" for minor in range(8, 15))]
    directories = [
        *os.get_exec_path(),
        *map(str, Path("~/.pyenv/versions").expanduser().glob("*/bin")),
    ]
    for name in names:
        for directory in directories:
            python = shutil.which(name, path=directory)
            if python:
                words = [python, "-c", code]
                asked = subprocess.run(words, check=False, capture_output=True, text=True)
                if asked.returncode == 0:
                    yield program_of(python), asked.stdout.split()


def test_tags_are_those_that_pip_gives_to_any_python() -> None:
    """In any order, and cpXY-none-any aside, which came late: pip may have an older packaging."""
    compared = 0
    for python, tags in pythons_with_pip():
        ours = answer(PROGRAMS[0], Path(python))["taken"]
        assert set(tags) == {tag for tag in ours if tag in tags or not tag.endswith("-none-any")}
        compared += 1
    assert compared


def test_extension_modules_of_another_machine_are_none_of_ours() -> None:
    facts = introspection.facts_of(sys.executable, sys.prefix)
    others = {**facts, "build": {**introspection.build_facts(), "bits": 31}}
    assert target_tags.tags_of(facts)[-1] == target_tags.tags_of(others)[-1]
    assert {tag.rpartition("-")[2] for tag in target_tags.tags_of(others)} == {"any"}


@pytest.mark.parametrize(
    ("implementation", "extension", "best"),
    [
        ("pypy", ".pypy39-pp73-x86_64-linux-gnu.so", "pp39-pypy39_pp73"),
        ("graalpy", ".graalpy-38-native-x86_64-darwin.dylib", "graalpy39-graalpy_38_native"),
        ("other", ".so", "other39-none"),
        ("cpython", ".cpython-39-x86_64-linux-gnu.so", "cp39-cp39"),
    ],
)
def test_names_of_extension_modules_tell_the_abi(
    implementation: str, extension: str, best: str
) -> None:
    build = {**introspection.build_facts(), "extension": extension, "debug": False}
    facts = {"implementation": implementation, "version": "3.9.1", "build": build}
    assert target_tags.tags_of(facts)[0].startswith(f"{best}-")


def test_debug_and_free_threaded_builds_have_names_of_their_own() -> None:
    build = {**introspection.build_facts(), "debug": True, "free_threaded": True}
    for version, best in (("3.12.0", "cp312-cp312d-"), ("3.13.0", "cp313-cp313td-")):
        facts = {"implementation": "cpython", "version": version, "build": build}
        tags = target_tags.tags_of(facts)
        assert tags[0].startswith(best)
        assert any(tag.startswith(f"{best[:-2]}-") for tag in tags)
