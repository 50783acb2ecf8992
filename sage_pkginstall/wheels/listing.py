"""RECORD of a wheel: it lists exactly the entries, with their sizes and with hashes.

Specification: PyPA's "Recording installed projects".  (RECORDs in an environment, which
pip and others have written, are read by `sage_pkginstall.wheels.records`.)
"""

from __future__ import annotations

import base64
import csv
import io
import re

from sage_pkginstall.wheels.content import HASHES, Expected
from sage_pkginstall.wheels.refusal import RefusalError, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sage_pkginstall.wheels.container import Entry
    from sage_pkginstall.wheels.layout import Layout

__all__ = ["check_record", "record_rows"]

_SIGNATURES = ("RECORD.jws", "RECORD.p7s")


def record_rows(text: str) -> Iterator[list[str]]:
    """Yield the rows, each of path, hash and size."""
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        for row in reader:
            if len(row) != 3:  # noqa: PLR2004
                found = quoted(",".join(row))
                raise RefusalError(f"RECORD has a row of {len(row)} fields: {found}")
            yield row
    except csv.Error as error:
        raise RefusalError(f"RECORD is not in CSV ({error})") from None


def check_record(
    rows: Iterable[list[str]], entries: Mapping[str, Entry], layout: Layout
) -> dict[str, Expected]:
    """Return the hashes that RECORD gives, once it lists each file exactly once.

    RECORD's own row has neither hash nor size and may be missing, as may those of
    signatures, which are made after it.  Rows of directories mean nothing.
    """
    unhashed = {f"{layout.info}/{name}" for name in ("RECORD", *_SIGNATURES)}
    expected: dict[str, Expected] = {}
    seen: set[str] = set()
    for name, hash_, size in rows:
        if name in seen:
            raise RefusalError(f"RECORD lists {quoted(name)} twice")
        seen.add(name)
        entry = entries.get(name)
        if entry is None or name.endswith("/"):
            if f"{name.rstrip('/')}/" not in entries:
                raise RefusalError(f"RECORD lists {quoted(name)}, which is not there")
        elif name not in unhashed:
            _check_size(name, size, entry)
            expected[name] = _parse_hash(name, hash_)
        elif hash_ or size:
            raise RefusalError(f"RECORD gives a hash or size for {name!r}, which cannot be")
    _check_all_listed(entries, seen | unhashed)
    return expected


def _check_all_listed(entries: Iterable[str], listed: set[str]) -> None:
    for name in entries:
        if name not in listed and not name.endswith("/"):
            raise RefusalError(f"RECORD does not list {name!r}")


def _check_size(name: str, size: str, entry: Entry) -> None:
    if not (size.isascii() and size.isdigit()) or size.lstrip("0") != str(entry.size).lstrip("0"):
        raise RefusalError(
            f"RECORD gives the size {quoted(size)} for {name!r}, which has {entry.size} bytes"
        )


def _parse_hash(name: str, text: str) -> Expected:
    """Return the hash, in base64 as the specification wants it; some builders write digits."""
    algorithm, _, value = text.partition("=")
    if algorithm not in HASHES:
        raise RefusalError(f"RECORD has no hash of sha256 or better for {name!r}: {quoted(text)}")
    value = value.rstrip("=")
    size = HASHES[algorithm]().digest_size
    if re.fullmatch(
        rf"[0-9A-Fa-f]{{{2 * size}}}", value
    ):  # of gmsh: no base64 of a digest is so long
        value = base64.urlsafe_b64encode(bytes.fromhex(value)).rstrip(b"=").decode("ascii")
    if re.fullmatch(r"[A-Za-z0-9_-]+", value) and len(value) % 4 != 1:
        digest = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
        if len(digest) == size:
            return Expected(f"{algorithm}={value}", algorithm, digest)
    raise RefusalError(f"RECORD has a hash for {name!r} that is no {algorithm}: {quoted(text)}")
