"""Fresh environments: made once, copied as often as needed."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import time
import venv
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.places import Places

__all__ = ["Environments", "delete_removed", "remove"]

REMOVED = "removed"


class Environments:
    """Puts copies of templates at `Places.environment`.

    A template lies at `Places.templates` and was made at `Places.environment`, so the
    paths in its scripts and records are right in every copy.
    """

    def __init__(self, places: Places) -> None:
        self._places = places

    def fresh(self, name: str, make: Callable[[], None] | None = None) -> None:
        """Put a copy of template ``name`` into place; times of files are kept.

        ``make`` changes a copy of the ``bare`` template, or of the one before ``/``,
        into the template when that is not there yet.
        """
        template = self._places.templates / name
        if not template.exists():
            self._make(name, make)
            return  # it lies in place
        remove(self._places.environment)
        _copy(template, self._places.environment)

    def _make(self, name: str, make: Callable[[], None] | None) -> None:
        remove(self._places.environment)
        target = self._places.environment
        if make is None:
            venv.EnvBuilder(with_pip=False, symlinks=True).create(target)
        else:
            make()
        template = self._places.templates / name
        template.parent.mkdir(parents=True, exist_ok=True)
        partial = template.with_name(f"{template.name}.partial")
        remove(partial)
        _copy(target, partial)
        partial.rename(template)


def remove(directory: Path) -> None:
    """Remove a directory, if it is there: it goes aside, and is deleted by `delete_removed`.

    ext4 gives no inode away again within some minutes, and looks through all of those each
    time a file is made: what is deleted now would be paid for by what is measured next.  So
    files are only emptied; a whole run would leave a hundred gigabytes.
    """
    aside = directory.parent / REMOVED
    aside.mkdir(parents=True, exist_ok=True)
    removed = aside / f"{time.monotonic_ns()}"
    with contextlib.suppress(FileNotFoundError):
        directory.rename(removed)
        _empty_files(removed)


def _empty_files(directory: Path) -> None:
    """Free the space of all files below a directory, but no inode."""
    for above, _, names in os.walk(directory):
        for name in names:
            path = Path(above, name)
            status = path.lstat()
            with contextlib.suppress(PermissionError):  # it waits for `delete_removed`
                if status.st_nlink > 1:
                    path.unlink()
                elif stat.S_ISREG(status.st_mode):
                    os.truncate(path, 0)


def delete_removed(root: Path) -> None:
    """Delete what was removed, below ``root``."""
    aside = [os.fspath(path) for path in root.rglob(REMOVED)]
    subprocess.run(["rm", "-rf", *aside], check=True)  # noqa: S607 - as found


def _copy(source: Path, target: Path) -> None:
    command = ["cp", "-a", os.fspath(source), os.fspath(target)]
    subprocess.run(command, check=True)
