"""The source of a build: a directory or an sdist, and what its pyproject.toml asks for."""

from __future__ import annotations

import os
import sys

from sage_pkginstall.errors import BuildError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

__all__ = ["BuildSystem", "build_system", "unpacked"]

_LEGACY_BACKEND = "setuptools.build_meta:__legacy__"


class BuildSystem(NamedTuple):
    """The table ``[build-system]`` of pyproject.toml, or what PEP 517 says for none."""

    requires: tuple[str, ...]
    backend: str
    backend_path: tuple[str, ...]


def build_system(source: Path) -> BuildSystem:
    """Return the build system of the directory ``source``.  Raises BuildError."""
    try:
        text = (source / "pyproject.toml").read_text(encoding="utf-8")
        table = tomllib.loads(text).get("build-system")
    except FileNotFoundError:
        table = None
        if not (source / "setup.py").is_file():
            raise BuildError(source, "it holds neither pyproject.toml nor setup.py") from None
    except (OSError, ValueError, RecursionError) as error:  # of values nested too deeply
        raise BuildError(source, f"pyproject.toml cannot be read: {error}") from error
    if table is None:
        return BuildSystem(("setuptools>=40.8.0",), _LEGACY_BACKEND, ())
    if not isinstance(table, dict) or "requires" not in table:
        raise BuildError(source, "[build-system] of pyproject.toml has no 'requires'")
    requires = _strings(source, table, "requires")
    backend = table.get("build-backend", _LEGACY_BACKEND)
    if not isinstance(backend, str):
        raise BuildError(source, "build-backend of pyproject.toml is no string")
    return BuildSystem(requires, backend, _strings(source, table, "backend-path"))


def unpacked(source: Path, directory: Path) -> Path:
    """Return the directory to build in: ``source``, or what it unpacks to if it is an sdist.

    An sdist is unpacked below ``directory``, which exists and is empty; nothing of it may
    leave that directory.  Raises BuildError.
    """
    if source.is_dir():
        return source
    if not source.is_file():  # a pipe would be waited for
        what = "it is no regular file" if os.path.lexists(source) else "there is no such file"
        raise BuildError(source, f"it is neither a directory nor an sdist ({what})")
    # A package has its source unpacked.
    from sage_pkginstall.builds.unpacking import UnpackingError, extract  # noqa: PLC0415

    try:
        extract(source, directory)
    except UnpackingError as error:
        reason = f"it is neither a directory nor an sdist ({error})"
        raise BuildError(source, reason) from error
    tops = list(directory.iterdir())
    if len(tops) != 1 or not tops[0].is_dir():
        raise BuildError(source, "an sdist holds one directory, and nothing beside it")
    return tops[0]


def _strings(source: Path, table: dict[str, Any], key: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise BuildError(source, f"'{key}' of [build-system] is no list of strings")
    return tuple(value)
