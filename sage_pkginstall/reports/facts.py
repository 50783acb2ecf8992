"""What is known of one distribution or package: for ``show`` and ``files``."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from sage_pkginstall.errors import PackageError, RecordError
from sage_pkginstall.reports.subjects import (
    distribution_files,
    installer_of,
    package_files,
    packages,
)
from sage_pkginstall.spkg.package import read_package
from sage_pkginstall.wheels.installed import read_metadata
from sage_pkginstall.wheels.records import find_recorded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from sage_pkginstall.environment import Environment
    from sage_pkginstall.operations.history import Transaction
    from sage_pkginstall.reports.subjects import PackageRecord, Subjects
    from sage_pkginstall.wheels.installed import Installed

__all__ = [
    "DistributionFacts",
    "OwnedFile",
    "PackageFacts",
    "distribution_facts",
    "owned_files",
    "package_facts",
    "why_installed",
]


@dataclass(frozen=True)
class DistributionFacts:
    """What is known of a distribution.

    ``size`` in bytes; ``installed`` in epoch seconds; ``origin`` is the URL of
    direct_url.json (PEP 610); ``packages`` brought it; ``transaction`` is the last one
    that installed this version, if the log tells.
    """

    name: str
    version: str
    kind: str
    record: str
    installer: str
    requested: bool
    origin: str | None
    packages: tuple[str, ...]
    requires: tuple[str, ...]
    files: int
    size: int
    installed: float | None
    transaction: Transaction | None


@dataclass(frozen=True)
class PackageFacts:
    """What is known of a package.

    ``kind`` is "" where there is no package directory; ``files`` and ``size`` are those
    of its own record, without its wheels; ``why`` tells why it was installed last, ""
    if the log does not tell.
    """

    name: str
    version: str
    kind: str
    date: str
    test_result: str
    distributions: tuple[str, ...]
    wheels: tuple[str, ...]
    files: int | None
    size: int
    why: str
    transaction: Transaction | None


@dataclass(frozen=True)
class OwnedFile:
    """A file, and which of several subjects of a name owns it."""

    path: str
    of: str


def distribution_facts(
    environment: Environment, installed: Installed, transactions: Iterable[Transaction]
) -> DistributionFacts:
    """Return what is known of a distribution.  Raises RecordError for an unreadable record."""
    files = distribution_files(environment, installed)
    info = environment.prefix / installed.info
    version = f"{installed.canonical} {installed.version}"
    return DistributionFacts(
        name=installed.name,
        version=installed.version,
        kind=installed.kind,
        record=installed.info,
        installer=installer_of(environment, installed),
        requested=(info / "REQUESTED").exists(),
        origin=_origin(info),
        packages=_bringing(environment.prefix, installed.canonical),
        requires=_requires(environment, installed),
        files=len(files),
        size=_size(environment.prefix, files),
        installed=_time(info / "RECORD", info),
        transaction=_last(t for t in transactions if version in t.installed),
    )


def package_facts(
    prefix: Path,
    package: PackageRecord,
    environment: Environment | None,
    transactions: Sequence[Transaction],
    directory: Path | None,
) -> PackageFacts:
    """Return what is known of a package; ``directory`` is its package directory, if any."""
    files = package_files(prefix, package)
    described = _described(directory)
    stamp = package.stamp
    return PackageFacts(
        name=package.name,
        version=stamp.package_version,
        kind=described[0],
        date=stamp.install_date,
        test_result=stamp.test_result,
        distributions=tuple(_found(environment, wheel.name) for wheel in package.wheels),
        wheels=tuple(os.fspath(wheel.path) for wheel in package.wheels if wheel.path),
        files=None if stamp.files is None else len(files),
        size=_size(prefix, files),
        why=why_installed(package.name, transactions, described[1]),
        transaction=_last(_of_package(package.name, transactions)),
    )


def why_installed(
    package: str, transactions: Sequence[Transaction], dependencies: Iterable[str]
) -> str:
    """Return why a package was installed the last time, as the log tells it; "" without.

    ``dependencies`` are those after which make builds a package anew.
    """
    own = _of_package(package, transactions)
    if not own or own[-1].label.startswith("remove "):
        return ""
    if len(own) == 1:
        return "nothing is known of an earlier one"
    before, last = own[-2:]
    if before.label.startswith("remove "):
        return "it had been removed"
    if before.label != last.label:
        return f"before it was {before.label.rpartition(' ')[2]}"
    done = (t for t in transactions if t.result == "done" and not t.label.startswith("remove "))
    since = {t.package for t in done if before.ended < t.ended < last.ended}
    newer = [name for name in dependencies if name in since]
    if newer:
        return f"{', '.join(newer)} had been installed after it"
    return "it was asked for, with no other version than before"


def owned_files(
    prefix: Path, environment: Environment | None, subjects: Subjects
) -> tuple[OwnedFile, ...]:
    """Return the files of all subjects, those of a package's wheels too, sorted by path."""
    owners: dict[str, str] = {}
    distributions = list(subjects.distributions)
    for package in subjects.packages:
        owners.update(dict.fromkeys(package_files(prefix, package), package.title))
        if environment is not None:
            names = (wheel.name for wheel in package.wheels)
            distributions += [i for name in names for i in find_recorded(environment, name)]
    for one in distributions:
        assert environment is not None  # it has distributions
        title = f"distribution {one.name} {one.version}".rstrip()
        owners.update(dict.fromkeys(distribution_files(environment, one), title))
    return tuple(OwnedFile(path, owners[path]) for path in sorted(owners))


def _origin(info: Path) -> str | None:
    try:
        url = json.loads((info / "direct_url.json").read_bytes())["url"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return url if isinstance(url, str) else None


def _bringing(prefix: Path, distribution: str) -> tuple[str, ...]:
    return tuple(one.stamp.file_name for one in packages(prefix) if one.brought(distribution))


def _requires(environment: Environment, installed: Installed) -> tuple[str, ...]:
    try:
        return read_metadata(environment, installed).requires
    except RecordError:
        return ()


def _size(prefix: Path, files: Iterable[str]) -> int:
    return sum(status.st_size for path in files if (status := _status(prefix / path)))


def _time(*paths: Path) -> float | None:
    found = (status.st_mtime for path in paths if (status := _status(path)))
    return next(found, None)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:
        return None


def _of_package(package: str, transactions: Iterable[Transaction]) -> list[Transaction]:
    return [t for t in transactions if t.package == package and t.result == "done"]


def _last(transactions: Iterable[Transaction]) -> Transaction | None:
    done = [t for t in transactions if t.result == "done"]
    return done[-1] if done else None


def _described(directory: Path | None) -> tuple[str, tuple[str, ...]]:
    """Return kind and normal dependencies, as the package directory tells them."""
    if directory is None or not directory.is_dir():
        return "", ()
    try:
        package = read_package(directory)
    except PackageError:
        return "", ()
    return package.kind, package.dependencies.normal


def _found(environment: Environment | None, distribution: str) -> str:
    found = () if environment is None else find_recorded(environment, distribution)
    if not found:
        return f"{distribution} (not installed)"
    return ", ".join(f"{one.name} {one.version}" for one in found)
