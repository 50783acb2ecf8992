"""Build a wheel from a source, with build requirements from the wheel store only.

An isolated build (PEP 517, PEP 518) sees its build requirements and nothing of the
target environment; a build without isolation sees the target's packages and nothing else.
Neither ever asks an index.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from sage_pkginstall.builds.requires import resolve
from sage_pkginstall.builds.source import build_system, unpacked
from sage_pkginstall.builds.store import only_wheel
from sage_pkginstall.errors import BuildError, RequirementError

if TYPE_CHECKING:
    from sage_pkginstall.builds.log import BuildLog
    from sage_pkginstall.environment import Environment

__all__ = ["BuildRequest", "BuildRunner", "build_wheel"]

BuildRunner: TypeAlias = "Callable[..., subprocess.CompletedProcess[Any]]"
"""``subprocess.run`` or the like: called with cwd, env, stdin, stdout, stderr, close_fds."""

_LAST_LINES = 12


@dataclass(frozen=True)
class BuildRequest:
    """What to build, and how.

    ``source`` is a directory or an sdist.  ``isolation``: "yes", "no", or "auto", which is
    "yes" unless the store lacks a build requirement.  A key that stands several times in
    ``config_settings`` gets all its values.  ``sdist_first`` builds the wheel from an sdist
    made of the source.
    """

    source: Path
    isolation: Literal["auto", "yes", "no"] = "auto"
    config_settings: tuple[tuple[str, str], ...] = ()
    sdist_first: bool = False


def build_wheel(  # noqa: PLR0913 -- two values, two places, two effects
    request: BuildRequest,
    environment: Environment,
    store: Path,
    destination: Path,
    *,
    run: BuildRunner = subprocess.run,
    log: BuildLog,
) -> Path:
    """Build ``request.source`` for ``environment``; return the wheel in ``destination``.

    ``destination`` then holds that wheel and nothing else; what it held before is deleted
    first.  Raises BuildError with the last lines of the log, RequirementError if the store
    lacks a build requirement and isolation is "yes".
    """
    _empty(destination)
    with tempfile.TemporaryDirectory(prefix="sage-build-") as scratch:
        source = unpacked(request.source.absolute(), Path(scratch))
        isolated = _is_isolated(request, source, store, environment, log)
        command = [sys.executable, "-m", "pip", "--python", os.fspath(environment.interpreter)]
        command += ["wheel", "--no-deps", "--no-index", f"--find-links={store.absolute()}"]
        command += ["--no-cache-dir", "--no-input", f"--wheel-dir={destination.absolute()}"]
        command += [] if isolated else ["--no-build-isolation"]
        for key, value in request.config_settings:
            command += ["--config-settings", f"{key}={value}"]
        with log.sink() as sink:
            finished = run(
                [*command, os.fspath(source)],
                cwd=source,
                env=_variables(os.environ),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                close_fds=False,  # make's jobserver; Python's own are not inheritable
                check=False,
            )
    if finished.returncode != 0:
        lines = "\n    ".join(log.tail(_LAST_LINES))
        reason = f"exit status {finished.returncode}; the log is {log.path}, and ends:"
        raise BuildError(request.source, f"{reason}\n    {lines}")
    return only_wheel(destination, request.source)


def _is_isolated(
    request: BuildRequest,
    source: Path,
    store: Path,
    environment: Environment,
    log: BuildLog,
) -> bool:
    if request.isolation == "no":
        return False
    try:
        resolve(build_system(source).requires, store, environment)
    except RequirementError as error:
        if request.isolation == "yes":
            raise
        log.write(
            f"Warning: {error}. Building {request.source.name} without isolation; "
            "its 'dependencies' file needs mending"
        )
        return False
    return True


def _empty(directory: Path) -> None:
    if directory.is_dir() and not directory.is_symlink():
        shutil.rmtree(directory)
    directory.mkdir(parents=True, exist_ok=True)


def _variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return ``environ`` without what configures pip or changes what Python imports."""
    unwanted = {"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "__PYVENV_LAUNCHER__"}
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith("PIP_") and name not in unwanted
    }
    return {**kept, "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
