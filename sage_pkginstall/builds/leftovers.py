"""What a build left in its source, so that the next one can tell it from the source.

    CACHE/left/HASH-OF-THE-PATH.json    {path: what it is and its hash}

setuptools leaves ``build`` and ``*.egg-info``, which may lie beside the package (``src``), in a
source that is built in place.  As long as these are just as the build left them, the source
without them is what a wheel is looked for by.  If there is none, they count: what is built now may
take up what lies there.
"""

from __future__ import annotations

import json
import os

from sage_pkginstall.builds.inputs import digest_of
from sage_pkginstall.user_cache import read_cached, write_cached

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["changed_files", "remember_leftovers", "without_leftovers"]


def remember_leftovers(
    cache: Path, source: Path, before: Mapping[str, str], after: Mapping[str, str]
) -> None:
    """Remember what a build added to ``source``: ``before`` and ``after`` are its files."""
    old = {_leftover(path) for path in before}
    left = {path: text for path, text in after.items() if _leftover(path) not in {"", *old}}
    if left:
        write_cached(_note(cache, source), json.dumps(left).encode())


def changed_files(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return the files of a source that are others, or gone, after it was built."""
    return sorted(
        path for path, text in before.items() if after.get(path) != text and not _leftover(path)
    )


def without_leftovers(
    cache: Path, source: Path, files: Mapping[str, str]
) -> Mapping[str, str] | None:
    """Return ``files`` without what the last build left there; None if that is all of them."""
    try:
        left = json.loads(read_cached(_note(cache, source)))
        kept = {path: text for path, text in files.items() if left.get(path) != text}
    except (OSError, ValueError, AttributeError):
        return None
    return kept if len(kept) < len(files) else None


def _leftover(path: str) -> str:
    """Return the directory in which ``path`` lies if that may be a leftover, "" if it is none."""
    if path.startswith("build/"):
        return "build"
    above, found, _ = f"{path}/".partition(".egg-info/")
    return above if found else ""


def _note(cache: Path, source: Path) -> Path:
    return cache / "left" / f"{digest_of(os.path.realpath(source))[:32]}.json"
