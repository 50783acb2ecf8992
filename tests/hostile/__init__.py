"""Hostile wheels, made by code: each with what is to become of it.

`CORPUS` is what ``tests/test_hostile.py`` proves of this tool, and what
``benchmarks/hostile.py`` gives to other installers, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.hostile import container, content, metadata, names, records

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.hostile.case import Case

__all__ = ["CORPUS", "GROUPS"]

GROUPS: Mapping[str, Mapping[str, Case]] = {
    "Paths that lead elsewhere": names.TRAVERSAL,
    "What is no regular file": names.KINDS,
    "Two of one name": names.CLASHES,
    "Places that are not a wheel's": names.PLACES,
    "Damaged zip files": container.DAMAGED,
    "Ambiguous zip files": container.AMBIGUOUS,
    "Unusual zip files": container.UNUSUAL,
    "Sizes": container.SIZES,
    "RECORD": records.RECORDS,
    "METADATA, WHEEL, names": metadata.METADATA,
    "Entry points": metadata.ENTRY_POINTS,
    "Content": content.CONTENT,
}

CORPUS: Mapping[str, Case] = {
    f"{group}: {name}": case for group, cases in GROUPS.items() for name, case in cases.items()
}
