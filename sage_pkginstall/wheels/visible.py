"""Which distributions Python sees in an environment, and in which versions.

Those are its own, and, where ``pyvenv.cfg`` wants that (``--system-site-packages``), those of the
Python that it was made from.  What is installed, upgraded and uninstalled are its own.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from sage_pkginstall.environment import setting_of
from sage_pkginstall.errors import EnvironmentFactsError, RecordError
from sage_pkginstall.wheels.installed import installed_distributions
from sage_pkginstall.wheels.records import all_recorded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sage_pkginstall.environment import Environment
    from sage_pkginstall.wheels.installed import Installed

__all__ = ["visible_versions"]


def visible_versions(environment: Environment) -> dict[str, str]:
    """Return the version of each distribution that is seen, by canonical name.

    Raises RecordError where those of the environment cannot be read.
    """
    wanted = setting_of(environment, "include-system-site-packages") or ""
    base = _of_base(environment) if wanted.lower() == "true" else ()
    return {one.canonical: one.version for one in (*base, *all_recorded(environment))}


def _of_base(environment: Environment) -> Iterator[Installed]:
    """Yield what is installed in the base; of several of one name, what is seen comes last."""
    from sage_pkginstall.interpreter import base_sites  # noqa: PLC0415 -- rarely needed

    with contextlib.suppress(EnvironmentFactsError):  # it does not matter enough
        for site in reversed(base_sites(environment.interpreter)):
            place = dict.fromkeys(environment.schemes, site.lstrip("/"))
            with contextlib.suppress(RecordError):
                yield from installed_distributions(
                    environment.at(Path("/"))._replace(schemes=place)
                )
