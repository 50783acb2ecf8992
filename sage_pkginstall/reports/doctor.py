"""What is wrong with a machine or prefix, and what to do about it.

Leaves nothing behind; a hidden directory is made in the prefix for a moment, to try the
file system with.
"""

from __future__ import annotations

from dataclasses import replace

from sage_pkginstall.errors import PkgInstallError
from sage_pkginstall.reports import condition, machine
from sage_pkginstall.reports.finding import Finding, error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sage_pkginstall.reports.finding import Check, Examination

__all__ = ["CHECKS", "examine"]

CHECKS: dict[str, tuple[Check, str]] = {
    "interpreter": (condition.interpreter, "wheels can be installed"),
    "rights": (condition.rights, "all is yours, and writable"),
    "file-systems": (machine.file_systems, "the prefix is one file system"),
    "exchange": (machine.exchange, "whole directories are exchanged in one step"),
    "flock": (machine.flock, "the file system gives locks"),
    "space": (machine.space, "there is room"),
    "lock": (condition.lock, "nobody has held the lock for long"),
    "journal": (condition.journal, "no transaction was left unfinished"),
    "debris": (condition.debris, "dead processes left nothing"),
    "records": (condition.records, "every record lists its files"),
    "log": (condition.log, "transactions are logged"),
    "programs": (machine.programs, "compiler, make, tar, patch and bash are there"),
    "path": (machine.path_order, "programs of the prefix come first"),
    "variables": (machine.variables, "no variable leads Python or pip elsewhere"),
}


def examine(examination: Examination) -> Iterator[Finding]:
    """Yield the findings of all checks, for each at least one: what is wrong, or "ok"."""
    for name, (check, good) in CHECKS.items():
        try:
            found = tuple(check(examination))
        except (OSError, PkgInstallError) as problem:  # a record that cannot be read, say
            found = (error(f"cannot look: {problem}", "run as the owner of the prefix"),)
        yield from (replace(one, check=name) for one in found)
        if not found:
            yield Finding(name, "ok", good)
