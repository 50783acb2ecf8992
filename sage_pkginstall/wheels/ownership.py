"""Who owns which path of a prefix: distributions by their records, packages by their stamps.

Nothing of the prefix is changed here.  The truth is on disk:

    SITE-PACKAGES/NAME-VERSION.dist-info/RECORD   (and its elders, see records.py)
    var/lib/sage/installed/NAME-VERSION           JSON; "files" are relative to the prefix

A survey looks at each of those files once (inode, size, time) and reads only the ones that
the owner index does not know as they are; later it opens the few that may have the path
that is asked for.  So its answers are exact, and 5,000 owners cost little.
"""

from __future__ import annotations

import json
import os
from zlib import crc32

from sage_pkginstall.engine.canonical_paths import CanonicalPaths
from sage_pkginstall.engine.links import links_at_top
from sage_pkginstall.engine.paths import bytecode_source
from sage_pkginstall.errors import RecordError
from sage_pkginstall.user_cache import cache_directory
from sage_pkginstall.wheels.installed import installed_at, quick_name
from sage_pkginstall.wheels.names import canonical_name
from sage_pkginstall.wheels.owner_index import OwnerClaims, OwnerIndex, claims_of
from sage_pkginstall.wheels.record_directory import STAMPS, UNSETTLED, look_at
from sage_pkginstall.wheels.records import Places, can_be_path, files_below, listed_paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from sage_pkginstall.engine.holder import Changed
    from sage_pkginstall.environment import Environment
    from sage_pkginstall.wheels.installed import Installed
    from sage_pkginstall.wheels.record_directory import RecordDirectory

__all__ = ["Survey", "is_package_name", "manifest", "package_name", "survey", "unowned_files"]

_OFTEN = 100
"""The index is made anew once more than one in so many of its owners has changed."""
_OLD_KINDS = (".egg-info", ".egg-link", ".egg")


def survey(
    prefix: Path,
    environment: Environment | None,
    before: Survey | None = None,
    changed: Changed = None,
) -> Survey:
    """Return who owns what in ``prefix`` now.

    Without an environment only packages own anything.  With a survey from ``before`` only what
    changed since is read: that is for who holds the lock.  If it is known which records
    were ``changed`` since, the others are not even looked at, unless they came or went, or
    were just being written.  Raises RecordError for a record or a directory of records that
    is there and cannot be read; what is damaged owns nothing but itself.
    """
    if environment is not None and environment.prefix != prefix:
        raise ValueError(f"{environment.prefix} is not {prefix}")
    return Survey(prefix, environment, before, changed)


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


