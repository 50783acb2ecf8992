"""Programs that run another one, which is chosen elsewhere.

Those of rustup, pyenv, Xcode and others: what they run changes while they do not.  Of two it is
known what chooses, so that they need not be asked each time, which takes a tenth of a second:

    rustup    ``settings.toml`` and the ``toolchains`` in $RUSTUP_HOME
    pyenv     ``version`` and the ``versions`` in $PYENV_ROOT, or PATH

Where one of these is missing, it has its default (in the home directory), or the proxy fails; it
is asked again as soon as it is there.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["choosing_files", "choosing_variables", "is_proxy"]

_RUSTUP_FALLBACK = "/etc/rustup/settings.toml"
_ASKED_IN = "/"  # the directory in which programs are asked


def is_proxy(path: str, real: Path) -> bool:
    """Tell whether what is called as ``path``, and is ``real``, is a proxy."""
    if real.parent.name == "shims" or _is_of_rustup(real):
        return True
    return sys.platform == "darwin" and path.startswith("/usr/bin/")


def choosing_files(path: str, real: Path, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return what decides which program a proxy runs, and the programs that it may run.

    As long as all of these stay, and `choosing_variables`, it runs the same.  Nothing if that is
    not known of it: then it has to be asked each time.
    """
    name = os.path.basename(path)  # noqa: PTH119 - text
    pyenv = environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")  # noqa: PTH111
    if _is_of_rustup(real):
        home = environ.get("RUSTUP_HOME") or os.path.expanduser("~/.rustup")  # noqa: PTH111
        installed = f"{home}/toolchains"
        chosen = [f"{home}/settings.toml", _RUSTUP_FALLBACK]
        chosen += [f"{_ASKED_IN}rust-toolchain", f"{_ASKED_IN}rust-toolchain.toml"]
        programs = _programs_of(installed, (name, "rustc"))
    elif _is_of_pyenv(real, pyenv):
        installed = f"{pyenv}/versions"
        chosen = [f"{pyenv}/version", f"{pyenv}/plugins", f"{_ASKED_IN}.python-version"]
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
