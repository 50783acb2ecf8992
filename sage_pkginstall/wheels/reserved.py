"""Which paths of a prefix no wheel may bring: they are the environment's, ours, or another's.

Nor does what a record says of the first two make them its distribution's.
"""

from __future__ import annotations

import os
import posixpath

from sage_pkginstall.engine.canonical_paths import CanonicalPaths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sage_pkginstall.environment import Environment

__all__ = ["Reserved"]

_LINKS = 40  # as many as Linux follows
_OF_THE_ENVIRONMENT = ("pyvenv.cfg", "var/lib/sage", "var/tmp/sage", "var/lock")
"""Not for wheels: what makes the prefix one, and our own state (a journal is carried out)."""


class Reserved:
    """What is not for the wheel whose ``*.dist-info`` is ``info`` to bring, by any of its names.

    Links of the prefix are followed (``lib64``), and case does not count: not all file systems
    tell it apart.
    """

    def __init__(self, info: str, environment: Environment) -> None:
        self._names = CanonicalPaths(environment.prefix)
        self._own = info
        own_state = {*_OF_THE_ENVIRONMENT, *map(self._names.directory, _OF_THE_ENVIRONMENT)}
        self._below = tuple(f"{path.casefold()}/" for path in own_state)
        self._sites = tuple(f"{site.casefold()}/" for site in environment.site_directories)
        major, minor, *_ = environment.version.split(".")
        names = {f"python{version}" for version in ("", major, f"{major}.{minor}")}
        names.add(environment.interpreter.name)
        beside = os.fspath(environment.interpreter.parent)
        interpreters = {name.casefold() for first in names for name in _led_to(beside, first)}
        scripts = environment.schemes["scripts"].casefold()
        self._interpreters = {posixpath.join(scripts, name) for name in interpreters}
        self._free: set[str] = set()

    def fault_of(self, path: str) -> str | None:
        """Return why the wheel may not bring this file, None if it may; hot."""
        directory = path.rpartition("/")[0]
        if directory in self._free:
            return None
        if self._is_of_the_environment(path):
            return "belongs to the environment, not to a wheel"
        if self._is_of_another_distribution(path):
            return "belongs to the records of another distribution"
        if self._is_free(directory):
            self._free.add(directory)
        return None

    def fault_of_data(self, path: str) -> str | None:
        """Return the same for a file of ``*.data``, by which no wheel may tell of itself.

        What lies in its ``*.dist-info`` has been checked, or is the installer's own.
        """
        if self._info_of(path) == self._own:
            return "belongs to its own *.dist-info, to which no *.data may add"
        return self.fault_of(path)

    def of_the_environment(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Return the files among ``paths`` that are the interpreter, our own state or the like.

        Who lists them does not own them: pip installs a wheel that brings one.
        """
        return tuple(sorted(filter(self._is_listed_in_vain, paths)))

    def _is_listed_in_vain(self, path: str) -> bool:
        directory = path.rpartition("/")[0]
        if directory in self._free:
            return False
        if self._is_free(directory):
            self._free.add(directory)
            return False
        return self._is_of_the_environment(path)

    def _is_free(self, directory: str) -> bool:
        """Tell whether the wheel may bring all that lies there if it may bring one file of it.

        That is so within a package: in a directory in a site directory.
        """
        below = f"{self._names.directory(directory).casefold()}/"
        within = any(below.startswith(site) and below != site for site in self._sites)
        special = (*self._below, *self._interpreters, *self._sites)
        return within and not any(path.startswith(below) for path in special)

    def _is_of_the_environment(self, path: str) -> bool:
        """Tell whether it is the interpreter, our own state, or a file in place of one above."""
        name = self._names.file(path).casefold()
        below = f"{name}/"
        return (
            below.startswith(self._below)
            or any(state.startswith(below) for state in self._below)
            or name in self._interpreters
        )

    def _is_of_another_distribution(self, path: str) -> bool:
        """Tell whether it lies in a ``*.dist-info`` that is not this wheel's."""
        return self._info_of(path) not in {None, self._own}

    def _info_of(self, path: str) -> str | None:
        """Return the name of the ``*.dist-info`` that it lies in, or is; None for other paths."""
        name = self._names.file(path)
        folded = name.casefold()
        for site in self._sites:
            if folded.startswith(site):
                top = name.split("/")[site.count("/")]
                if top.casefold().endswith(".dist-info"):
                    return top
        return None


def _led_to(directory: str, name: str) -> Iterator[str]:
    """Yield a name in a directory, and those in it that it leads to as a link.

    Where ``python3.13t`` has made an environment, ``python3`` is a link to one of that name.
    """
    for _ in range(_LINKS):
        yield name
        try:
            target = os.readlink(os.path.join(directory, name))  # noqa: PTH115, PTH118 -- hot
        except OSError:
            return
        above, name = os.path.split(os.path.normpath(os.path.join(directory, target)))  # noqa: PTH118
        if above != os.path.normpath(directory):
            return
