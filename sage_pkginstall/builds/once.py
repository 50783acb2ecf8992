"""Build a wheel once: take it from the cache if all that it is made from is the same.

    source         each file, as it is when the build begins (package scripts may have edited it)
    build          options, config settings, front end; this tool's version
    checkout       what git says of the source, where it is no unpacked tarball
    package        patches and scripts of the package, and its other files
    prefix         what it may see of the prefix: the packages that it depends on
    requirements   build requirements, those that the backend asked for and their own
    target         without isolation: the distributions that it sees instead
    files          what variables and settings name, and some of the home directory
    interpreter, compilers, programs, system, variables

docs/decisions/0004-wheels-built-once.md says why these.  A wheel that names a directory of
`Surroundings.places` is found again for these very directories only.
"""

from __future__ import annotations

import os
import time

from sage_pkginstall import __version__
from sage_pkginstall.builds.inputs import Inputs, changed_since
from sage_pkginstall.builds.last_builds import LastBuild, remember_build
from sage_pkginstall.builds.leftovers import (
    changed_files,
    remember_leftovers,
    without_leftovers,
)
from sage_pkginstall.builds.named_files import files_beside, named_files
from sage_pkginstall.builds.remembered import remembered
from sage_pkginstall.builds.seen_variables import Places, seen_variables
from sage_pkginstall.builds.shelf import About
from sage_pkginstall.builds.source_files import (
    UnknownInputError,
    checkout,
    hash_file,
    hash_files,
)
from sage_pkginstall.builds.surroundings import distributions_of
from sage_pkginstall.builds.toolchain import interpreter, toolchain
from sage_pkginstall.errors import PkgInstallError
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from pathlib import Path

    from sage_pkginstall.builds.log import BuildLog
    from sage_pkginstall.builds.shelf import Shelf
    from sage_pkginstall.builds.surroundings import Surroundings
    from sage_pkginstall.environment import Environment

__all__ = ["Once", "identity_of_wheel", "linked_with_foreign", "now", "reason_to_rebuild"]

_FORMAT = "4"
_TREES = ("prefix", "SAGE_LOCAL", "SAGE_VENV")
"""The places whose content counts as far as it is declared, where there is a Sage."""


