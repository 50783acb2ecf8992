"""Environments that the system's package manager owns (PEP 668) are left alone."""

from __future__ import annotations

from sage_pkginstall.errors import ManagedEnvironmentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sage_pkginstall.environment import Environment

__all__ = ["refuse_managed"]


def refuse_managed(environment: Environment) -> None:
    """Raise `ManagedEnvironmentError`, with what its owner has to say, if there is one."""
    if environment.externally_managed is not None:
        raise ManagedEnvironmentError(environment.prefix, environment.externally_managed)
