"""The tools that are compared, each run as its users run it.

A tool is an installer with or without byte-code, and, where it has a cache, with an empty
or a filled one.
"""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.measuring import Command
    from benchmarks.places import Places

__all__ = ["Cache", "Installer", "Ours", "Tool", "all_tools", "name_of"]

Cache = Literal["none", "cold", "warm"]


def name_of(wheel: Path) -> str:
    """Return the name of the distribution, as the wheel's file name has it."""
    return wheel.name.split("-", 1)[0]


class Installer(ABC):
    """Makes the commands that change `Places.environment`."""

    name: str
    caches: tuple[Cache, ...] = ("none",)
    removes = True  # can replace and uninstall
    template: Literal["bare", "pip"] = "bare"
    slow = False  # takes part in the first rounds only

    def __init__(self, places: Places) -> None:
        self.places = places

    @property
    def python(self) -> str:
        """The target interpreter."""
        return str(self.places.environment / "bin" / "python3")

    def variables(self, cache: Path) -> dict[str, str]:  # noqa: ARG002 - for those with one
        """Return all variables of a command that uses ``cache``."""
        return self.places.variables()

    def acquaint(self) -> tuple[Command, ...]:
        """Return what tells a cache of the environment, without changing that."""
        return ()

    @abstractmethod
    def install(self, wheels: Sequence[Path], *, compiled: bool) -> tuple[Command, ...]:
        """Return what installs wheels, or upgrades to them, in as few commands as it can."""

    def reinstall(self, wheels: Sequence[Path], *, compiled: bool) -> tuple[Command, ...]:
        """Return what installs once more what is there."""
        return self.install(wheels, compiled=compiled)

    def uninstall(self, names: Sequence[str]) -> tuple[Command, ...]:
        """Return what uninstalls distributions."""
        raise NotImplementedError


class Pip(Installer):
    """The environment's own pip."""

    name = "pip"
    template = "pip"
    slow = True

    def install(self, wheels: Sequence[Path], *, compiled: bool) -> tuple[Command, ...]:
        """Return one command."""
        return (self._pip("install", *_INSTALL_FLAGS, *_compile(compiled), *map(str, wheels)),)

    def reinstall(self, wheels: Sequence[Path], *, compiled: bool) -> tuple[Command, ...]:
        """Return one command."""
        flags = (*_INSTALL_FLAGS, "--force-reinstall", *_compile(compiled))
        return (self._pip("install", *flags, *map(str, wheels)),)

    def uninstall(self, names: Sequence[str]) -> tuple[Command, ...]:
        """Return one command."""
        return (self._pip("uninstall", "--quiet", "--yes", *names),)

    def _pip(self, *words: str) -> Command:
        return (self.python, "-m", "pip", *words)


class SageWay(Pip):
    """What Sage's sage-pip-install does: pip uninstall, then pip install."""

    name = "the Sage way"

    def install(self, wheels: Sequence[Path], *, compiled: bool) -> tuple[Command, ...]:
        """Return one command: a shell that runs both."""
        names = [name_of(wheel) for wheel in wheels]
        remove = self._pip("uninstall", "--quiet", "--yes", *names)
        flags = (*_INSTALL_FLAGS, "--ignore-installed", "--no-warn-script-location")
        add = self._pip("install", *flags, *_compile(compiled), *map(str, wheels))
        both = f"{shlex.join(remove)} && {shlex.join(add)}"
        return (("sh", "-c", both),)

    def reinstall(self, wheels: Sequence[Path], *, compiled: bool) -> tuple[Command, ...]:
        """Return the same."""
        return self.install(wheels, compiled=compiled)


class Uv(Installer):
    """uv, linking from its cache as it does by default."""

    name = "uv"
    caches = ("cold", "warm")

    def variables(self, cache: Path) -> dict[str, str]:
        """Return all variables, with the cache."""
        return {**super().variables(cache), "UV_CACHE_DIR": str(cache), "UV_OFFLINE": "1"}

    def acquaint(self) -> tuple[Command, ...]:
        """Return a command that asks the interpreter."""
        return (self._uv("list"),)

    def install(self, wheels: Sequence[Path], *, compiled: bool) -> tuple[Command, ...]:
        """Return one command."""
        return (self._uv("install", *_uv_flags(compiled), *map(str, wheels)),)

    def reinstall(self, wheels: Sequence[Path], *, compiled: bool) -> tuple[Command, ...]:
        """Return one command."""
        return (self._uv("install", "--reinstall", *_uv_flags(compiled), *map(str, wheels)),)

    def uninstall(self, names: Sequence[str]) -> tuple[Command, ...]:
        """Return one command."""
        return (self._uv("uninstall", *names),)

    def _uv(self, command: str, *words: str) -> Command:
        uv = str(self.places.programs / "uv")
        return (uv, "pip", command, "--quiet", "--python", self.python, *words)


