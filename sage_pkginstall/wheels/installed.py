"""Which distributions are installed, and what their metadata says.

Nothing is changed here.  On disk, in a directory of distributions (site-packages):

    NAME-VERSION.dist-info/METADATA                a wheel (PEP 376, 427)
    NAME-VERSION[-pyX.Y].egg-info/PKG-INFO         what old setup.py installs left
    NAME-VERSION[-pyX.Y].egg-info                  (a file) distutils
    NAME.egg-link, NAME-VERSION-pyX.Y.egg          setuptools
"""

from __future__ import annotations

import functools
import os

from sage_pkginstall.errors import RecordError
from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.names import canonical_name, is_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import Literal, TypeAlias

    from sage_pkginstall.environment import Environment

__all__ = [
    "Installed",
    "Metadata",
    "find_installed",
    "installed_at",
    "installed_distributions",
    "is_info",
    "parse_headers",
    "quick_name",
    "read_metadata",
]

Kind: TypeAlias = "Literal['dist-info', 'egg-info', 'egg-link', 'distutils']"

_SUFFIXES = (".dist-info", ".egg-info", ".egg-link", ".egg")


class Installed(NamedTuple):
    """A distribution that lies in the environment; ``info`` is its record's place.

    Name and version are taken from the name of that place where it is clear; they may be
    spelt otherwise in METADATA.  The version is "" where it is unknown.
    """

    name: str
    canonical: str
    version: str
    info: str
    kind: Kind


class Metadata(NamedTuple):
    """What METADATA (or PKG-INFO) says of an installed distribution."""

    name: str
    version: str
    requires: tuple[str, ...]


def installed_distributions(environment: Environment) -> tuple[Installed, ...]:
    """Return what is installed, by name; several of one name if there are ghosts.

    Reads directories, and files only where a name is ambiguous.  Raises RecordError for
    a directory that cannot be read.
    """
    return _installed(environment, None)


def find_installed(environment: Environment, name: str) -> tuple[Installed, ...]:
    """Return every installed distribution of that name, however it is spelt."""
    return _installed(environment, canonical_name(name))


def installed_at(environment: Environment, info: str) -> Installed:
    """Return the distribution whose record lies at ``info`` (of a name that `is_info` knows)."""
    directory = (environment.prefix / info).is_dir()
    return _named(environment, info, directory=directory)


def _installed(environment: Environment, wanted: str | None) -> tuple[Installed, ...]:
    """Return the distributions called ``wanted`` (a canonical name), or all."""
    found: list[Installed] = []
    for directory in environment.site_directories:
        path = environment.prefix / directory
        try:
            with os.scandir(path) as entries:
                known = (e for e in entries if is_info(e.name))
                if wanted is not None:
                    known = (e for e in known if quick_name(e.name) in {wanted, None})
                found.extend(_recognised(environment, directory, known))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise RecordError(path, error.strerror or str(error)) from error
    chosen = (one for one in found if wanted in {None, one.canonical})
    return tuple(sorted(chosen, key=lambda one: (one.canonical, one.info)))


def is_info(name: str) -> bool:
    """Tell whether an entry of that name in site-packages is a distribution's record.

    Not ``~oo-1.0.dist-info``, which is what a pip that was killed leaves behind.
    """
    return name.endswith(_SUFFIXES) and name[0].isalnum()


@functools.cache
def quick_name(info: str) -> str | None:
    """Return the canonical name that a record's place tells; None if it is ambiguous."""
    stem, _, suffix = info.rpartition("/")[2].rpartition(".")
    name, version = _split(stem, wheel=suffix == "dist-info")
    return None if version is None else canonical_name(name)


def read_metadata(environment: Environment, installed: Installed) -> Metadata:
    """Return what the distribution says of itself; RecordError if it says nothing."""
    path = _metadata_file(environment, installed)
    headers = _headers(path)
    if headers is None:
        raise RecordError(path, "there is no such file")
    return Metadata(
        name=headers.get("name", [installed.name])[0],
        version=headers.get("version", [installed.version])[0],
        requires=tuple(headers.get("requires-dist", [])),
    )


