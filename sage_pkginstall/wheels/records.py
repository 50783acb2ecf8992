"""The files of each installed distribution, as its record tells them.

Nothing is changed here.  On disk, in a directory of distributions (site-packages):

    NAME-VERSION.dist-info/RECORD                      a wheel (PEP 376, 427)
    NAME-VERSION[-pyX.Y].egg-info/installed-files.txt  what old setup.py installs left

distutils, eggs and egg-links have no list of files.

Paths are those of `CanonicalPaths`: relative to the prefix, one for each file.  Bytes that
are not UTF-8 are kept as surrogates.  A row of a RECORD that leads out of the prefix is
told apart: no file outside is ever ours to delete.
"""

from __future__ import annotations

import contextlib
import os

from sage_pkginstall.engine.canonical_paths import CanonicalPaths
from sage_pkginstall.errors import RecordError
from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.installed import find_installed, installed_distributions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from sage_pkginstall.environment import Environment
    from sage_pkginstall.wheels.installed import Installed

__all__ = [
    "Places",
    "RecordRow",
    "RecordedFiles",
    "all_recorded",
    "can_be_path",
    "entries_of",
    "files_below",
    "find_recorded",
    "is_brought",
    "is_recorded",
    "listed_paths",
    "read_rows",
    "recorded_files",
]

_DIGITS = 20
_NO_FILES = frozenset({"", ".", ".."})


class RecordRow(NamedTuple):
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


class RecordedFiles(NamedTuple):
    """The files of a distribution, and what its record claims beyond the prefix."""

    paths: frozenset[str]
    outside: tuple[str, ...]


def recorded_files(environment: Environment, installed: Installed) -> RecordedFiles:
    """Return all files of a distribution: those of its record, and of its own directory.

    Byte-code that the record does not list is left out.  Raises RecordError if there is no
    record.
    """
    names = CanonicalPaths(environment.prefix)
    listed = _placed_paths(environment, installed, names)
    outside = tuple(dict.fromkeys(path for path in listed if path.startswith("/")))
    info = names.directory(installed.info)
    paths = {*listed, *files_below(environment.prefix, info)}
    return RecordedFiles(frozenset(paths.difference(outside)), outside)


def is_recorded(environment: Environment, installed: Installed) -> bool:
    """Tell whether a distribution can be removed by its record; others are left to pip.

    A ``*.dist-info`` without RECORD can: at least that directory is known to be its own.
    """
    if installed.kind == "dist-info":
        return True
    try:
        recorded_files(environment, installed)
    except RecordError:
        return False
    return True


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
    listed = _placed_paths(environment, installed, paths)
    return frozenset(path for path in listed if not path.startswith("/"))


def find_recorded(environment: Environment, name: str) -> tuple[Installed, ...]:
    """Return every installed distribution of that name, but for what is a file of a wheel.

    Some wheels hold an ``*.egg-info``, their own or that of what is bundled with them.
    """
    return _without_brought(environment, find_installed(environment, name))


def all_recorded(environment: Environment) -> tuple[Installed, ...]:
    """Return every installed distribution, but for what is a file of a wheel, by name."""
    return _without_brought(environment, installed_distributions(environment))


def _without_brought(
    environment: Environment, found: tuple[Installed, ...]
) -> tuple[Installed, ...]:
    old = [one for one in found if one.kind != "dist-info"]
    if not old:
        return found
    files = _files_of_wheels(environment, [one.info.rpartition("/")[2] for one in old])
    return tuple(one for one in found if one.kind == "dist-info" or not is_brought(one.info, files))


def _files_of_wheels(environment: Environment, names: Iterable[str]) -> frozenset[str]:
    """Return the files of all wheels whose RECORD has one of ``names`` in it."""
    wanted = [os.fsencode(name) for name in names]
    files: set[str] = set()
    for one in installed_distributions(environment):
        with contextlib.suppress(RecordError, OSError):
            record = environment.prefix / one.info / "RECORD"
            if one.kind == "dist-info" and any(name in record.read_bytes() for name in wanted):
                files |= recorded_files(environment, one).paths
    return frozenset(files)


