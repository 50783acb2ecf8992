"""Resolve build requirements: requirements in, wheels of the store out.

Only the store counts: never an index, never what happens to be installed.
"""

from __future__ import annotations

from functools import lru_cache

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from resolvelib import AbstractProvider, BaseReporter, ResolutionImpossible, Resolver

from sage_pkginstall.builds.store import (
    StoredWheel,
    allows,
    candidates,
    stored_wheels,
    wheel_needs,
)
from sage_pkginstall.errors import MalformedRequirementError, RequirementError
from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.markers import marker_holds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from resolvelib.structs import RequirementInformation

    from sage_pkginstall.environment import Environment

__all__ = ["resolve"]

_Identifier = tuple[str, tuple[str, ...]]
_MAX_ROUNDS = 10_000


class _Candidate(NamedTuple):
    wheel: StoredWheel
    extras: tuple[str, ...]


def resolve(
    requirements: Iterable[str], store: Path, environment: Environment
) -> tuple[StoredWheel, ...]:
    """Return the wheels of ``store`` that meet ``requirements``, and their own, by name.

    Markers are those of ``environment``, extras are followed.  The same store and
    requirements give the same wheels in the same order.  Raises RequirementError, which
    names the requirement that cannot be met and who has it; a MalformedRequirementError if it is
    none.
    """
    wanted = [
        requirement
        for requirement in map(_parse, requirements)
        if _applies(requirement, environment, ("",))
    ]
    if not wanted:
        return ()
    provider = _Provider(stored_wheels(store), environment)
    resolver: Resolver[Requirement, _Candidate, _Identifier] = Resolver(provider, BaseReporter())
    try:
        result = resolver.resolve(wanted, max_rounds=_MAX_ROUNDS)
    except ResolutionImpossible as error:
        raise _explained(error.causes, provider) from error
    wheels = {candidate.wheel for candidate in result.mapping.values()}
    return tuple(sorted(wheels, key=lambda wheel: wheel.name))


class _Provider(AbstractProvider[Requirement, _Candidate, _Identifier]):
    def __init__(self, wheels: tuple[StoredWheel, ...], environment: Environment) -> None:
        self.wheels = wheels
        self.environment = environment
        self.needs = lru_cache(maxsize=None)(wheel_needs)

    def fitting(self, requirement: Requirement) -> tuple[StoredWheel, ...]:
        """Return the wheels that meet ``requirement``, best first."""
        return candidates(self.wheels, requirement, self.environment, self.needs)

    def identify(self, requirement_or_candidate: Requirement | _Candidate) -> _Identifier:
        if isinstance(requirement_or_candidate, _Candidate):
            return requirement_or_candidate.wheel.name, requirement_or_candidate.extras
        name = canonicalize_name(requirement_or_candidate.name)
        return name, _extras(requirement_or_candidate)

    def get_preference(
        self,
        identifier: _Identifier,
        *_: object,  # what is known about the identifiers; the order of names will do
        **__: object,
    ) -> _Identifier:
        return identifier

    def find_matches(
        self,
        identifier: _Identifier,
        requirements: Mapping[_Identifier, Iterator[Requirement]],
        incompatibilities: Mapping[_Identifier, Iterator[_Candidate]],
    ) -> Sequence[_Candidate]:
        wanted = list(requirements[identifier])
        bad = {candidate.wheel for candidate in incompatibilities[identifier]}
        found = self.fitting(wanted[0])
        return [
            _Candidate(wheel, identifier[1])
            for wheel in found
            if wheel not in bad and all(_meets(wheel, one) for one in wanted[1:])
        ]

    def is_satisfied_by(self, requirement: Requirement, candidate: _Candidate) -> bool:
        return _meets(candidate.wheel, requirement)

    def get_dependencies(self, candidate: _Candidate) -> Iterable[Requirement]:
        wheel = candidate.wheel
        needs = [
            requirement
            for requirement in self.needs(wheel).requires
            if _applies(requirement, self.environment, candidate.extras or ("",))
        ]
        if candidate.extras:  # with its extras it is the same version as without
            needs.append(Requirement(f"{wheel.name}==={wheel.version}"))
        return needs


def _parse(text: str) -> Requirement:
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        why = str(error).partition("\n")[0]
        raise MalformedRequirementError(text, f"it is no requirement ({why})") from error


def _extras(requirement: Requirement) -> tuple[str, ...]:
    return tuple(sorted(map(canonicalize_name, requirement.extras)))


def _applies(requirement: Requirement, environment: Environment, extras: tuple[str, ...]) -> bool:
    marker = requirement.marker
    return marker is None or marker_holds(str(requirement), marker, environment, extras)


def _meets(wheel: StoredWheel, requirement: Requirement) -> bool:
    if requirement.url is not None:
        return False
    return allows(requirement.specifier, wheel.version)


def _explained(
    causes: Collection[RequirementInformation[Requirement, _Candidate]], provider: _Provider
) -> RequirementError:
    """Say of the requirement that no wheel meets, else of the first in conflict."""
    for requirement, parent in causes:
        if not provider.fitting(requirement):
            return RequirementError(_asked(requirement, parent), _lack(requirement, provider))
    first, *others = (_asked(*cause) for cause in causes)
    return RequirementError(first, f"it contradicts {'; '.join(others)}")


def _asked(requirement: Requirement, parent: _Candidate | None) -> str:
    if parent is None:
        return str(requirement)
    return f"{requirement} (of {parent.wheel.name} {parent.wheel.version})"


def _lack(requirement: Requirement, provider: _Provider) -> str:
    if requirement.url is not None:
        return "it names a URL, and build requirements come from the wheel store only"
    name = canonicalize_name(requirement.name)
    there = [wheel for wheel in provider.wheels if wheel.name == name]
    names = ", ".join(wheel.path.name for wheel in there)
    if not there:
        return "the wheel store has no wheel of it"
    if any(_meets(wheel, requirement) for wheel in there):
        python = f"{provider.environment.implementation} {provider.environment.version}"
        return f"the wheel store has {names}, but not for {python}"
    return f"the wheel store has only {names}"
