"""The variables of Sage's build system: what is given, and what else they are then.

`read_variables` takes the environment of the process and knows the defaults;
`PackageVariables` adds what is meant for one package in one tree.  Variables that are read
elsewhere as well: those of logs and events (operations), and PKG_BASE, PKG_NAME and SAGE_BUILD_DIR
by a build that a script runs (builds, seen.py).
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

from sage_pkginstall.errors import UsageError
from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.record_directory import SCRIPTS, STAMPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal, TypeAlias

    from sage_pkginstall.environment import Environment

__all__ = ["Check", "PackageVariables", "Variables", "default_venv", "read_variables"]

Check: TypeAlias = "Literal['yes', 'warn', 'no']"

WHEELS = "var/lib/sage/wheels"
_BUILD = "var/tmp/sage/build"
_VENV = re.compile(r"venv-python3\.(\d+)")
_CACHE = "SAGE_PKGINSTALL_CACHE"
_NOT_FOR_SCRIPTS = ("CDPATH",)  # with it, `cd src` may lead to another src than that beside them


class Variables(NamedTuple):
    """What holds for all packages.  All paths are absolute.

    ``environ`` is what programs are run with: all that was given, but for CDPATH; ``build`` is
    SAGE_BUILD_DIR if it was given.
    """

    environ: Mapping[str, str]
    root: Path
    local: Path
    venv: Path
    share: Path
    distfiles: Path
    logs: Path
    build: Path | None
    sudo: tuple[str, ...]
    check: Check
    keep_build: bool
    staged_python: bool

    @property
    def packages(self) -> Path:
        """The directory of the package directories."""
        return self.root / "build" / "pkgs"

    def tree(self, variable: str) -> Path | None:
        """Return the tree that a variable names, None if it is not set."""
        known = {"SAGE_LOCAL": self.local, "SAGE_VENV": self.venv}
        if variable in known:
            return known[variable]
        value = self.environ.get(variable)
        return Path(value).absolute() if value else None

    def local_with_target(self, target: Environment | None) -> str:
        """Return SAGE_LOCAL, if the wheels of its packages go to ``target``, else ""."""
        if target is None or os.path.realpath(target.prefix) != os.path.realpath(self.venv):
            return ""
        return os.fspath(self.local)

    def exports(self) -> dict[str, str]:
        """Return what every script sees, the environment of the process included."""
        return {
            "UNAME": os.uname().sysname,
            **self.environ,
            "SAGE_ROOT": os.fspath(self.root),
            "SAGE_LOCAL": os.fspath(self.local),
            "SAGE_VENV": os.fspath(self.venv),
            "SAGE_SHARE": os.fspath(self.share),
            "SAGE_DISTFILES": os.fspath(self.distfiles),
            "SAGE_LOGS": os.fspath(self.logs),
            **_cache(self.environ),
        }


class PackageVariables(NamedTuple):
    """What holds for one package (PKG_BASE, PKG_VER) that goes to one tree (SAGE_INST_LOCAL)."""

    common: Variables
    tree: Path
    name: str
    version: str

    @property
    def full_name(self) -> str:
        """PKG_NAME."""
        return f"{self.name}-{self.version}"

    @property
    def build_area(self) -> Path:
        """SAGE_BUILD_DIR."""
        return self.common.build or self.tree / _BUILD

    @property
    def build_directory(self) -> Path:
        """The directory that the package is built in, and that its scripts run in."""
        return self.build_area / self.full_name

    @property
    def destdir(self) -> Path:
        """SAGE_DESTDIR."""
        return self.build_directory / "inst"

    @property
    def destdir_tree(self) -> Path:
        """SAGE_DESTDIR_LOCAL: where files that belong into the tree are put."""
        return Path(f"{self.destdir}{self.tree}")

    @property
    def private_directory(self) -> Path:
        """SAGE_PKGINSTALL_PACKAGE_DIR: where helpers leave what sage-spkg is to know."""
        return self.build_directory / ".sage-pkginstall"

    @property
    def records(self) -> Path:
        """SAGE_SPKG_INST."""
        return self.tree / STAMPS

    @property
    def scripts(self) -> Path:
        """SAGE_SPKG_SCRIPTS."""
        return self.tree / SCRIPTS

    @property
    def wheels(self) -> Path:
        """SAGE_SPKG_WHEELS."""
        return self.tree / WHEELS

    @property
    def own_scripts(self) -> Path:
        """The directory of the package's own scripts in the tree."""
        return self.scripts / self.name

    def exports(self) -> dict[str, str]:
        """Return what every script of the package sees."""
        return {
            **self.common.exports(),
            "SAGE_INST_LOCAL": os.fspath(self.tree),
            "SAGE_BUILD_DIR": os.fspath(self.build_area),
            "SAGE_SPKG_INST": os.fspath(self.records),
            "SAGE_SPKG_SCRIPTS": os.fspath(self.scripts),
            "SAGE_SPKG_WHEELS": os.fspath(self.wheels),
            "PKG_BASE": self.name,
            "PKG_VER": self.version,
            "PKG_NAME": self.full_name,
        }

    def staging_exports(self) -> dict[str, str]:
        """Return what scripts see besides while the package's staged tree is being made."""
        return {
            "SAGE_DESTDIR": os.fspath(self.destdir),
            "SAGE_DESTDIR_LOCAL": os.fspath(self.destdir_tree),
            "SAGE_PKGINSTALL_PACKAGE_DIR": os.fspath(self.private_directory),
        }

    def final_exports(self) -> dict[str, str | None]:
        """Return what those variables are once there is no staged tree; None for none."""
        return {
            "SAGE_DESTDIR": "",
            "SAGE_DESTDIR_LOCAL": os.fspath(self.tree),
            "SAGE_PKGINSTALL_PACKAGE_DIR": None,
        }