def is_brought(record: str, files: Collection[str]) -> bool:
    """Tell whether a record of an old kind, or something in it, is one of ``files``.

    Some wheels hold such.  Whatever else lies in it then, a list of files say, counts for nothing.
    """
    below = f"{record}/"
    return any(path == record or path.startswith(below) for path in files)


def files_below(prefix: Path, directory: str) -> Iterator[str]:
    """Yield all files and links below a directory; errors are errors."""
    return (path for path, is_directory in _below(prefix, directory) if not is_directory)


def entries_of(prefix: Path, directory: str) -> Iterator[str]:
    """Yield a directory and all that lies below it, empty directories too; errors are errors."""
    yield directory
    yield from (path for path, _ in _below(prefix, directory))


def _below(prefix: Path, directory: str) -> Iterator[tuple[str, bool]]:
    """Yield each path below a directory, and whether it is a directory."""
    pending = [directory]
    while pending:
        name = pending.pop()
        try:
            with os.scandir(prefix / name) as entries:
                for entry in entries:
                    path = f"{name}/{entry.name}"
                    is_directory = entry.is_dir(follow_symlinks=False)
                    if is_directory:
                        pending.append(path)
                    yield path, is_directory
        except FileNotFoundError:
            continue
        except OSError as error:
            raise RecordError(prefix / name, error.strerror or str(error)) from error


def can_be_path(text: str) -> bool:
    """Tell whether a file can have this path: JSON may hold a NUL, or half a surrogate pair."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


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
        end = row.rfind("/") + 1
        head, name = row[:end], row[end:]
        if name in _NO_FILES:
            return None
        try:
            directory = self._directories[head]
        except KeyError:
            directory = self._directories[head] = self._directory(head[:-1] or head)
        if directory is None:
            return os.path.normpath(os.path.join(self._root, self._base, row))  # noqa: PTH118
        return directory + name

    def _directory(self, head: str) -> str | None:
        """Return the directory's name in the prefix, ``/`` behind it, None if it lies outside."""
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
            directory = self._paths.directory(relative)
        except ValueError:
            return None
        return f"{directory}/" if directory else ""


def _placed_rows(
    environment: Environment, installed: Installed, paths: CanonicalPaths
) -> Iterator[tuple[str, str, str]]:
    """Yield (path, hash, size) of each row; the path is absolute outside of the prefix."""
    table, place = _record(environment, installed, paths)
    for fields in table:
        path = place(fields[0])
        if path is not None:
            _, digest, size, *_ = (*fields, "", "")
            yield path, digest, size


def _placed_paths(
    environment: Environment, installed: Installed, paths: CanonicalPaths
) -> list[str]:
    """Return the path of each row, as `_placed_rows` does: for many rows, a good deal faster."""
    table, place = _record(environment, installed, paths)
    return [path for fields in table if (path := place(fields[0])) is not None]


def _record(
    environment: Environment, installed: Installed, paths: CanonicalPaths
) -> tuple[Iterable[list[str]], Places]:
    """Return the fields of each row of the record, and where the rows lead."""
    info = environment.prefix / installed.info
    if installed.kind == "dist-info":
        table: Iterable[list[str]] = _table(info / "RECORD")
        base = installed.info.rpartition("/")[0]
    elif installed.kind == "egg-info":
        table = ([line] for line in _text(info / "installed-files.txt").splitlines())
        base = installed.info
    else:
        reason = f"an installation of kind {installed.kind} lists no files"
        raise RecordError(info, reason)
    return table, Places(environment.prefix, base, paths)


def _table(record: Path) -> Iterable[list[str]]:
    text = _text(record)
    plain = text.replace("\r\n", "\n")
    if '"' not in plain and "\r" not in plain:
        return [line.rsplit(",", 2) for line in plain.split("\n") if line]
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
