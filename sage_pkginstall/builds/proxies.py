"""Programs that run another one, which is chosen elsewhere.

Those of rustup, pyenv, Xcode and others: what they run changes while they do not.  Of two it is
known what chooses, so that they need not be asked each time, which takes a tenth of a second:

    rustup    ``settings.toml`` and the ``toolchains`` in $RUSTUP_HOME
    pyenv     ``version`` and the ``versions`` in $PYENV_ROOT, or PATH

Where one of these is missing, it has its default (in the home directory), or the proxy fails; it
is asked again as soon as it is there.  Directories may have a choice of their own, for themselves
and all below, by ``rust-toolchain``, ``.python-version`` or an override in ``settings.toml``.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["choosing_files", "choosing_variables", "is_proxy", "toolchains_of_rustup"]

_OF_RUSTUP = ("rust-toolchain", "rust-toolchain.toml")
_OF_PYENV = ".python-version"
_RUSTUP_FALLBACK = "/etc/rustup/settings.toml"
_ASKED_IN = "/"  # the directory in which those are asked that choose the same everywhere


def is_proxy(path: str, real: Path) -> bool:
    """Tell whether what is called as ``path``, and is ``real``, is a proxy."""
    if real.parent.name == "shims" or _is_of_rustup(real):
        return True
    return sys.platform == "darwin" and path.startswith("/usr/bin/")


def choosing_files(
    path: str, real: Path, environ: Mapping[str, str], source: Path | None
) -> tuple[str, ...]:
    """Return what decides which program a proxy runs, and the programs that it may run.

    As long as all of these stay, and `choosing_variables`, it runs the same in ``source``.  Nothing
    if that is not known of it, or it is chosen for that directory: then it has to be asked there
    each time.
    """
    name = os.path.basename(path)  # noqa: PTH119 - text
    pyenv = environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")  # noqa: PTH111
    if _is_of_rustup(real):
        home = _rustup_home(environ)
        if source and (_has_above(source, _OF_RUSTUP) or _is_overridden(home, source)):
            return ()
        installed = f"{home}/toolchains"
        chosen = [f"{home}/settings.toml", _RUSTUP_FALLBACK]
        chosen += [f"{_ASKED_IN}{file}" for file in _OF_RUSTUP]
        programs = _programs_of(installed, (name, "rustc"))
    elif _is_of_pyenv(real, pyenv):
        if source and _has_above(source, (_OF_PYENV,)):
            return ()
        installed = f"{pyenv}/versions"
        chosen = [f"{pyenv}/version", f"{pyenv}/plugins", f"{_ASKED_IN}{_OF_PYENV}"]
        elsewhere = (f"{one}/{name}" for one in environ.get("PATH", "").split(":") if one)
        programs = [*_programs_of(installed, (name,)), *elsewhere]
    else:
        return ()
    return (*chosen, installed, *programs)


def choosing_variables(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the variables that decide, too, as pairs."""
    return sorted(
        pair
        for pair in environ.items()
        if pair[0] in {"PATH", "HOME"} or pair[0].startswith(("RUSTUP_", "PYENV_"))
    )


def toolchains_of_rustup(environ: Mapping[str, str]) -> list[tuple[str, int, int]]:
    """Return the compilers that rustup has, whichever it chooses, with their sizes and times."""
    found = []
    for path in _programs_of(f"{_rustup_home(environ)}/toolchains", ("rustc",)):
        with contextlib.suppress(OSError):
            status = os.stat(path)  # noqa: PTH116 - text
            found.append((path, status.st_size, status.st_mtime_ns))
    return found


def _rustup_home(environ: Mapping[str, str]) -> str:
    return environ.get("RUSTUP_HOME") or os.path.expanduser("~/.rustup")  # noqa: PTH111


def _has_above(source: Path, names: tuple[str, ...]) -> bool:
    return any((place / name).exists() for place in _way_up(source) for name in names)


def _is_overridden(home: str, source: Path) -> bool:
    """Tell whether rustup's settings name the directory, or one above."""
    try:
        text = Path(home, "settings.toml").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    overrides = text.partition("[overrides]")[2]
    return any(f"{place}{quote}" in overrides for place in _way_up(source) for quote in "\"'")


def _way_up(source: Path) -> tuple[Path, ...]:
    real = source.resolve()
    return (real, *real.parents)


def _is_of_rustup(real: Path) -> bool:
    try:
        return real.name == "rustup" or real.samefile(real.with_name("rustup"))
    except OSError:
        return False


def _is_of_pyenv(real: Path, root: str) -> bool:
    own = real.parent.parent / "libexec/pyenv"  # where it is installed in its root
    return own.exists() or os.path.realpath(f"{root}/shims") == os.fspath(real.parent)


def _programs_of(toolchains: str, names: tuple[str, ...]) -> list[str]:
    return [f"{one}/bin/{name}" for one in sorted(_directories(toolchains)) for name in names]


def _directories(path: str) -> Iterator[str]:
    try:
        with os.scandir(path) as entries:
            yield from (entry.path for entry in entries if entry.is_dir())
    except OSError:
        return
