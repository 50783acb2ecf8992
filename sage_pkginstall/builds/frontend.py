"""The front ends: how a build backend (PEP 517, PEP 660) is made to work.

`Hooks` calls its hooks, each in a process of its own.  `pip_wheel` has pip do it: the
reference that the hooks are compared with, and the fallback (``SAGE_BUILD_FRONTEND=pip``).
"""

from __future__ import annotations

import os
import sys
import warnings
from contextlib import ExitStack, contextmanager

from sage_pkginstall.errors import BuildError
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Any, Literal, TypeAlias

    from pyproject_hooks import BuildBackendHookCaller, SubprocessRunner

    from sage_pkginstall.builds.composed import BuildEnvironment
    from sage_pkginstall.builds.hook_process import HookProcess
    from sage_pkginstall.builds.log import BuildLog
    from sage_pkginstall.builds.source import BuildSystem

__all__ = ["Backend", "ConfigSettings", "Hooks", "Product", "pip_wheel"]

ConfigSettings: TypeAlias = "Mapping[str, str | list[str]]"
Product: TypeAlias = "Literal['wheel', 'sdist', 'editable']"

_LAST_LINES = 12
_ANSWER = "/output.json"  # where a hook leaves what it returned

_FORKS = sys.platform != "darwin"
"""Whether a fork can do what its parent can: what macOS has of its own may abort in it."""


class Backend(NamedTuple):
    """The build backend of the directory ``source``, and where its output goes."""

    source: Path
    system: BuildSystem
    settings: ConfigSettings
    log: BuildLog


