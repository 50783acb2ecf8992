"""Getting the facts about an interpreter: by asking it, or from ourselves.

Asking means to run it once, without its ``site``: nothing from its site-packages is
imported, no ``.pth`` file and no ``sitecustomize`` runs, nothing is written.  That takes
some 50 ms.  Most virtual environments have the program that runs us, too: then the same
code, `introspection`, gives the same answer in our own process.
"""

from __future__ import annotations

import os
import sys

from sage_pkginstall.errors import EnvironmentFactsError
from sage_pkginstall.program_text import program_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Any, TypeAlias

__all__ = ["Runner", "base_sites", "interpreter_facts", "is_our_program"]

Runner: TypeAlias = "Callable[[Sequence[str]], subprocess.CompletedProcess[bytes]]"
"""Runs a program to its end with nothing on stdin, and returns what it wrote."""

_MARKER = "-----sage-pkginstall target facts-----"
_SECONDS = 120

_START = """import os, sys
if sys.version_info < (3, 8):
    sys.exit("it is Python %d.%d, and 3.8 or newer is needed" % sys.version_info[:2])

# What site.py does for a virtual environment (PEP 405); -S skips it before Python 3.14.
binaries = os.path.dirname(os.path.abspath(sys.executable))
above = os.path.dirname(binaries)
if any(os.path.isfile(os.path.join(d, "pyvenv.cfg")) for d in (binaries, above)):
    sys.prefix = sys.exec_prefix = above
exec(sys.argv[1])
"""

_SITES = """import json, site, sys
sites = site.getsitepackages([sys.base_prefix, sys.base_exec_prefix])
sys.stdout.write(f"\\n{sys.argv[2]}{json.dumps(sites)}{sys.argv[2]}\\n")
"""


def interpreter_facts(interpreter: Path, run: Runner | None) -> dict[str, Any]:
    """Return the facts about an interpreter, those of `introspection.facts_of`.

    ``run`` runs it, if it is given; without, it is run only if it is another program than
    the one that runs us.  Raises EnvironmentFactsError.
    """
    from sage_pkginstall.introspection import facts_of  # noqa: PLC0415 -- once, then cached

    if run is None and is_our_program(interpreter):
        return facts_of(os.fspath(interpreter), os.fspath(interpreter.parent.parent))
    facts: dict[str, Any] = _ask(interpreter, program_text("introspection"), run or _run)
    return facts


def base_sites(interpreter: Path) -> tuple[str, ...]:
    """Return where the Python that a virtual environment was made from has its distributions.

    The first one of a name is the one that is seen.  Raises EnvironmentFactsError.
    """
    return tuple(map(str, _ask(interpreter, _SITES, _run)))


def is_our_program(interpreter: Path) -> bool:
    """Tell whether ``interpreter`` is that of a virtual environment, and would say what we say.

    It must be the same file as the program that runs us, and be sent to the same standard
    library by its ``pyvenv.cfg``, in the same words; we must be started as isolated as it
    would be, so that no variable and no ``sitecustomize`` has changed what we say; and a
    scheme for virtual environments must be known (Python 3.11), because our own prefix
    is another one.
    """
    if not (sys.flags.isolated and sys.flags.no_site) or sys.version_info < (3, 11):
        return False
    if (interpreter.parent / "pyvenv.cfg").exists():
        return False
    try:
        configuration = (interpreter.parent.parent / "pyvenv.cfg").read_bytes()
        home = _home(configuration.decode("utf-8", "surrogateescape"))
        return home == f"{sys.base_prefix}/bin" and interpreter.samefile(sys.executable)
    except OSError:
        return False


def _home(configuration: str) -> str | None:
    """Return where a ``pyvenv.cfg`` says that its Python is."""
    for line in configuration.splitlines():
        key, _, value = line.partition("=")
        if key.strip().lower() == "home":
            return value.strip()
    return None


def _ask(interpreter: Path, program: str, run: Runner) -> Any:  # noqa: ANN401 -- JSON
    """Have the interpreter run ``program``; whatever else it writes does not matter."""
    import json  # noqa: PLC0415 -- not needed by who is not asked

    command = [os.fspath(interpreter), "-I", "-S", "-B", "-c", _START]
    try:
        finished = run([*command, program, _MARKER])
    except OSError as error:
        raise EnvironmentFactsError(interpreter, error.strerror or str(error)) from error
    parts = finished.stdout.split(_MARKER.encode())
    if finished.returncode != 0 or len(parts) < 3:  # noqa: PLR2004
        said = finished.stderr.decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else "it says nothing"
        status = f"exit status {finished.returncode}"
        raise EnvironmentFactsError(interpreter, f"{reason} ({status})")
    try:
        return json.loads(parts[1])
    except ValueError as error:
        raise EnvironmentFactsError(interpreter, "its facts are no JSON") from error


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    import subprocess  # noqa: PLC0415 -- not needed by who is not asked

    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            cwd="/",
        )
    except subprocess.TimeoutExpired as error:
        message = f"it did not answer within {_SECONDS} s"
        raise OSError(0, message) from error
