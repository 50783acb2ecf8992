"""What ``sage-spkg`` leaves to others: scripts queue wheels, and SAGE_SUDO makes the change.

Each imports only what it needs.
"""

from __future__ import annotations

import os
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["commit_package", "stage_wheel"]


def stage_wheel(arguments: Sequence[str]) -> int:
    """Queue WHEEL for the transaction of the package whose script runs this."""
    if not arguments or arguments[-1] in {"-h", "--help"}:
        print(stage_wheel.__doc__)
        print("usage: sage-pkginstall stage-wheel [OPTIONS] WHEEL")
        return 0 if arguments else 2
    from sage_pkginstall.errors import UsageError  # noqa: PLC0415
    from sage_pkginstall.spkg.queue import queue_wheel  # noqa: PLC0415

    *options, wheel = arguments
    directory = os.environ.get("SAGE_PKGINSTALL_PACKAGE_DIR")
    if not directory:
        raise UsageError("cannot queue a wheel: no script of a package runs this")
    queue_wheel(Path(directory), Path(wheel), options)
    return 0


def commit_package(arguments: Sequence[str]) -> int:
    """Make the change to a tree that sage-spkg asks for in FILE, under SAGE_SUDO."""
    from sage_pkginstall.cli.options import Options  # noqa: PLC0415
    from sage_pkginstall.cli.target import Talk, tree_settings  # noqa: PLC0415
    from sage_pkginstall.spkg import commit  # noqa: PLC0415
    from sage_pkginstall.spkg.commit_request import read_request  # noqa: PLC0415

    options = Options("sage-pkginstall commit-package", commit_package.__doc__ or "")
    options.add_argument("file", metavar="FILE")
    given = options.parse_args(arguments)
    request = read_request(Path(given.file))
    talk = Talk("sage-pkginstall commit-package")
    committed = commit.commit_package(request, tree_settings(talk))
    talk.warn(committed.warnings)
    return 0
