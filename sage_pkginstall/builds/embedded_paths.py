"""Which directories a wheel names: where it was built, or where it was to go.

A library that is linked with another of the prefix holds the path of that prefix (RUNPATH);
some packages write it into a module.  Such a wheel is right for this prefix only.
"""

from __future__ import annotations

import os
import zipfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

__all__ = ["contents", "embedded_paths", "embedded_words"]


def contents(wheel: Path) -> Iterator[bytes]:
    """Yield what each file of ``wheel`` holds."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.namelist():
            yield archive.read(member)


def embedded_paths(wheel: Path, places: Mapping[str, str], dead: Iterable[str]) -> frozenset[str]:
    """Return the names of those ``places`` whose path stands in a file of ``wheel``.

    Paths below one of ``dead`` do not count: directories that are gone after the build (or are
    gone whenever the wheel is used), of which debug information and messages tell.
    """
    wanted = {name: _spellings(path) for name, path in places.items() if path.strip("/")}
    gone = [spelling for path in dead if path.strip("/") for spelling in _spellings(path)]
    gone.sort(key=len, reverse=True)
    found: set[str] = set()
    for data in contents(wheel):
        for path in gone:
            data = data.replace(path, b"")  # noqa: PLW2901 -- what is left of it
        found |= {n for n, ways in wanted.items() if any(way in data for way in ways)}
    return frozenset(found)


def embedded_words(files: Iterable[bytes], words: Iterable[str]) -> frozenset[str]:
    """Return those of ``words`` that stand, ended by a zero byte, in one of ``files``.

    So are the names of the libraries that a library is linked with written.
    """
    wanted = {word: b"\0" + os.fsencode(word) + b"\0" for word in words}
    found: set[str] = set()
    if not wanted:
        return frozenset()
    for data in files:
        if data[:4] == b"\x7fELF":
            found |= {word for word, end in wanted.items() if end in data}
    return frozenset(found)


def _spellings(path: str) -> frozenset[bytes]:
    return frozenset((os.fsencode(path.rstrip("/")), os.fsencode(os.path.realpath(path))))
