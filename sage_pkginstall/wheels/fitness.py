"""Whether a wheel can be installed into an environment: its tags and its Requires-Python."""

from __future__ import annotations

import os

from sage_pkginstall.errors import WheelError
from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.plain_versions import allowed_by, plain_comparisons
from sage_pkginstall.wheels.refusal import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from sage_pkginstall.environment import Environment

__all__ = ["Needs", "check_fits", "python_fits"]

_SHOWN = 4


class Needs(NamedTuple):
    """What a wheel asks of an environment: one of these tags, and this Requires-Python."""

    tags: frozenset[str]
    requires_python: str | None


def check_fits(wheel: Path, needs: Needs, environment: Environment) -> None:
    """Raise WheelError unless ``wheel`` can be installed into ``environment``."""
    _check_nameable(wheel, os.fspath(environment.interpreter))
    if not environment.takes(needs.tags):
        tags = ", ".join(sorted(needs.tags)[:_SHOWN]) + (", …" if len(needs.tags) > _SHOWN else "")
        reason = (
            f"it is for {tags}; {environment.interpreter} is "
            f"{environment.implementation} {environment.version} and takes wheels "
            f"like {environment.tags[0] if environment.tags else 'none'}"
        )
        raise WheelError(wheel, reason)
    requires = needs.requires_python
    if requires is not None and not python_fits(requires, environment.version):
        reason = (
            f"it requires Python {quoted(requires)}; {environment.interpreter} is "
            f"Python {environment.version}"
        )
        raise WheelError(wheel, reason)


def _check_nameable(wheel: Path, interpreter: str) -> None:
    """Refuse an interpreter that no script can name.

    Python reads scripts as UTF-8, and the first line of one ends at a line break, for Python
    also at a carriage return; what follows a tab is an argument for the kernel.
    """
    what = "has a tab or line break" if set(interpreter) & set("\t\r\n") else None
    try:
        interpreter.encode()
    except UnicodeEncodeError:
        what = "is not UTF-8"
    if what:
        reason = f"scripts cannot name {quoted(interpreter)}, which {what}"
        raise WheelError(wheel, f"{reason}; use an environment of another name")


def python_fits(requires: str, version: str) -> bool:
    """Tell whether Python ``version`` is one of those that Requires-Python allows (PEP 440)."""
    comparisons = plain_comparisons(requires)
    fits = None if comparisons is None else allowed_by(comparisons, version)
    if fits is not None:
        return fits
    from packaging.specifiers import SpecifierSet  # noqa: PLC0415 -- seldom needed

    try:
        return SpecifierSet(requires).contains(version, prereleases=True)
    except ValueError:
        return True  # pip, too: old wheels have ">=3.6.*"
