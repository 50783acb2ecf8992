"""What an examination of a machine or prefix finds."""

from __future__ import annotations

from dataclasses import dataclass

from sage_pkginstall.values import Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Literal

    from sage_pkginstall.engine.tree import Tree
    from sage_pkginstall.environment import Environment

__all__ = ["Check", "Examination", "Finding", "error", "warning"]


@dataclass(frozen=True)
class Finding:
    """The result of a check: "ok"; a "warning"; or an "error", which keeps us from working."""

    check: str
    level: Literal["ok", "warning", "error"]
    text: str
    remedy: str = ""


class Which(Protocol):
    """Finds a program on PATH, like `shutil.which`."""

    def __call__(self, cmd: str, /) -> str | None:
        """Return the path of a program, None if there is none."""


@dataclass(frozen=True)
class Examination:
    """What is examined, and with what."""

    tree: Tree
    environment: Environment | None
    variables: Mapping[str, str]
    which: Which


class Check(Protocol):
    """Looks at one thing, and yields what is wrong with it; nothing if all is well."""

    def __call__(self, examination: Examination, /) -> Iterable[Finding]:
        """Yield what is wrong."""


def error(text: str, remedy: str) -> Finding:
    """Return a finding that keeps us from working; whoever runs the check adds its name."""
    return Finding("", "error", text, remedy)


def warning(text: str, remedy: str) -> Finding:
    """Return a finding that the user should know of."""
    return Finding("", "warning", text, remedy)
