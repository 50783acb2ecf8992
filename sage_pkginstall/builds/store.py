"""The wheel store: a directory with the wheels that a tree's packages were built into.

    TREE/var/lib/sage/wheels/NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl

Only transactions write there (a wheel is a file of the staged tree); this module reads.
Files that are not named like a wheel do not exist for it.
"""

from __future__ import annotations

import os
import zipfile

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import (
    InvalidWheelFilename,
    canonicalize_name,
    parse_wheel_filename,
)

from sage_pkginstall.builds.damage import DAMAGE
from sage_pkginstall.errors import WheelError
from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.container import Limits, open_regular
from sage_pkginstall.wheels.installed import parse_headers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from packaging.utils import BuildTag, NormalizedName
    from packaging.version import Version

    from sage_pkginstall.environment import Environment

__all__ = [
    "StoredWheel",
    "WheelNeeds",
    "allows",
    "candidates",
    "find_wheel",
    "stored_wheels",
    "wheel_needs",
]


_METADATA = Limits().text


class StoredWheel(NamedTuple):
    """A wheel of the store, as its file name tells it."""

    path: Path
    name: NormalizedName
    version: Version
    build: BuildTag
    tags: frozenset[str]


class WheelNeeds(NamedTuple):
    """What a wheel's metadata asks of others."""

    requires_python: SpecifierSet
    requires: tuple[Requirement, ...]


def stored_wheels(store: Path) -> tuple[StoredWheel, ...]:
    """Return the wheels in the directory ``store``; none if there is no such directory."""
    try:
        paths = sorted(store.glob("*.whl"))
    except FileNotFoundError:
        return ()
    return tuple(wheel for wheel in map(_parse, paths) if wheel is not None)


def candidates(
    wheels: Iterable[StoredWheel],
    requirement: Requirement,
    environment: Environment,
    needs: Callable[[StoredWheel], WheelNeeds] | None = None,
) -> tuple[StoredWheel, ...]:
    """Return the wheels that meet ``requirement`` and fit ``environment``, best first.

    Final releases come before pre-releases, then the higher version, the better tag and
    the higher build number decide.  A requirement by URL (PEP 440 direct reference) is met
    by no wheel: the store cannot tell where its wheels come from.  ``needs`` is `wheel_needs`
    or remembers what that returned.  Raises WheelError for a damaged wheel that is better than
    all others; a worse one is passed over.
    """
    needs = needs or wheel_needs
    if requirement.url is not None:
        return ()
    name = canonicalize_name(requirement.name)
    rank = {tag: -place for place, tag in enumerate(environment.tags)}
    named = [
        wheel
        for wheel in wheels
        if wheel.name == name
        and not wheel.tags.isdisjoint(rank)
        and allows(requirement.specifier, wheel.version)
    ]

    def quality(wheel: StoredWheel) -> tuple[bool, Version, int, tuple[int, str]]:
        tag = max(rank[tag] for tag in wheel.tags & rank.keys())
        return (not wheel.version.is_prerelease, wheel.version, tag, wheel.build or (-1, ""))

    fitting: list[StoredWheel] = []
    for wheel in sorted(named, key=quality, reverse=True):
        try:
            python = needs(wheel).requires_python
        except WheelError:
            if not fitting:  # it might be the one
                raise
            continue
        if allows(python, environment.version):
            fitting.append(wheel)
    return tuple(fitting)


def allows(specifier: SpecifierSet, version: Version | str) -> bool:
    """Tell whether ``specifier`` allows a version; a number of too many digits does not."""
    try:
        return specifier.contains(version, prereleases=True)
    except ValueError:
        return False


def find_wheel(
    wheels: Iterable[StoredWheel], requirement: Requirement, environment: Environment
) -> StoredWheel | None:
    """Return the best of ``wheels`` for ``requirement``, None if there is none.

    The requirement's marker is not looked at.
    """
    found = candidates(wheels, requirement, environment)
    return found[0] if found else None


def wheel_needs(wheel: StoredWheel) -> WheelNeeds:
    """Return what ``wheel`` requires, from its METADATA.  Raises WheelError."""
    metadata = parse_headers(_metadata_text(wheel.path))
    try:
        requires = tuple(map(Requirement, metadata.get("requires-dist", ())))
        requires_python = SpecifierSet(metadata.get("requires-python", [""])[0])
    except (InvalidRequirement, InvalidSpecifier) as error:
        raise WheelError(wheel.path, f"METADATA has a bad requirement: {error}") from error
    return WheelNeeds(requires_python, requires)


def _parse(path: Path) -> StoredWheel | None:
    try:
        name, version, build, tags = parse_wheel_filename(path.name)
    except InvalidWheelFilename:
        return None
    return StoredWheel(path, name, version, build, frozenset(map(str, tags)))


def _metadata_text(path: Path) -> str:
    try:
        with os.fdopen(open_regular(path), "rb") as file, zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                directory, _, rest = entry.filename.partition("/")
                if directory.endswith(".dist-info") and rest == "METADATA":
                    if entry.file_size > _METADATA:
                        raise WheelError(path, f"its METADATA has {entry.file_size} bytes")
                    return archive.read(entry).decode("utf-8", "replace")
    except DAMAGE as error:
        raise WheelError(path, f"it cannot be read: {error}") from error
    raise WheelError(path, "it holds no METADATA")
