"""How the programs of a package are run: its scripts, patch, pip."""

from __future__ import annotations

import os
import subprocess

from sage_pkginstall.values import NamedTuple, Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["Program", "Run", "by_sudo", "exit_status", "run_program", "script_command"]

_SIGNALLED = 128
_HEAD = 80


class Program(NamedTuple):
    """A command, where it runs, and the whole of its environment variables."""

    command: Sequence[str]
    directory: Path
    variables: Mapping[str, str]


def by_sudo(
    sudo: Sequence[str], command: Sequence[str], variables: Mapping[str, str]
) -> tuple[str, ...]:
    """Return ``command``, to be run by ``sudo`` (SAGE_SUDO) if that is set.

    Sudo does not hand on variables: those called SAGE_... and PKG_... come by ``env``.
    """
    if not sudo:
        return tuple(command)
    ours = ("SAGE_", "PKG_")
    own = [f"{name}={value}" for name, value in variables.items() if name.startswith(ours)]
    return (*sudo, "env", *own, *command)


def script_command(script: Path) -> tuple[str, ...]:
    """Return what runs a script: itself, or bash for one without a shebang or its mode."""
    with script.open("rb") as file:
        head = file.read(_HEAD)
    is_program = head.startswith(b"#!") or b"\0" in head  # as a shell tells text from programs
    runs = is_program and os.access(script, os.X_OK)
    return (os.fspath(script),) if runs else ("bash", os.fspath(script))


class Run(Protocol):
    """Runs a program to its end; `run_program` is one."""

    def __call__(self, program: Program) -> int:
        """Return the exit status as a shell tells it: 128 + N after signal N."""


def run_program(program: Program) -> int:
    """Run a program; what it writes to stderr goes where its stdout goes, in order.

    Open descriptors are handed on: make's jobserver is among them, and Python's own are
    not inheritable.
    """
    finished = subprocess.run(
        program.command,
        cwd=program.directory,
        env=dict(program.variables),
        stderr=subprocess.STDOUT,
        close_fds=False,
        check=False,
    )
    return exit_status(finished.returncode)


def exit_status(returncode: int) -> int:
    """Return a return code of Python's as a shell tells it: 128 + N after signal N."""
    return _SIGNALLED - returncode if returncode < 0 else returncode
