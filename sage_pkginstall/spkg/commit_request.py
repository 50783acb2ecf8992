"""What sage-spkg asks to have done to a tree, as a value that another process can read.

    $SAGE_PKGINSTALL_PACKAGE_DIR/commit.json

With SAGE_SUDO the build is the user's and the change is made by
``$SAGE_SUDO sage-pkginstall commit-package FILE``; without it the same request is carried
out in this very process.

Who reads a request from a file believes nothing of it.  It says what to do, and where the
user who wrote it left what is needed for that; all of it is that user's, and may be
changed at any time.  What has been checked counts only once it lies in a workspace.
"""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path

from sage_pkginstall.errors import RecordError
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

__all__ = ["CommitRequest", "read_request", "write_request"]

_TYPES: dict[str, type] = {"move": bool, "keep": bool, "caller": int}  # others: str
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+!~-]*")


class CommitRequest(NamedTuple):
    """A package that is to be installed into or removed from a tree.

    ``python`` is the prefix of the wheels' target, "" if there is none.  ``staged`` is the
    staged tree, laid out like the tree, and ``private`` the directory with the queue of
    wheels; both are "" for a removal.  ``move``: the staged tree may be used up.
    ``keep``: to install, files of older versions stay; to remove, all files do.

    ``local`` is SAGE_LOCAL, if wheels of its packages go to the same target; else "".

    ``caller`` is the number of the user whose file the request was read from, None if
    this very process asks.
    """

    action: Literal["install", "remove"]
    tree: str
    package: str
    version: str
    python: str = ""
    staged: str = ""
    private: str = ""
    move: bool = False
    keep: bool = False
    test_result: str = ""
    sage_version: str = ""
    dependencies_file: str = ""
    local: str = ""
    caller: int | None = None

    @property
    def label(self) -> str:
        """What those who wait for the lock are told."""
        return f"{self.action} package {self.package}-{self.version}".removesuffix("-")


def write_request(path: Path, request: CommitRequest) -> None:
    """Write a request to ``path``."""
    document = request._asdict()
    del document["caller"]
    path.write_text(json.dumps(document), encoding="ascii")


def read_request(path: Path) -> CommitRequest:
    """Read a request of another process.  Raises RecordError for what is none.

    Its staged tree is that process', so it is never used up.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise RecordError(path, "it is no regular file")
            document: Any = json.loads(file.read())
        request = CommitRequest(**{**document, "move": False, "caller": status.st_uid})
    except OSError as error:
        raise RecordError(path, error.strerror or str(error)) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise RecordError(path, f"it is no request of sage-spkg's: {error}") from error
    fault = _fault(request)
    if fault:
        raise RecordError(path, f"it is no request of sage-spkg's: {fault}")
    return request


def _fault(request: CommitRequest) -> str | None:
    """Return what is wrong with a request, None if it is one."""
    for name, value in request._asdict().items():
        wanted = _TYPES.get(name, str)
        if type(value) is not wanted or (isinstance(value, str) and "\0" in value):
            return f"{name} is {value!r}"
    if request.action not in {"install", "remove"}:
        return f"it asks for {request.action!r}"
    for name in (request.package, request.version or "none"):
        if not _NAME.fullmatch(name):
            return f"{name!r} is no name of a package, and no version"
    for path in (request.tree, *filter(None, (request.python, request.staged, request.local))):
        if not Path(path).is_absolute():
            return f"{path!r} is no absolute path"
    return None
