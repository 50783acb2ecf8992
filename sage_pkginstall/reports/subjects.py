"""What a name stands for in a prefix: distributions, packages, and which brought which.

Read here, nothing is changed:

    var/lib/sage/installed/NAME-VERSION                     a package's stamp
    var/lib/sage/scripts/NAME/spkg-requirements.txt         its wheels, a line each
"""

from __future__ import annotations

from dataclasses import dataclass

from sage_pkginstall.errors import NotInstalledError, RecordError, RequirementError
from sage_pkginstall.spkg.stamp import Stamp, read_stamp
from sage_pkginstall.wheels.names import canonical_name
from sage_pkginstall.wheels.ownership import manifest
from sage_pkginstall.wheels.record_directory import REQUIREMENTS, SCRIPTS, STAMPS
from sage_pkginstall.wheels.records import files_below, find_recorded, recorded_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from sage_pkginstall.environment import Environment
    from sage_pkginstall.wheels.installed import Installed

__all__ = [
    "BroughtWheel",
    "PackageRecord",
    "Subjects",
    "distribution_files",
    "find_subjects",
    "installer_of",
    "package_files",
    "packages",
]


@dataclass(frozen=True)
class BroughtWheel:
    """A wheel that a package brought: canonical name, version ("" if untold), and its file."""

    name: str
    version: str
    path: Path | None


@dataclass(frozen=True)
class PackageRecord:
    """A package that is installed in a tree."""

    name: str
    stamp: Stamp
    wheels: tuple[BroughtWheel, ...]

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"package {self.stamp.file_name}"

    def brought(self, distribution: str) -> bool:
        """Tell whether this canonical name is that of one of its wheels."""
        return any(wheel.name == distribution for wheel in self.wheels)


@dataclass(frozen=True)
class Subjects:
    """The distributions and packages of one name."""

    distributions: tuple[Installed, ...]
    packages: tuple[PackageRecord, ...]


def packages(prefix: Path) -> tuple[PackageRecord, ...]:
    """Return the packages that have a stamp in the tree, by name.  Raises RecordError."""
    directory = prefix / STAMPS
    try:
        names = sorted(path.name for path in directory.iterdir() if path.is_file())
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise RecordError(directory, error.strerror or str(error)) from error
    stamps = [read_stamp(directory / name) for name in names if not name.startswith(".")]
    return tuple(PackageRecord(s.package_name, s, _wheels(prefix, s.package_name)) for s in stamps)


def find_subjects(prefix: Path, environment: Environment | None, name: str) -> Subjects:
    """Return what is called ``name``, however it is spelt; NotInstalledError if nothing is.

    A package is also found as ``NAME-VERSION``.
    """
    wanted = canonical_name(name)
    called = tuple(
        one
        for one in packages(prefix)
        if canonical_name(one.name) == wanted or one.stamp.file_name == name
    )
    distributions = () if environment is None else find_recorded(environment, name)
    if not called and not distributions:
        raise NotInstalledError(name, prefix)
    return Subjects(distributions, called)


def distribution_files(environment: Environment, installed: Installed) -> frozenset[str]:
    """Return the files of a distribution; without a record only those of its own directory."""
    try:
        return recorded_files(environment, installed).paths
    except RecordError:
        if not (environment.prefix / installed.info).is_dir():
            return frozenset([installed.info])
        return frozenset(files_below(environment.prefix, installed.info))


def package_files(prefix: Path, package: PackageRecord) -> frozenset[str]:
    """Return the files that a package's own record lists, without those of its wheels."""
    return manifest(prefix, package.stamp.file_name)


def installer_of(environment: Environment, installed: Installed) -> str:
    """Return who says that he installed a distribution (INSTALLER); "" if nobody does."""
    if installed.kind != "dist-info":
        return ""
    path = environment.prefix / installed.info / "INSTALLER"
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip().partition("\n")[0]
    except OSError:
        return ""


def _wheels(prefix: Path, package: str) -> tuple[BroughtWheel, ...]:
    path = prefix / SCRIPTS / package / REQUIREMENTS
    if not path.is_file():
        return ()
    from sage_pkginstall.wheels.requirements_file import (  # noqa: PLC0415 - costs 30 ms
        parse_requirements_file,
    )

    try:
        lines = parse_requirements_file(path)
    except RequirementError:
        return ()
    return tuple(BroughtWheel(line.name, _version(line.wheel), line.wheel) for line in lines)


def _version(wheel: Path | None) -> str:
    if wheel is None:
        return ""
    return wheel.name.partition("-")[2].partition("-")[0]
