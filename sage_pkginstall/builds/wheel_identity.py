"""What makes a wheel the same as another: what is in it, not how it was packed."""

from __future__ import annotations

import hashlib
import stat
import zipfile

from sage_pkginstall.builds.damage import DAMAGE
from sage_pkginstall.builds.source_files import UnknownInputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["hash_of_record", "record_of"]

_WITHOUT_RECORD: tuple[type[Exception], ...] = (IndexError, KeyError, *DAMAGE)


def hash_of_record(wheel: Path) -> str:
    """Return the hash of a wheel's RECORD, its rows sorted, and of which files are programs.

    Raises UnknownInputError for what has none.
    """
    record, programs = _record_and_programs(wheel)
    rows = [*sorted(record.splitlines()), *sorted(programs)]
    return hashlib.sha256(b"\n".join(rows)).hexdigest()


def record_of(wheel: Path) -> bytes:
    """Return what a wheel's RECORD holds.  Raises UnknownInputError for what has none."""
    return _record_and_programs(wheel)[0]


def _record_and_programs(wheel: Path) -> tuple[bytes, list[bytes]]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            records = [
                one for one in names if one.endswith(".dist-info/RECORD") and one.count("/") == 1
            ]
            programs = [entry.filename.encode() for entry in entries if _is_program(entry)]
            return archive.read(records[0]), programs
    except _WITHOUT_RECORD as error:
        raise UnknownInputError(wheel, f"it has no RECORD that could be read ({error})") from error


def _is_program(entry: zipfile.ZipInfo) -> bool:
    mode = entry.external_attr >> 16
    return stat.S_ISREG(mode) and mode & 0o111 != 0
