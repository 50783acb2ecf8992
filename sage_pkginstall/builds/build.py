"""Build a wheel from a source, with build requirements from the wheel store only.

An isolated build (PEP 517, PEP 518) sees its build requirements and nothing of the
target environment; a build without isolation sees the target's packages and nothing else.
Neither ever asks an index.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

from sage_pkginstall.builds.cache import held, unpacked_wheels
from sage_pkginstall.builds.composed import compose, of_target
from sage_pkginstall.builds.dependencies_file import dependencies_file
from sage_pkginstall.builds.frontend import Backend, Hooks, Product, pip_wheel
from sage_pkginstall.builds.products import only_wheel
from sage_pkginstall.builds.resolved import resolved
from sage_pkginstall.builds.slots import job_slots, provide
from sage_pkginstall.builds.source import build_system, unpacked
from sage_pkginstall.builds.source_files import UnknownInputError
from sage_pkginstall.errors import (
    BuildError,
    MalformedRequirementError,
    RequirementError,
    TransactionError,
    UsageError,
)
from sage_pkginstall.user_cache import cache_directory
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Literal

    from sage_pkginstall.builds.composed import BuildEnvironment
    from sage_pkginstall.builds.inputs import Inputs
    from sage_pkginstall.builds.log import BuildLog
    from sage_pkginstall.builds.once import Once
    from sage_pkginstall.environment import Environment

__all__ = ["BuildRequest", "build_wheel"]

_PRUNED_AT_MOST = 5  # times that others prune an entry just when it was found


class BuildRequest(NamedTuple):
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
    log: BuildLog,
    once: Once | None = None,
) -> Path:
    """Build ``request.source`` for ``environment``; return the wheel in ``destination``.

    ``destination`` then holds that wheel and nothing else; what it held before is deleted
    first.  With ``once`` a wheel that was made from the same is taken instead of built, and
    the log says so.  Raises BuildError with the last lines of the log, RequirementError if
    the store lacks a build requirement and isolation is "yes", or if that is no requirement, and
    UsageError if emptying ``destination`` would delete the source, the store, the log, the prefix,
    the current directory or the user's own, or an editable wheel would lead to a directory that
    is gone afterwards.
    """
    if request.editable and (request.sdist_first or not request.source.is_dir()):
        reason = "an editable wheel leads to a source directory, not to an sdist"
        raise UsageError(f"cannot build {request.source}: {reason}")
    log = log.begun()
    _empty(destination, request.source, store, log.path, environment.prefix, *_users_own())
    # A daemon that the build leaves may go on writing there.
    private = tempfile.TemporaryDirectory(prefix="sage-build-", ignore_cleanup_errors=True)
    with private as scratch, ExitStack() as held:
        # Each of these may lie in the source, and changes while that does not.
        left_out = (destination, log.path, environment.prefix, cache_directory(), Path(scratch))
        build = _Build(request, environment, store, Path(scratch), log, held, once, left_out)
        try:
            build.make(isolated=request.isolation != "no")
        except RequirementError as error:
            if request.isolation != "auto" or isinstance(error, MalformedRequirementError):
                raise
            log.write(
                f"Warning: {error}. Building {request.source.name} without isolation; "
                f"add what provides it, behind the '|', to {dependencies_file(os.environ)}"
            )
            # What it takes instead of the requirement, nobody knows: nothing is kept of this.
            build._replace(once=None).make(isolated=False)
            if once is not None:
                made = only_wheel(build.products, request.source)
                once.remember_unknown(made.name, f"{error}, and it was built without isolation")
        wheel = only_wheel(build.products, request.source)
        return Path(shutil.move(wheel, destination / wheel.name))


class _Build(NamedTuple):
    """One build in its private directory ``scratch``."""

    request: BuildRequest
    environment: Environment
    store: Path
    scratch: Path
    log: BuildLog
    held: ExitStack
    once: Once | None
    left_out: tuple[Path, ...]

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
        if self.request.editable:  # it leads to this very source
            self._build("editable", source, self.products, isolated=isolated)
        elif self.once is None:
            self._build("wheel", source, self.products, isolated=isolated)
        else:
            self._build_once(self.once, source, isolated=isolated)

    def _build(self, product: Product, source: Path, directory: Path, *, isolated: bool) -> Path:
        backend = self._backend(source)
        hooks = self._isolated(backend, product) if isolated else self._of_target(backend)
        return self._build_with(hooks, product, directory)

    def _build_with(self, hooks: Hooks, product: Product, directory: Path) -> Path:
        if product == "wheel" and os.environ.get("SAGE_BUILD_FRONTEND") == "pip":
            hooks.close()
            pip_wheel(hooks.backend, self.request.config_settings, directory, hooks.place)
            return only_wheel(directory, hooks.backend.source)
        return hooks.build(product, directory)

    def _build_once(self, once: Once, source: Path, *, isolated: bool) -> None:
        """Take the wheel that was built from the same, or build and keep it."""
        backend = self._backend(source)
        try:
            inputs = once.inputs(
                source, self.environment, self._options(isolated=isolated), self.left_out
            )
            if not isolated:
                inputs = once.with_target(inputs, self.environment)
        except UnknownInputError as error:
            self.log.write(f"Built without looking into the cache: {error.reason}")
            wheel = self._build("wheel", source, self.products, isolated=isolated)
            once.remember_unknown(wheel.name, error.reason)
            return
        clean = once.clean(inputs, source)
        if clean is not None:
            once = once._replace(source_told=clean.groups["source"])
        if clean is not None and isolated:
            clean, _ = self._known_requirements(once, clean, backend)
        if clean is not None and once.take(clean, self.products, self.log):
            return
        if isolated:
            inputs, hooks_for_build = self._requirements(once, inputs, backend)
        else:
            hooks_for_build = partial(self._of_target, backend)

        def build() -> tuple[Path, str]:
            wheel = self._build_with(hooks_for_build(), "wheel", self.products)
            fault = once.note_leftovers(inputs, source, self.left_out)
            return wheel, fault or once.changed_meanwhile(inputs, self.environment)

        once.make(inputs, self.products, self.log, build)

    def _known_requirements(
        self, once: Once, inputs: Inputs, backend: Backend
    ) -> tuple[Inputs | None, tuple[Path, ...]]:
        """Return the inputs with all requirements, None if the backend was never asked for them.

        And the wheels that are known: those that pyproject.toml asks for, or all.
        """
        requires = backend.system.requires
        wheels = resolved(requires, self.store, self.environment)
        inputs = once.with_requirements(inputs, wheels)
        more = once.shelf.asked(inputs.key)
        if more is None:
            return None, wheels
        if more:
            wheels = resolved((*requires, *more), self.store, self.environment)
            inputs = once.with_requirements(inputs, wheels)
        return inputs, wheels

    def _requirements(
        self, once: Once, inputs: Inputs, backend: Backend
    ) -> tuple[Inputs, Callable[[], Hooks]]:
        """Return the inputs with all requirements, and what makes an environment of them.

        What a backend asks for depends on these inputs, too, so it is asked once.
        """
        known, wheels = self._known_requirements(once, inputs, backend)
        if known is not None:
            return known, partial(self._compose, wheels, backend)
        inputs = once.with_requirements(inputs, wheels)
        hooks = self._compose(wheels, backend)
        more = hooks.requires("wheel")
        once.shelf.note(inputs.key, more)
        if not more:
            return inputs, lambda: hooks
        hooks.close()
        wheels = resolved((*backend.system.requires, *more), self.store, self.environment)
        return once.with_requirements(inputs, wheels), partial(self._compose, wheels, backend)

    def _options(self, *, isolated: bool) -> dict[str, str]:
        settings = "\n".join(_one_line(f"{k}={v}") for k, v in self.request.config_settings)
        return {
            "isolation": "yes" if isolated else "no",
            "front end": os.environ.get("SAGE_BUILD_FRONTEND", ""),
            "config settings": settings,
        }

    def _backend(self, source: Path) -> Backend:
        settings: dict[str, str | list[str]] = {}
        for key, value in self.request.config_settings:
            before = settings.get(key)
            if before is None:
                settings[key] = value
            else:
                settings[key] = [*([before] if isinstance(before, str) else before), value]
        return Backend(source, build_system(source), settings, self.log)

    def _isolated(self, backend: Backend, product: Product) -> Hooks:
        requires = backend.system.requires
        wheels = resolved(requires, self.store, self.environment)
        hooks = self._compose(wheels, backend)
        more = hooks.requires(product)
        if not more:
            return hooks
        hooks.close()
        wheels_with_more = resolved((*requires, *more), self.store, self.environment)
        return hooks if wheels_with_more == wheels else self._compose(wheels_with_more, backend)

    def _compose(self, wheels: tuple[Path, ...], backend: Backend) -> Hooks:
        cache = cache_directory()
        try:
            entries = self._held_entries(wheels, cache)
        except (OSError, TransactionError) as error:
            cause = error.reason if isinstance(error, TransactionError) else error.strerror
            remedy = "SAGE_PKGINSTALL_CACHE may name another directory"
            reason = f"the cache {cache} cannot be filled ({cause}); {remedy}"
            raise BuildError(self.request.source, reason) from error
        place = compose(entries, self.environment, self._fresh("environment"), os.environ)
        return self._hooks(backend, place, place.python.parent)

    def _of_target(self, backend: Backend) -> Hooks:
        place = of_target(self.environment, os.environ)
        return self._hooks(backend, place, self._fresh("slots"))

    def _hooks(self, backend: Backend, place: BuildEnvironment, directory: Path) -> Hooks:
        """Return the hooks in ``place``, to which job slots are handed on in ``directory``."""
        slots = job_slots(os.environ)
        if slots is not None:
            place = place._replace(variables=provide(slots, directory, place.variables))
        hooks = Hooks(backend, place)
        self.held.callback(hooks.close)
        return hooks

    def _held_entries(self, wheels: Sequence[Path], cache: Path) -> tuple[Path, ...]:
        """Return the wheels' entries in the cache, which stay until the build ends."""
        for _ in range(_PRUNED_AT_MOST):
            entries = unpacked_wheels(wheels, self.environment, cache, self.log.cached)
            with suppress(FileNotFoundError):
                self.held.enter_context(held(entries))
                return entries
        return unpacked_wheels(wheels, self.environment, cache)

    def _fresh(self, name: str) -> Path:
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.scratch))


def _one_line(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _users_own() -> Iterator[Path]:
    """Yield the directories that nobody means to be emptied: the current one, and the home."""
    with suppress(FileNotFoundError):  # it was deleted
        yield Path.cwd()
    with suppress(RuntimeError):  # there is none
        yield Path.home()


def _empty(directory: Path, *needed: Path) -> None:
    """Delete all that is in ``directory``, which is made at need."""
    real = os.path.realpath(directory)
    for path in needed:
        if Path(os.path.realpath(path)).is_relative_to(real):
            raise UsageError(f"cannot empty {directory}: it holds {path}")
    if os.path.lexists(directory) and not directory.is_dir():
        raise UsageError(f"cannot empty {directory}: it is not a directory")
    directory.mkdir(parents=True, exist_ok=True)
    for child in directory.iterdir():
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child)
        else:
            child.unlink()