def read_variables(environ: Mapping[str, str]) -> Variables:
    """Return what the environment of the process says, with Sage's defaults.

    An empty variable counts as one that is not set.  Raises UsageError without a SAGE_ROOT,
    and for a SAGE_SUDO with a quote too few or without a program.
    """
    root = _directory(environ, "SAGE_ROOT")
    if root is None:
        reason = "SAGE_ROOT is not set; run 'sage --buildsh'?"
        raise UsageError(f"cannot find the package directories: {reason}")
    local = _directory(environ, "SAGE_LOCAL") or root / "local"
    return Variables(
        environ={name: environ[name] for name in environ if name not in _NOT_FOR_SCRIPTS},
        root=root,
        local=local,
        venv=_directory(environ, "SAGE_VENV") or default_venv(local),
        share=_directory(environ, "SAGE_SHARE") or local / "share",
        distfiles=_directory(environ, "SAGE_DISTFILES") or root / "upstream",
        logs=_directory(environ, "SAGE_LOGS") or root / "logs" / "pkgs",
        build=_directory(environ, "SAGE_BUILD_DIR"),
        sudo=_sudo(environ.get("SAGE_SUDO", ""), environ.get("PATH")),
        check=_check(environ.get("SAGE_CHECK", "")),
        keep_build=environ.get("SAGE_KEEP_BUILT_SPKGS") == "yes",
        staged_python=environ.get("SAGE_STAGED_PYTHON") == "warn",
    )


def _sudo(text: str, path: str | None) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"cannot use SAGE_SUDO={text}: {error}") from error
    if words and shutil.which(words[0], path=path) is None:
        raise UsageError(f"cannot use SAGE_SUDO={text}: there is no program {words[0]}")
    return words


def _directory(environ: Mapping[str, str], name: str) -> Path | None:
    value = environ.get(name)
    return Path(os.path.normpath(Path(value).absolute())) if value else None


def _cache(environ: Mapping[str, str]) -> dict[str, str]:
    """Return where the cache is for scripts, which run elsewhere, if a variable says that."""
    return {_CACHE: os.path.abspath(environ[_CACHE])} if environ.get(_CACHE) else {}  # noqa: PTH100


def _check(value: str) -> Check:
    if value in {"warn", "no"}:
        return "warn" if value == "warn" else "no"
    return "yes" if value == "yes" else "no"


def default_venv(local: Path) -> Path:
    """Return the newest virtual environment below SAGE_LOCAL, or SAGE_LOCAL itself.

    Before there is either it is the one to be made, for the Python that runs this.
    """
    above = local / "var" / "lib" / "sage"
    named = [(_VENV.fullmatch(path.name), path) for path in above.glob("venv-python*")]
    minors = {int(name[1]): path for name, path in named if name}
    found = [minor for minor in minors if (minors[minor] / "bin" / "python3").exists()]
    if found:
        return minors[max(found)]
    if (local / "bin" / "python3").exists():
        return local
    return above / f"venv-python{sys.version_info[0]}.{sys.version_info[1]}"
