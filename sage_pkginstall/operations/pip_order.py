"""The order in which pip installs what it chose: what others need comes first.

It matters where two wheels bring one path with different contents: that of the last one stays.
So what a distribution puts in the place of a file of one that it needs is what is found there.
pip's report lists what was asked for first, and says of each what it requires.
"""

from __future__ import annotations

from sage_pkginstall.wheels.names import canonical_name
from sage_pkginstall.wheels.unmet import required_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

__all__ = ["in_order_of_pip"]


def in_order_of_pip(items: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Return the entries of pip's installation report in the order in which it installs them.

    Of those that do not need each other, names late in the alphabet come first.  In a circle of
    requirements those of extras do not count, as nobody may have asked for the extra; then
    none that has a marker.
    """
    metadata = {canonical_name(item["metadata"]["name"]): item["metadata"] for item in items}
    less_and_less = [
        {name: _needed(one, unless=word) for name, one in metadata.items()}
        for word in (None, "extra", "")
    ]
    left: set[str] = set(metadata)
    order: list[str] = []
    while left:
        ready = next(filter(None, (_ready(left, needs) for needs in less_and_less)), left)
        order += sorted(ready, reverse=True)
        left = left - ready
    place = {name: number for number, name in enumerate(order)}
    return tuple(sorted(items, key=lambda item: place[canonical_name(item["metadata"]["name"])]))


def _ready(left: set[str], needs: Mapping[str, set[str]]) -> set[str]:
    """Return those of ``left`` that need no other one of it."""
    return {name for name in left if not (needs[name] & left) - {name}}


def _needed(metadata: Mapping[str, Any], *, unless: str | None) -> set[str]:
    """Return the canonical names of what is required, whatever a marker says.

    What has a marker with the word ``unless`` is left out.
    """
    lines: Sequence[str] = metadata.get("requires_dist", ())
    wanted = [line for line in lines if unless is None or not _has_marker(line, unless)]
    return {name for name in map(required_name, wanted) if name is not None}


def _has_marker(line: str, word: str) -> bool:
    _, semicolon, marker = line.partition(";")
    return bool(semicolon) and word in marker
