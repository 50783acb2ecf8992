"""What pip has installed: in place of wheels that packages have stored, or for one of kind pip.

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
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from sage_pkginstall.environment import Environment

__all__ = ["distributions_of_pip", "replaced_distributions"]


def replaced_distributions(
    environment: Environment, wheels: Iterable[Path]
) -> Iterator[tuple[str, str]]:
    """Yield the distribution of each of ``wheels`` that is not there as it came from that.

    What is there instead is told by a hash.  Raises UnknownInputError for what has no RECORD.
    """
    infos = _infos(environment)
    for wheel in wheels:
        name = canonical_name(wheel.name.partition("-")[0])
        told = [_told(environment.prefix / info, wheel) for info in infos.get(name, ())]
        if told != [""]:
            yield f"{name} in place of {wheel.name}", " ".join(told) or "nothing"


def distributions_of_pip(
    environment: Environment, names: Iterable[str]
) -> Iterator[tuple[str, str]]:
    """Yield what is there of the distributions ``names``, which no package has stored, as a hash.

    Raises UnknownInputError for what has no RECORD.
    """
    infos = _infos(environment)
    for name in names:
        told = [_hash(environment.prefix / info / "RECORD") for info in infos.get(name, ())]
        yield f"{name} by pip", " ".join(told) or "nothing"


def _infos(environment: Environment) -> dict[str, list[str]]:
    """Return the ``*.dist-info`` of each distribution that is installed, by its name."""
    infos: dict[str, list[str]] = {}
    try:
        for one in installed_distributions(environment):
            infos.setdefault(one.canonical, []).append(one.info)
    except RecordError as error:
        raise UnknownInputError(environment.prefix, error.reason) from error
    return infos


def _hash(record: Path) -> str:
    try:
        return digest_of(_in_site(_hashes(record.read_bytes())))
    except OSError as error:
        raise UnknownInputError(record, f"it cannot be read: {error.strerror}") from error


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
    return {"wheel": os.fspath(wheel), "differs": "" if fits else digest_of(_in_site(there))}


def _in_site(hashes: Mapping[str, str]) -> dict[str, str]:
    """Return those of modules and the like: scripts hold the path of the prefix."""
    return {path: told for path, told in hashes.items() if not path.startswith("..")}


def _hashes(record: bytes) -> dict[str, str]:
    """Return the hash of each file that a RECORD lists with one, byte-code aside."""
    rows = csv.reader(io.StringIO(record.decode("utf-8", "surrogateescape"), newline=""))
    return {row[0]: row[1] for row in rows if len(row) > 1 and row[1] and row[0][-4:] != ".pyc"}
