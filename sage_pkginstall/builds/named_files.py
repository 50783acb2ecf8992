"""Files outside of the source that a build is told of, and so reads: they count as inputs.

Variables and settings name them (``CMAKE_TOOLCHAIN_FILE=…``, ``-Csetup-args=--native-file=…``),
and some tools read settings from the user's home directory, or above the source.  A path with
``..`` may lead there from the source, which is where builds are run.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from sage_pkginstall.builds.inputs import digest_of
from sage_pkginstall.builds.remembered import remembered
from sage_pkginstall.builds.source_files import hash_file, hash_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["files_beside", "named_files"]

_PIECES = re.compile(r"""[\s:;,="'()]+""")
_OPTION = re.compile(r"\A(?:-[A-Za-z]+|@)(?=/|\.\./)")
"""What may stand right before a path: an option (``-include/x``), the ``@`` of a file of flags."""

_BUILD_FILES = (
    "pyproject.toml", "setup.py", "setup.cfg", "meson.build", "CMakeLists.txt", "Cargo.toml",
)  # fmt: skip
_WAY_OUT = re.compile(r"""\.\./[^\s:;,="'(){}\[\]<>#]+""")
_WHOLE_PATH = re.compile(r"""["'](~?/[^"'\n]+)["']""")


def named_files(
    texts: Iterable[str],
    environ: Mapping[str, str],
    is_known: Callable[[str], bool] = lambda _real_path: False,
    *,
    source: str = "",
) -> dict[str, str]:
    """Return ``{path: hash}`` of all files that ``texts`` name, and of those that tools read.

    What lies in ``source``, and what ``is_known`` (a real path is), counts otherwise.  With
    ``SAGE_PKGINSTALL_TOOLCHAIN`` no program counts: that name stands for it.
    """
    inside = _beginnings((source,))
    with_programs = not environ.get("SAGE_PKGINSTALL_TOOLCHAIN")
    found = {
        path: os.path.join(source, path)  # noqa: PTH118
        for text in texts
        for path in _paths(text)
        if source or path.startswith("/")
    }
    found.update((path, path) for path in _of_pkg_config(environ))
    of_home = dict(_of_home(environ))
    found.update(of_home)
    if source:
        above = dict(_of_cargo_above(source))
        found.update((name, path) for name, path in above.items() if path not in of_home.values())
    hashes = {}
    for name, path in sorted(found.items()):
        real = os.path.realpath(path)
        if real.startswith(inside) or is_known(real):
            continue
        hashes[name] = _hash(path, with_programs=with_programs)
    return {name: told for name, told in hashes.items() if told}


def files_beside(source: Path, known: Iterable[str]) -> dict[str, str]:
    """Return ``{path: hash}`` of what build files of ``source`` name outside of it.

    That are files, and by ``../`` also directories: each counts with all that lies in it, unless
    ``source`` itself lies there.  What lies below one of ``known`` counts otherwise.  Raises
    UnknownInputError if that cannot be told.
    """
    root = os.path.realpath(source)
    elsewhere = _beginnings(known)
    texts = [_text(source / name) for name in _BUILD_FILES]
    beside = {path for text in texts for path in _WAY_OUT.findall(text)}
    found = {}
    for path in sorted(beside.union(*map(_WHOLE_PATH.findall, texts))):
        real = os.path.realpath(os.path.join(root, os.path.expanduser(path)))  # noqa: PTH111, PTH118
        if f"{real}/".startswith((f"{root}/", *elsewhere)) or f"{root}/".startswith(f"{real}/"):
            continue
        if path in beside and os.path.isdir(real):  # noqa: PTH112
            found[path] = digest_of(hash_files(Path(real)))
        else:
            found[path] = _hash(real, with_programs=True)
    return {path: told for path, told in found.items() if told}


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _beginnings(directories: Iterable[str]) -> tuple[str, ...]:
    """Return how the real paths of what lies in ``directories`` begin."""
    return tuple(f"{os.path.realpath(directory)}/" for directory in directories if directory)


def _paths(text: str) -> Iterator[str]:
    """Yield what may be a path in ``text``: one in a list, behind an ``=``, or behind an option.

    Only an absolute one, or one with ``..``: all others stay in the source.
    """
    if "/" in text:
        for piece in (text, text.rpartition("=")[2], *_PIECES.split(text)):
            path = _OPTION.sub("", piece)
            if path.startswith("/") or "../" in path:
                yield path


def _of_home(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what build tools read of each user's settings; what comes later goes before.

    These are distutils (setuptools), numpy's distutils, cargo (maturin), and meson, which is told
    the names alone (``--native-file=NAME``) and has some for all users, too.
    """
    home = environ.get("HOME") or _home_of_user()
    for name in (".pydistutils.cfg", ".numpy-site.cfg"):
        yield f"~/{name}", f"{home}/{name}"
    cargo = environ.get("CARGO_HOME") or f"{home}/.cargo"
    for name in ("config", "config.toml"):
        yield f"CARGO_HOME/{name}", f"{cargo}/{name}"
    shared = environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    own = environ.get("XDG_DATA_HOME") or f"{home}/.local/share"
    for directory in reversed((own, *shared.split(":"))):  # the first that has a name is asked
        meson = Path(directory, "meson")
        for path in (*meson.glob("native/*"), *meson.glob("cross/*")):
            yield f"meson/{path.relative_to(meson)}", os.fspath(path)


def _of_pkg_config(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield what pkg-config reads in the directories that it is told of, but those of the system.

    These files have the version and the flags of libraries.
    """
    named = [environ.get(name, "") for name in ("PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR")]
    for directory in dict.fromkeys(":".join(named).split(":")):
        if directory.startswith("/") and not directory.startswith(("/usr/lib", "/usr/share")):
            yield from map(os.fspath, Path(directory).glob("*.pc"))


def _of_cargo_above(source: str) -> Iterator[tuple[str, str]]:
    """Yield what cargo (maturin, setuptools-rust) reads above a crate: its workspace, and settings.

    git often ignores ``Cargo.lock``, which has the versions of all crates.
    """
    way, directory = "", os.path.realpath(source)
    while (above := os.path.dirname(directory)) != directory:  # noqa: PTH120 -- text
        way, directory = f"../{way}", above
        for name in ("Cargo.toml", "Cargo.lock", ".cargo/config", ".cargo/config.toml"):
            path = os.path.join(directory, name)  # noqa: PTH118
            if os.path.exists(path):  # noqa: PTH110 -- forty are not there
                yield f"{way}{name}", path


def _home_of_user() -> str:
    """Return the home directory of who has no HOME (a service, say), as Python finds it."""
    import pwd  # noqa: PLC0415 -- few have none

    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return os.devnull


def _hash(path: str, *, with_programs: bool) -> str:
    """Return the hash of a file; nothing for what is none, or cannot be read by a build either."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 -- hot
        if not stat.S_ISREG(mode) or (mode & 0o111 and not with_programs):
            return ""
        return remembered(Path(path), lambda: {"sha256": hash_file(path)}, "content")["sha256"]
    except (OSError, ValueError):  # of a zero byte, a name that is too long
        return ""