class LibraryProgram(Installer):
    """A program that the target's Python runs from our own environment; it only adds files."""

    removes = False
    slow = True

    def variables(self, cache: Path) -> dict[str, str]:
        """Return all variables, with the path of the library."""
        return {**super().variables(cache), "PYTHONPATH": str(self.places.packages)}


class InstallerProgram(LibraryProgram):
    """``python -m installer``, which compiles for two levels of optimisation by default."""

    name = "installer"

    def install(self, wheels: Sequence[Path], *, compiled: bool) -> tuple[Command, ...]:
        """Return one command."""
        level = () if compiled else ("--no-compile-bytecode",)
        prefix = ("--prefix", str(self.places.environment))
        return ((self.python, "-m", "installer", *prefix, *level, *map(str, wheels)),)


class Gpep517(LibraryProgram):
    """``gpep517 install-wheel``, Gentoo's; it takes one wheel."""

    name = "gpep517"

    def install(self, wheels: Sequence[Path], *, compiled: bool) -> tuple[Command, ...]:
        """Return a command for each wheel."""
        words = ["--destdir", "/", "--prefix", str(self.places.environment)]
        words += ["--interpreter", self.python, *(("--optimize", "0") if compiled else ())]
        start = (self.python, "-m", "gpep517", "install-wheel", *words)
        return tuple((*start, str(wheel)) for wheel in wheels)


class Ours(Installer):
    """This project, through the commands that Sage calls."""

    name = "ours"
    caches: tuple[Cache, ...] = ("cold", "warm")

    def variables(self, cache: Path) -> dict[str, str]:
        """Return all variables, with the tree, the cache and the log of transactions."""
        return {
            **super().variables(cache),
            "SAGE_VENV": str(self.places.environment),
            "SAGE_PKGINSTALL_CACHE": str(cache),
            "SAGE_LOGS": str(self.places.transactions),
        }

    def acquaint(self) -> tuple[Command, ...]:
        """Return a command that asks the interpreter."""
        return ((self.program("sage-pkginstall"), "list"),)

    def install(self, wheels: Sequence[Path], *, compiled: bool) -> tuple[Command, ...]:
        """Return one command."""
        flags = ("--quiet", "--no-deps", *_compile(compiled))
        return ((self.program("sage-pip-install"), *flags, *map(str, wheels)),)

    def uninstall(self, names: Sequence[str]) -> tuple[Command, ...]:
        """Return one command."""
        return ((self.program("sage-pip-uninstall"), "--quiet", "--yes", *names),)

    def program(self, name: str) -> str:
        """Return a program of this checkout."""
        return str(self.places.checkout / "build" / "bin" / name)


class OursLinked(Ours):
    """The same, with files of wheels shared by all prefixes, as uv does it by default."""

    name = "ours, hard links"
    caches = ("warm",)

    def variables(self, cache: Path) -> dict[str, str]:
        """Return all variables, with the one that asks for links."""
        return {**super().variables(cache), "SAGE_PKGINSTALL_LINK_MODE": "hardlink"}


@dataclass(frozen=True)
class Tool:
    """An installer and how it is to work.  Equal labels: the same tool."""

    installer: Installer
    compiled: bool
    cache: Cache

    @property
    def label(self) -> str:
        """The name in tables and results."""
        words = [self.installer.name]
        words += [self.cache] if self.cache != "none" else []
        words += [] if self.compiled else ["no .pyc"]
        return ", ".join(words)


def all_tools(places: Places) -> tuple[Tool, ...]:
    """Return every tool, in the order of tables."""
    kinds = (SageWay, Pip, InstallerProgram, Gpep517, Uv, Ours, OursLinked)
    tools = []
    for installer in (kind(places) for kind in kinds):
        for compiled in (True, False):
            tools += [Tool(installer, compiled, cache) for cache in installer.caches]
    return tuple(tools)


_INSTALL_FLAGS = ("--quiet", "--no-deps", "--no-index", "--root-user-action=ignore")


def _compile(compiled: bool) -> tuple[str, ...]:  # noqa: FBT001 - its only parameter
    return () if compiled else ("--no-compile",)


def _uv_flags(compiled: bool) -> tuple[str, ...]:  # noqa: FBT001 - its only parameter
    flags = ("--no-deps", "--no-index")
    return (*flags, "--compile-bytecode") if compiled else flags
