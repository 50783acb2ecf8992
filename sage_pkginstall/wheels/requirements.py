"""Requirements: those of wheels against what is installed, and lines that name one.

Of pip's lines (https://pip.pypa.io/en/stable/reference/requirements-file-format/) this
understands what needs no index:

    NAME @ file:///DIRECTORY/WHEEL       the wheel of a distribution
    DIRECTORY/WHEEL.whl                  the same; relative to the current directory
    NAME, NAME==1.0; MARKER              a name, where no wheel is needed

A marker and ``--hash`` may follow each; any other option and any other URL is refused.
Files of such lines: see `requirements_file`.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion

from sage_pkginstall.errors import RequirementError
from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.names import canonical_name, is_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sage_pkginstall.environment import Environment

__all__ = [
    "DIRECT",
    "RequirementLine",
    "Unmet",
    "is_place",
    "parse_requirement_line",
    "requirement_name",
    "unmet",
    "unmet_by",
]

DIRECT = re.compile(r"(?P<name>[^@\[\s]+)\s*(?:\[[^\]]*\])?\s*@\s*(?P<url>.+)", re.DOTALL)
"""``NAME [EXTRAS] @ URL``"""
_HASH = re.compile(r"\s--hash[=\s]([a-z0-9]+):([0-9a-fA-F]+)(?=\s|$)")
_MARKER = re.compile(r"\s*;\s|\s;")
_CHUNK = 1 << 18


class RequirementLine(NamedTuple):
    """A line of a requirements file: a name (canonical), and its wheel if it gives one."""

    text: str
    name: str
    wheel: Path | None = None
    marker: str | None = None
    hashes: tuple[tuple[str, str], ...] = ()

    def applies(self, environment: Environment) -> bool:
        """Tell whether the marker, if there is one, holds in the target."""
        return self.marker is None or _holds(Marker(self.marker), environment, ())

    def verified_wheel(self) -> Path:
        """Return the wheel, which has one of the line's hashes if it gives any.

        Only of a line that names one.  Raises RequirementError.
        """
        assert self.wheel is not None
        if not self.wheel.is_file():
            raise RequirementError(self.text, f"there is no file {self.wheel}")
        if self.hashes and not any(_digest(self.wheel, a) == value for a, value in self.hashes):
            raise RequirementError(self.text, f"{self.wheel} has none of the hashes given")
        return self.wheel


# Requirements of wheels


class Unmet(NamedTuple):
    """A requirement of distribution ``name`` that is not met; ``found`` is the version there is."""

    name: str
    requirement: str
    found: str | None

    def __str__(self) -> str:
        if self.found is None:
            return f"{self.name} needs {self.requirement}, which is not installed"
        return f"{self.name} needs {self.requirement}, but version {self.found} is installed"


def unmet_by(
    name: str, requires: Iterable[str], environment: Environment, installed: Mapping[str, str]
) -> Iterator[Unmet]:
    """Yield each requirement of distribution ``name`` that is not met, once; see `unmet`."""
    for line in dict.fromkeys(unmet(requires, environment, installed)):
        found = None
        with contextlib.suppress(InvalidRequirement):
            found = installed.get(canonical_name(Requirement(line).name))
        yield Unmet(name, line, found)


def unmet(
    requires: Iterable[str],
    environment: Environment,
    installed: Mapping[str, str],
    *,
    extras: Iterable[str] = (),
) -> tuple[str, ...]:
    """Return the lines of ``requires`` that are not met, as they stand there.

    ``installed`` has versions by canonical names.  Markers are those of the target;
    requirements of extras count only for ``extras``.  Pre-releases meet a requirement.
    What cannot be read is not met.
    """
    wanted = tuple(extras)
    return tuple(line for line in requires if not _is_met(line, environment, installed, wanted))


def _is_met(
    line: str, environment: Environment, installed: Mapping[str, str], extras: tuple[str, ...]
) -> bool:
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        return False
    if requirement.marker and not _holds(requirement.marker, environment, extras):
        return True
    version = installed.get(canonical_name(requirement.name))
    if version is None:
        return False
    if not requirement.specifier:
        return True
    try:
        return requirement.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return False


def _holds(marker: Marker, environment: Environment, extras: tuple[str, ...]) -> bool:
    facts = dict(environment.markers)
    return any(marker.evaluate({**facts, "extra": extra}) for extra in ("", *extras))


# Lines


def requirement_name(line: str) -> str:
    """Return the canonical name of the distribution that a requirement line is about.

    Raises RequirementError.
    """
    return parse_requirement_line(line).name


def parse_requirement_line(line: str) -> RequirementLine:
    """Return what one line without comment says; RequirementError if it is refused."""
    text = line.strip()
    hashes = tuple((a, value.lower()) for a, value in _HASH.findall(text))
    rest = _HASH.sub("", text)
    if " --" in rest:
        raise RequirementError(text, "it has an option that is not supported; remove it")
    direct = DIRECT.fullmatch(rest)
    if direct is not None:
        name, url = direct["name"], direct["url"]
        if not is_name(name):
            raise RequirementError(text, f"{name!r} is no name of a distribution")
    elif is_place(rest):
        name, url = None, rest
    else:
        return _named(text, rest, hashes)
    place, marker = _split_marker(text, url)
    wheel = _file(text, place)
    if name is None:
        name = wheel.name.partition("-")[0]
    return RequirementLine(text, canonical_name(name), wheel, marker, hashes)


def is_place(text: str) -> bool:
    """Tell whether a requirement is the path or URL of what is asked for, without its name."""
    place = _MARKER.split(text, maxsplit=1)[0]
    return (
        "://" in place
        or place.startswith(("file:", "/", "./", "../"))
        or (place.lower().endswith(".whl"))
    )


def _named(text: str, rest: str, hashes: tuple[tuple[str, str], ...]) -> RequirementLine:
    try:
        requirement = Requirement(rest)
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0]
        raise RequirementError(text, f"it cannot be read: {reason}") from error
    marker = str(requirement.marker) if requirement.marker else None
    return RequirementLine(text, canonical_name(requirement.name), None, marker, hashes)


def _split_marker(text: str, url: str) -> tuple[str, str | None]:
    place, *markers = _MARKER.split(url, maxsplit=1)
    if not markers:
        return place.strip(), None
    try:
        return place.strip(), str(Marker(markers[0].strip()))
    except InvalidMarker as error:
        raise RequirementError(text, "its marker cannot be read") from error


def _file(text: str, place: str) -> Path:
    """Return the file that a file URL or a path means; blanks may stand as they are."""
    place = place.partition("#egg=")[0]
    if "#sha" in place or "#md5" in place:
        raise RequirementError(text, "a hash in a URL is not supported; write --hash=sha256:…")
    if place.startswith("file:"):
        path = place.removeprefix("file:").removeprefix("//localhost")
        path = "/" + path.lstrip("/")
        return _unquoted(path) if "%" in path and not Path(path).exists() else Path(path)
    if "://" in place or re.match(r"(git|hg|svn|bzr)\+", place):
        raise RequirementError(text, "only file:// URLs are supported, nothing is downloaded")
    return Path(place).absolute()


def _unquoted(path: str) -> Path:
    from urllib.parse import unquote_to_bytes  # noqa: PLC0415 -- rarely needed

    return Path(os.fsdecode(unquote_to_bytes(path.encode("utf-8", "surrogateescape"))))


def _digest(path: Path, algorithm: str) -> str:
    import hashlib  # noqa: PLC0415 -- rarely needed

    if algorithm not in {"sha256", "sha384", "sha512"}:
        return ""
    digest = hashlib.new(algorithm)
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
