"""The world in which every test runs: no settings of this machine, a home of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import venv as stdlib_venv
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

import pytest

from sage_pkginstall.environment import Environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parent.parent

# All that stays of this machine's variables: without these no program is found, or none runs, or
# pytest and coverage do not know their own.  GIT_DIR of a hook, NO_COLOR, CFLAGS, V ... do not.
KEPT = (
    "PATH", "LD_", "DYLD_", "SDKROOT", "DEVELOPER_DIR", "NIX_",
    "USER", "LOGNAME", "SHELL", "PYTEST_", "COVERAGE_",
)  # fmt: skip

# As build/bin/sage-pkginstall starts the tool; but Python is taken down, so that coverage is told.
START = """import sys
sys.path.insert(0, sys.argv.pop(1))
from sage_pkginstall.cli.main import main
sys.exit(main())"""
CI = bool(os.environ.get("CI"))
# Where Debian has nginx and mkfs, and which its users have not in their PATH.
PATH = os.pathsep.join([os.environ["PATH"], "/usr/local/sbin", "/usr/sbin", "/sbin"])
TEMPORARY = tempfile.gettempdir()
UNFIT = frozenset(" \t$#:;=|*?'\"`\\&<>()")  # for make, in a path
# By these pip and uv find the index, where it is asked.
ASKING = ("PIP_", "UV_", "HOME", "XDG_CONFIG_", "SSL_", "REQUESTS_CA_BUNDLE", "NETRC")
MACHINE = {
    name: value
    for name, value in os.environ.items()
    if name.startswith(ASKING) or name.lower().endswith("_proxy")
}

PYPY_BUILD = {
    "extension": ".pypy39-pp73-x86_64-linux-gnu.so",
    "debug": False,
    "free_threaded": False,
    "system": "linux",
    "machine": "x86_64",
    "bits": 64,
    "libc": "glibc 2.36",
}
PYPY_MARKERS = {
    "implementation_name": "pypy",
    "implementation_version": "7.3.11",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "PyPy",
    "platform_release": "6.1",
    "platform_system": "Linux",
    "platform_version": "#1",
    "python_full_version": "3.9.16",
    "python_version": "3.9",
    "sys_platform": "linux",
}


class RunCli(Protocol):
    """Run ``sage-pkginstall ARGUMENTS`` as a process of its own."""

    def __call__(
        self,
        *arguments: str | Path,
        status: int = 0,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Return the ended process; fail the test unless it exits with ``status``."""


@pytest.fixture(scope="session", autouse=True)
def hermetic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Take this machine's settings away, for us and what we start: variables, and the umask."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if not name.startswith(KEPT)]:
            patch.delenv(name)
        patch.setenv("PATH", PATH)
        temporary = str(tmp_path_factory.mktemp("temporary"))  # logs of failed builds stay there
        patch.setenv("TMPDIR", temporary)
        patch.setattr(tempfile, "tempdir", temporary)
        patch.setenv("HOME", str(home))
        patch.setenv("LC_ALL", "C.UTF-8")
        patch.setenv("PIP_CONFIG_FILE", os.devnull)
        patch.setenv("UV_NO_CONFIG", "1")
        patch.setenv("SAGE_PKGINSTALL_CACHE", str(home / "cache"))
        umask = os.umask(0o022)
        yield
        os.umask(umask)


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """A virtual environment of the running Python, without pip or anything else."""
    prefix = tmp_path / "venv"
    stdlib_venv.EnvBuilder(symlinks=True, with_pip=False).create(prefix)
    return prefix


@pytest.fixture
def borrower(venv: Path, tmp_path: Path) -> Path:
    """A prefix whose ``bin/python3`` starts that of the virtual environment."""
    return start_from(tmp_path / "borrower", venv / "bin" / "python3")


def start_from(prefix: Path, python: Path) -> Path:
    """Have ``bin/python3`` of a prefix start another one; return the prefix."""
    (prefix / "bin").mkdir(parents=True, exist_ok=True)
    script = prefix / "bin" / "python3"
    script.write_text(f'#!/bin/sh\nexec "{python}" "$@"\n')
    script.chmod(0o755)
    return prefix


@pytest.fixture
def run_cli() -> RunCli:
    """How tests run the command line; see `RunCli`."""
    return _run_cli


def _run_cli(
    *arguments: str | Path,
    status: int = 0,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    ended = subprocess.run(
        [sys.executable, "-I", "-c", START, str(ROOT), *map(str, arguments)],
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == status, f"{arguments}: {ended.returncode}\n{ended.stderr}"
    return ended


def _asking() -> dict[str, str]:
    ours = {"PIP_CONFIG_FILE", "UV_NO_CONFIG"}
    return {name: value for name, value in os.environ.items() if name not in ours} | MACHINE


@pytest.fixture(scope="session")
def machine_settings(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Return this machine's settings for pip and uv; skip the test if no index answers."""
    probe = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "six"],
        cwd=tmp_path_factory.mktemp("index"),
        env=_asking(),
        capture_output=True,
        text=True,
        check=False,
    )
    if probe.returncode:
        (pytest.fail if CI else pytest.skip)(f"no index answers: {probe.stderr.strip()}")
    return MACHINE


@pytest.fixture(scope="session")
def asking(machine_settings: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment of programs that ask the index; mark such tests network."""
    return _asking()


@pytest.fixture
def index(machine_settings: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pip and uv ask the index that this machine is set up for; mark such tests network."""
    monkeypatch.delenv("PIP_CONFIG_FILE")
    monkeypatch.delenv("UV_NO_CONFIG")
    for name, value in machine_settings.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no thread be started, as where a user or a container has as many as it may."""

    def start(*_arguments: object) -> int:
        raise RuntimeError("can't start new thread")

    for name in ("_start_new_thread", "_start_joinable_thread"):  # since Python 3.13
        monkeypatch.setattr(f"threading.{name}", start, raising=False)


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a place in which make cannot work: half of the tests would fail there."""
    place = str(config.option.basetemp or TEMPORARY)
    if UNFIT.intersection(place):
        reason = "make cannot handle its path; name another directory in TMPDIR"
        raise pytest.UsageError(f"cannot test below {place}: {reason}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest: at the end one worker would do it while others idle."""
    items.sort(key=lambda item: not item.path.is_relative_to(ROOT / "tests" / "torture"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose programs are missing; where CI is set, let it fail instead.

    Not on macOS, which cannot have all of them (strace, say).
    """
    for mark in item.iter_markers("needs"):
        missing = [program for program in mark.args if shutil.which(program, path=PATH) is None]
        if missing:
            reason = f"needs {', '.join(missing)}; see tests/setup-debian"
            (pytest.fail if CI and sys.platform == "linux" else pytest.skip)(reason)


@pytest.fixture
def pypy() -> Environment:
    """A target that is surely not the running Python."""
    return Environment(
        prefix=Path("/prefix"),
        interpreter=Path("/prefix/bin/python3"),
        schemes=MappingProxyType({}),
        implementation="pypy",
        version="3.9.16",
        cache_tag="pypy39",
        magic=b"P\x01\r\n",
        build=MappingProxyType(PYPY_BUILD),
        markers=MappingProxyType(PYPY_MARKERS),
        externally_managed=None,
    )
