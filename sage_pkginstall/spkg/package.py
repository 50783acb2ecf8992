"""A package directory as a value: what ``build/pkgs/NAME`` says, and nothing else.

Read here: ``type``, ``package-version.txt``, ``trees.txt``, the presence of the files that
decide the kind, and which scripts there are.  ``checksums.ini`` is read by checksums.py,
the ``dependencies`` files by dependencies.py.
"""

from __future__ import annotations

import re

from sage_pkginstall.errors import PackageError
from sage_pkginstall.spkg.checksums import Tarball, read_tarballs
from sage_pkginstall.spkg.dependencies import Dependencies, read_dependencies
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Literal, TypeAlias

__all__ = [
    "NO_VERSION",
    "Kind",
    "Package",
    "Script",
    "is_name",
    "package_names",
    "read_package",
    "split_name",
]

Kind: TypeAlias = "Literal['pip', 'wheel', 'normal', 'script', 'none']"

NO_VERSION = "none"
"""The version of a package that has no ``package-version.txt``."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+]*")
_VERSION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+!~-]*")
_PATCH_LEVEL = re.compile(r"\.p[0-9]+$")
_TREE_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TYPES = ("base", "standard", "optional", "experimental")


class Script(NamedTuple):
    """A script of a package: ``spkg-NAME.in``, to be wrapped, or an executable ``spkg-NAME``."""

    name: str
    path: Path
    wrapped: bool


class Package(NamedTuple):
    """One package directory.

    ``version`` is that of the package, with its patch level; ``trees`` names the variables
    of the trees that the package goes to, the first being the usual one.  ``tarballs`` are
    several where there is a wheel for each platform.
    """

    directory: Path
    name: str
    type: str
    version: str
    kind: Kind
    is_python: bool
    trees: tuple[str, ...]
    tarballs: tuple[Tarball, ...]
    dependencies: Dependencies
    scripts: tuple[Script, ...]

    @property
    def full_name(self) -> str:
        """``PKG_NAME``: name and version."""
        return f"{self.name}-{self.version}"

    @property
    def upstream_version(self) -> str:
        """The version without the patch level."""
        return _PATCH_LEVEL.sub("", self.version)

    @property
    def makes_wheels(self) -> bool:
        """Whether building it makes wheels of it, for which the Python toolchain is needed."""
        return self.is_python and self.kind in {"normal", "script"}

    @property
    def patches(self) -> tuple[Path, ...]:
        """The patches, in the order in which they are applied: that of their names."""
        return tuple(sorted((self.directory / "patches").glob("*.patch")))

    def script(self, name: str) -> Script | None:
        """Return the script ``spkg-NAME``; one to be wrapped goes before an executable."""
        found = [script for script in self.scripts if script.name == name]
        return min(found, key=lambda script: not script.wrapped, default=None)

    def requirement_names(self) -> tuple[str, ...]:
        """Return the distributions that ``version_requirements.txt`` names, as written there."""
        lines = _lines(self.directory / "version_requirements.txt")
        found = (re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line) for line in lines)
        return tuple(match[0] for match in found if match)


def read_package(directory: Path) -> Package:
    """Read a package directory.

    Raises PackageError if there is none, or if what it says cannot be.
    """
    name = directory.name
    if not is_name(name):
        raise PackageError(name, "a package's name is of letters, digits, '_', '.' and '+'")
    if not directory.is_dir():
        raise PackageError(name, f"there is no directory {directory}")
    try:
        return _read(directory)
    except OSError as error:  # of a file that is a directory, or that others may read only
        raise PackageError(name, f"{error.filename} cannot be read: {error.strerror}") from error


def _read(directory: Path) -> Package:
    name = directory.name
    version = _version(name, directory)
    tarballs = read_tarballs(directory, _PATCH_LEVEL.sub("", version))
    return Package(
        directory=directory,
        name=name,
        type=_type(name, directory),
        version=version,
        kind=_kind(directory, tarballs),
        is_python=_is_python(directory),
        trees=_trees(name, directory),
        tarballs=tarballs,
        dependencies=read_dependencies(directory),
        scripts=_scripts(directory),
    )


def package_names(packages: Path) -> tuple[str, ...]:
    """Return the names of all package directories in ``packages``: those with a ``type``."""
    return tuple(sorted(path.parent.name for path in packages.glob("*/type")))


def is_name(text: str) -> bool:
    """Tell whether a package may be called that: it is a word for make and the shell, then."""
    return _NAME.fullmatch(text) is not None


def split_name(argument: str) -> tuple[str, str | None]:
    """Split ``NAME`` or ``NAME-VERSION``; a package's name has no ``-`` in it.

    Raises PackageError if either cannot be one.
    """
    name, dash, version = argument.partition("-")
    if not is_name(name):
        raise PackageError(argument, "it is no name of a package")
    if dash and not _VERSION.fullmatch(version):
        raise PackageError(name, f"{version!r} is no version")
    return name, version if dash else None


def _version(name: str, directory: Path) -> str:
    lines = _lines(directory / "package-version.txt")
    if not lines:
        return NO_VERSION
    if not _VERSION.fullmatch(lines[0]):
        raise PackageError(name, f"its package-version.txt holds no version: {lines[0]!r}")
    return lines[0]


def _type(name: str, directory: Path) -> str:
    lines = _lines(directory / "type")
    if not lines:
        raise PackageError(name, f"{directory} has no file 'type'")
    if lines[0] not in _TYPES:
        raise PackageError(name, f"its type {lines[0]!r} is none of {', '.join(_TYPES)}")
    return lines[0]


def _kind(directory: Path, tarballs: tuple[Tarball, ...]) -> Kind:
    if (directory / "requirements.txt").exists():
        return "pip"
    if tarballs:
        return "wheel" if tarballs[0].is_wheel else "normal"
    if any((directory / name).exists() for name in ("spkg-install.in", "spkg-install")):
        return "script"
    return "none"


def _is_python(directory: Path) -> bool:
    names = ("version_requirements.txt", "requirements.txt")
    return any((directory / name).exists() for name in names)


def _trees(name: str, directory: Path) -> tuple[str, ...]:
    lines = _lines(directory / "trees.txt")
    variables = tuple(word for line in lines for word in line.split())
    for variable in variables:
        if not _TREE_VARIABLE.fullmatch(variable):
            raise PackageError(name, f"its trees.txt holds no variable: {variable!r}")
    return variables or ("SAGE_VENV" if _is_python(directory) else "SAGE_LOCAL",)


def _scripts(directory: Path) -> tuple[Script, ...]:
    return tuple(
        Script(path.name.removeprefix("spkg-").removesuffix(".in"), path, path.suffix == ".in")
        for path in sorted(directory.glob("spkg-*"))
        if path.is_file()
    )


def _lines(path: Path) -> tuple[str, ...]:
    """Return the lines of a file without comments, blanks around them, and empty ones."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return ()
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return tuple(line for line in lines if line)
