"""Build a wheel from a source, with build requirements from the wheel store only.

An isolated build (PEP 517, PEP 518) sees its build requirements and nothing of the
target environment; a build without isolation sees the target's packages and nothing else.
Neither ever asks an index.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sage_pkginstall.builds.cache import unpacked_wheels
from sage_pkginstall.builds.composed import BuildEnvironment, compose, of_target
from sage_pkginstall.builds.frontend import Backend, BuildRunner, Product, Programs, pip_wheel
from sage_pkginstall.builds.requires import resolve
from sage_pkginstall.builds.source import build_system, unpacked
from sage_pkginstall.builds.store import StoredWheel, only_wheel
from sage_pkginstall.environment import cache_directory
from sage_pkginstall.errors import BuildError, RequirementError, UsageError

if TYPE_CHECKING:
    from sage_pkginstall.builds.log import BuildLog
    from sage_pkginstall.environment import Environment

__all__ = ["BuildRequest", "BuildRunner", "build_wheel"]


@dataclass(frozen=True)
class BuildRequest:
    """What to build, and how.

    ``source`` is a directory or an sdist.  ``isolation``: "yes", "no", or "auto", which is
    "yes" unless the store lacks a build requirement.  A key that stands several times in
    ``config_settings`` gets all its values.  ``sdist_first`` builds the wheel from an sdist
    made of the source; ``editable`` builds one that imports from the source (PEP 660).
    """

    source: Path
    isolation: Literal["auto", "yes", "no"] = "auto"
    config_settings: tuple[tuple[str, str], ...] = ()
    sdist_first: bool = False
    editable: bool = False


def build_wheel(  # noqa: PLR0913 -- two values, two places, two effects
    request: BuildRequest,
    environment: Environment,
    store: Path,
    destination: Path,
    *,
    run: BuildRunner = subprocess.run,
    log: BuildLog,
) -> Path:
    """Build ``request.source`` for ``environment``; return the wheel in ``destination``.

    ``destination`` then holds that wheel and nothing else; what it held before is deleted
    first.  Raises BuildError with the last lines of the log, RequirementError if the store
    lacks a build requirement and isolation is "yes", and UsageError if emptying
    ``destination`` would delete the source, the store or the log.
    """
    _empty(destination, request.source, store, log.path)
    with tempfile.TemporaryDirectory(prefix="sage-build-") as scratch:
        build = _Build(request, environment, store, Path(scratch), Programs(run, log))
        try:
            build.make(isolated=request.isolation != "no")
        except RequirementError as error:
            if request.isolation != "auto":
                raise
            log.write(
                f"Warning: {error}. Building {request.source.name} without isolation; "
                "the package's 'dependencies' file needs mending"
            )
            build.make(isolated=False)
        wheel = only_wheel(build.products, request.source)
        return Path(shutil.move(wheel, destination / wheel.name))


@dataclass(frozen=True)
class _Build:
    """One build in its private directory ``scratch``."""

    request: BuildRequest
    environment: Environment
    store: Path
    scratch: Path
    programs: Programs

    @property
    def products(self) -> Path:
        return self.scratch / "products"

    def make(self, *, isolated: bool) -> None:
        """Build into `products`; RequirementError means that nothing was built yet."""
        self.products.mkdir(exist_ok=True)
        source = unpacked(self.request.source.absolute(), self._fresh("source"))
        if self.request.sdist_first:
            sdist = self._build("sdist", source, self._fresh("sdist"), isolated=isolated)
            source = unpacked(sdist, self._fresh("source"))
        product: Product = "editable" if self.request.editable else "wheel"
        self._build(product, source, self.products, isolated=isolated)

    def _build(self, product: Product, source: Path, directory: Path, *, isolated: bool) -> Path:
        backend = self._backend(source)
        if isolated:
            place = self._isolated(backend, product)
        else:
            place = of_target(self.environment, os.environ)
        if product == "wheel" and os.environ.get("SAGE_BUILD_FRONTEND") == "pip":
            settings = self.request.config_settings
            pip_wheel(source, settings, directory, place, self.programs)
            return only_wheel(directory, source)
        return backend.build(product, directory, place)

    def _backend(self, source: Path) -> Backend:
        settings: dict[str, str | list[str]] = {}
        for key, value in self.request.config_settings:
            before = settings.get(key)
            if before is None:
                settings[key] = value
            else:
                settings[key] = [*([before] if isinstance(before, str) else before), value]
        return Backend(source, build_system(source), settings, self.programs)

    def _isolated(self, backend: Backend, product: Product) -> BuildEnvironment:
        requires = backend.system.requires
        wheels = resolve(requires, self.store, self.environment)
        place = self._compose(wheels)
        more = backend.requires(product, place)
        if not more:
            return place
        wheels_with_more = resolve((*requires, *more), self.store, self.environment)
        return place if wheels_with_more == wheels else self._compose(wheels_with_more)

    def _compose(self, wheels: tuple[StoredWheel, ...]) -> BuildEnvironment:
        paths = (wheel.path for wheel in wheels)
        cache = cache_directory()
        try:
            cached = self.programs.log.cached
            entries = unpacked_wheels(paths, self.environment, cache, cached)
        except OSError as error:
            remedy = "SAGE_PKGINSTALL_CACHE may name another directory"
            reason = f"the cache {cache} cannot be filled ({error.strerror}); {remedy}"
            raise BuildError(self.request.source, reason) from error
        return compose(entries, self.environment, self._fresh("environment"), os.environ)

    def _fresh(self, name: str) -> Path:
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.scratch))


def _empty(directory: Path, *needed: Path) -> None:
    """Delete all that is in ``directory``, which is made at need."""
    for path in needed:
        if path.resolve().is_relative_to(directory.resolve()):
            raise UsageError(f"cannot empty {directory}: it holds {path}")
    directory.mkdir(parents=True, exist_ok=True)
    for child in directory.iterdir():
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child)
        else:
            child.unlink()
