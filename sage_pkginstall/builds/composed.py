"""Composed build environments: directories of unpacked wheels, not an installation.

    PREFIX/pyvenv.cfg                     names the base interpreter (PEP 405)
    PREFIX/bin/python3                    link to it; python and pythonX.Y link here
    PREFIX/bin/NAME                       scripts of the wheels, with our interpreter
    PREFIX/lib/pythonX.Y/site-packages/
        build-environment.pth             names the wheels' site-packages directories
        NAME/                             a package that several wheels have parts of
    PREFIX/share, PREFIX/include, …       links to headers and data of the wheels

``CMAKE_PREFIX_PATH`` names those of these directories that have packages for CMake.

Because it is a virtual environment, it isolates each Python that a build starts, however
that is started, from the target environment and the user's site, and nothing but the
directories named is importable; ``.pth`` files in them count.
"""

from __future__ import annotations

import os
from pathlib import Path

from sage_pkginstall.builds.cache import SCRIPT_INTERPRETER, site_packages
from sage_pkginstall.builds.seen_variables import REMOVED
from sage_pkginstall.builds.shared_packages import lay_together
from sage_pkginstall.environment import setting_of
from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.shebang import below_shebang

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sage_pkginstall.environment import Environment

__all__ = ["BuildEnvironment", "compose", "of_target"]

_SHEBANG = b"#!" + os.fsencode(SCRIPT_INTERPRETER) + b"\n"
_LONGEST_SHEBANG = 127

# CMake's own rules for what lies in NAME below a prefix; meson's cmake directory is no package.
_CMAKE_PACKAGES = (
    "*/*onfig.cmake",
    "*/[cC][mM]ake/*onfig.cmake",
    "*/[cC][mM]ake/*/*onfig.cmake",
    "*/share/cmake/*/*onfig.cmake",
    "*/lib*/cmake/*/*onfig.cmake",
)


class BuildEnvironment(NamedTuple):
    """What the programs of a build run in: an interpreter and variables."""

    python: Path
    variables: Mapping[str, str]


def compose(
    entries: Iterable[Path], environment: Environment, prefix: Path, environ: Mapping[str, str]
) -> BuildEnvironment:
    """Make a build environment of unpacked wheels (see cache.py) in the new ``prefix``."""
    entries = tuple(entries)
    modules = site_packages(environment)
    (prefix / modules).mkdir(parents=True)
    (prefix / "bin").mkdir()
    _make_interpreter(environment, prefix)
    lines = (_site_line(entry / modules) for entry in entries)
    text = "".join(line + "\n" for line in lines)
    (prefix / modules / "build-environment.pth").write_text(text, encoding="ascii")
    lay_together([entry / modules for entry in entries], prefix / modules)
    for entry in entries:
        _add_scripts(entry / "bin", prefix)
        _add_data(entry, prefix, {"bin", modules})
    variables = {**_variables(environ, prefix / "bin"), "VIRTUAL_ENV": str(prefix)}
    for_cmake = [os.fspath(e / modules) for e in entries if _has_cmake_package(e / modules)]
    if for_cmake:
        paths = (*for_cmake, environ.get("CMAKE_PREFIX_PATH"))
        variables["CMAKE_PREFIX_PATH"] = os.pathsep.join(filter(None, paths))
    return BuildEnvironment(prefix / "bin" / "python3", variables)


def of_target(environment: Environment, environ: Mapping[str, str]) -> BuildEnvironment:
    """Return the build environment without isolation: the target's packages, and no others."""
    scripts = environment.prefix / environment.schemes["scripts"]
    return BuildEnvironment(environment.interpreter, _variables(environ, scripts))


def _make_interpreter(environment: Environment, prefix: Path) -> None:
    real = environment.interpreter.resolve()
    home = setting_of(environment, "home") or real.parent  # of the base interpreter
    (prefix / "pyvenv.cfg").write_text(
        f"home = {home}\ninclude-system-site-packages = false\nversion = {environment.version}\n",
        encoding="utf-8",
    )
    (prefix / "bin" / "python3").symlink_to(real)
    version = site_packages(environment).split("/")[1]
    for name in dict.fromkeys(("python", version, real.name)):
        (prefix / "bin" / name).symlink_to("python3")


def _site_line(directory: Path) -> str:
    """Return the line of a .pth file that adds ``directory``, with its own .pth files.

    It is ASCII: Pythons differ in which encoding they read such a file with.
    """
    path = os.fspath(directory)
    if not (path.isascii() and path.isprintable()) or any(directory.glob("*.pth")):
        return f"import site; site.addsitedir({path!a})"
    return path


def _add_scripts(scripts: Path, prefix: Path) -> None:
    if not scripts.is_dir():
        return
    for script in sorted(scripts.rglob("*")):
        place = prefix / "bin" / script.relative_to(scripts)
        if os.path.lexists(place) or script.is_dir():
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        with script.open("rb") as file:
            start = file.read(len(_SHEBANG))
            if start == _SHEBANG:
                shebang = _shebang(prefix / "bin" / "python3")
                place.write_bytes(below_shebang(shebang, file.read()))
                place.chmod(0o755)
                continue
        place.symlink_to(script)


def _shebang(python: Path) -> bytes:
    path = os.fsencode(python)
    if len(path) <= _LONGEST_SHEBANG - len(b"#!\n") and b" " not in path:
        return b"#!" + path + b"\n"
    # A program for sh and for Python: sh sees exec, Python sees a string.
    return b"#!/bin/sh\n'''exec' \"" + path + b'" "$0" "$@"\n\' \'\'\'\n'


def _add_data(entry: Path, prefix: Path, skipped: set[str]) -> None:
    """Link what ``entry`` has outside ``skipped`` into ``prefix``, file by file."""
    for directory, folders, names in os.walk(entry):
        below = os.path.relpath(directory, entry)
        folders[:] = [f for f in folders if os.path.normpath(f"{below}/{f}") not in skipped]
        for name in names:
            place = prefix / below / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if not os.path.lexists(place):
                place.symlink_to(Path(directory, name))


def _has_cmake_package(modules: Path) -> bool:
    """Tell whether CMake finds a package there, as ``find_package(pybind11)`` does.

    Elsewhere scikit-build-core leads CMake to the one directory where all modules lie.
    """
    return any(next(modules.glob(where), None) for where in _CMAKE_PACKAGES)


def _variables(environ: Mapping[str, str], scripts: Path) -> dict[str, str]:
    """Return ``environ`` for a build that has ``scripts`` first on its PATH.

    The machine's and the user's pip settings are gone, a pip that a backend runs can ask
    no index, and nothing from outside changes what Python imports.
    """
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith("PIP_") and name not in REMOVED
    }
    return {
        **kept,
        "PATH": os.pathsep.join((os.fspath(scripts), environ.get("PATH", os.defpath))),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INDEX": "1",
        "PYTHONNOUSERSITE": "1",
    }
