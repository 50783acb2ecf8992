"""What is installed, and the files of each distribution as its record tells them.

Nothing is changed here.  On disk, in a directory of distributions (site-packages):

    NAME-VERSION.dist-info/RECORD                      a wheel (PEP 376, 427)
    NAME-VERSION[-pyX.Y].egg-info/installed-files.txt  what old setup.py installs left
    NAME-VERSION[-pyX.Y].egg-info                      (a file) distutils: no list of files
    NAME.egg-link, NAME-VERSION-pyX.Y.egg              setuptools: no list of files

Paths are those of `CanonicalPaths`: relative to the prefix, one for each file.  Bytes that
are not UTF-8 are kept as surrogates.  A row of a RECORD that leads out of the prefix is
told apart: no file outside is ever ours to delete.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from sage_pkginstall.engine.planner import bytecode_source
from sage_pkginstall.environment import CanonicalPaths
from sage_pkginstall.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from sage_pkginstall.environment import Environment

__all__ = [
    "Installed",
    "Metadata",
    "Places",
    "Problem",
    "RecordRow",
    "RecordedFiles",
    "byte_code_of",
    "canonical_name",
    "check",
    "files_below",
    "find_installed",
    "installed_at",
    "installed_distributions",
    "is_info",
    "listed_paths",
    "quick_name",
    "read_metadata",
    "read_rows",
    "recorded_files",
]

Kind: TypeAlias = Literal["dist-info", "egg-info", "egg-link", "distutils"]
ProblemKind: TypeAlias = Literal["missing", "type", "size", "hash", "unlisted", "outside", "record"]

_CHUNK = 1 << 18
_DIGITS = 20


@dataclass(frozen=True)
class Installed:
    """A distribution that lies in the environment; ``info`` is its record's place.

    Name and version are taken from the name of that place where it is clear; they may be
    spelt otherwise in METADATA.  The version is "" where it is unknown.
    """

    name: str
    canonical: str
    version: str
    info: str
    kind: Kind


@dataclass(frozen=True)
class RecordRow:
    """A row of RECORD: the file, and its hash (``ALGORITHM=VALUE``) and size, if given.

    ``path`` is absolute if the file lies outside of the prefix.
    """

    path: str
    hash: str | None
    size: int | None

    @property
    def outside(self) -> bool:
        """Whether the row leads out of the prefix."""
        return self.path.startswith("/")


@dataclass(frozen=True)
class RecordedFiles:
    """The files of a distribution, and what its record claims beyond the prefix."""

    paths: frozenset[str]
    outside: tuple[str, ...]


@dataclass(frozen=True)
class Metadata:
    """What METADATA (or PKG-INFO) says of an installed distribution."""

    name: str
    version: str
    requires: tuple[str, ...]


@dataclass(frozen=True)
class Problem:
    """Where the disk differs from a record."""

    path: str
    kind: ProblemKind
    detail: str


def canonical_name(name: str) -> str:
    """Return the one spelling of a distribution's name (PEP 503)."""
    name = name.lower().replace("_", "-").replace(".", "-")
    while "--" in name:
        name = name.replace("--", "-")
    return name


# What is installed


def installed_distributions(environment: Environment) -> tuple[Installed, ...]:
    """Return what is installed, by name; several of one name if there are ghosts.

    Reads directories, and files only where a name is ambiguous.  Raises RecordError for
    a directory that cannot be read.
    """
    return _installed(environment, None)


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


def find_installed(environment: Environment, name: str) -> tuple[Installed, ...]:
    """Return every installed distribution of that name, however it is spelt."""
    return _installed(environment, canonical_name(name))


def installed_at(environment: Environment, info: str) -> Installed:
    """Return the distribution whose record lies at ``info`` (of a name that `is_info` knows)."""
    directory = (environment.prefix / info).is_dir()
    return _named(environment, info, directory=directory)


def is_info(name: str) -> bool:
    """Tell whether an entry of that name in site-packages is a distribution's record.

    Not ``~oo-1.0.dist-info``, which is what a pip that was killed leaves behind.
    """
    return name.endswith(_SUFFIXES) and name[0].isalnum()


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


def quick_name(info: str) -> str | None:
    """Return the canonical name that a record's place tells; None if it is ambiguous."""
    stem, _, suffix = info.rpartition("/")[2].rpartition(".")
    name, version = _split(stem, wheel=suffix == "dist-info")
    return None if version is None else canonical_name(name)


