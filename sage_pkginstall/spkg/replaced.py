"""What is installed in place of the wheels that packages have stored: by ``sage -pip``, say.

A build without isolation sees what is installed, and each build its programs, as they are in PATH;
a package's records do not tell of that.
"""

from __future__ import annotations

import csv
import io
import os
from functools import partial

from sage_pkginstall.builds.inputs import digest_of
from sage_pkginstall.builds.remembered import remembered
from sage_pkginstall.builds.source_files import UnknownInputError
from sage_pkginstall.builds.wheel_identity import record_of
from sage_pkginstall.errors import RecordError
from sage_pkginstall.wheels.installed import installed_distributions
from sage_pkginstall.wheels.names import canonical_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from sage_pkginstall.environment import Environment

__all__ = ["replaced_distributions"]


def replaced_distributions(
    environment: Environment, wheels: Iterable[Path]
) -> Iterator[tuple[str, str]]:
    """Yield the distribution of each of ``wheels`` that is not there as it came from that.

    What is there instead is told by a hash.  Raises UnknownInputError for what has no RECORD.
    """
    infos: dict[str, list[str]] = {}
    try:
        for one in installed_distributions(environment):
            infos.setdefault(one.canonical, []).append(one.info)
    except RecordError as error:
        raise UnknownInputError(environment.prefix, error.reason) from error
    for wheel in wheels:
        name = canonical_name(wheel.name.partition("-")[0])
        told = [_told(environment.prefix / info, wheel) for info in infos.get(name, ())]
        if told != [""]:
            yield f"{name} in place of {wheel.name}", " ".join(told) or "nothing"


def _told(info: Path, wheel: Path) -> str:
    """Return "" for what came from ``wheel``, else a hash."""
    record = info / "RECORD"
    try:
        facts = remembered(record, partial(_compared, record, wheel), f"{wheel}", ("wheel",))
    except OSError as error:
        raise UnknownInputError(record, f"it cannot be read: {error.strerror}") from error
    return facts["differs"]


def _compared(record: Path, wheel: Path) -> dict[str, str]:
    there = _hashes(record.read_bytes())
    came = _hashes(record_of(wheel)).items()
    fits = all(there.get(path) == told for path, told in came if ".data/" not in path)
    rows = {path: told for path, told in there.items() if not path.startswith("..")}
    return {"wheel": os.fspath(wheel), "differs": "" if fits else digest_of(rows)}


def _hashes(record: bytes) -> dict[str, str]:
    """Return the hash of each file that a RECORD lists with one, byte-code aside."""
    rows = csv.reader(io.StringIO(record.decode("utf-8", "surrogateescape"), newline=""))
    return {row[0]: row[1] for row in rows if len(row) > 1 and row[1] and row[0][-4:] != ".pyc"}
