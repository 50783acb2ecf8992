"""Hostile wheels are refused in one clear line, or installed without harm.

The wheels are those of ``tests/hostile``.  All of them go through the command line in this
process; some, and those that ask for much, through the real command within limits.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import venv
from dataclasses import dataclass
from importlib.util import MAGIC_NUMBER
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.cli.main import main
from tests.conftest import ROOT, START
from tests.foowheel import INFO
from tests.hostile import CORPUS, GROUPS
from tests.hostile.case import FOO, SCRIPT
from tests.sitepackages import SITE
from tests.trees import modes, tree
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.hostile.case import Case
    from tests.trees import Entry

MEMORY = 1 << 30
SECONDS = 60
ENGINE = ("prefix/var/lock", "prefix/var/tmp", "wheels")
LARGE = "Sizes: 100,000 tiny files"

State = dict[str, tuple["Entry | None", int | None]]


@dataclass(frozen=True)
class Ground:
    """An environment in a directory of its own: nothing in there changes unseen."""

    directory: Path

    @property
    def prefix(self) -> Path:
        return self.directory / "prefix"

    def state(self) -> State:
        """Everything in the directory; times in byte-code and the wheel itself left out."""
        entries = tree(self.directory, ignore=ENGINE)
        permissions = modes(self.directory, ignore=ENGINE)
        return {path: (entries.get(path), permissions.get(path)) for path in permissions}

    def debris(self) -> list[str]:
        return os.listdir(self.prefix / "var" / "tmp" / "sage")  # noqa: PTH208


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    ground = Ground(tmp_path_factory.mktemp("ground"))
    venv.EnvBuilder(symlinks=True).create(ground.prefix)
    other = make_wheel(ground.directory / "wheels", "other", "1.0")
    assert main(["install", "--quiet", "--prefix", str(ground.prefix), str(other)]) == 0
    return ground


@contextlib.contextmanager
def wheel_of(ground: Ground, case: Case) -> Iterator[Path]:
    """Make the wheel, in a directory in which nothing else may appear."""
    directory = ground.directory / "wheels"
    for path in directory.iterdir():
        path.unlink()
    wheel = case.make(directory)
    assert os.listdir(directory) == [wheel.name]  # noqa: PTH208
    yield wheel
    assert os.listdir(directory) == [wheel.name]  # noqa: PTH208


def one_line(text: str, wheel: Path, reason: str) -> None:
    (line,) = text.splitlines()
    assert line.isprintable()
    assert wheel.name in line
    assert reason in line


@pytest.mark.parametrize("name", [name for name, case in CORPUS.items() if case.reason])
def test_refused_and_nothing_changed(
    name: str, ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    case = CORPUS[name]
    before = ground.state()
    with wheel_of(ground, case) as wheel:
        assert main(["install", "--prefix", str(ground.prefix), str(wheel)]) == 1
    out, error = capsys.readouterr()
    assert out == ""
    assert case.reason is not None
    one_line(error, wheel, case.reason)
    assert ground.state() == before
    assert ground.debris() == []


@pytest.mark.parametrize(
    "name", [name for name, case in CORPUS.items() if not case.reason and name != LARGE]
)
def test_installed_and_uninstalled_to_nothing(name: str, ground: Ground) -> None:
    case = CORPUS[name]
    before = ground.state()
    with wheel_of(ground, case) as wheel:
        assert main(["install", "--quiet", "--prefix", str(ground.prefix), str(wheel)]) == 0
    after = ground.state()
    assert {path: after.get(path) for path in before} == before
    new = {path.removeprefix("prefix/"): after[path] for path in after.keys() - before.keys()}
    check_installed(new, case)
    assert main(["verify", "--prefix", str(ground.prefix)]) == 0
    assert main(["uninstall", "--quiet", "--prefix", str(ground.prefix), "foo"]) == 0
    assert ground.state() == before
    assert ground.debris() == []


def check_installed(new: State, case: Case) -> None:
    """Compare what is there with what the case says."""
    files = {path: entry for path, (entry, _) in new.items() if entry is not None}
    info = {p: files.pop(p) for p in list(files) if p.startswith(f"{SITE}/{INFO}/")}
    for path in [path for path in files if "/__pycache__/" in path]:
        data = files.pop(path)
        assert isinstance(data, bytes)
        assert data.startswith(MAGIC_NUMBER)
    expected = {f"{SITE}/foo.py": FOO, **case.files}
    for path in [path for path, data in expected.items() if data == SCRIPT]:
        data = files[path]
        assert isinstance(data, bytes)
        assert data.startswith(b"#!")
        files[path] = SCRIPT
    inside = {path for path in expected if path.startswith(f"{SITE}/{INFO}/")}
    assert {path: files[path] for path in files} == {
        path: data for path, data in expected.items() if path not in inside
    }
    check_info(info, {path: expected[path] for path in inside})
    permissions = {path: mode for path, (_, mode) in new.items() if path in files}
    assert permissions == {path: case.modes.get(path, 0o644) for path in files}


def check_info(info: Mapping[str, Entry], more: Mapping[str, bytes]) -> None:
    """Compare the ``*.dist-info`` directory: what we write there is ours."""
    names = {path.rpartition("/")[2] for path in info}
    assert names >= {"METADATA", "WHEEL", "RECORD", "INSTALLER", "REQUESTED"}
    assert info[f"{SITE}/{INFO}/INSTALLER"] == b"sage-pkginstall\n"
    assert info[f"{SITE}/{INFO}/REQUESTED"] == b""
    assert info.get(f"{SITE}/{INFO}/direct_url.json") != b"evil"
    assert {path: info[path] for path in more} == more


def limit() -> None:
    """Bound what the command may use: it ends in time, and in memory, or not at all."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


def run(*words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-c", START, str(ROOT), *words],
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
    )


SAMPLE = [
    *(name for name in CORPUS if name.startswith("Sizes: ") and name != LARGE),
    *(
        f"{group}: {next(n for n, c in cases.items() if c.reason)}"
        for group, cases in GROUPS.items()
        if group != "Sizes"
    ),
]


@pytest.mark.parametrize("name", SAMPLE)
@pytest.mark.parametrize(("command", "status"), [("install", 1), ("pip-install", 3)])
def test_real_command_refuses_within_bounds(
    name: str, command: str, status: int, ground: Ground
) -> None:
    case = CORPUS[name]
    before = ground.state()
    with wheel_of(ground, case) as wheel:
        ended = run(command, str(wheel), env={"SAGE_VENV": str(ground.prefix)})
    assert ended.returncode == status, ended.stderr
    assert ended.stdout == ""
    assert case.reason is not None
    one_line(ended.stderr, wheel, case.reason)
    assert ground.state() == before
    assert ground.debris() == []


@pytest.mark.torture
def test_hundred_thousand_tiny_files_within_bounds(ground: Ground) -> None:
    before = ground.state()
    case = CORPUS[LARGE]
    prefix = str(ground.prefix)
    with wheel_of(ground, case) as wheel:
        ended = run("install", "--quiet", "--prefix", prefix, str(wheel))
    assert ended.returncode == 0, ended.stderr
    after = ground.state()
    check_installed({p.removeprefix("prefix/"): after[p] for p in after.keys() - before}, case)
    ended = run("uninstall", "--quiet", "--prefix", prefix, "foo")
    assert ended.returncode == 0, ended.stderr
    assert ground.state() == before
