"""From what a package's wheels were built: a note of each build that its scripts ran.

    $SAGE_PKGINSTALL_PACKAGE_DIR/builds.jsonl
        {"wheel": FILE, "store": DIRECTORY, "requirements": {FILE: IDENTITY, …}} a line

``sage-pkginstall build`` adds the lines, so that sage-spkg knows which wheels of the store a
build has seen.  For a build of which that is not known, as it fell back to what is installed,
say, the requirements are null.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from sage_pkginstall.builds.once import identity_of_wheel
from sage_pkginstall.builds.source_files import UnknownInputError
from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.names import canonical_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NOTES", "NotedBuild", "note_build", "noted_builds"]

NOTES = "builds.jsonl"


class NotedBuild(NamedTuple):
    """A wheel (its file name), and the build requirements it was built with.

    ``requirements`` are wheels of ``store``, with their identities (`identity_of_wheel`); None
    if nobody knows what it was built from.
    """

    wheel: str
    store: Path
    requirements: Mapping[str, str] | None

    def would_see_the_same(self) -> bool:
        """Tell whether a build would find these very wheels now, and have no others to choose."""
        if self.requirements is None:
            return False
        names = {_distribution(file) for file in self.requirements}
        try:
            files = os.listdir(self.store)  # noqa: PTH208 -- names are wanted
        except (FileNotFoundError, NotADirectoryError):
            files = []
        wheels = [file for file in files if file.endswith(".whl")]
        if {file for file in wheels if _distribution(file) in names} != set(self.requirements):
            return False
        try:
            return all(
                identity_of_wheel(self.store / file) == identity
                for file, identity in self.requirements.items()
            )
        except UnknownInputError:
            return False


def note_build(directory: Path, build: NotedBuild) -> None:
    """Add a note to those in ``directory``."""
    document = {**build._asdict(), "store": os.fspath(build.store)}
    with (directory / NOTES).open("a", encoding="ascii") as file:
        file.write(json.dumps(document) + "\n")


def noted_builds(directory: Path) -> tuple[NotedBuild, ...]:
    """Return the notes in ``directory``; none if there are none, or a script has spoilt them."""
    try:
        lines = (directory / NOTES).read_text(encoding="ascii").splitlines()
        documents = [json.loads(line) for line in lines]
        return tuple(
            NotedBuild(str(one["wheel"]), Path(one["store"]), _requirements(one["requirements"]))
            for one in documents
        )
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def _requirements(document: dict[str, str] | None) -> dict[str, str] | None:
    return None if document is None else dict(document)


def _distribution(wheel: str) -> str:
    return canonical_name(wheel.partition("-")[0])
