"""``checksums.ini``: which file upstream gave out, where, and its hash.

    tarball=foo-VERSION.tar.gz
    sha256=...
    upstream_url=https://pypi.io/packages/source/f/foo/foo-VERSION.tar.gz

``VERSION`` is the package's version without its patch level, ``VERSION_MAJOR``,
``VERSION_MINOR`` and ``VERSION_MICRO`` are its first three numbers.  Several files, a wheel
for each platform say, stand in ``[sections]``, or simply after one another.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from sage_pkginstall.errors import PackageError
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Tarball", "read_tarballs"]

_PLACEHOLDER = re.compile(r"VERSION(?:_MAJOR|_MINOR|_MICRO)?")
_PARTS = {"VERSION_MAJOR": 0, "VERSION_MINOR": 1, "VERSION_MICRO": 2}
_DIGITS = {"sha256": 64, "sha1": 40}


class Tarball(NamedTuple):
    """A file of upstream's: its name in SAGE_DISTFILES, its hashes (hex), its URL.

    Old package directories have only a SHA-1.
    """

    filename: str
    sha256: str | None
    url: str | None = None
    section: str = ""
    sha1: str | None = None

    @property
    def is_wheel(self) -> bool:
        """Tell whether it is a wheel rather than an archive of sources."""
        return self.filename.endswith(".whl")

    @property
    def digest(self) -> tuple[str, str] | None:
        """The algorithm and value of the strongest hash that is given."""
        if self.sha256:
            return "sha256", self.sha256
        return ("sha1", self.sha1) if self.sha1 else None


def read_tarballs(directory: Path, version: str) -> tuple[Tarball, ...]:
    """Return what ``checksums.ini`` of a package directory names; nothing without one.

    Raises PackageError for one that names no file or a hash that is none.
    """
    path = directory / "checksums.ini"
    if not path.exists():
        return ()
    text = path.read_text(encoding="utf-8", errors="replace")
    found = tuple(_tarball(directory.name, entry, version) for entry in _entries(text))
    if not found:
        raise PackageError(directory.name, "its checksums.ini names no tarball")
    return found


def _entries(text: str) -> Iterator[dict[str, str]]:
    """Yield the entries: each begins with a section's head or with a second ``tarball=``."""
    entry: dict[str, str] = {}
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("[") and stripped.endswith("]"):
            if "tarball" in entry:
                yield entry
            entry = {"section": stripped[1:-1].strip()}
            continue
        key, equals, value = stripped.partition("=")
        if not equals or stripped.startswith(("#", ";")):
            continue
        if key.strip() == "tarball" and "tarball" in entry:
            yield entry
            entry = {}
        entry[key.strip()] = value.strip()
    if "tarball" in entry:
        yield entry


def _tarball(package: str, entry: dict[str, str], version: str) -> Tarball:
    filename = _filled(entry["tarball"], version)
    if set("/\0") & set(filename) or filename in {"", ".", ".."}:
        raise PackageError(package, f"its checksums.ini names no file: {filename!r}")
    url = entry.get("upstream_url")
    if url and not _is_url(url):
        raise PackageError(package, f"its checksums.ini has no upstream_url: {url!r}")
    return Tarball(
        filename,
        sha256=_hash(package, entry, "sha256"),
        url=_filled(url, version) if url else None,
        section=entry.get("section", ""),
        sha1=_hash(package, entry, "sha1"),
    )


def _is_url(text: str) -> bool:
    try:
        return bool(urlsplit(text).scheme)
    except ValueError:
        return False


def _hash(package: str, entry: dict[str, str], algorithm: str) -> str | None:
    value = entry.get(algorithm, "").lower() or None
    if value and not re.fullmatch(f"[0-9a-f]{{{_DIGITS[algorithm]}}}", value):
        raise PackageError(package, f"its checksums.ini has no {algorithm}: {value!r}")
    return value


def _filled(pattern: str, version: str) -> str:
    """Return ``pattern`` with the version in place of its placeholders."""
    parts = version.split(".")

    def value(match: re.Match[str]) -> str:
        part = _PARTS.get(match[0])
        if part is None:
            return version
        return parts[part] if part < len(parts) else ""

    return _PLACEHOLDER.sub(value, pattern)
