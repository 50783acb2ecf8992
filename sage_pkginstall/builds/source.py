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
    import tarfile
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
    except (OSError, ValueError) as error:
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
    import tarfile  # noqa: PLC0415 -- a package has its source unpacked
    import zipfile  # noqa: PLC0415

    from sage_pkginstall.builds.damage import DAMAGE, require_whole  # noqa: PLC0415

    damage: tuple[type[Exception], ...] = (tarfile.TarError, *DAMAGE)
    try:
        if source.name.endswith(".zip"):
            with zipfile.ZipFile(source) as archive:
                for info in archive.infolist():
                    path = archive.extract(info, directory)  # zipfile drops "..", and roots
                    if not info.is_dir():
                        os.chmod(path, _mode(info.external_attr >> 16))  # noqa: PTH101
        else:
            require_whole(source)
            with tarfile.open(source) as tar:
                _extract(tar, directory)
    except damage as error:
        why = str(error).partition("\n")[0].removesuffix(":")
        raise BuildError(source, f"it is neither a directory nor an sdist ({why})") from error
    tops = list(directory.iterdir())
    if len(tops) != 1 or not tops[0].is_dir():
        raise BuildError(source, "an sdist holds one directory, and nothing beside it")
    return tops[0]


def _extract(tar: tarfile.TarFile, directory: Path) -> None:
    import tarfile  # noqa: PLC0415 -- see above

    if hasattr(tarfile, "data_filter"):
        tar.extractall(directory, filter=_with_mode)  # noqa: S202 -- it calls the filter "data"
        return
    # Python 3.10.0-3.10.11 and 3.11.0-3.11.3 have no filters (PEP 706).
    root = directory.resolve()
    for member in tar:
        place = (root / member.name).resolve()
        places = [place, place if not member.linkname else _link_target(root, member)]
        if member.isdev() or not all(one.is_relative_to(root) for one in places):
            message = f"{member.name} leaves the directory of the sdist"
            raise tarfile.ExtractError(message)
        tar.extract(_moded(member), directory)


def _with_mode(member: tarfile.TarInfo, directory: str) -> tarfile.TarInfo:
    import tarfile  # noqa: PLC0415 -- see above

    return tarfile.data_filter(_moded(member), directory)


def _moded(member: tarfile.TarInfo) -> tarfile.TarInfo:
    if member.isreg() or member.islnk():
        member.mode = _mode(member.mode)
    return member


def _mode(mode: int) -> int:
    """Return the mode of a file as pip unpacks it: backends put that into wheels."""
    return 0o755 if mode & 0o111 else 0o644


def _link_target(root: Path, member: tarfile.TarInfo) -> Path:
    above = (root / member.name).parent if member.issym() else root
    return (above / member.linkname).resolve()


def _strings(source: Path, table: dict[str, Any], key: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise BuildError(source, f"'{key}' of [build-system] is no list of strings")
    return tuple(value)
