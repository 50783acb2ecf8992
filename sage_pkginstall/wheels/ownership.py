"""Who owns which path of a prefix: distributions by their records, packages by their stamps.

Nothing of the prefix is changed here.  The truth is on disk:

    SITE-PACKAGES/NAME-VERSION.dist-info/RECORD   (and its elders, see records.py)
    var/lib/sage/installed/NAME-VERSION           JSON; "files" are relative to the prefix

A survey looks at each of those files once (inode, size, time) and reads only the ones that
the owner index does not know as they are; later it opens the few that may have the path
that is asked for.  So its answers are exact, and 5,000 owners cost little.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from sage_pkginstall.engine.clock import file_time, is_settled
from sage_pkginstall.engine.planner import bytecode_source
from sage_pkginstall.environment import CanonicalPaths, cache_directory
from sage_pkginstall.errors import RecordError
from sage_pkginstall.wheels.installed import installed_at, is_info, quick_name
from sage_pkginstall.wheels.names import canonical_name
from sage_pkginstall.wheels.owner_index import OwnerClaims, OwnerIndex, claims_of
from sage_pkginstall.wheels.records import (
    Places,
    can_be_path,
    files_below,
    is_brought,
    listed_paths,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from sage_pkginstall.environment import Environment
    from sage_pkginstall.wheels.installed import Installed

__all__ = ["STAMPS", "Survey", "manifest", "package_name", "survey", "unowned_files"]

STAMPS = "var/lib/sage/installed"
"""The directory of the packages' stamps, relative to the prefix."""

_OLD_KINDS = (".egg-info", ".egg-link", ".egg")

_UNSETTLED = "unsettled"
_NONE = "none"
_SECOND = 1_000_000_000


def survey(prefix: Path, environment: Environment | None, before: Survey | None = None) -> Survey:
    """Return who owns what in ``prefix`` now.

    Without an environment only packages own anything.  With a survey from ``before`` only what
    changed since is read: that is for who holds the lock.  Raises RecordError for a record
    or a directory of records that is there and cannot be read; what is damaged owns
    nothing but itself.
    """
    if environment is not None and environment.prefix != prefix:
        raise ValueError(f"{environment.prefix} is not {prefix}")
    return Survey(prefix, environment, before)


def unowned_files(environment: Environment, facts: Survey) -> tuple[str, ...]:
    """Return the files of the site directories that nobody owns, sorted.

    Byte-code belongs to the owner of its source.  Raises RecordError.
    """
    owned = facts.owned()
    records = frozenset(facts.records)
    return tuple(
        sorted(
            path
            for site in environment.site_directories
            for path in files_below(environment.prefix, site)
            if path not in owned
            and bytecode_source(path) not in owned
            and path not in records
            and path[: path.find("/", len(site) + 1)] not in records
        )
    )


def package_name(stamp: str) -> str:
    """Return the package (PKG_BASE) of a stamp called ``NAME-VERSION``.

    The names of Sage's packages have no dash; versions may.
    """
    return stamp.partition("-")[0]


def manifest(prefix: Path, stamp: str, paths: CanonicalPaths | None = None) -> frozenset[str]:
    """Return the files that a stamp lists, each by its one name in the prefix.

    Older stamps are empty, or no JSON, or list nothing: they have no files.  What lies
    outside of the prefix is left out.  Raises RecordError if the stamp cannot be read.
    """
    path = prefix / STAMPS / stamp
    try:
        document = json.loads(path.read_bytes())
        listed = document.get("files", ())
    except (FileNotFoundError, IsADirectoryError):
        return frozenset()
    except OSError as error:
        raise RecordError(path, error.strerror or str(error)) from error
    except (ValueError, AttributeError, RecursionError):
        return frozenset()
    place = Places(prefix, "", paths or CanonicalPaths(prefix))
    files = listed if isinstance(listed, list) else ()
    names = {place(name) for name in files if isinstance(name, str) and can_be_path(name)}
    return frozenset(name for name in names if name is not None and not name.startswith("/"))


