"""The commands around packages, each as an entry point that imports only what it needs.

``sage-spkg``, ``sage-spkg-uninstall`` (package.py does their work), ``sage-logger``, and
what the scripts of packages and SAGE_SUDO run: ``stage-wheel``, ``commit-package``.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "commit_package_main",
    "logger_main",
    "spkg_main",
    "spkg_uninstall_main",
    "stage_wheel_main",
]

_INTERRUPTED = 130
_TAIL = 12  # lines of a log that tell why something failed


def spkg_main(arguments: Sequence[str]) -> int:
    """``sage-spkg``: build a package of build/pkgs and install it."""
    from sage_pkginstall.cli.package import install  # noqa: PLC0415

    return install(arguments)


def spkg_uninstall_main(arguments: Sequence[str]) -> int:
    """``sage-spkg-uninstall``: uninstall a package."""
    from sage_pkginstall.cli.package import uninstall  # noqa: PLC0415

    return uninstall(arguments)


def logger_main(arguments: Sequence[str]) -> int:
    """Run COMMAND (of bash); its output goes to the terminal and to the end of LOG.

    With V=0 in the environment the terminal is told only of the beginning and the end, and of
    how the log of a failure ends; where ``sage-pkginstall watch`` shows what goes on, only of that.
    """
    from sage_pkginstall.cli.options import Options  # noqa: PLC0415
    from sage_pkginstall.spkg.logger import LOGGED, WATCHED, logged_command  # noqa: PLC0415

    options = Options("sage-logger", logger_main.__doc__ or "")
    options.add_argument("-p", dest="prefixed", action="store_true", help="[NAME OF LOG] LINE")
    options.add_argument("command", metavar="COMMAND", help="what bash runs")
    options.add_argument("log", metavar="LOG", help="the file that grows")
    given = options.parse_args(arguments)
    log = Path(given.log).absolute()
    name = log.name.removesuffix(".log")
    watched = bool(os.environ.get(WATCHED))
    quiet = os.environ.get("V") == "0" and not watched
    if quiet:
        print(f"[{name}] begins; its log is {log}", flush=True)
    status = logged_command(
        ["bash", "-c", given.command],
        f"[{name}] " if given.prefixed else "",
        log,
        quiet=quiet or watched,
        variables={**os.environ, LOGGED: name},
    )
    if quiet and status == 0:
        print(f"[{name}] is done")
    if (quiet or watched) and status not in {0, _INTERRUPTED}:
        _tell_failure(name, status, log)
    return status


def _tell_failure(name: str, status: int, log: Path) -> None:
    """Print, in one write, how a log ends that nobody saw."""
    from sage_pkginstall.builds.log import BuildLog  # noqa: PLC0415

    with contextlib.suppress(OSError):
        end = "".join(f"\n  {line}" for line in BuildLog(log).tail(_TAIL))
        print(f"[{name}] failed (status {status}); the end of {log}:{end}", flush=True)


def stage_wheel_main(arguments: Sequence[str]) -> int:
    """Queue WHEEL for the transaction of the package whose script runs this."""
    if not arguments or arguments[-1] in {"-h", "--help"}:
        print(stage_wheel_main.__doc__)
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


def commit_package_main(arguments: Sequence[str]) -> int:
    """Make the change to a tree that sage-spkg asks for in FILE, under SAGE_SUDO."""
    from sage_pkginstall.cli.options import Options  # noqa: PLC0415
    from sage_pkginstall.cli.target import Talk, tree_settings  # noqa: PLC0415
    from sage_pkginstall.spkg.commit import commit_package  # noqa: PLC0415
    from sage_pkginstall.spkg.commit_request import read_request  # noqa: PLC0415

    options = Options("sage-pkginstall commit-package", commit_package_main.__doc__ or "")
    options.add_argument("file", metavar="FILE")
    given = options.parse_args(arguments)
    request = read_request(Path(given.file))
    talk = Talk("sage-pkginstall commit-package")
    committed = commit_package(request, tree_settings(talk))
    talk.warn(committed.warnings)
    return 0
