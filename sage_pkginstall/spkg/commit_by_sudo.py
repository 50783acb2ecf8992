"""Have SAGE_SUDO carry out a request: the one part of a package that needs its rights.

    $SAGE_SUDO env -i PATH=... SAGE_...=... sage-pkginstall commit-package FILE

Nothing of the environment of a build gets there, whatever sudo hands on: neither PATH,
LD_PRELOAD, PYTHONPATH nor PIP_..., only the settings of the tool itself.  Nor does it
write where the user could put links: its cache and its log are its own, and what the
user's own log says of it is written by the user.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from sage_pkginstall.operations.history import note
from sage_pkginstall.spkg.commit_request import CommitRequest, write_request
from sage_pkginstall.spkg.programs import Program, Run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sage_pkginstall.spkg.variables import Variables

__all__ = ["commit_by_sudo"]

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # sudo's own secure_path
_SETTINGS = (
    "SAGE_LOCAL",
    "SAGE_LOCK_TIMEOUT",
    "SAGE_PKGINSTALL_DURABLE",
    "SAGE_PKGINSTALL_FAIL",
    "SAGE_PKGINSTALL_PYTHON",
    "SAGE_PKGINSTALL_RENAMEAT2",
    "SAGE_VENV",
)


def commit_by_sudo(
    request: CommitRequest, directory: Path, common: Variables, tools: Path, run: Run
) -> int:
    """Write a request to ``directory`` and have it carried out; return the exit status.

    What failed has been said.
    """
    path = directory / "commit.json"
    write_request(path, request)
    command = [os.fspath(tools / "sage-pkginstall"), "commit-package", os.fspath(path)]
    began = time.monotonic()
    words = _cleanly(common.sudo, command, common.environ)
    status = run(Program(words, common.root, common.environ))
    note(
        Path(request.tree),
        label=request.label,
        package=request.package,
        result="failed" if status else "done",
        error=f"{common.sudo[0]} ended with status {status}" if status else "",
        took=time.monotonic() - began,
    )
    return status


def _cleanly(
    sudo: Sequence[str], command: Sequence[str], variables: Mapping[str, str]
) -> tuple[str, ...]:
    settings = [f"{name}={variables[name]}" for name in _SETTINGS if name in variables]
    return (*sudo, "env", "-i", f"PATH={_PATH}", *settings, *command)