class Survey:
    """Who owned what when it was made; see `survey`."""

    def __init__(
        self, prefix: Path, environment: Environment | None, before: Survey | None = None
    ) -> None:
        self.prefix = prefix
        self._environment = environment
        self._sites = environment.site_directories if environment else ()
        self._paths = CanonicalPaths(prefix)
        self._files: dict[str, frozenset[str]] = {}
        self._installed: dict[str, Installed] = {}
        self._seen: list[_Seen] = []
        self._identities = self._scan()
        self.base, self._fresh, self._dead = self._indexed(before)

    @property
    def records(self) -> tuple[str, ...]:
        """The paths of all records: of the distributions, and the packages' stamps."""
        return tuple(self._identities)

    def is_current(self) -> bool:
        """Tell whether certainly no record came or went since; costs a stat or three."""
        return all(seen.is_same() for seen in self._seen)

    def without(self, distributions: Collection[str], packages: Collection[str]) -> _Ownership:
        """Return the ownership of everybody but these distributions and packages."""
        names = frozenset(map(canonical_name, distributions))
        return _Ownership(self, names, frozenset(packages), self._brought_by(names))

    def _brought_by(self, distributions: Iterable[str]) -> frozenset[str]:
        """Return the records of old kinds that are files of these distributions.

        Some wheels hold an ``*.egg-info``, their own or that of what is bundled with them.
        It is no owner beside them: it comes and goes with them.
        """
        old = [r for r in self._identities if r.endswith(_OLD_KINDS)]
        if not old:
            return frozenset()
        named = (record for name in distributions for record in self._by_name.get(name, ()))
        own = (record for record in named if record.endswith(".dist-info"))
        files = frozenset().union(*map(self.files_of, own))
        return frozenset(record for record in old if is_brought(record, files))

    def named(self, name: str) -> tuple[Installed, ...]:
        """Return every installed distribution of that name, as `find_recorded` does."""
        wanted = canonical_name(name)
        records = self._by_name.get(wanted, ())
        if len(records) > 1:
            brought = self._brought_by([wanted])
            records = [record for record in records if record not in brought]
        return tuple(sorted(map(self.installed, records), key=lambda one: one.info))

    def owned(self) -> frozenset[str]:
        """Return every path that a record lists; reads them all."""
        return frozenset().union(*map(self.files_of, self._identities))

    # For _Ownership

    def canonical(self, directory: str) -> str:
        """Return the one name of a directory."""
        return self._paths.directory(directory)

    def holders_of(self, claim: str) -> Iterator[str]:
        """Yield the records of those that have exactly this claim."""
        yield from (r for r in self.base.holders_of(claim) if r not in self._dead)
        yield from self._fresh.holders_of(claim)

    def holders_below(self, directory: str) -> Iterator[str]:
        """Yield the records of those with a claim on ``directory/`` or below."""
        yield from (r for r in self.base.holders_below(directory) if r not in self._dead)
        yield from self._fresh.holders_below(directory)

    def files_of(self, record: str) -> frozenset[str]:
        """Return the files that a record lists."""
        files = self._files.get(record)
        if files is None:
            files = self._files[record] = self._read(record)
        return files

    def has_file(self, record: str, path: str) -> bool:
        """Tell whether the owner with that record has this file."""
        return path == record or path.startswith(f"{record}/") or path in self.files_of(record)

    def package_of(self, record: str) -> str | None:
        """Return the stamp's name if the record is one."""
        directory, _, name = record.rpartition("/")
        return name if directory == STAMPS else None

    def installed(self, record: str) -> Installed:
        """Return the distribution that a record is of."""
        installed = self._installed.get(record)
        if installed is None:
            environment = self._required_environment()
            installed = self._installed[record] = installed_at(environment, record)
        return installed

    @functools.cached_property
    def _by_name(self) -> dict[str, list[str]]:
        names: dict[str, list[str]] = {}
        for record in self._identities:
            if self.package_of(record) is None:
                name = quick_name(record) or self.installed(record).canonical
                names.setdefault(name, []).append(record)
        return names

    # How it is made

    def _scan(self) -> dict[str, str]:
        identities: dict[str, str] = {}
        for site in self._sites:
            seen = _Seen.of(self.prefix / site)
            self._seen.append(seen)
            identities.update(seen.records(site))
        seen = _Seen.of(self.prefix / STAMPS)
        self._seen.append(seen)
        identities.update(seen.stamps())
        return identities

    def _indexed(self, before: Survey | None) -> tuple[OwnerIndex, OwnerIndex, frozenset[str]]:
        about = "\n".join((os.fspath(self.prefix), *self._sites))
        name = crc32(os.fsencode(about))
        path = cache_directory() / "owners" / f"{name:08x}.txt"
        base = OwnerIndex.load(path, about) if before is None else before.base
        now = self._identities
        known = dict(zip(base.owners, base.identities, strict=True))
        if now == known and _UNSETTLED not in base.identities:
            return base, OwnerIndex.of({}), frozenset()
        dead = frozenset(record for record, seen in known.items() if now.get(record) != seen)
        fresh = {
            record: OwnerClaims(seen, self._claims(record))
            for record, seen in now.items()
            if known.get(record) != seen or seen == _UNSETTLED
        }
        if before is None and len(dead) + len(fresh) > len(known) // 500:
            kept = {r: claims for r, claims in base.items() if r not in dead and r not in fresh}
            base = OwnerIndex.of({**kept, **fresh})
            base.keep(path, about)
            return base, OwnerIndex.of({}), frozenset()
        return base, OwnerIndex.of(fresh), dead.union(fresh)

    def _claims(self, record: str) -> frozenset[str]:
        is_directory = (self.prefix / record).is_dir()
        own = f"{record}/" if is_directory else record
        files = self._read(record)
        return claims_of((f for f in files if not f.startswith(own)), self._sites) | {own}

    def _read(self, record: str) -> frozenset[str]:
        stamp = self.package_of(record)
        if stamp is not None:
            return manifest(self.prefix, stamp, self._paths)
        try:
            return listed_paths(self._required_environment(), self.installed(record), self._paths)
        except RecordError as error:
            cause = error.__cause__
            if isinstance(cause, OSError) and not isinstance(
                cause, (FileNotFoundError, NotADirectoryError)
            ):
                raise
            return frozenset()

    def _required_environment(self) -> Environment:
        assert self._environment is not None  # only sites have distributions
        return self._environment


