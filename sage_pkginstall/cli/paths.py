"""Paths that are words of a command line: an empty word is none."""

from __future__ import annotations

from pathlib import Path

from sage_pkginstall.errors import UsageError

__all__ = ["given_path"]


def given_path(word: str, name: str) -> Path:
    """Return the path that ``word`` is; raise `UsageError` if it is empty.

    That is ``"$VARIABLE"`` where there is no such variable, as a rule.  `Path` takes it for the
    current directory, which nobody has named: to be emptied, say.
    """
    if not word:
        raise UsageError(f"cannot use '' as {name}: an empty word is no path")
    return Path(word)
