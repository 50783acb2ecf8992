"""Compare what is installed with what the records say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sage_pkginstall.errors import NotInstalledError
from sage_pkginstall.wheels.ownership import survey, unowned_files
from sage_pkginstall.wheels.records import (
    Problem,
    canonical_name,
    check,
    installed_distributions,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sage_pkginstall.environment import Environment
    from sage_pkginstall.wheels.records import Installed

__all__ = ["Verification", "verify"]


@dataclass(frozen=True)
class Verification:
    """What was looked at, and where the disk differs; ``unowned`` is nobody's."""

    checked: tuple[Installed, ...]
    problems: tuple[tuple[Installed, Problem], ...]
    unowned: tuple[str, ...] = ()


def verify(environment: Environment, names: Sequence[str]) -> Verification:
    """Check the distributions called ``names``, or all, and then also for unowned files.

    Raises `NotInstalledError` for a name that is not installed.
    """
    installed = installed_distributions(environment)
    wanted = {canonical_name(name) for name in names}
    unknown = wanted - {i.canonical for i in installed}
    if unknown:
        raise NotInstalledError(", ".join(sorted(unknown)), environment.prefix)
    chosen = tuple(i for i in installed if not wanted or i.canonical in wanted)
    problems = tuple((i, problem) for i in chosen for problem in check(environment, i))
    unowned = () if wanted else unowned_files(environment, survey(environment.prefix, environment))
    return Verification(chosen, problems, unowned)
