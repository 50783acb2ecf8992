"""Installers, each as the words of the commands that change one environment."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conftest import START

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Installer", "installers"]

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Installer:
    """The words of an installer's commands on ``python``; wheels or names follow them.

    ``install`` is what users say, ``replace`` installs even what is there; without
    ``uninstall`` it cannot do that.
    """

    name: str
    install: tuple[str, ...]
    replace: tuple[str, ...]
    uninstall: tuple[str, ...] = ()


def installers(prefix: Path) -> Iterator[Installer]:
    """Yield ours, pip, uv if it is there, and installer, for the environment at ``prefix``.

    Only ours compiles: uv removes byte-code of others, which is not the question.
    """
    add: tuple[str, ...]
    here, python = str(prefix), str(prefix / "bin" / "python3")
    ours = (sys.executable, "-I", "-c", START, str(ROOT))
    add = (*ours, "install", "--quiet", "--prefix", here)
    yield Installer("sage-pkginstall", add, add, (*ours, "uninstall", "--quiet", "--prefix", here))
    pip = (sys.executable, "-m", "pip", "--quiet", "--python", python)
    add = (*pip, "install", "--no-index", "--no-deps", "--no-compile")
    yield Installer("pip", add, (*add, "--force-reinstall"), (*pip, "uninstall", "--yes"))
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv:
        base = (uv, "--quiet", "--offline", "--no-cache", "pip")
        add = (*base, "install", "--no-deps", "--python", python)
        remove = (*base, "uninstall", "--python", python)
        yield Installer("uv", add, (*add, "--reinstall"), remove)
    flags = ("--overwrite-existing", "--compile-bytecode", "0", "--prefix", here)
    add = (sys.executable, "-m", "installer", *flags)
    yield Installer("installer", add, add)
