"""Where the Python of a tree puts modules, scripts and data."""

from __future__ import annotations

import sys
import sysconfig

__all__ = ["facts"]


def facts() -> dict[str, str]:
    """Return the prefix, the version, and the directory of each scheme, by their names."""
    version = ".".join(map(str, sys.version_info[:3]))
    return {"prefix": sys.prefix, "version": version, **sysconfig.get_paths()}
