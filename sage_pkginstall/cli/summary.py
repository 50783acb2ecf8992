"""One line for a package that is done: for its log, and for who watches."""

from __future__ import annotations

from sage_pkginstall.cli.terminal import time_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sage_pkginstall.spkg.progress import Installed

__all__ = ["summary_line"]

_WORTH_TELLING = 0.05  # seconds of waiting


def summary_line(package: str, installed: Installed) -> str:
    """Return, say, ``sympy 1.14 installed: 1 wheel, 3,001 files, built 4.1 s, staged 1.9 s, …``."""
    return f"{package} installed: " + ", ".join(_parts(installed))


def _parts(installed: Installed) -> Iterator[str]:
    if installed.wheels:
        yield _counted(installed.wheels, "wheel")
    if installed.files is not None:
        yield _counted(installed.files, "file")
    yield f"built {time_text(installed.built)}"
    if installed.staged is not None:
        yield f"staged {time_text(installed.staged)}"
    if installed.held is not None:
        yield f"lock {time_text(installed.held)}"
    if installed.waited is not None and installed.waited >= _WORTH_TELLING:
        yield f"waited {time_text(installed.waited)}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
