"""What tests of things that are built once have in common."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from sage_pkginstall.builds.toolchain import toolchain
from sage_pkginstall.user_cache import cache_directory
from tests.sageworld import SageWorld

if TYPE_CHECKING:
    from tests.conftest import RunCli

__all__ = [
    "SCRIPT",
    "TAKEN",
    "Builds",
    "learn_tools",
    "make_quiet",
    "package_files",
    "world_with_cache",
]

TAKEN = "Taken from the cache: tiny-1.0-py3-none-any.whl"
SCRIPT = "cd src && sdh_pip_install .\n"


class Builds:
    """Builds of a source by the command line, with a cache of their own."""

    def __init__(self, root: Path, venv: Path, run: RunCli) -> None:
        self.root = root
        self.venv = venv
        self.run = run
        self.cache = root / "cache"
        self.store = root / "store"
        self.env = {"SAGE_PKGINSTALL_CACHE": str(self.cache)}
        self.store.mkdir()
        learn_tools(self.cache)

    def __call__(self, source: Path, *options: str, **env: str) -> tuple[Path, bool]:
        """Build; return the wheel, and whether it was taken."""
        dist = self.root / "dist"
        words = ("--store", self.store, "--wheel-dir", dist, "--log", self.root / "log")
        target = ("--prefix", self.venv)
        ended = self.run("build", *target, *words, *options, source, env={**self.env, **env})
        self.said = ended.stderr
        return Path(ended.stdout.strip()), TAKEN in ended.stderr

    def why(self, name: str) -> list[str]:
        ended = self.run("why-rebuilt", "--all", name, env=self.env)
        return [line.strip() for line in ended.stdout.splitlines()]


def world_with_cache(root: Path, venv: Path) -> SageWorld:
    """Return a Sage with a cache of its own, which knows the programs of this machine."""
    world = SageWorld.make(root, venv)
    world.env["SAGE_PKGINSTALL_CACHE"] = str(root / "cache")
    learn_tools(root / "cache")
    return world


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
