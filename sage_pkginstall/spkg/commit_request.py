"""What sage-spkg asks to have done to a tree, as a value that another process can read.

    $SAGE_PKGINSTALL_PACKAGE_DIR/commit.json

With SAGE_SUDO the build is the user's and the change is made by
``$SAGE_SUDO sage-pkginstall commit-package FILE``; without it the same request is carried
out in this very process.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from sage_pkginstall.errors import RecordError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CommitRequest", "read_request", "write_request"]


@dataclass(frozen=True)
class CommitRequest:
    """A package that is to be installed into or removed from a tree.

    ``python`` is the prefix of the wheels' target, "" if there is none.  ``staged`` is the
    staged tree, laid out like the tree, and ``private`` the directory with the queue of
    wheels; both are "" for a removal.  ``move``: the staged tree may be used up.
    ``keep``: to install, files of older versions stay; to remove, all files do.
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

    @property
    def label(self) -> str:
        """What those who wait for the lock are told."""
        return f"{self.action} package {self.package}-{self.version}".removesuffix("-")


def write_request(path: Path, request: CommitRequest) -> None:
    """Write a request to ``path``."""
    path.write_text(json.dumps(asdict(request)), encoding="ascii")


def read_request(path: Path) -> CommitRequest:
    """Read a request.  Raises RecordError for what is none."""
    try:
        document: Any = json.loads(path.read_bytes())
        request = CommitRequest(**document)
    except OSError as error:
        raise RecordError(path, error.strerror or str(error)) from error
    except (ValueError, TypeError) as error:
        raise RecordError(path, f"it is no request of sage-spkg's: {error}") from error
    if request.action not in {"install", "remove"}:
        raise RecordError(path, f"it asks for {request.action!r}")
    return request
