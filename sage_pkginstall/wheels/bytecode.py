"""Byte-code of staged sources, as the target's own ``compileall`` would write it later.

A ``.pyc`` is put beside its staged source and carries the path that the source will have
in the prefix.  It is valid there because a rename keeps the source's time and size
(or, where SOURCE_DATE_EPOCH is set, by the hash of the source: PEP 552).

Where the target is the same Python as ours, the work is done here, and begins while sources
are still being staged; where it is another one, the target runs `compiling` as a program.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys

from sage_pkginstall.values import Protocol
from sage_pkginstall.wheels.compiling import Compilation

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import TypeAlias

    from sage_pkginstall.environment import Environment

    Run: TypeAlias = Callable[[Sequence[str], bytes], subprocess.CompletedProcess[bytes]]
    """Runs a program to its end with these bytes on stdin."""

__all__ = ["SourceCompiler", "compile_staged", "processors", "staged_compiler"]


class SourceCompiler(Protocol):
    """What compiles sources of one staged tree; all paths are relative to its root."""

    def add(self, source: str) -> None:
        """Have a source compiled, now or later; it must stay as it is until `finish` returned."""

    def settle(self, source: str) -> None:
        """Have nothing more to do with a source that is about to be replaced, if it was added."""

    def finish(self) -> tuple[str, ...]:
        """Return all byte-code that there is now of the sources.

        What cannot be compiled has none, silently, as with pip.  Raises OSError where it
        cannot be written, EnvironmentFactsError where the target interpreter fails.
        """


def staged_compiler(
    root: Path, environment: Environment, *, jobs: int | None = None, run: Run | None = None
) -> contextlib.AbstractContextManager[SourceCompiler]:
    """Return what compiles sources below ``root``, in ``jobs`` processes, for use in a ``with``.

    By default there are as many processes as this one may use processors.
    """
    wanted = jobs or processors()
    if _is_like_ours(environment):
        return Compilation(os.fspath(root), os.fspath(environment.prefix), wanted)
    return contextlib.nullcontext(_TargetCompiler(root, environment, wanted, run or _run))


def compile_staged(
    root: Path,
    sources: Sequence[str],
    environment: Environment,
    *,
    jobs: int | None = None,
    run: Run | None = None,
) -> tuple[str, ...]:
    """Compile ``sources``; return the new files.  See `SourceCompiler.finish`."""
    with staged_compiler(root, environment, jobs=jobs, run=run) as compiler:
        for source in sources:
            compiler.add(source)
        return compiler.finish()


def _is_like_ours(environment: Environment) -> bool:
    return (
        environment.implementation == sys.implementation.name
        and environment.cache_tag == sys.implementation.cache_tag
        and environment.magic == importlib.util.MAGIC_NUMBER
    )


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _TargetCompiler:
    """Has the target interpreter compile all sources at once."""

    def __init__(self, root: Path, environment: Environment, jobs: int, run: Run) -> None:
        self._root = root
        self._environment = environment
        self._jobs = jobs
        self._run = run
        self._sources: list[str] = []

    def add(self, source: str) -> None:
        self._sources.append(source)

    def settle(self, source: str) -> None:
        if source in self._sources:
            self._sources.remove(source)

    def finish(self) -> tuple[str, ...]:
        if not self._sources:
            return ()
        from sage_pkginstall.program_text import program_text  # noqa: PLC0415 -- seldom needed

        interpreter, prefix = self._environment.interpreter, self._environment.prefix
        text = program_text("wheels.compiling", "wheels.workers")
        # -I -S: nothing of the target's site-packages, no .pth file, no PYTHON* variable.
        program = [os.fspath(interpreter), "-I", "-S", "-B", "-c", text]
        where = [os.path.abspath(self._root), os.fspath(prefix), str(self._jobs)]  # noqa: PTH100
        names = b"".join(os.fsencode(source) + b"\0" for source in self._sources)
        ended = self._run([*program, *where], names)
        if ended.returncode == 0:
            return tuple(os.fsdecode(name) for name in ended.stdout.split(b"\0")[:-1])
        from sage_pkginstall.errors import EnvironmentFactsError  # noqa: PLC0415 -- seldom needed

        said = ended.stderr.decode(errors="replace").strip().splitlines() or ["it says nothing"]
        reason = f"it cannot compile: {said[-1]} (exit status {ended.returncode})"
        raise EnvironmentFactsError(interpreter, reason)


def _run(command: Sequence[str], given: bytes) -> subprocess.CompletedProcess[bytes]:
    import subprocess  # noqa: PLC0415 -- seldom needed

    return subprocess.run(command, input=given, capture_output=True, check=False, cwd="/")
