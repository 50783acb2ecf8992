"""A stage: one virtual environment on which the same scene is played again and again.

It always lies at the same path, because paths are written into scripts and byte-code;
`Stage.restore` brings back everything that the setting of a scene left, byte for byte.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sage_pkginstall.environment import target_environment
from sage_pkginstall.operations.verify import verify
from tests.conftest import ROOT, START
from tests.trees import modes, tree

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from typing_extensions import Self

    from tests.trees import Entry

__all__ = ["Stage", "State", "ended_by_kill"]

ENGINE = ("var/lock", "var/tmp")

IMPORT_ALL = """
import importlib, importlib.metadata, pathlib, sys
site = next(p for p in sys.path if p.endswith("site-packages"))
for one in importlib.metadata.distributions(path=[site]):
    for file in one.files or ():
        if file.suffix == ".py" and file.parts[0] not in ("..", "__pycache__"):
            parts = file.with_suffix("").parts
            module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            importlib.import_module(module)
"""

State = dict[str, tuple["Entry | None", int | None]]


@dataclass(frozen=True)
class Stage:
    """A virtual environment at ``prefix``, and a copy of what it holds at the beginning."""

    prefix: Path
    kept: Path

    @classmethod
    def build(
        cls, directory: Path, setting: Sequence[Sequence[str]], made: Iterable[str] = ()
    ) -> Self:
        """Make the environment, with the commands in ``setting`` carried out in it.

        Then directories are ``made`` in it by somebody else.
        """
        stage = cls(directory / "venv", directory / "kept")
        venv.EnvBuilder(symlinks=True, with_pip=False).create(stage.prefix)
        for arguments in (("recover",), *setting):
            stage.must(arguments)
        for name in made:
            (stage.prefix / name).mkdir(parents=True, exist_ok=True)
        shutil.copytree(stage.prefix, stage.kept, symlinks=True)
        return stage

    def command(self, arguments: Sequence[str]) -> list[str]:
        """Return the words that run the tool on this stage."""
        command, *rest = arguments
        start = [sys.executable, "-I", "-c", START, str(ROOT)]
        return [*start, command, "--prefix", str(self.prefix), *rest]

    def run(
        self,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        under: Sequence[str] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Run the tool, as the last words of the command ``under``; return what it did."""
        return subprocess.run(
            [*under, *self.command(arguments)],
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
        )

    def must(self, arguments: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
        """Run the tool and fail unless it succeeds."""
        ended = self.run(arguments, env=env)
        assert ended.returncode == 0, f"{arguments}: {ended.returncode}\n{ended.stderr}"

    def restore(self) -> None:
        """Bring back what the stage held at the beginning.

        The interpreter stays, or the target would be asked for its facts again.
        """
        _clear(self.prefix, {self.prefix / "pyvenv.cfg", *self.prefix.glob("bin/python*")})
        _copy_missing(self.kept, self.prefix)

    def state(self) -> State:
        """Return all that is there with its modes; times in byte-code are left out."""
        entries = tree(self.prefix, ignore=ENGINE)
        permissions = modes(self.prefix, ignore=ENGINE)
        return {
            path: (_timeless(path, entries.get(path)), permissions.get(path))
            for path in {*entries, *permissions}
        }

    def debris(self) -> list[str]:
        """Return what lies in the staging area."""
        return sorted(p.name for p in (self.prefix / "var" / "tmp" / "sage").iterdir())

    def faults(self) -> list[str]:
        """Return what `verify` finds, and what cannot be imported."""
        found = verify(self.prefix, target_environment(self.prefix), ())
        faults = [f"{title}: {problem}" for title, problem in found.problems]
        python = str(self.prefix / "bin" / "python3")
        ended = subprocess.run(
            [python, "-B", "-I", "-c", IMPORT_ALL], capture_output=True, text=True, check=False
        )
        return [*faults, *found.unowned, *([ended.stderr] if ended.returncode else [])]


def ended_by_kill(ended: subprocess.CompletedProcess[str]) -> bool:
    """Tell whether a process, or what ran below strace, was killed by SIGKILL."""
    return ended.returncode in (-9, 137)


def _timeless(path: str, entry: Entry | None) -> Entry | None:
    if isinstance(entry, bytes) and path.endswith(".pyc"):
        return entry[:8] + entry[12:]
    return entry


def _clear(directory: Path, kept: Collection[Path]) -> None:
    """Delete everything below ``directory`` but for mount points and what is ``kept``."""
    for entry in os.scandir(directory):
        path = Path(entry.path)
        if path in kept:
            continue
        if not entry.is_dir(follow_symlinks=False):
            path.unlink()
            continue
        _clear(path, kept)
        with contextlib.suppress(OSError):  # a mount point, or what is kept lies in it
            path.rmdir()


def _copy_missing(source: Path, target: Path) -> None:
    for entry in os.scandir(source):
        place = target / entry.name
        if not os.path.lexists(place):
            if entry.is_dir(follow_symlinks=False):
                shutil.copytree(entry.path, place, symlinks=True)
            else:
                shutil.copy2(entry.path, place, follow_symlinks=False)
        elif entry.is_dir(follow_symlinks=False) and not place.is_symlink():
            _copy_missing(Path(entry.path), place)
