"""What SAGE_SUDO may change, and run: what the user who asks for it could not change.

Who builds writes a request, and root carries it out.  A tree, a directory in it or an
interpreter that this user can put something else in the place of would turn that request
into any other one.  In the user's own process there is nothing to be refused.
"""

from __future__ import annotations

import os

from sage_pkginstall.engine.trust import others_who_write
from sage_pkginstall.errors import PackageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sage_pkginstall.engine.plan import Plan
    from sage_pkginstall.spkg.commit_request import CommitRequest

__all__ = ["is_trusted", "require_trusted", "require_trusted_within"]


def is_trusted(request: CommitRequest, path: Path) -> bool:
    """Tell whether the user who asks could not put something else in the place of ``path``."""
    return not _is_asked_by_another(request) or others_who_write(path) is None


def require_trusted(request: CommitRequest, path: Path) -> None:
    """Refuse a tree, or an interpreter to be run, that the user who asks could change.

    Raises PackageError.
    """
    if not _is_asked_by_another(request):
        return
    clause = others_who_write(path)
    if clause is not None:
        reason = f"{path} is not to be changed or run by SAGE_SUDO, since {clause}"
        raise PackageError(request.package, f"{reason}; let it belong to root alone")


def require_trusted_within(request: CommitRequest, prefix: Path, plan: Callable[[], Plan]) -> None:
    """Refuse to write where the user who asks could put a link in the place of a directory.

    ``plan`` makes the plan of what is to be written, which is only done at need.  Raises
    PackageError.
    """
    if not _is_asked_by_another(request):
        return
    for directory in sorted({(prefix / one.path).parent for one in plan().operations}):
        require_trusted(request, directory)


def _is_asked_by_another(request: CommitRequest) -> bool:
    return request.caller not in {None, os.geteuid()}
