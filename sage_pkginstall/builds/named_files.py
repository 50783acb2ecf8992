"""Files outside of the source that a build is told of, and so reads: they count as inputs.

Variables and settings name them (``CMAKE_TOOLCHAIN_FILE=…``, ``-Csetup-args=--native-file=…``),
and some tools read settings from the user's home directory.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from sage_pkginstall.builds.remembered import remembered
from sage_pkginstall.builds.source_files import hash_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["named_files"]

_PIECES = re.compile(r"""[\s:;,="'()]+""")


def named_files(
    texts: Iterable[str], environ: Mapping[str, str], known: Iterable[str]
) -> dict[str, str]:
    """Return ``{path: hash}`` of all files that ``texts`` name, and of those in the home directory.

    What lies below one of ``known`` counts otherwise.  With ``SAGE_PKGINSTALL_TOOLCHAIN`` no
    program counts: that name stands for it.
    """
    below = tuple(f"{os.path.realpath(directory)}/" for directory in known if directory)
    with_programs = not environ.get("SAGE_PKGINSTALL_TOOLCHAIN")
    found = {path: path for text in texts for path in _paths(text)}
    found.update(_of_home(environ))
    hashes = {
        name: _hash(path, with_programs=with_programs)
        for name, path in sorted(found.items())
        if not os.path.realpath(path).startswith(below)
    }
    return {name: told for name, told in hashes.items() if told}


def _paths(text: str) -> Iterator[str]:
    """Yield what may be an absolute path in ``text``: one in a list, or behind an ``=``."""
    if "/" in text:
        yield from (path for path in (text, text.rpartition("=")[2]) if path.startswith("/"))
        yield from (path for path in _PIECES.split(text) if path.startswith("/"))


def _of_home(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what distutils (setuptools) and cargo (maturin) read of each user's settings."""
    home = environ.get("HOME") or os.devnull
    yield "~/.pydistutils.cfg", f"{home}/.pydistutils.cfg"
    cargo = environ.get("CARGO_HOME") or f"{home}/.cargo"
    for name in ("config", "config.toml"):
        yield f"CARGO_HOME/{name}", f"{cargo}/{name}"


def _hash(path: str, *, with_programs: bool) -> str:
    """Return the hash of a file; nothing for what is none, or cannot be read by a build either."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 -- hot
        if not stat.S_ISREG(mode) or (mode & 0o111 and not with_programs):
            return ""
        return remembered(Path(path), lambda: {"sha256": hash_file(path)}, "content")["sha256"]
    except (OSError, ValueError):  # of a zero byte, a name that is too long
        return ""
