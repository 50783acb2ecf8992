"""What makes a wheel the same as another: what is in it, not how it was packed."""

from __future__ import annotations

import hashlib
import zipfile

from sage_pkginstall.builds.damage import DAMAGE
from sage_pkginstall.builds.source_files import UnknownInputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["hash_of_record"]

_WITHOUT_RECORD: tuple[type[Exception], ...] = (IndexError, KeyError, *DAMAGE)


def hash_of_record(wheel: Path) -> str:
    """Return the hash of a wheel's RECORD, its rows sorted.

    Raises UnknownInputError for what has none.
    """
    try:
        rows = sorted(_record(wheel).splitlines())
    except _WITHOUT_RECORD as error:
        raise UnknownInputError(wheel, f"it has no RECORD that could be read ({error})") from error
    return hashlib.sha256(b"\n".join(rows)).hexdigest()


def _record(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        names = [
            name
            for name in archive.namelist()
            if name.endswith(".dist-info/RECORD") and name.count("/") == 1
        ]
        return archive.read(names[0])