class Hooks:
    """The hooks of a backend in one build environment.

    The process that runs them is started for the first, and ends with `build` or `close`.
    """

    def __init__(self, backend: Backend, place: BuildEnvironment) -> None:
        self.backend = backend
        self.place = place
        self._process: HookProcess | None = None
        self._output: int | None = None
        self._resources = ExitStack()  # the process, and where its output goes

    def requires(self, product: Product) -> tuple[str, ...]:
        """Return what the backend needs beyond its build system's requirements.

        Raises BuildError.
        """
        hook = f"get_requires_for_build_{product}"
        found = self._call(hook, last=not _FORKS)
        if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
            raise BuildError(
                self.backend.source,
                f"{hook} of its backend {self.backend.system.backend} returned no list of strings",
            )
        return tuple(found)

    def build(self, product: Product, directory: Path) -> Path:
        """Build ``product`` into ``directory``; return its file.

        Raises BuildError.
        """
        hook = f"build_{product}"
        name = self._call(hook, os.fspath(directory), last=True)
        made = {path.name: path for path in directory.iterdir() if not path.is_symlink()}
        if not isinstance(name, str) or name not in made or not made[name].is_file():
            module = self.backend.system.backend
            reason = f"{hook} of its backend {module} did not make the file it named, {name!r}"
            raise _failure(self.backend.source, self.backend.log, reason)
        return made[name]

    def close(self) -> None:
        """End the process that runs the hooks, if there is one; its output is in the log."""
        self._process = self._output = None
        self._resources.close()

    def _started(self) -> HookProcess:
        from sage_pkginstall.builds.hook_process import HookProcess  # noqa: PLC0415 -- as below

        if self._process is None:
            source, system, _, log = self.backend
            module = "" if system.backend_path else system.backend.partition(":")[0]
            self._output = self._resources.enter_context(log.sink())
            self._process = HookProcess(self.place, module, source, self._output)
            self._resources.callback(self._process.end)
        return self._process

    def _call(self, hook: str, *arguments: str, last: bool) -> Any:  # noqa: ANN401
        source, _, settings, _ = self.backend
        process = self._started()

        def run(
            cmd: Sequence[str],
            cwd: str | None = None,
            extra_environ: Mapping[str, str] | None = None,
        ) -> None:
            try:
                status = process.run(cmd, cwd or os.fspath(source), extra_environ or {}, last=last)
            except BaseException:
                process.kill()
                raise
            if status != 0:
                raise self._fault(f"{hook} failed (exit status {status})")

        caller = self._caller(run)
        with self._faults_told(hook), self._warnings_to_log():
            answer = getattr(caller, hook)(*arguments, config_settings=dict(settings) or None)
        if last:
            self.close()
        return answer

    def _caller(self, run: SubprocessRunner) -> BuildBackendHookCaller:
        import pyproject_hooks  # noqa: PLC0415 -- as below

        source, system, _, _ = self.backend
        try:
            return pyproject_hooks.BuildBackendHookCaller(
                os.fspath(source),
                system.backend,
                system.backend_path,
                runner=run,
                python_executable=os.fspath(self.place.python),
            )
        except ValueError as error:  # backend-path leaves the source
            reason = f"backend-path of its pyproject.toml cannot be used: {error}"
            raise BuildError(source, reason) from error

    @contextmanager
    def _faults_told(self, hook: str) -> Iterator[None]:
        """Raise BuildError for what the hooks' caller raises."""
        import pyproject_hooks as hooks  # noqa: PLC0415 -- not for a wheel that was built before

        source, system, _, log = self.backend
        try:
            yield
        except (hooks.BackendUnavailable, hooks.BackendInvalid) as error:
            self.close()
            if isinstance(error, hooks.BackendUnavailable):
                log.write(error.traceback)
            raise self._fault(f"its backend {system.backend} cannot be imported") from error
        except hooks.HookMissing as error:
            reason = f"its backend {system.backend} has no {error.hook_name}"
            raise BuildError(source, reason) from error
        except hooks.UnsupportedOperation as error:
            raise self._fault(f"its backend {system.backend} refuses {hook}") from error
        except (FileNotFoundError, ValueError) as error:  # it called os._exit(0), say
            if isinstance(error, FileNotFoundError) and not str(error.filename).endswith(_ANSWER):
                raise
            raise self._fault(f"{hook} ended without an answer") from error

    def _fault(self, what: str) -> BuildError:
        self.close()  # so that all output is in the log
        return _failure(self.backend.source, self.backend.log, what)

    @contextmanager
    def _warnings_to_log(self) -> Iterator[None]:
        """Write to the log what the hooks' caller warns of in the backend's name."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
        for one in caught:
            text = warnings.formatwarning(one.message, one.category, one.filename, one.lineno, "")
            if self._output is None:
                self.backend.log.write(text.rstrip())
            else:  # behind the output, which may be on its way
                os.write(self._output, text.rstrip().encode(errors="replace") + b"\n")


def pip_wheel(
    backend: Backend,
    settings: Sequence[tuple[str, str]],
    directory: Path,
    place: BuildEnvironment,
) -> None:
    """Have ``pip wheel`` build the source of ``backend`` in ``place`` into ``directory``.

    The pip is that of the tool, run by the interpreter of ``place``.  Raises BuildError.
    """
    import subprocess  # noqa: PLC0415 -- few ask for this

    from sage_pkginstall.builds.descendants import terminate  # noqa: PLC0415 -- as above

    command = [sys.executable, "-m", "pip", "--python", os.fspath(place.python)]
    command += ["wheel", "--no-build-isolation", "--no-deps", "--no-index"]
    command += ["--no-cache-dir", "--no-input", f"--wheel-dir={directory}"]
    for key, value in settings:
        command.append(f"--config-settings={key}={value}")
    with backend.log.sink() as output:
        process = subprocess.Popen(
            [*command, os.fspath(backend.source)],
            cwd=backend.source,
            env=place.variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            close_fds=False,  # make's jobserver passes; Python's own are not inheritable
        )
        try:
            status = process.wait()
        except BaseException:
            terminate(process)
            process.wait()
            raise
    if status != 0:
        what = f"pip wheel failed (exit status {status})"
        raise _failure(backend.source, backend.log, what)


def _failure(source: Path, log: BuildLog, what: str) -> BuildError:
    """Return the error that says what the log says last."""
    lines = "".join(f"\n    {line}" for line in log.tail(_LAST_LINES))
    return BuildError(source, f"{what}; {log.path} has the whole log, which ends:{lines}")
