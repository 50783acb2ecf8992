"""Where a requirement that is missing should have been named."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["dependencies_file"]


def dependencies_file(variables: Mapping[str, str]) -> str:
    """Return the ``dependencies`` file of the package whose script runs us, for a message.

    ``variables`` are those that scripts of packages have (``SAGE_ROOT``, ``PKG_BASE``).
    """
    root, package = variables.get("SAGE_ROOT"), variables.get("PKG_BASE")
    if not root or not package:
        return "the 'dependencies' file of its package"
    return os.path.join(root, "build", "pkgs", package, "dependencies")  # noqa: PTH118 - a text
