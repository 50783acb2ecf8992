"""Namespace packages of the old kind: one ``__init__.py``, several owners.

Distributions that share a package through ``pkgutil`` or ``pkg_resources`` each bring an
``__init__.py`` of the same code, but with comments of their own (backports is one).  One
file can have one content only.  So a distribution that comes second adopts the file that
is there: its RECORD, which is being written anyway, names that content.  Every RECORD
fits the disk then, whoever came first and whoever goes first (pip #4689).  Those that are
staged together have one file already, so they adopt together.
"""

from __future__ import annotations

import io
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sage_pkginstall.environment import Environment
    from sage_pkginstall.wheels.staging import StagedDistribution

__all__ = ["MOST", "adopt_shared", "same_code"]

MOST = 100_000
"""Bytes of a source that is compared; those of namespaces have a few lines.

What is made of a source to compare it takes some hundred times its memory.
"""

_INIT = "/__init__.py"


def same_code(first: bytes, second: bytes) -> bool:
    """Tell whether two sources differ in nothing but comments and layout.

    Those of more than `MOST` bytes are only the same if they do not differ at all.
    """
    if first == second:
        return True
    if max(len(first), len(second)) > MOST:
        return False
    import ast  # noqa: PLC0415 -- seldom needed

    from sage_pkginstall.wheels.workers import without_warnings  # noqa: PLC0415

    try:
        with without_warnings():  # of escapes that mean nothing, say
            return ast.dump(ast.parse(first)) == ast.dump(ast.parse(second))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def adopt_shared(
    distributions: Sequence[StagedDistribution],
    root: Path,
    environment: Environment,
    is_shared: Callable[[str], bool],
) -> bool:
    """Let what is staged adopt the ``__init__.py`` files of others that have the same code.

    ``is_shared(path)`` tells whether another distribution owns the file in the prefix.
    Changes the staged tree below ``root`` only; returns whether it did.
    """
    adopted = {}
    inits = {path for staged in distributions for path in staged.paths if path.endswith(_INIT)}
    for path in sorted(inits):
        if os.path.lexists(environment.prefix / path) and is_shared(path):
            content = _content_to_adopt(root / path, environment.prefix / path)
            if content is not None:
                adopted[path] = content
    if adopted:
        _take_over(distributions, root, environment, adopted)
    return bool(adopted)


def _content_to_adopt(staged: Path, existing: Path) -> bytes | None:
    if existing.is_symlink() or not existing.is_file():
        return None
    if max(staged.stat().st_size, existing.stat().st_size) > MOST:
        return None
    ours, theirs = staged.read_bytes(), existing.read_bytes()
    return theirs if ours != theirs and same_code(ours, theirs) else None


def _take_over(
    distributions: Sequence[StagedDistribution],
    root: Path,
    environment: Environment,
    adopted: dict[str, bytes],
) -> None:
    from sage_pkginstall.wheels.bytecode import compile_staged  # noqa: PLC0415 -- seldom needed

    for path, content in adopted.items():
        _rewrite(root / path, content)
    compiled = [p for p in adopted if any(_has_bytecode(staged, p) for staged in distributions)]
    compile_staged(root, compiled, environment)
    for staged in distributions:
        rows = _rows(staged, adopted)
        if rows:
            _update_record(root / staged.info / "RECORD", rows)


def _rewrite(path: Path, content: bytes) -> None:
    """Write a staged file anew: other prefixes may have the old one, by hard links."""
    mode = stat.S_IMODE(path.stat().st_mode)
    path.unlink()
    path.write_bytes(content)
    path.chmod(mode | stat.S_IWUSR)


def _has_bytecode(staged: StagedDistribution, path: str) -> bool:
    cache = path.removesuffix("__init__.py") + "__pycache__/__init__."
    return any(p.startswith(cache) for p in staged.paths)


def _rows(staged: StagedDistribution, adopted: dict[str, bytes]) -> dict[str, list[str]]:
    """Return the new RECORD rows of what ``staged`` has, by their first field."""
    import base64  # noqa: PLC0415 -- see `same_code`
    import hashlib  # noqa: PLC0415

    site = os.path.dirname(staged.info)  # noqa: PTH120 - relative to the prefix
    rows = {}
    for path in adopted.keys() & staged.paths:
        name, content = os.path.relpath(path, site), adopted[path]
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
        rows[name] = [name, f"sha256={digest.decode('ascii')}", str(len(content))]
    return rows


def _update_record(record: Path, rows: dict[str, list[str]]) -> None:
    import csv  # noqa: PLC0415 -- see `same_code`

    with record.open(encoding="utf-8", newline="") as file:
        table = [rows.get(row[0], row) for row in csv.reader(file) if row]
    text = io.StringIO(newline="")
    csv.writer(text).writerows(table)
    record.write_text(text.getvalue(), encoding="utf-8", newline="")
