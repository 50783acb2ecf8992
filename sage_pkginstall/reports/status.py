"""What changed in a prefix behind our back: by pip, by hand.

Quick: a file is hashed only where its size or time says that it may have changed since
its record was written (`verify` hashes all).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial

from sage_pkginstall.engine.quiet import looks
from sage_pkginstall.engine.tree import Tree
from sage_pkginstall.errors import RecordError
from sage_pkginstall.reports.subjects import installer_of, package_files, packages
from sage_pkginstall.wheels.checking import check
from sage_pkginstall.wheels.ownership import survey, unowned_files
from sage_pkginstall.wheels.record_directory import STAMPS
from sage_pkginstall.wheels.records import all_recorded, find_recorded, read_rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sage_pkginstall.environment import Environment
    from sage_pkginstall.reports.subjects import BroughtWheel, PackageRecord
    from sage_pkginstall.wheels.installed import Installed

__all__ = ["OURS", "FileChange", "ForeignChange", "Status", "Stranger", "status"]

OURS = "sage-pkginstall"
"""What we write into INSTALLER."""


@dataclass(frozen=True)
class ForeignChange:
    """A distribution of a package that is not as the package left it.

    ``found`` is None if it is gone; ``by`` is INSTALLER, "" if it does not tell.
    """

    package: str
    name: str
    recorded: str
    found: str | None
    by: str

    @property
    def message(self) -> str:
        """The change in words."""
        if self.found is None:
            return f"{self.name} {self.recorded} was uninstalled"
        by = f" by {self.by}" if self.by else ""
        if self.found == self.recorded:
            return f"{self.name} {self.recorded} was installed again{by}"
        return f"{self.name} {self.recorded} was replaced by {self.found}{by}"


@dataclass(frozen=True)
class FileChange:
    """A file that is not as its owner's record says; ``kind`` as in `Problem`, or "newer"."""

    of: str
    path: str
    kind: str
    detail: str


@dataclass(frozen=True)
class Stranger:
    """A distribution of no package that somebody else installed; see `ForeignChange`."""

    name: str
    version: str
    by: str


@dataclass(frozen=True)
class Status:
    """What is not as we left it; ``unowned`` are files that nobody owns."""

    changed: tuple[ForeignChange, ...]
    strangers: tuple[Stranger, ...]
    files: tuple[FileChange, ...]
    unowned: tuple[str, ...]


def status(prefix: Path, environment: Environment | None) -> Status:
    """Return what changed in the prefix since we did something to it.  Raises RecordError.

    It is looked at again if it was changed by us meanwhile.
    """
    for found, _ in looks(Tree(prefix).lock_path, partial(_look, prefix, environment)):  # noqa: B007
        pass
    return found


def _look(prefix: Path, environment: Environment | None) -> Status:
    known = packages(prefix)
    files = [change for package in known for change in _of_package(prefix, package)]
    if environment is None:
        return Status((), (), tuple(files), ())
    changed = (c for p in known for wheel in p.wheels for c in _of_wheel(environment, p, wheel))
    strangers = []
    for one in all_recorded(environment):
        files += _of_distribution(environment, one)
        by = installer_of(environment, one)
        if by != OURS and not any(package.brought(one.canonical) for package in known):
            strangers.append(Stranger(one.name, one.version, by))
    unowned = unowned_files(environment, survey(prefix, environment))
    return Status(tuple(changed), tuple(strangers), tuple(files), unowned)


def _of_wheel(
    environment: Environment, package: PackageRecord, wheel: BroughtWheel
) -> Iterator[ForeignChange]:
    found = find_recorded(environment, wheel.name)
    if not found:
        yield ForeignChange(package.stamp.file_name, wheel.name, wheel.version, None, "")
    for one in found:
        by = installer_of(environment, one)
        recorded = wheel.version or one.version
        if not _is_same(one.version, recorded):
            yield ForeignChange(package.stamp.file_name, one.name, recorded, one.version, by)
        elif by != OURS and _came_later(environment, one, package):
            yield ForeignChange(package.stamp.file_name, one.name, recorded, recorded, by)


def _is_same(version: str, recorded: str) -> bool:
    """Tell whether two versions, taken from names of files, are one (PEP 440)."""
    if version == recorded:
        return True
    from packaging.version import Version  # noqa: PLC0415 - rare

    try:
        return Version(version.replace("_", "-")) == Version(recorded.replace("_", "-"))
    except ValueError:  # InvalidVersion, or a number of too many digits
        return False


def _came_later(environment: Environment, installed: Installed, package: PackageRecord) -> bool:
    """Tell whether a distribution is newer than its package's stamp.

    Older tools installed a package's wheels with pip, and wrote the stamp after that.
    """
    stamp = environment.prefix / STAMPS / package.stamp.file_name
    try:
        record = (environment.prefix / installed.info / "RECORD").stat()
        return record.st_mtime_ns > stamp.stat().st_mtime_ns
    except OSError:
        return False


def _of_distribution(environment: Environment, installed: Installed) -> Iterator[FileChange]:
    if installed.kind == "dist-info" and not _is_suspect(environment, installed):
        return
    title = f"{installed.name} {installed.version}".rstrip()
    for problem in check(environment, installed):
        yield FileChange(title, problem.path, problem.kind, problem.detail)


def _is_suspect(environment: Environment, installed: Installed) -> bool:
    """Tell whether a file may differ from the record: gone, of another size, or newer."""
    record = f"{environment.prefix}/{installed.info}/RECORD"
    try:
        written = os.stat(record).st_mtime_ns  # noqa: PTH116 - hot
        for row in read_rows(environment, installed):
            if row.outside:
                return True
            found = os.stat(f"{environment.prefix}/{row.path}")  # noqa: PTH116 - hot
            if row.hash is None:
                continue
            if found.st_mtime_ns > written or row.size not in {None, found.st_size}:
                return True
    except (OSError, RecordError):
        return True
    return False


def _of_package(prefix: Path, package: PackageRecord) -> Iterator[FileChange]:
    """Yield what is wrong with the files of a package's own record, which has no hashes."""
    stamp = prefix / STAMPS / package.stamp.file_name
    try:
        written = stamp.stat().st_mtime_ns
    except FileNotFoundError:  # just uninstalled
        return
    for path in sorted(package_files(prefix, package)):
        try:
            found = os.lstat(f"{prefix}/{path}")
        except OSError as error:
            yield FileChange(package.title, path, "missing", error.strerror or str(error))
            continue
        if found.st_mtime_ns > written:
            yield FileChange(package.title, path, "newer", "changed after it was installed")