class _Ownership:
    """What others own: an `engine.planner.Ownership`."""

    def __init__(
        self,
        facts: Survey,
        distributions: frozenset[str],
        packages: frozenset[str],
        brought: frozenset[str],
    ) -> None:
        self._facts = facts
        self._brought = brought
        self._distributions = distributions
        self._packages = packages
        self._covering: dict[str, tuple[str, ...]] = {}

    def owners(self, path: str) -> frozenset[str]:
        """Return who else owns exactly this file: ``distribution foo 1.0``, ``package bar-2``."""
        directory, _, name = path.rpartition("/")
        directory = self._facts.canonical(directory)
        path = f"{directory}/{name}" if directory else name
        holders = dict.fromkeys((*self._facts.holders_of(path), *self._over(directory)))
        return frozenset(
            self._label(record)
            for record in holders
            if self._is_other(record) and self._facts.has_file(record, path)
        )

    def others_within(self, directory: str) -> bool:
        """Tell whether somebody else owns a file below ``directory``."""
        directory = self._facts.canonical(directory)
        below = f"{directory}/" if directory else ""
        if any(map(self._is_other, self._facts.holders_below(below))):
            return True
        above = self._over(directory.rpartition("/")[0]) if directory else ()
        return any(self._is_other(record) and self._has_within(record, below) for record in above)

    def _has_within(self, record: str, below: str) -> bool:
        if below.startswith(f"{record}/"):
            return True
        return any(path.startswith(below) for path in self._facts.files_of(record))

    def _over(self, directory: str) -> tuple[str, ...]:
        """Return the records of those that claim ``directory`` or one above it."""
        if not directory:
            return ()
        known = self._covering.get(directory)
        if known is None:
            here = self._facts.holders_of(f"{directory}/")
            known = (*self._over(directory.rpartition("/")[0]), *here)
            self._covering[directory] = known
        return known

    def _is_other(self, record: str) -> bool:
        stamp = self._facts.package_of(record)
        if stamp is not None:
            return package_name(stamp) not in self._packages
        if record in self._brought:
            return False
        return self._facts.installed(record).canonical not in self._distributions

    def _label(self, record: str) -> str:
        stamp = self._facts.package_of(record)
        if stamp is not None:
            return f"package {stamp}"
        installed = self._facts.installed(record)
        return f"distribution {installed.name} {installed.version}".rstrip()


class _Seen(NamedTuple):
    """A directory of records, and its state before it was read.

    What had changed within the same tick of the clock counts as changed: see engine/clock.py.
    """

    path: Path
    state: tuple[int, int, int] | None
    now: int

    @classmethod
    def of(cls, path: Path) -> _Seen:
        now = file_time()
        return cls(path, _state(path), now)

    def is_same(self) -> bool:
        """Tell whether the directory is certainly as it was."""
        if self.state is None:
            return _state(self.path) is None
        return is_settled(self.state[2], self.now) and _state(self.path) == self.state

    def records(self, site: str) -> dict[str, str]:
        """Return the records of distributions, with the identities of their lists of files."""
        with _reading(self.path) as (descriptor, names):
            infos = [name for name in names if is_info(name)]
            places = [(name, name + _list_of(name)) for name in infos]
            return _identities(f"{site}/", places, descriptor, self.now)

    def stamps(self) -> dict[str, str]:
        """Return the packages' stamps, with their identities."""
        with _reading(self.path) as (descriptor, names):
            places = [(name, name) for name in names if not name.startswith(".")]
            return _identities(f"{STAMPS}/", places, descriptor, self.now)


def _list_of(info: str) -> str:
    if info.endswith(".dist-info"):
        return "/RECORD"
    return "/installed-files.txt" if info.endswith(".egg-info") else ""


def _identities(
    directory: str, places: Iterable[tuple[str, str]], descriptor: int, now: int
) -> dict[str, str]:
    """Return the identity of each file; with 5,000 of them, every instruction counts."""
    found: dict[str, str] = {}
    newest = now - 2 * _SECOND
    for name, path in places:
        try:
            status = os.stat(path, dir_fd=descriptor)
        except (FileNotFoundError, NotADirectoryError) as error:
            is_file = isinstance(error, NotADirectoryError)
            if not (is_file and name.endswith(".dist-info")):  # a file is no distribution
                found[directory + name] = _NONE
            continue
        changed = status.st_ctime_ns
        if changed > newest and not is_settled(changed, now):
            found[directory + name] = _UNSETTLED
        else:
            found[directory + name] = f"{changed} {status.st_ino}"
    return found


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Open a directory and list it; what is missing is empty."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield -1, []
        return
    except OSError as error:
        raise RecordError(path, error.strerror or str(error)) from error
    try:
        yield descriptor, os.listdir(descriptor)  # noqa: PTH208 -- no path is at hand
    except OSError as error:
        raise RecordError(path, error.strerror or str(error)) from error
    finally:
        os.close(descriptor)


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 -- under the lock, hot
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_ctime_ns
