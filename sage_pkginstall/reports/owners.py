"""Whose a path is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sage_pkginstall.engine.canonical_paths import CanonicalPaths
from sage_pkginstall.engine.paths import bytecode_source
from sage_pkginstall.wheels.ownership import survey

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal

    from sage_pkginstall.environment import Environment
    from sage_pkginstall.wheels.ownership import Survey

__all__ = ["Owned", "find_owners"]


@dataclass(frozen=True)
class Owned:
    """A path as it was asked for, its name in the prefix ("" outside), and its owners.

    ``kind``: "owned" (by one, or shared by several); "unowned": there, but nobody's;
    "unknown": neither there nor anybody's; "outside" of the prefix.
    """

    asked: str
    path: str
    kind: Literal["owned", "unowned", "unknown", "outside"]
    owners: tuple[str, ...] = ()


def find_owners(
    prefix: Path, environment: Environment | None, asked: Iterable[str]
) -> tuple[Owned, ...]:
    """Return who owns each path.

    A path is relative to the working directory if something is there, else to the
    prefix.  Byte-code belongs to the owner of its source, a directory to all who have a
    file below it.  Raises RecordError.
    """
    facts = survey(prefix, environment)
    return tuple(_owned(facts, one) for one in asked)


def _owned(facts: Survey, asked: str) -> Owned:
    path = _place(facts.prefix, asked)
    if path is None:
        return Owned(asked, "", "outside")
    owners = _owners(facts, path)
    if owners:
        return Owned(asked, path, "owned", owners)
    there = os.path.lexists(facts.prefix / path)
    return Owned(asked, path, "unowned" if there else "unknown")


def _owners(facts: Survey, path: str) -> tuple[str, ...]:
    ownership = facts.without((), ())
    found = ownership.owners(path) if path else frozenset()
    source = bytecode_source(path)
    if not found and source is not None:
        found = ownership.owners(source)
    full = facts.prefix / path
    if not found and full.is_dir() and not full.is_symlink():
        found = _owners_below(facts, f"{path}/" if path else "")
    return tuple(sorted(found))


def _owners_below(facts: Survey, below: str) -> frozenset[str]:
    """Return the owners of all files below; reads every record."""
    ownership = facts.without((), ())
    owners: set[str] = set()
    for record in facts.records:
        files = (record, *facts.files_of(record))
        first = next((file for file in files if file.startswith(below)), None)
        if first is not None:
            owners |= {o for o in ownership.owners(first) if facts.has_file(record, first)}
    return frozenset(owners)


def _place(prefix: Path, asked: str) -> str | None:
    """Return the one name of a path in the prefix, None outside."""
    full = Path(asked)
    if not full.is_absolute() and not os.path.lexists(full):
        full = prefix / asked
    full = Path(os.path.normpath(full.absolute()))
    paths = CanonicalPaths(prefix)
    for root in (prefix, Path(os.path.realpath(prefix))):
        for path in (full, Path(os.path.realpath(full.parent)) / full.name):
            if path == root:
                return ""
            if path.is_relative_to(root):
                return paths.file(path.relative_to(root).as_posix())
    return None
