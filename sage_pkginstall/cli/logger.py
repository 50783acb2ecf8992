"""``sage-logger``: run a shell command; what it says goes to the terminal and to a log."""

from __future__ import annotations

import contextlib
import os

from sage_pkginstall.cli.paths import given_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["logger"]

_INTERRUPTED = 130
_TAIL = 12  # lines of a log that tell why something failed


def logger(arguments: Sequence[str]) -> int:
    """Run COMMAND (of bash); its output goes to the terminal and to the end of LOG.

    With V=0 in the environment the terminal is told only of the beginning and the end, and of
    how the log of a failure ends; where ``sage-pkginstall watch`` shows what goes on, only of that.
    """
    from sage_pkginstall.cli.options import Options  # noqa: PLC0415
    from sage_pkginstall.spkg.logger import LOGGED, WATCHED, logged_command  # noqa: PLC0415

    options = Options("sage-logger", logger.__doc__ or "")
    options.add_argument("-p", dest="prefixed", action="store_true", help="[NAME OF LOG] LINE")
    options.add_argument("command", metavar="COMMAND", help="what bash runs")
    options.add_argument("log", metavar="LOG", help="the file that grows")
    given = options.parse_args(arguments)
    log = given_path(given.log, "LOG").absolute()
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
