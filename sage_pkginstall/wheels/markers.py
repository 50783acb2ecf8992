"""Markers of requirements (PEP 508), as they are in the target.

``packaging`` evaluates them.  It reads some that mean nothing, as a word is no version, and only
lock files have groups:

    sys_platform ~= "linux"
    "test" in dependency_groups
"""

from __future__ import annotations

from sage_pkginstall.errors import RequirementError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.markers import Marker

    from sage_pkginstall.environment import Environment

__all__ = ["marker_holds"]


def marker_holds(
    requirement: str, marker: Marker, environment: Environment, extras: Iterable[str] = ("",)
) -> bool:
    """Tell whether the marker of a requirement holds, for any of ``extras``.

    Raises RequirementError if it means nothing.
    """
    from packaging.markers import UndefinedEnvironmentName  # noqa: PLC0415 -- slow

    facts = environment.markers
    try:
        return any(marker.evaluate({**facts, "extra": extra}) for extra in extras)
    except (UndefinedEnvironmentName, ValueError) as error:  # it has too many digits, too
        raise RequirementError(
            requirement, "its marker compares what cannot be compared"
        ) from error
