"""The front ends: how a build backend (PEP 517, PEP 660) is made to work.

`Backend` calls its hooks, each in a process of its own.  `pip_wheel` has pip do it: the
reference that the hooks are compared with, and the fallback (``SAGE_BUILD_FRONTEND=pip``).
"""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from contextlib import contextmanager

from sage_pkginstall.errors import BuildError
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Any, Literal, TypeAlias

    from sage_pkginstall.builds.composed import BuildEnvironment
    from sage_pkginstall.builds.log import BuildLog
    from sage_pkginstall.builds.source import BuildSystem

__all__ = ["Backend", "BuildRunner", "ConfigSettings", "Product", "Programs", "pip_wheel"]

BuildRunner: TypeAlias = "Callable[..., subprocess.CompletedProcess[Any]]"
"""``subprocess.run`` or the like: called with cwd, env, stdin, stdout, stderr, close_fds."""

ConfigSettings: TypeAlias = "Mapping[str, str | list[str]]"
Product: TypeAlias = "Literal['wheel', 'sdist', 'editable']"

_LAST_LINES = 12


class Programs(NamedTuple):
    """How the programs of a build are run, and where their output goes."""

    run: BuildRunner
    log: BuildLog

    def __call__(
        self, command: Sequence[str], directory: str | Path, variables: Mapping[str, str]
    ) -> int:
        """Run ``command`` to its end; return its exit status."""
        with self.log.sink() as sink:
            finished = self.run(
                command,
                cwd=directory,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                close_fds=False,  # make's jobserver passes; Python's own are not inheritable
                check=False,
            )
        return finished.returncode

    def failure(self, source: Path, what: str) -> BuildError:
        """Return the error that says what the log says last."""
        lines = "".join(f"\n    {line}" for line in self.log.tail(_LAST_LINES))
        return BuildError(source, f"{what}; {self.log.path} has the whole log, which ends:{lines}")


class Backend(NamedTuple):
    """The build backend of the directory ``source``."""

    source: Path
    system: BuildSystem
    settings: ConfigSettings
    programs: Programs

    def requires(self, product: Product, place: BuildEnvironment) -> tuple[str, ...]:
        """Return what the backend needs beyond its build system's requirements.

        Raises BuildError.
        """
        hook = f"get_requires_for_build_{product}"
        found = self._call(place, hook)
        if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
            reason = f"{hook} of its backend {self.system.backend} returned no list of strings"
            raise BuildError(self.source, reason)
        return tuple(found)

    def build(self, product: Product, directory: Path, place: BuildEnvironment) -> Path:
        """Build ``product`` in ``place`` into ``directory``; return its file.

        Raises BuildError.
        """
        hook = f"build_{product}"
        name = self._call(place, hook, os.fspath(directory))
        made = {path.name: path for path in directory.iterdir()}
        if not isinstance(name, str) or name not in made:
            reason = f"{hook} of its backend {self.system.backend} did not make the file it named"
            raise self.programs.failure(self.source, f"{reason}, {name!r}")
        return made[name]

    def _call(self, place: BuildEnvironment, hook: str, *arguments: str) -> Any:  # noqa: ANN401
        import pyproject_hooks as hooks  # noqa: PLC0415 -- not for a wheel that was built before

        def run(
            cmd: Sequence[str],
            cwd: str | None = None,
            extra_environ: Mapping[str, str] | None = None,
        ) -> None:
            variables = {**place.variables, **(extra_environ or {})}
            status = self.programs(cmd, cwd or self.source, variables)
            if status != 0:
                raise self.programs.failure(self.source, f"{hook} failed (exit status {status})")

        try:
            caller = hooks.BuildBackendHookCaller(
                os.fspath(self.source),
                self.system.backend,
                self.system.backend_path,
                runner=run,
                python_executable=os.fspath(place.python),
            )
            with self._warnings_to_log():
                return getattr(caller, hook)(*arguments, config_settings=dict(self.settings))
        except (hooks.BackendUnavailable, hooks.BackendInvalid) as error:
            if isinstance(error, hooks.BackendUnavailable):
                self.programs.log.write(error.traceback)
            fault = f"its backend {self.system.backend} cannot be imported"
            raise self.programs.failure(self.source, fault) from error
        except hooks.HookMissing as error:
            reason = f"its backend {self.system.backend} has no {error.hook_name}"
            raise BuildError(self.source, reason) from error
        except hooks.UnsupportedOperation as error:
            fault = f"its backend {self.system.backend} refuses {hook}"
            raise self.programs.failure(self.source, fault) from error
        except ValueError as error:  # backend-path leaves the source
            reason = f"backend-path of its pyproject.toml cannot be used: {error}"
            raise BuildError(self.source, reason) from error

    @contextmanager
    def _warnings_to_log(self) -> Iterator[None]:
        """Write to the log what the hooks' caller warns of in the backend's name."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
        for one in caught:
            text = warnings.formatwarning(one.message, one.category, one.filename, one.lineno, "")
            self.programs.log.write(text.rstrip())


def pip_wheel(
    source: Path,
    settings: Sequence[tuple[str, str]],
    directory: Path,
    place: BuildEnvironment,
    programs: Programs,
) -> None:
    """Have ``pip wheel`` build ``source`` in ``place`` into ``directory``.

    The pip is that of the tool, run by the interpreter of ``place``.  Raises BuildError.
    """
    command = [sys.executable, "-m", "pip", "--python", os.fspath(place.python)]
    command += ["wheel", "--no-build-isolation", "--no-deps", "--no-index"]
    command += ["--no-cache-dir", "--no-input", f"--wheel-dir={directory}"]
    for key, value in settings:
        command.append(f"--config-settings={key}={value}")
    status = programs([*command, os.fspath(source)], source, place.variables)
    if status != 0:
        raise programs.failure(source, f"pip wheel failed (exit status {status})")
