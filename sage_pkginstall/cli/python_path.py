"""PYTHONPATH is for the programs that we run: no module of ours comes from there.

``build/bin`` starts its Python isolated.  The script that pip makes for a wheel of this tool
does not, nor does ``python -m``.
"""

from __future__ import annotations

import os
import sys

__all__ = ["leave_python_path"]


def leave_python_path() -> None:
    """Begin this program again without Python's variables, where PYTHONPATH adds to its modules.

    It may lead to the target, whose libraries change while we work.  Where the tool itself was
    found there, that was meant so, and all stays as it is.  What we run gets the variable.
    """
    path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    ours = __file__.rpartition("/sage_pkginstall/cli/")[0]  # a directory, or a zip file
    if ours in sys.path and os.path.realpath(ours) not in map(os.path.realpath, path):
        os.execv(sys.executable, [sys.executable, "-E", *sys.orig_argv[1:]])  # noqa: S606
