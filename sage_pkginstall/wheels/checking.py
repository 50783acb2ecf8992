"""Whether the files of a distribution are on disk as its record tells."""

from __future__ import annotations

from dataclasses import dataclass

from sage_pkginstall.errors import RecordError
from sage_pkginstall.wheels.records import read_rows, recorded_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Literal, TypeAlias

    from sage_pkginstall.environment import Environment
    from sage_pkginstall.wheels.installed import Installed
    from sage_pkginstall.wheels.records import RecordRow

__all__ = ["Problem", "check"]

ProblemKind: TypeAlias = (
    "Literal['missing', 'type', 'size', 'hash', 'unlisted', 'outside', 'record']"
)

_CHUNK = 1 << 18


@dataclass(frozen=True)
class Problem:
    """Where the disk differs from a record."""

    path: str
    kind: ProblemKind
    detail: str


def check(environment: Environment, installed: Installed) -> tuple[Problem, ...]:
    """Return where the disk differs from the record: every file there, every hash right.

    A row without a hash (RECORD itself) must only exist, and so must byte-code, which Python
    makes anew: pip keeps the hashes of what a wheel brought.  So it does beside those of the files
    that it writes itself (INSTALLER): of several hashes of a file one must be right.  Some rows
    are no files (`_is_only_announced`).  What has no list of files by its nature (egg-link,
    distutils) has no problems either.
    """
    if installed.kind in {"egg-link", "distutils"}:
        return ()
    try:
        rows = read_rows(environment, installed)
        files = recorded_files(environment, installed)
    except RecordError as error:
        if installed.kind == "egg-info":
            return ()
        return (Problem(f"{installed.info}/RECORD", "record", error.reason),)
    found = [(row, _row_problem(environment, row)) for row in rows]
    right = {row.path for row, one in found if row.hash and one is None}
    told = ((row, one) for row, one in found if one and row.path not in right)
    problems = [one for row, one in told if not _is_only_announced(row, one)]
    unlisted = files.paths - {row.path for row in rows}
    if installed.kind == "dist-info":
        problems += [Problem(path, "unlisted", "not in RECORD") for path in sorted(unlisted)]
    return tuple(problems)


def _is_only_announced(row: RecordRow, problem: Problem) -> bool:
    """Tell whether a row without its file is one of those that never had any.

    virtualenv lists ``__pycache__``, and byte-code beside its source, for the pip that it
    brings; pip keeps the row of a script in ``*.data`` that it leaves out, as an entry point
    has that name.
    """
    if problem.kind not in {"missing", "type"}:
        return False
    directory, _, name = row.path.rpartition("/")
    if directory.endswith(".data/scripts"):
        return True
    return row.hash is None and (
        name == "__pycache__" or (name.endswith(".pyc") and not directory.endswith("__pycache__"))
    )


def _row_problem(environment: Environment, row: RecordRow) -> Problem | None:
    if row.outside:
        return Problem(row.path, "outside", f"lies outside {environment.prefix}")
    path = environment.prefix / row.path
    try:
        if not path.is_file():
            found = "a directory" if path.is_dir() else ""
            return Problem(row.path, "type" if found else "missing", found or "not there")
        if row.hash is None or "/__pycache__/" in row.path:
            return None
        size = path.stat().st_size
        if row.size is not None and size != row.size:
            return Problem(row.path, "size", f"{size} bytes, {row.size} recorded")
        return _hash_problem(path, row, row.hash)
    except OSError as error:
        return Problem(row.path, "missing", error.strerror or str(error))


def _hash_problem(path: Path, row: RecordRow, recorded: str) -> Problem | None:
    import base64  # noqa: PLC0415 -- only verification hashes what is installed
    import hashlib  # noqa: PLC0415

    algorithm, _, value = recorded.partition("=")
    try:
        digest = hashlib.new(algorithm)
    except (ValueError, TypeError):  # TypeError: half a surrogate pair, for a byte that is no UTF-8
        digest = None
    if digest is None or not digest.digest_size:  # shake has no size of its own
        return Problem(row.path, "hash", f"unknown algorithm {algorithm!r}")
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    found = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode("ascii")
    if value.rstrip("=") != found and value.lower() != digest.hexdigest():  # gmsh, by pip
        return Problem(row.path, "hash", f"{algorithm}={found}, {recorded} recorded")
    return None
