"""Lines that name a requirement.

Of pip's lines (https://pip.pypa.io/en/stable/reference/requirements-file-format/) this
understands what needs no index:

    NAME @ file:///DIRECTORY/WHEEL       the wheel of a distribution
    DIRECTORY/WHEEL.whl                  the same; relative to the current directory
    NAME, NAME==1.0; MARKER              a name, where no wheel is needed

A marker and ``--hash`` may follow each; any other option and any other URL is refused.
Files of such lines: see `requirements_file`.  The lines that we write ourselves are names
and wheels alone; ``packaging``, which is slow to import, reads the others.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from sage_pkginstall.errors import RequirementError
from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.names import canonical_name, is_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sage_pkginstall.environment import Environment

__all__ = [
    "DIRECT",
    "RequirementLine",
    "is_place",
    "parse_requirement_line",
    "requirement_name",
]

DIRECT = re.compile(
    r"(?P<name>[^@\[\s/]+)\s*(?:\[[^\]]*\])?"
    r"(?:\s+@\s*|@\s+|@(?=/|[A-Za-z][A-Za-z0-9+.-]*:))(?P<url>.+)",
    re.DOTALL,
)
"""``NAME [EXTRAS] @ URL``; a path or a URL may have an ``@`` in it, too: ``wheels@2/WHEEL``."""
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

    @property
    def requirement(self) -> str:
        """The line without its hashes: a requirement (PEP 508), unless it gives a path."""
        return _HASH.sub("", self.text).strip()

    def applies(self, environment: Environment) -> bool:
        """Tell whether the marker, if there is one, holds in the target.

        Raises RequirementError if it means nothing.
        """
        if self.marker is None:
            return True
        from packaging.markers import Marker  # noqa: PLC0415 -- slow

        from sage_pkginstall.wheels.markers import marker_holds  # noqa: PLC0415 -- rarely needed

        return marker_holds(self.text, Marker(self.marker), environment)

    def verified_wheel(self) -> Path:
        """Return the wheel, which is of the line's name, and has one of its hashes if it gives any.

        Only of a line that names one.  Raises RequirementError.
        """
        assert self.wheel is not None
        if not self.wheel.is_file():
            raise RequirementError(self.text, f"there is no file {self.wheel}")
        if canonical_name(self.wheel.name.partition("-")[0]) != self.name:
            raise RequirementError(self.text, f"{self.wheel} is of another distribution")
        if self.hashes and not any(_digest(self.wheel, a) == value for a, value in self.hashes):
            raise RequirementError(self.text, f"{self.wheel} has none of the hashes given")
        return self.wheel


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
    if is_name(rest):
        return RequirementLine(text, canonical_name(rest), hashes=hashes)
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415 -- slow

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
    from packaging.markers import InvalidMarker, Marker  # noqa: PLC0415 -- slow

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