def is_package_name(text: str) -> bool:
    """Tell whether stamps and scripts of a package of this name could be found again.

    What follows a dash would be its version; ``..`` would be a directory of somebody else.
    """
    letters = text.replace("_", "a").replace(".", "a").replace("+", "a")
    return text[:1] not in (".", "+") and letters.isascii() and letters.isalnum()


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
        self,
        prefix: Path,
        environment: Environment | None,
        before: Survey | None = None,
        changed: Changed = None,
    ) -> None:
        self.prefix = prefix
        self._environment = environment
        self._sites = environment.site_directories if environment else ()
        self._paths = CanonicalPaths(prefix)
        self._files: dict[str, frozenset[str]] = {}
        self._installed: dict[str, Installed] = {}
        looks = before.looks if before and changed is not None else {}
        self.looks: dict[str, RecordDirectory] = {
            directory: look_at(prefix, directory, looks.get(directory), changed or frozenset())
            for directory in (*self._sites, STAMPS)
        }
        self._identities: dict[str, str] = {}
        for look in self.looks.values():
            self._identities.update(look.identities)
        self.base: OwnerIndex
        self.doubted: frozenset[str]
        if before and looks:
            moved = (look.moved for look in self.looks.values())
            self.base, self.doubted = before.base, before.doubted.union(*moved)
        else:
            self.base, self.doubted = self._indexed(before)
        fresh = {r: self._claimed(r) for r in self.doubted if r in self._identities}
        self._fresh = OwnerIndex.of(fresh)

    @property
    def records(self) -> tuple[str, ...]:
        """The paths of all records: of the distributions, and the packages' stamps."""
        return tuple(self._identities)

    def is_current(self) -> bool:
        """Tell whether certainly no record came or went since; costs a stat or three."""
        return all(look.is_same() for look in self.looks.values())

    def without(
        self,
        distributions: Collection[str],
        packages: Collection[str],
        records: Collection[str] = (),
    ) -> _Ownership:
        """Return the ownership of everybody but these distributions and packages.

        Nor does what has one of these ``records`` own anything.
        """
        names = frozenset(map(canonical_name, distributions))
        left_out = self._brought_by(names).union(records)
        return _Ownership(self, names, frozenset(packages), left_out)

    def _brought_by(self, distributions: Iterable[str]) -> frozenset[str]:
        """Return the records of old kinds that are files of these distributions.

        Some wheels hold an ``*.egg-info``, their own or that of what is bundled with them.
        It is no owner beside them: it comes and goes with them.
        """
        old = [r for r in self._identities if r.endswith(_OLD_KINDS)]
        if not old:
            return frozenset()
        own = {record for name in distributions for record in self._named(name)}
        return frozenset(
            record for record in old if not own.isdisjoint(self._wheels_holding(record))
        )

    def named(self, name: str) -> tuple[Installed, ...]:
        """Return every installed distribution of that name, as `find_recorded` does."""
        records = (r for r in self._named(canonical_name(name)) if not self._is_brought(r))
        return tuple(sorted(map(self.installed, records), key=lambda one: one.info))

    def _is_brought(self, record: str) -> bool:
        """Tell whether a record is of an old kind, and a file of a wheel, whichever that is."""
        return record.endswith(_OLD_KINDS) and any(self._wheels_holding(record))

    def _wheels_holding(self, record: str) -> Iterator[str]:
        """Yield the records of the wheels that hold a record of an old kind, or a file in it."""
        everybody = _Ownership(self, frozenset(), frozenset(), frozenset((record,)))
        holders = (*everybody.records(record), *everybody.records_within(record))
        yield from (holder for holder in holders if holder.endswith(".dist-info"))

    def owned(self) -> frozenset[str]:
        """Return every path that a record lists; reads them all."""
        return frozenset().union(*map(self.files_of, self._identities))

    # For _Ownership

    def canonical(self, directory: str) -> str:
        """Return the one name of a directory."""
        return self._paths.directory(directory)

    def holders_of(self, claim: str) -> Iterator[str]:
        """Yield the records of those that have exactly this claim."""
        yield from (r for r in self.base.holders_of(claim) if r not in self.doubted)
        yield from self._fresh.holders_of(claim)

    def holders_below(self, directory: str) -> Iterator[str]:
        """Yield the records of those with a claim on ``directory/`` or below."""
        yield from (r for r in self.base.holders_below(directory) if r not in self.doubted)
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

    def _named(self, name: str) -> list[str]:
        """Return the records of the distributions of that (canonical) name.

        A table of all would take longer, as one or two names are asked for; and under the lock.
        """
        known = [r for r in self.base.named(name) if r not in self.doubted]
        unsure = {*self.base.named(""), *self.doubted}.intersection(self._identities)
        for record in unsure:
            if self.package_of(record) is None:
                its = quick_name(record) or self.installed(record).canonical
                known += [record] if its == name else []
        return sorted(known)

    # How it is made

    def _indexed(self, before: Survey | None) -> tuple[OwnerIndex, frozenset[str]]:
        """Return the index, and the records for which it does not hold; make it anew at need."""
        about = "\n".join((os.fspath(self.prefix), *self._sites))
        name = crc32(os.fsencode(about))
        path = cache_directory() / "owners" / f"{name:08x}.txt"
        # Once lib64 is a link, its files have other names.
        links = links_at_top(os.fspath(self.prefix))
        about += "".join(f"\n{link} {place}" for place, link in links)
        base = OwnerIndex.load(path, about) if before is None else before.base
        now = self._identities
        known = dict(zip(base.owners, base.identities, strict=True))
        if now == known and UNSETTLED not in base.identities:
            return base, frozenset()
        doubted = {record for record, _ in known.items() ^ now.items()}
        doubted.update(record for record, seen in now.items() if seen == UNSETTLED)
        if before is None and len(doubted) > len(known) // _OFTEN:
            owners = {r: claims for r, claims in base.items() if r not in doubted}
            owners.update((r, self._claimed(r)) for r in now if r in doubted)
            base = OwnerIndex.of(owners)
            base.keep(path, about)
            return base, frozenset()
        return base, frozenset(doubted)

    def _claimed(self, record: str) -> OwnerClaims:
        name = "" if self.package_of(record) else quick_name(record) or ""
        return OwnerClaims(self._identities[record], self._claims(record), name)

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
                cause, (FileNotFoundError, NotADirectoryError, IsADirectoryError)
            ):
                raise
            return frozenset()

    def _required_environment(self) -> Environment:
        assert self._environment is not None  # only sites have distributions
        return self._environment


