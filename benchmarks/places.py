"""Where the benchmarks keep what they need; nothing of it is in git.

.bench/wheels/       the pinned wheels, fetched once
.bench/made/         wheels and trees that are made here
.bench/templates/    environments to copy
.bench/env/          the environment that is being worked on: one path for all tools,
                     because paths are in scripts, records and caches
.bench/cache/TOOL/   the cache of a tool, for each work
.bench/home/         the home directory of all tools
.bench/log/          output of the last command; .bench/log/tool: transactions
.bench/results/      figures, as JSON
.bench/lock          locked while a run goes on
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Places"]


@dataclass(frozen=True)
class Places:
    """The directories of the module's head, below ``root``; those of the checkout."""

    root: Path = Path(__file__).resolve().parent.parent / ".bench"
    checkout: Path = Path(__file__).resolve().parent.parent

    @property
    def wheels(self) -> Path:
        """The pinned wheels."""
        return self.root / "wheels"

    @property
    def made(self) -> Path:
        """Wheels and trees that are made here."""
        return self.root / "made"

    @property
    def templates(self) -> Path:
        """Environments to copy."""
        return self.root / "templates"

    @property
    def environment(self) -> Path:
        """The environment that is being worked on."""
        return self.root / "env"

    @property
    def caches(self) -> Path:
        """The caches of all tools."""
        return self.root / "cache"

    def cache(self, tool: str, work: str) -> Path:
        """The cache of a tool for a work."""
        return self.caches / f"{tool} {work}".replace(", ", "-").replace(" ", "-")

    @property
    def logs(self) -> Path:
        """Output of the last command."""
        return self.root / "log"

    @property
    def transactions(self) -> Path:
        """The log of transactions of our own commands, $SAGE_LOGS."""
        return self.logs / "tool"

    @property
    def results(self) -> Path:
        """Figures, as JSON."""
        return self.root / "results"

    @property
    def programs(self) -> Path:
        """Where uv and the like are: beside the Python that runs this."""
        return Path(sys.executable).parent

    @property
    def packages(self) -> Path:
        """Where `installer` and gpep517 are, for the target's Python to import."""
        return Path(sys.prefix) / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other runs out: they would share processors, environment and caches."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SystemExit(f"cannot run: another run uses {self.root}") from None
            yield

    def variables(self) -> dict[str, str]:
        """Return all variables that a command gets: no settings of the user or machine."""
        home = self.root / "home"
        home.mkdir(parents=True, exist_ok=True)
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "UV_NO_CONFIG": "1",
            "UV_PYTHON_DOWNLOADS": "never",
        }