class Once(NamedTuple):
    """Where built wheels are kept, and what surrounds the build at hand.

    ``rebuild`` says why nothing is to be taken (``--rebuild``), and is empty otherwise.
    ``on_known`` is told of a wheel (its file name) that was taken or kept, and of its inputs.
    ``source_told`` is what is remembered, for who asks why, in place of the source: that has
    what the last build left there, and this not.  ``surroundings_now`` looks at the surroundings
    again, once the build has ended.
    """

    shelf: Shelf
    surroundings: Surroundings
    environ: Mapping[str, str]
    rebuild: str = ""
    on_known: Callable[[str, Inputs], object] = lambda _wheel, _inputs: None
    source_told: Mapping[str, str] | None = None
    surroundings_now: Callable[[], Surroundings] | None = None

    def inputs(
        self,
        source: Path,
        environment: Environment,
        options: Mapping[str, str],
        left_out: Collection[Path] = (),
    ) -> Inputs:
        """Return all inputs but the requirements.  Raises UnknownInputError.

        ``options`` is how the build was asked for; ``left_out`` are directories and files
        in the source that are none of it.
        """
        around = self.surroundings
        places = Places({**around.places, **{f"dead {n}": p for n, p in enumerate(around.dead)}})
        variables = seen_variables(self.environ)
        trees = [around.places.get(name, "") for name in (_TREES if around.seen else ())]
        files = named_files(
            (*variables.values(), *options["config settings"].splitlines()),
            self.environ,
            around.is_of_package,
            source=os.fspath(source),
        )
        if not around.in_package:  # of a package, what lies beside it counts
            files |= files_beside(source, trees)
        variables = places.in_all(variables)
        asked = places.in_all(options)
        seen = around.seen or _named_prefix(around.places, (*variables.values(), *asked.values()))
        return Inputs(
            {
                "source": hash_files(source, left_out),
                "checkout": checkout(source, above=not around.in_package),
                "build": {"format": _FORMAT, "tool": __version__, **asked},
                "interpreter": interpreter(environment),
                "variables": variables,
                "files": {places.without(path): told for path, told in files.items()},
                **toolchain(
                    self.environ,
                    around.places.values() if around.seen else (),
                    environment,
                    source,
                ),
                **seen,
            }
        )

    def with_requirements(self, inputs: Inputs, wheels: Iterable[Path]) -> Inputs:
        """Return ``inputs`` of a build that sees ``wheels`` and nothing of the target."""
        group = {wheel.name: identity_of_wheel(wheel) for wheel in wheels}
        return inputs.with_group("requirements", group)

    def with_target(self, inputs: Inputs, environment: Environment) -> Inputs:
        """Return ``inputs`` of a build that sees the target.  Raises UnknownInputError."""
        return inputs.with_group("target", _target(self.surroundings, environment))

    def make(
        self, inputs: Inputs, directory: Path, log: BuildLog, build: Callable[[], tuple[Path, str]]
    ) -> Path:
        """Return the wheel of ``inputs`` in ``directory``: taken, or else made by ``build``.

        That returns the wheel, and why it is not to be kept, or "".  The log says what was
        done.  Whoever builds the same meanwhile is waited for.
        """
        wait = lambda: log.write("Waiting for another process that builds the same wheel")  # noqa: E731
        keys = self._keys(inputs)
        with self.shelf.building(keys[0], wait):
            taken = self._taken(inputs, keys, directory, log)
            if taken is not None:
                return taken
            wheel, fault = build()
            if fault:
                log.write(f"{wheel.name} is not kept: {fault}")
            elif self._keep(inputs, keys, wheel, log):
                self.on_known(wheel.name, inputs)
        log.taken(False)  # noqa: FBT003 - what it is told
        self._remember(inputs, wheel.name, taken=False)
        return wheel

    def take(self, inputs: Inputs, directory: Path, log: BuildLog) -> Path | None:
        """Return the wheel of ``inputs`` if there is one; the log says so."""
        return self._taken(inputs, self._keys(inputs), directory, log)

    def _taken(
        self, inputs: Inputs, keys: tuple[str, str], directory: Path, log: BuildLog
    ) -> Path | None:
        for key in () if self.rebuild else keys:
            about = self.shelf.take(key, inputs.digests(), directory)
            if about is not None:
                log.write(f"Taken from the cache: {about.file}, built {about.made}")
                log.taken(True)  # noqa: FBT003 - what it is told
                self._remember(inputs, about.file, taken=True)
                self.on_known(about.file, inputs)
                return directory / about.file
        return None

    def clean(self, inputs: Inputs, source: Path) -> Inputs | None:
        """Return the inputs without what the last build left in ``source``, None if none is."""
        files = without_leftovers(self.shelf.cache, source, inputs.groups["source"])
        return None if files is None else inputs.with_group("source", files)

    def note_leftovers(self, inputs: Inputs, source: Path, left_out: Collection[Path]) -> str:
        """Remember what a build left in ``source``, if that stays.

        Returns why what was built is not of these inputs, "" if it is.
        """
        stays = map(os.path.realpath, self.surroundings.places.values())
        if os.path.realpath(source) not in stays:
            return ""
        before = inputs.groups["source"]
        try:
            after = hash_files(source, left_out)
        except UnknownInputError:
            return ""
        remember_leftovers(self.shelf.cache, source, before, after)
        changed = changed_files(before, after)
        return f"{changed[0]} changed while it was built" if changed else ""

    def changed_meanwhile(self, inputs: Inputs, environment: Environment) -> str:
        """Say what a build may have seen that is not as its ``inputs`` tell any more; "" if all is.

        Other jobs of ``make -j`` install meanwhile, and people edit packages.
        """
        try:
            around = self.surroundings_now() if self.surroundings_now else self.surroundings
            seen = dict(around.seen)
            if "target" in inputs.groups:
                seen["target"] = _target(around, environment)
        except (PkgInstallError, OSError) as error:  # of what others remove meanwhile, too
            return str(error)
        before = Inputs({name: inputs.groups.get(name, {}) for name in seen})
        return changed_since(before, Inputs(seen))

    def _keys(self, inputs: Inputs) -> tuple[str, str]:
        """Return the keys of a wheel that is right anywhere, and of one for these places only."""
        bound = inputs.with_group("only in", self.surroundings.places)
        return inputs.key, bound.key

    def _keep(self, inputs: Inputs, keys: tuple[str, str], wheel: Path, log: BuildLog) -> bool:
        """Keep a wheel, if it can be told what it was built from; tell whether it is kept."""
        from sage_pkginstall.builds.damage import DAMAGE  # noqa: PLC0415 -- new wheels only
        from sage_pkginstall.builds.embedded_paths import (  # noqa: PLC0415
            contents,
            embedded_paths,
            embedded_words,
        )

        around = self.surroundings
        try:
            foreign = embedded_words(contents(wheel), around.foreign)
            is_bound = embedded_paths(wheel, around.places, around.dead)
        except DAMAGE as error:
            log.write(f"Warning: {wheel.name} cannot be read ({error}), so it is not kept")
            return False
        if foreign:
            log.write(f"Warning: {linked_with_foreign(wheel.name, foreign, around.foreign)}")
            return False
        free, bound = keys
        size = wheel.stat().st_size
        about = About(wheel.name, hash_file(wheel), size, now(), inputs.digests())
        self.shelf.keep(bound if is_bound else free, wheel, about)
        return True

    def remember_unknown(self, wheel: str, reason: str) -> None:
        """Remember that a wheel was built of which nobody knows from what, and why."""
        build = LastBuild(now(), wheel, taken=False, reason=reason, inputs=Inputs({}))
        remember_build(self.shelf.cache, self.surroundings.subject, build)

    def _remember(self, inputs: Inputs, wheel: str, *, taken: bool) -> None:
        if self.source_told is not None:
            inputs = inputs.with_group("source", self.source_told)
        build = LastBuild(now(), wheel, taken, self.rebuild, inputs)
        remember_build(self.shelf.cache, self.surroundings.subject, build)