_SUFFIXES = (".dist-info", ".egg-info", ".egg-link", ".egg")


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
    """Return name and version from the metadata, or what the file name allows to guess."""
    name, _, version = stem.rpartition("-")
    if not name or not version[:1].isdigit():
        name, version = stem, ""
    guess = Installed(name, "", version, info, kind)
    try:
        metadata = read_metadata(environment, guess)
    except RecordError:
        return guess.name, guess.version
    return metadata.name, metadata.version


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
    return egg_link.parent / (lines[0].strip() if lines else "")


def _headers(path: Path) -> dict[str, list[str]] | None:
    """Return the headers of a metadata file by lower-case name; None without a file."""
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        return None
    headers: dict[str, list[str]] = {}
    values: list[str] = []
    for line in text.splitlines():
        if not line.strip():
            break
        if line[0] in " \t":
            if values:
                values[-1] += line
            continue
        name, _, value = line.partition(":")
        values = headers.setdefault(name.strip().lower(), [])
        values.append(value.strip())
    return headers


# The files of a distribution


def recorded_files(environment: Environment, installed: Installed) -> RecordedFiles:
    """Return all files of a distribution: those of its record, and of its own directory.

    Byte-code that the record does not list is left out; see `byte_code_of`.  Raises
    RecordError if there is no record.
    """
    rows = read_rows(environment, installed)
    paths = {row.path for row in rows if not row.outside}
    info = CanonicalPaths(environment.prefix).directory(installed.info)
    paths.update(files_below(environment.prefix, info))
    outside = dict.fromkeys(row.path for row in rows if row.outside)
    return RecordedFiles(frozenset(paths), tuple(outside))


def read_rows(environment: Environment, installed: Installed) -> tuple[RecordRow, ...]:
    """Return the rows of the record, in its order; RecordError if there is none."""
    rows = _placed_rows(environment, installed, CanonicalPaths(environment.prefix))
    return tuple(
        RecordRow(
            path,
            digest or None,
            int(size) if size.isascii() and size.isdigit() and len(size) < _DIGITS else None,
        )
        for path, digest, size in rows
    )


def listed_paths(
    environment: Environment, installed: Installed, paths: CanonicalPaths
) -> frozenset[str]:
    """Return the files in the prefix that the record lists; RecordError if there is none."""
    rows = _placed_rows(environment, installed, paths)
    return frozenset(path for path, _, _ in rows if not path.startswith("/"))


def byte_code_of(environment: Environment, paths: Collection[str]) -> frozenset[str]:
    """Return the byte-code on disk, of any interpreter, of the sources among ``paths``."""
    sources = {path for path in paths if path.endswith(".py")}
    directories = {path.rpartition("/")[0] for path in sources}
    found: set[str] = set()
    for directory in directories:
        cache = f"{directory}/__pycache__" if directory else "__pycache__"
        try:
            with os.scandir(environment.prefix / cache) as entries:
                found.update(f"{cache}/{entry.name}" for entry in entries)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise RecordError(environment.prefix / cache, str(error)) from error
    return frozenset(path for path in found if bytecode_source(path) in sources)


def _placed_rows(
    environment: Environment, installed: Installed, paths: CanonicalPaths
) -> Iterator[tuple[str, str, str]]:
    """Yield (path, hash, size) of each row; the path is absolute outside of the prefix."""
    info = environment.prefix / installed.info
    if installed.kind == "dist-info":
        table = _table(info / "RECORD")
        base = installed.info.rpartition("/")[0]
    elif installed.kind == "egg-info":
        table = ([line] for line in _text(info / "installed-files.txt").splitlines())
        base = installed.info
    else:
        reason = f"an installation of kind {installed.kind} lists no files"
        raise RecordError(info, reason)
    place = Places(environment.prefix, base, paths)
    for fields in table:
        path = place(fields[0])
        if path is not None:
            _, digest, size, *_ = (*fields, "", "")
            yield path, digest, size


