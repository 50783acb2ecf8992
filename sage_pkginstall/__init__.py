"""Install Python wheels and staged trees into a prefix that many jobs change at once.

What other tools may import stands in ``__all__``; `sage_pkginstall.api` says what each
name promises.  It is loaded when the first of these names is asked for.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sage_pkginstall.api import (
        BuildRequest,
        Environment,
        Installation,
        InstallOptions,
        LockSettings,
        Outcome,
        PkgInstallError,
        Recovery,
        TreeSettings,
        Uninstallation,
        build,
        install,
        merge,
        recover,
        target_environment,
        uninstall,
    )

__all__ = [
    "BuildRequest",
    "Environment",
    "InstallOptions",
    "Installation",
    "LockSettings",
    "Outcome",
    "PkgInstallError",
    "Recovery",
    "TreeSettings",
    "Uninstallation",
    "build",
    "install",
    "merge",
    "recover",
    "target_environment",
    "uninstall",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from sage_pkginstall import api  # noqa: PLC0415 - the command line does without

    return getattr(api, name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
