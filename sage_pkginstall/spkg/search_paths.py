"""Where programs, headers and libraries of the trees are found while packages are built.

The programs of the target come before those of the source tree (its own ``build/bin`` may
have what scripts call) and of the system, ours before all.  Compilers,
pkg-config and cmake look into the trees by the variables that they read for that.  What
the user gave in a variable comes after.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from sage_pkginstall.spkg.variables import PackageVariables

__all__ = ["prepended", "search_paths"]

_DIRECTORIES = {
    "CPATH": "include",
    "LIBRARY_PATH": "lib",
    "LD_RUN_PATH": "lib",  # so that a library is found where it was linked, without -rpath
    "PKG_CONFIG_PATH": "lib/pkgconfig",
    "CMAKE_PREFIX_PATH": "",
}


def search_paths(place: PackageVariables, tools: Path) -> dict[str, str]:
    """Return the variables with which a package finds what the trees hold.

    ``tools`` is the directory of our own commands.
    """
    common = place.common
    trees = tuple(dict.fromkeys((place.tree, common.venv, common.local)))
    of_root = (common.root / "build" / "bin", common.root / "src" / "bin")
    programs = [tools, *(t / "bin" for t in trees), *(path for path in of_root if path.is_dir())]
    found = {"PATH": prepended(common.environ, "PATH", programs)}
    for name, directory in _DIRECTORIES.items():
        found[name] = prepended(common.environ, name, [tree / directory for tree in trees])
    found["MAKE"] = common.environ.get("MAKE") or "make"
    return found


def prepended(environ: Mapping[str, str], name: str, directories: Iterable[Path]) -> str:
    """Return the path of directories ``name`` with ``directories`` put first, each once."""
    words = [*map(os.fspath, directories), *environ.get(name, "").split(os.pathsep)]
    return os.pathsep.join(dict.fromkeys(word for word in words if word))