class Places:
    """Where the rows of a record lead, as seen from the directory ``base``.

    Into the prefix: a relative path, its one name there; or out of it: an absolute path.
    """

    def __init__(self, prefix: Path, base: str, paths: CanonicalPaths) -> None:
        self._root = os.fspath(prefix).rstrip("/")
        self._base = base
        self._paths = paths
        self._directories: dict[str, str | None] = {}

    def __call__(self, row: str) -> str | None:
        """Return where a row leads, None if it names no file."""
        head, slash, name = row.rpartition("/")
        if name in {"", ".", ".."}:
            return None
        if slash and not head:
            head = "/"
        try:
            directory = self._directories[head]
        except KeyError:
            directory = self._directories[head] = self._directory(head)
        if directory is None:
            return os.path.normpath(os.path.join(self._root, self._base, row))  # noqa: PTH118
        return f"{directory}/{name}" if directory else name

    def _directory(self, head: str) -> str | None:
        """Return the directory's name in the prefix, None if it lies outside."""
        if not head.startswith("/"):
            relative = f"{self._base}/{head}"
        else:
            for root in (self._root, os.path.realpath(self._root or "/")):
                inside = f"{os.path.normpath(head)}/".removeprefix(f"{root.rstrip('/')}/")
                if not inside.startswith("/"):
                    relative = inside
                    break
            else:
                return None
        try:
            return self._paths.directory(relative)
        except ValueError:
            return None


def _table(record: Path) -> Iterable[list[str]]:
    text = _text(record)
    if '"' not in text:
        return [line.rsplit(",", 2) for line in text.replace("\r\n", "\n").split("\n") if line]
    import csv  # noqa: PLC0415 -- most records need none
    import io  # noqa: PLC0415

    try:
        return [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    except csv.Error as error:
        raise RecordError(record, str(error)) from error


def _text(record: Path) -> str:
    try:
        data = record.read_bytes()
    except FileNotFoundError as error:
        raise RecordError(record, "there is no such file") from error
    except OSError as error:
        raise RecordError(record, error.strerror or str(error)) from error
    if b"\0" in data:
        raise RecordError(record, "it holds a NUL byte")
    return data.decode("utf-8", "surrogateescape")


def files_below(prefix: Path, directory: str) -> Iterator[str]:
    """Yield all files and links below a directory; errors are errors."""
    pending = [directory]
    while pending:
        name = pending.pop()
        try:
            with os.scandir(prefix / name) as entries:
                for entry in entries:
                    path = f"{name}/{entry.name}"
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(path)
                    else:
                        yield path
        except FileNotFoundError:
            continue
        except OSError as error:
            raise RecordError(prefix / name, error.strerror or str(error)) from error


# Whether the disk agrees


def check(environment: Environment, installed: Installed) -> tuple[Problem, ...]:
    """Return where the disk differs from the record: every file there, every hash right.

    A row without a hash (RECORD itself, byte-code) must only exist.  What has no list of
    files by its nature (egg-link, distutils) has no problems either.
    """
    if installed.kind in {"egg-link", "distutils"}:
        return ()
    try:
        rows = read_rows(environment, installed)
        files = recorded_files(environment, installed)
    except RecordError as error:
        if installed.kind == "egg-info":
            return ()
        return (Problem(f"{installed.info}/RECORD", "record", error.reason),)
    problems = [problem for row in rows if (problem := _row_problem(environment, row))]
    unlisted = files.paths - {row.path for row in rows}
    if installed.kind == "dist-info":
        problems += [Problem(path, "unlisted", "not in RECORD") for path in sorted(unlisted)]
    return tuple(problems)


def _row_problem(environment: Environment, row: RecordRow) -> Problem | None:
    if row.outside:
        return Problem(row.path, "outside", f"lies outside {environment.prefix}")
    path = environment.prefix / row.path
    try:
        if not path.is_file():
            found = "a directory" if path.is_dir() else ""
            return Problem(row.path, "type" if found else "missing", found or "not there")
        if row.hash is None:
            return None
        size = path.stat().st_size
        if row.size is not None and size != row.size:
            return Problem(row.path, "size", f"{size} bytes, {row.size} recorded")
        return _hash_problem(path, row, row.hash)
    except OSError as error:
        return Problem(row.path, "missing", error.strerror or str(error))


def _hash_problem(path: Path, row: RecordRow, recorded: str) -> Problem | None:
    import base64  # noqa: PLC0415 -- only verification hashes what is installed
    import hashlib  # noqa: PLC0415

    algorithm, _, value = recorded.partition("=")
    try:
        digest = hashlib.new(algorithm)
    except ValueError:
        return Problem(row.path, "hash", f"unknown algorithm {algorithm!r}")
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    found = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode("ascii")
    if found != value.rstrip("="):
        return Problem(row.path, "hash", f"{algorithm}={found}, {recorded} recorded")
    return None