def _recognised(
    environment: Environment, directory: str, entries: Iterable[os.DirEntry[str]]
) -> Iterator[Installed]:
    for entry in entries:
        info = f"{directory}/{entry.name}" if directory else entry.name
        is_directory = entry.is_dir()
        if is_directory or not entry.name.endswith(".dist-info"):
            yield _named(environment, info, directory=is_directory)


def _named(environment: Environment, info: str, *, directory: bool) -> Installed:
    stem, _, suffix = info.rpartition("/")[2].rpartition(".")
    kind = _kind(suffix, directory=directory)
    name, version = _split(stem, wheel=kind == "dist-info")
    if version is None:
        name, version = _name_within(environment, info, stem, kind)
    return Installed(name, canonical_name(name), version, info, kind)


def _split(stem: str, *, wheel: bool) -> tuple[str, str | None]:
    """Return name and version; None for the version where only the metadata can tell."""
    name, dash, version = stem.partition("-")
    if not wheel and "-py" in version:
        version = version.partition("-py")[0]
    clear = dash and version[:1].isdigit() and "-" not in version and "_" not in version
    return name, version if clear else None


def _kind(suffix: str, *, directory: bool) -> Kind:
    if suffix == "egg-info":
        return "egg-info" if directory else "distutils"
    if suffix == "egg-link":
        return "egg-link"
    return "dist-info" if suffix == "dist-info" else "egg-info"


def _name_within(environment: Environment, info: str, stem: str, kind: Kind) -> tuple[str, str]:
    """Return name and version from the metadata, or what the file name allows to guess.

    What is said there may be anything: it counts if it is a name, and a version that can be shown.
    """
    name, _, version = stem.rpartition("-")
    if not name or not version[:1].isdigit():
        name, version = stem, ""
    guess = Installed(name, "", version, info, kind)
    try:
        metadata = read_metadata(environment, guess)
    except RecordError:
        return guess.name, guess.version
    return (
        metadata.name if is_name(metadata.name) else guess.name,
        metadata.version if metadata.version.isprintable() else guess.version,
    )


def _metadata_file(environment: Environment, installed: Installed) -> Path:
    path = environment.prefix / installed.info
    if installed.kind == "dist-info":
        return path / "METADATA"
    if installed.kind == "distutils":
        return path
    if installed.kind == "egg-link":
        return _linked_source(path) / f"{installed.name.replace('-', '_')}.egg-info/PKG-INFO"
    return path / ("EGG-INFO/PKG-INFO" if installed.info.endswith(".egg") else "PKG-INFO")


def _linked_source(egg_link: Path) -> Path:
    try:
        lines = egg_link.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        lines = []
    source = lines[0].strip() if lines else ""
    return egg_link.parent / ("" if "\0" in source else source)  # zeros: what a power cut leaves


def _headers(path: Path) -> dict[str, list[str]] | None:
    """Return the headers of a metadata file by lower-case name; None without a file."""
    try:
        return parse_headers(path.read_bytes().decode("utf-8", "surrogateescape"))
    except OSError:
        return None


def parse_headers(text: str) -> dict[str, list[str]]:
    """Return the headers of core metadata by lower-case name, without the description.

    They end at the first empty line; a line of blanks is part of the value before it (a licence
    has such, and what is required stands behind it).  `email.parser` does that, too, and takes
    a tenth of a short run to import.
    """
    headers: dict[str, list[str]] = {}
    values: list[str] = []
    for line in text.replace("\r\n", "\n").split("\n"):  # a licence has form feeds, too
        if not line:
            break
        if line[0] in " \t":
            if values:
                values[-1] += line
            continue
        name, _, value = line.partition(":")
        values = headers.setdefault(name.strip().lower(), [])
        values.append(value.strip())
    return headers
