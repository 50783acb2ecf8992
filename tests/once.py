"""What tests of things that are built once have in common."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from sage_pkginstall.builds.toolchain import toolchain
from sage_pkginstall.environment import cache_directory

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SCRIPT", "TAKEN", "learn_tools", "make_quiet", "package_files"]

TAKEN = "Taken from the cache: tiny-1.0-py3-none-any.whl"
SCRIPT = "cd src && sdh_pip_install .\n"


def learn_tools(cache: Path) -> None:
    """Let ``cache`` know the programs of this machine, which is found out once for all tests."""
    known = cache_directory() / "tools"
    if not known.exists():
        toolchain(os.environ, ())
    shutil.copytree(known, cache / "tools")


def make_quiet(source: Path) -> None:
    """Let the backend put nothing into its wheel that tells of this machine."""
    backend = source / "backend.py"
    text = backend.read_text()
    start = text.index('        "prefix": sys.prefix')
    end = text.index("    }\n    name, version")
    backend.write_text(text[:start] + text[end:])


def package_files(**more: str) -> dict[str, str | bytes]:
    files = {"spkg-install.in": SCRIPT, "version_requirements.txt": "tiny\n"}
    return {**files, **more}
