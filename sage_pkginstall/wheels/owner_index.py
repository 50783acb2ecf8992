"""The owner index: where to look for the owners of a path, without reading all records.

Only a cache, in the user's cache directory (a prefix stays free of it, whoever may write
there).  It is believed owner by owner, each as long as the file that is its record keeps
its inode and time of change; any other doubt means that it is made anew.  On disk:

    owners/HASH.txt:  magic, checksum of the rest, the prefix and the links it is about,
                      numbers of owners and claims, then one line each:
                      owners; their names; their identities; claims, sorted; numbers of
                      their owners

A *claim* is what an owner has: a file, or a directory (with ``/`` at its end) below which
it has at least one file.  All files of an owner are covered by its claims, which are few.
"""

from __future__ import annotations

from bisect import bisect_left
from zlib import crc32

from sage_pkginstall.user_cache import read_cached, write_cached
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["OwnerClaims", "OwnerIndex", "claims_of"]

_MAGIC = "sage-pkginstall owner index 3"
_FILES = 32
"""So many files of one directory are claimed one by one."""
_MODULE_DEPTH = 3
"""A directory this deep below site-packages is claimed as a whole ..."""
_DATA_DEPTH = 4
"""... and one this deep below the prefix anywhere else."""


class OwnerClaims(NamedTuple):
    """What is known of one owner: its record's identity, its claims, and what it is called.

    The name is a canonical one, "" where the place of the record does not tell it.
    """

    identity: str
    claims: Collection[str]
    name: str = ""


class OwnerIndex:
    """Claims, sorted, and who holds them; a value."""

    def __init__(
        self,
        owners: Sequence[str],
        names: Sequence[str],
        identities: Sequence[str],
        claims: Sequence[str],
        holders: Sequence[str],
    ) -> None:
        self.owners = owners
        self.names = names
        self.identities = identities
        self._claims = claims
        self._holders = holders

    @classmethod
    def of(cls, owners: Mapping[str, OwnerClaims]) -> OwnerIndex:
        """Return the index of these owners."""
        holders: dict[str, list[str]] = {}
        for number, owner in enumerate(owners.values()):
            for claim in owner.claims:
                holders.setdefault(claim, []).append(str(number))
        claims = sorted(holders)
        return cls(
            tuple(owners),
            tuple(owner.name for owner in owners.values()),
            tuple(owner.identity for owner in owners.values()),
            claims,
            [" ".join(holders[claim]) for claim in claims],
        )

    @classmethod
    def load(cls, path: Path, about: str) -> OwnerIndex:
        """Return the index kept at ``path``; an empty one if it is not about ``about``."""
        try:
            return cls._parsed(read_cached(path), about)
        except (OSError, ValueError):
            return cls.of({})

    def keep(self, path: Path, about: str) -> None:
        """Write the index to ``path``, if that is possible."""
        lines = [_quoted(about), f"{len(self.owners)} {len(self._claims)}"]
        lines += map(_quoted, self.owners)
        lines += map(_quoted, self.names)
        lines += self.identities
        lines += map(_quoted, self._claims)
        lines += self._holders
        body = "\n".join(lines).encode("utf-8", "surrogateescape")
        write_cached(path, f"{_MAGIC}\n{crc32(body)}\n".encode() + body)

    def named(self, name: str) -> list[str]:
        """Return the owners of that name; of the empty one, those whose place tells none."""
        rows = zip(self.names, self.owners, strict=True)
        return [owner for its, owner in rows if its == name]

    def holders_of(self, claim: str) -> Iterator[str]:
        """Yield the owners that have exactly this claim."""
        place = bisect_left(self._claims, claim)
        if place < len(self._claims) and self._claims[place] == claim:
            yield from self._owners_at(place)

    def holders_below(self, directory: str) -> Iterator[str]:
        """Yield the owners of claims on ``directory`` (ends with ``/``) or below it."""
        for place in range(bisect_left(self._claims, directory), len(self._claims)):
            if not self._claims[place].startswith(directory):
                break
            yield from self._owners_at(place)

    def items(self) -> Iterator[tuple[str, OwnerClaims]]:
        """Yield each owner with what is known of it."""
        claims: list[list[str]] = [[] for _ in self.owners]
        for claim, holders in zip(self._claims, self._holders, strict=True):
            for number in holders.split(" "):
                claims[int(number)].append(claim)
        rows = zip(self.owners, self.identities, claims, self.names, strict=True)
        for owner, identity, held, name in rows:
            yield owner, OwnerClaims(identity, held, name)

    def _owners_at(self, place: int) -> Iterator[str]:
        for number in self._holders[place].split(" "):
            yield self.owners[int(number)]

    @classmethod
    def _parsed(cls, data: bytes, about: str) -> OwnerIndex:
        magic, checksum, rest = data.split(b"\n", 2)
        if magic.decode("ascii") != _MAGIC or int(checksum) != crc32(rest):
            raise ValueError("damaged, or of another version")
        body = rest.decode("utf-8", "surrogateescape")
        lines = body.split("\n")
        owners, claims = map(int, lines[1].split(" "))
        if lines[0] != _quoted(about) or len(lines) != 2 + 3 * owners + 2 * claims:
            raise ValueError("about something else")
        if "%" in body:
            lines = [_unquoted(line) if "%" in line else line for line in lines]
        parts, start = [], 2
        for length in (owners, owners, owners, claims, claims):
            parts.append(lines[start : start + length])
            start += length
        return cls(*parts)


def claims_of(paths: Iterable[str], sites: Collection[str]) -> frozenset[str]:
    """Return few claims that cover ``paths``; ``sites`` are the directories of modules.

    A regular package is claimed as a whole; in a namespace package, what lies in it.
    """
    directories: dict[str, list[str]] = {}
    for path in paths:
        directory, _, name = path.rpartition("/")
        directories.setdefault(directory, []).append(name)
    packages = {d for d, names in directories.items() if "__init__.py" in names}
    claims: set[str] = set()
    for directory, names in directories.items():
        whole = _whole(directory, packages, sites)
        if whole is None and len(names) > _FILES and "/" in directory and directory not in sites:
            whole = directory
        if whole is not None:
            claims.add(f"{whole}/")
        else:
            claims.update(f"{directory}/{name}" if directory else name for name in names)
    return frozenset(claims)


def _whole(directory: str, packages: Collection[str], sites: Collection[str]) -> str | None:
    """Return the directory that is claimed instead of the files of ``directory``, if any."""
    for site in sites:
        if directory.startswith(f"{site}/"):
            parts = directory[len(site) + 1 :].split("/")
            for depth in range(1, min(len(parts), _MODULE_DEPTH) + 1):
                within = f"{site}/{'/'.join(parts[:depth])}"
                if within in packages or depth == _MODULE_DEPTH:
                    return within
            return None
    parts = directory.split("/")
    return "/".join(parts[:_DATA_DEPTH]) if len(parts) >= _DATA_DEPTH else None


def _quoted(text: str) -> str:
    if "%" in text or "\n" in text:
        return text.replace("%", "%25").replace("\n", "%0A")
    return text


def _unquoted(text: str) -> str:
    return text.replace("%0A", "\n").replace("%25", "%")
