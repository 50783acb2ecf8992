"""How the target's pip is run: as a program, never imported."""

from __future__ import annotations

import os
import sys

from sage_pkginstall.errors import PkgInstallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sage_pkginstall.environment import Environment

__all__ = ["pip_command", "pip_runner"]


def pip_command(environment: Environment) -> list[str]:
    """Return the words that run pip for the target.

    That is the target's own pip; where it has none, the tool's, told to work on the
    target (``--python``).  Raises `PkgInstallError` if neither has one.
    """
    options = ["--disable-pip-version-check"]
    site = environment.prefix / environment.schemes["purelib"]
    if (site / "pip" / "__main__.py").exists():
        return [os.fspath(environment.interpreter), "-m", "pip", *options]
    if not _has_pip(sys.executable):
        reason = f"it has none, nor has {sys.executable}, which runs the tool"
        remedy = "install pip for that, or a wheel of pip with 'sage-pkginstall install'"
        raise PkgInstallError(f"cannot run pip for {environment.prefix}: {reason}; {remedy}")
    return [sys.executable, "-m", "pip", "--python", os.fspath(environment.interpreter), *options]


def _has_pip(python: str) -> bool:
    """Tell whether a Python has pip; we may run without the directories where that lies."""
    import subprocess  # noqa: PLC0415 -- pip is seldom needed

    look = "import sys; from importlib.util import find_spec; sys.exit(find_spec('pip') is None)"
    return subprocess.run([python, "-c", look], check=False).returncode == 0


def pip_runner(
    environment: Environment, variables: Mapping[str, str] | None = None
) -> Callable[[Sequence[str]], int]:
    """Return a function that runs pip with arguments and returns its status, -N after signal N.

    We do not end before it: the lock may be held for it, and what it writes lies in our workspace.
    It gets ``variables`` that the process has not.
    """

    def run(arguments: Sequence[str]) -> int:
        from sage_pkginstall.operations.outlast import outlast  # noqa: PLC0415 -- seldom needed

        command = [*pip_command(environment), *arguments]
        return outlast(command, {**(variables or {}), **os.environ})

    return run