def _target(around: Surroundings, environment: Environment) -> Mapping[str, str]:
    """Return what a build without isolation sees of its target.  Raises UnknownInputError."""
    seen = around.seen_unisolated
    return distributions_of(environment) if seen is None else seen()


def _named_prefix(places: Mapping[str, str], texts: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return the path of a prefix whose content does not count, if the build is told of it."""
    named = any("{prefix}" in text for text in texts)
    return {"prefix": {"path": places["prefix"]}} if named and "prefix" in places else {}


def linked_with_foreign(what: str, found: Iterable[str], owners: Mapping[str, str]) -> str:
    """Say why ``what`` is not kept: ``found`` are libraries that it has no right to."""
    named = ", ".join(f"{name} of {owners[name]}" for name in sorted(found))
    return (
        f"{what} is linked with {named}, which its package does not depend "
        "on, so it is not kept; its 'dependencies' file needs mending"
    )


def reason_to_rebuild(environ: Mapping[str, str], *, asked: bool) -> str:
    """Say why nothing is to be taken from the cache; nothing if there is no reason."""
    if asked:
        return "--rebuild"
    words = environ.get("SAGE_REBUILD", "").split()
    package = environ.get("PKG_BASE", "")
    if any(word in ("yes", "all", package) for word in words):
        return f"SAGE_REBUILD={' '.join(words)}"
    return ""


def identity_of_wheel(wheel: Path) -> str:
    """Return the hash of all files of a wheel, as its RECORD tells their hashes.

    And which of them may be executed.  Not that of the archive: when it was made, and how tightly
    packed, is no matter.
    Raises UnknownInputError for what has no RECORD.
    """

    def identity() -> dict[str, str]:
        from sage_pkginstall.builds.wheel_identity import hash_of_record  # noqa: PLC0415 -- new ones

        return {"record": hash_of_record(wheel)}

    try:
        return remembered(wheel, identity, "wheel and its programs")["record"]
    except OSError as error:
        raise UnknownInputError(wheel, f"it has no RECORD that could be read ({error})") from error


def now() -> str:
    """Return the time as entries and notes tell it (ISO 8601, UTC)."""
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
