"""What build requirements were resolved to before: the resolver's libraries take time to import.

CACHE/resolved/KEY.json     {"wheels": [names]}: KEY is the hash of the requirements, of the
                            store's files with their times, and of the target
"""

from __future__ import annotations

import json
import os

from sage_pkginstall import __version__
from sage_pkginstall.builds.inputs import digest_of
from sage_pkginstall.user_cache import cache_directory, read_cached, write_cached

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sage_pkginstall.environment import Environment

__all__ = ["resolved"]


def resolved(
    requirements: Iterable[str], store: Path, environment: Environment
) -> tuple[Path, ...]:
    """Return the wheels that `requires.resolve` finds, remembered as long as nothing changes.

    Raises what that raises.
    """
    requirements = tuple(requirements)
    if not requirements:
        return ()
    target = [dict(environment.markers), environment.tags, environment.version]
    key = digest_of([__version__, requirements, os.fspath(store), _listing(store), target])
    note = cache_directory() / "resolved" / f"{key}.json"
    try:
        names: list[str] = json.loads(read_cached(note))["wheels"]
        wheels = tuple(store / name for name in names)
        if all(wheel.exists() for wheel in wheels):
            return wheels
    except (OSError, ValueError, KeyError, TypeError):
        pass  # it is resolved again
    from sage_pkginstall.builds.requires import resolve  # noqa: PLC0415 -- 40 ms

    wheels = tuple(wheel.path for wheel in resolve(requirements, store, environment))
    write_cached(note, json.dumps({"wheels": [wheel.name for wheel in wheels]}).encode())
    return wheels


def _listing(store: Path) -> list[list[object]]:
    try:
        with os.scandir(store) as entries:
            return sorted(_identity(entry) for entry in entries if entry.name.endswith(".whl"))
    except FileNotFoundError:
        return []


def _identity(entry: os.DirEntry[str]) -> list[object]:
    try:
        status = entry.stat()
    except FileNotFoundError:  # a link that leads nowhere, or a wheel that was just removed
        return [entry.name]
    return [entry.name, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