class _Ownership:
    """What others own: an `engine.plan.Ownership`."""

    def __init__(
        self,
        facts: Survey,
        distributions: frozenset[str],
        packages: frozenset[str],
        left_out: frozenset[str],
    ) -> None:
        self._facts = facts
        self._left_out = left_out
        self._distributions = distributions
        self._packages = packages
        self._covering: dict[str, tuple[str, ...]] = {}

    def owners(self, path: str) -> frozenset[str]:
        """Return who else owns exactly this file: ``distribution foo 1.0``, ``package bar-2``."""
        return frozenset(map(self._label, self.records(path)))

    def records(self, path: str) -> Iterator[str]:
        """Yield the records of those."""
        directory, _, name = path.rpartition("/")
        directory = self._facts.canonical(directory)
        path = f"{directory}/{name}" if directory else name
        holders = dict.fromkeys((*self._facts.holders_of(path), *self._over(directory)))
        for record in holders:
            if self._is_other(record) and self._facts.has_file(record, path):
                yield record

    def others_within(self, directory: str) -> bool:
        """Tell whether somebody else owns a file below ``directory``."""
        return any(self.records_within(directory))

    def records_within(self, directory: str) -> Iterator[str]:
        """Yield the records of those, some more than once."""
        directory = self._facts.canonical(directory)
        below = f"{directory}/" if directory else ""
        yield from filter(self._is_other, self._facts.holders_below(below))
        for record in self._over(directory.rpartition("/")[0]) if directory else ():
            if self._is_other(record) and self._has_within(record, below):
                yield record

    def _has_within(self, record: str, below: str) -> bool:
        if below.startswith(f"{record}/"):
            return True
        return any(path.startswith(below) for path in self._facts.files_of(record))

    def _over(self, directory: str) -> tuple[str, ...]:
        """Return the records of those that claim ``directory`` or one above it."""
        unknown = []
        while directory and directory not in self._covering:
            unknown.append(directory)
            directory = directory.rpartition("/")[0]
        known = self._covering.get(directory, ())
        for below in reversed(unknown):
            known = (*known, *self._facts.holders_of(f"{below}/"))
            self._covering[below] = known
        return known

    def _is_other(self, record: str) -> bool:
        stamp = self._facts.package_of(record)
        if stamp is not None:
            return package_name(stamp) not in self._packages
        if record in self._left_out:
            return False
        return self._facts.installed(record).canonical not in self._distributions

    def _label(self, record: str) -> str:
        stamp = self._facts.package_of(record)
        if stamp is not None:
            return f"package {stamp}"
        installed = self._facts.installed(record)
        return f"distribution {installed.name} {installed.version}".rstrip()
