"""Scripts that were made of entry points, and that no record lists.

conda makes them when it installs a package for any platform, and leaves ``RECORD`` as it was.
"""

from __future__ import annotations

import os
import re
import stat

from sage_pkginstall.wheels.names import is_component

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from sage_pkginstall.environment import Environment
    from sage_pkginstall.wheels.installed import Installed

__all__ = ["unlisted_scripts"]

_START = 4096
_SECTIONS = frozenset(("[console_scripts]", "[gui_scripts]"))


def unlisted_scripts(
    environment: Environment, installed: Installed, listed: Collection[str]
) -> frozenset[str]:
    """Return the scripts of a distribution's entry points that are not ``listed``.

    pip takes whatever has such a name; here it must import what the entry point names, as it
    may be somebody's own.
    """
    path = environment.prefix / installed.info / "entry_points.txt"
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    directory = environment.schemes["scripts"]
    scripts = {f"{directory}/{name}": module for name, module in _scripts(text)}
    return frozenset(
        script
        for script, module in scripts.items()
        if script not in listed and _imports(environment.prefix / script, module)
    )


def _scripts(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and module of each script."""
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            section = line
        elif section in _SECTIONS and "=" in line:
            name, value = (part.strip() for part in line.split("=", 1))
            module = value.partition(":")[0].strip()
            if module and is_component(name):
                yield name, module


def _imports(script: Path, module: str) -> bool:
    """Tell whether a file begins as a script that imports a module."""
    try:
        if not stat.S_ISREG(os.lstat(script).st_mode):
            return False
        with script.open("rb") as file:
            start = file.read(_START)
    except OSError:
        return False
    wanted = rb"(?:from|import)\s+" + re.escape(module.encode()) + rb"(?![\w.])"
    return start.startswith(b"#!") and re.search(wanted, start) is not None
