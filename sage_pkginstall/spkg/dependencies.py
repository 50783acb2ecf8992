"""The ``dependencies`` files of a package directory.

    dependencies              first line: NORMAL... | ORDER-ONLY...
    dependencies_order_only   more behind the |
    dependencies_build        needed while it is built, not when it runs
    dependencies_check        needed for its check
    dependencies_optional     taken if they are enabled

Only the first line of each counts, and what follows a ``#`` does not.  A word is the name
of a package, or a variable of make, ``$(PYTHON)``, or one of its functions, ``$(and $(x), y)``,
kept as it is.
"""

from __future__ import annotations

import re

from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Dependencies", "read_dependencies"]

_INNER = r"\([^()]*\)"
_WORD = re.compile(rf"(?:\$\((?:[^()]|\((?:[^()]|{_INNER})*\))*\)|\S)+")


class Dependencies(NamedTuple):
    """What a package depends on.

    A package is built anew when one of ``normal`` is newer than it; ``order_only`` must
    only be there before.
    """

    normal: tuple[str, ...] = ()
    order_only: tuple[str, ...] = ()
    build: tuple[str, ...] = ()
    check: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


def read_dependencies(directory: Path) -> Dependencies:
    """Read the ``dependencies`` files of a package directory; a missing one says nothing."""
    normal, _, order_only = _first_line(directory / "dependencies").partition("|")
    return Dependencies(
        normal=_unique(normal),
        order_only=_unique(order_only, _words(directory / "dependencies_order_only")),
        build=_unique(_words(directory / "dependencies_build")),
        check=_unique(_words(directory / "dependencies_check")),
        optional=_unique(_words(directory / "dependencies_optional")),
    )


def _first_line(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return text.partition("\n")[0].partition("#")[0]


def _words(path: Path) -> str:
    return _first_line(path).replace("|", " ")


def _unique(*texts: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for text in texts for word in _WORD.findall(text)))
