"""What surrounds a build besides its source and its requirements: a value, made by the caller.

Packages and prefixes are nothing that this level knows.  Who knows them says which inputs
they are (docs/decisions/0004-wheels-built-once.md has the reasons).
"""

from __future__ import annotations

from sage_pkginstall.builds.source_files import UnknownInputError, hash_file
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sage_pkginstall.builds.last_builds import Subject
    from sage_pkginstall.environment import Environment

__all__ = ["Surroundings", "distributions_of"]


class Surroundings(NamedTuple):
    """What a build may see, and where.

    ``seen`` are groups of inputs for every build, ``seen_unisolated`` for one that sees the
    packages of the target, too.  ``places`` names directories whose path must not matter
    (``SAGE_LOCAL``); ``dead`` are directories that are gone when the wheel is used.
    ``foreign`` maps names of libraries that the build can find but has no right to, as
    ``seen`` does not tell of them, to their owners.
    """

    subject: Subject
    seen: Mapping[str, Mapping[str, str]] = {}
    seen_unisolated: Mapping[str, str] = {}
    places: Mapping[str, str] = {}
    dead: tuple[str, ...] = ()
    foreign: Mapping[str, str] = {}
    in_package: bool = False


def distributions_of(environment: Environment) -> dict[str, str]:
    """Return all distributions that a build without isolation sees, with their RECORD's hash.

    Raises UnknownInputError for one without RECORD: what is it?
    """
    found: dict[str, str] = {}
    for site in environment.site_directories:
        directory = environment.prefix / site
        for info in sorted(directory.glob("*.*-info")) if directory.is_dir() else ():
            found[info.name] = _record_hash(directory, info)
    return found


def _record_hash(directory: Path, info: Path) -> str:
    try:
        return hash_file(info / "RECORD")
    except OSError as error:
        reason = f"{info.name} has no RECORD that could be read ({error.strerror})"
        raise UnknownInputError(directory, reason) from error
