"""What was last built, and from what: so that it can be told why something was built again.

    CACHE/last/NAME-HASH.json    {"name": …, "place": …, "builds": [newest, the one before …]}

An entry is made for each wheel that was built or taken from the cache; of those that were
taken again from the same inputs only the newest is kept.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from sage_pkginstall.builds.inputs import Inputs, digest_of
from sage_pkginstall.user_cache import read_cached, write_cached
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = ["LastBuild", "Subject", "known_builds", "last_builds", "remember_build"]

_KEPT = 3
_UNSAFE = re.compile(r"[^\w.+-]")


class Subject(NamedTuple):
    """What is built: a package or source by its name, for a prefix; ``place`` tells which."""

    name: str
    place: str


class LastBuild(NamedTuple):
    """A wheel that was made (``taken``: had from the cache) and what it was made from.

    ``when`` is a time (ISO 8601, UTC); ``reason`` says why no wheel was looked for, if none
    was: ``--rebuild``, say.  Where that is because nobody knows from what, there are no inputs.
    """

    when: str
    wheel: str
    taken: bool
    reason: str
    inputs: Inputs

    @property
    def is_known(self) -> bool:
        """Whether it can be told from what it was made."""
        return bool(self.inputs.groups)


def remember_build(cache: Path, subject: Subject, build: LastBuild) -> None:
    """Put ``build`` before the others of ``subject``.  Nothing happens if it cannot be written."""
    builds = [build, *(one for one in last_builds(cache, subject) if one.is_known)]
    if len(builds) > 1 and builds[1].taken and builds[1].inputs == build.inputs:
        del builds[1]
    document = {**subject._asdict(), "builds": [_document(one) for one in builds[:_KEPT]]}
    write_cached(_file(cache, subject), json.dumps(document).encode())


def last_builds(cache: Path, subject: Subject) -> tuple[LastBuild, ...]:
    """Return the builds of ``subject`` that are known, the newest first."""
    return next((builds for _, builds in _read(_file(cache, subject))), ())


def known_builds(cache: Path, name: str) -> dict[Subject, tuple[LastBuild, ...]]:
    """Return all that is known of what is called ``name``, what was built last first.

    That may be the path of a source, too.
    """
    start = ""
    if os.sep in name or name in {".", ".."}:
        source = Path(os.path.abspath(name))  # noqa: PTH100 -- ".." goes, links stay
        name, start = source.name, f"{source} for "
    files = (cache / "last").glob(f"{_UNSAFE.sub('_', name)}-*.json")
    newest_first = sorted(files, key=lambda path: path.stat().st_mtime_ns, reverse=True)
    found = (one for path in newest_first for one in _read(path))
    return {
        subject: builds
        for subject, builds in found
        if subject.name == name and subject.place.startswith(start) and builds
    }


def _document(build: LastBuild) -> dict[str, object]:
    """Return what JSON can hold, without copying thousands of hashes."""
    return {**build._asdict(), "inputs": {"groups": build.inputs.groups}}


def _read(path: Path) -> Iterator[tuple[Subject, tuple[LastBuild, ...]]]:
    try:
        document: dict[str, Any] = json.loads(read_cached(path))
        builds = tuple(
            LastBuild(
                str(one["when"]),
                str(one["wheel"]),
                bool(one["taken"]),
                str(one["reason"]),
                Inputs(one["inputs"]["groups"]),
            )
            for one in document["builds"]
        )
        subject = Subject(str(document["name"]), str(document["place"]))
    except (OSError, ValueError, KeyError, TypeError):
        return
    yield subject, builds


def _file(cache: Path, subject: Subject) -> Path:
    name = _UNSAFE.sub("_", subject.name)
    return cache / "last" / f"{name}-{digest_of(subject._asdict())[:16]}.json"
