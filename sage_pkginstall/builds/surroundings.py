"""What surrounds a build besides its source and its requirements: a value, made by the caller.

Packages and prefixes are nothing that this level knows.  Who knows them says which inputs
they are (docs/decisions/0004-wheels-built-once.md has the reasons).
"""

from __future__ import annotations

import json
import os
from functools import partial
from hashlib import sha256

from sage_pkginstall.builds.inputs import digest_of
from sage_pkginstall.builds.remembered import remembered
from sage_pkginstall.builds.source_files import UnknownInputError, hash_file, hash_files
from sage_pkginstall.builds.toolchain import SYSTEM_DIRECTORIES
from sage_pkginstall.environment import setting_of
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from sage_pkginstall.builds.last_builds import Subject
    from sage_pkginstall.environment import Environment

__all__ = ["Surroundings", "distributions_of"]

_OF_VENV = ("python", "pypy", "activate", "Activate.ps1")
"""How names of programs begin that each virtual environment has; they hold its path."""


class Surroundings(NamedTuple):
    """What a build may see, and where.

    ``seen`` are groups of inputs for every build, ``seen_unisolated`` returns one more for a build
    that sees the packages of the target, too (and raises UnknownInputError).  ``places`` names
    directories whose path must not matter (``SAGE_LOCAL``); ``dead`` are directories that are gone
    when the wheel is used.  ``foreign`` maps names of libraries that the build can find but has no
    right to, as ``seen`` does not tell of them, to their owners.  ``is_of_package`` tells whether
    a package has brought a file (its real path): it counts by that.
    """

    subject: Subject
    seen: Mapping[str, Mapping[str, str]] = {}
    seen_unisolated: Callable[[], Mapping[str, str]] | None = None
    places: Mapping[str, str] = {}
    dead: tuple[str, ...] = ()
    foreign: Mapping[str, str] = {}
    is_of_package: Callable[[str], bool] = lambda _real_path: False
    in_package: bool = False


def distributions_of(environment: Environment) -> dict[str, str]:
    """Return all distributions that a build without isolation sees, with their RECORD's hash.

    And the modules that lie beside them, and programs, which may be of none.  Raises
    UnknownInputError for what lies elsewhere: of one without RECORD, an editable one, an egg, what
    a .pth file leads to, and the base's packages; and for what cannot be read, or goes meanwhile.
    """
    try:
        return _distributions_of(environment)
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}"
        raise UnknownInputError(environment.prefix, reason) from error


def _distributions_of(environment: Environment) -> dict[str, str]:
    seen = setting_of(environment, "include-system-site-packages") or ""
    if seen.lower() == "true":
        raise UnknownInputError(environment.prefix, "it sees the packages of its base, too")
    found: dict[str, str] = {}
    programs: set[bytes] = set()
    for site in environment.site_directories:
        directory = environment.prefix / site
        recorded: set[bytes] = set()
        for info in sorted(directory.glob("*.*-info")) if directory.is_dir() else ():
            record = _record(directory, info)
            paths = [row.strip(b'"').partition(b",")[0] for row in record.splitlines()]
            recorded |= {path.partition(b"/")[0] for path in paths}
            programs |= {path.rpartition(b"/")[2] for path in paths if path.startswith(b"..")}
            found[info.name] = sha256(record).hexdigest()
            _refuse_editable(directory, info)
        for path in directory.glob("*.pth"):
            _refuse_path_outside(directory, path)
        found.update(_beside(directory, recorded))
    scripts = environment.prefix / environment.schemes["scripts"]
    return {**found, **dict(_programs_of_none(scripts, programs))}


def _beside(directory: Path, recorded: Collection[bytes]) -> Iterator[tuple[str, str]]:
    """Yield each module in ``directory``: a file with its hash, a package with that of its files.

    Of a package that is ``recorded`` the RECORD of its distribution tells what is in it.
    """
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        if path.suffix == ".egg":
            raise UnknownInputError(directory, f"{path.name} has no RECORD")
        if path.is_file():
            yield path.name, hash_file(path)
        elif path.is_dir() and path.name != "__pycache__" and not path.name.endswith("-info"):
            is_told = os.fsencode(path.name) in recorded
            yield f"{path.name}/", "a package" if is_told else digest_of(hash_files(path))


def _programs_of_none(directory: Path, recorded: Collection[bytes]) -> Iterator[tuple[str, str]]:
    """Yield each program that is not ``recorded``, with its hash.

    Not those of the system, of which forty count anyway (toolchain.py).
    """
    if os.fspath(directory) in SYSTEM_DIRECTORIES or not directory.is_dir():
        return
    for path in sorted(directory.iterdir()):
        name = path.name
        if os.fsencode(name) in recorded or name.startswith(_OF_VENV) or not path.is_file():
            continue
        try:
            hashed = remembered(path, partial(_content, path), "content")
        except OSError as error:
            raise UnknownInputError(directory, f"{name}: {error.strerror}") from error
        yield f"{directory.name}/{name}", hashed["sha256"]


def _content(path: Path) -> dict[str, str]:
    return {"sha256": hash_file(path)}


def _refuse_editable(directory: Path, info: Path) -> None:
    try:
        origin = json.loads((info / "direct_url.json").read_bytes())
    except (OSError, ValueError):
        return
    facts = origin.get("dir_info") if isinstance(origin, dict) else None
    if isinstance(facts, dict) and facts.get("editable"):
        raise UnknownInputError(directory, f"{info.name} is editable: its files are elsewhere")


def _refuse_path_outside(directory: Path, path: Path) -> None:
    """Raise UnknownInputError if a .pth file adds a directory that is not in ``directory``."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if not line.strip() or line.startswith(("#", "import ", "import\t")):
            continue
        added = os.path.realpath(directory / line.strip())
        if os.path.isdir(added) and not f"{added}/".startswith(f"{os.path.realpath(directory)}/"):  # noqa: PTH112
            raise UnknownInputError(directory, f"{path.name} leads to {line.strip()}")


def _record(directory: Path, info: Path) -> bytes:
    try:
        return (info / "RECORD").read_bytes()
    except OSError as error:
        reason = f"{info.name} has no RECORD that could be read ({error.strerror})"
        raise UnknownInputError(directory, reason) from error
