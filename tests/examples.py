"""Examples of a page, as they stand there: ``console`` and ``python`` blocks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Command", "console", "python"]

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Command:
    """A line after ``$``, and what the page says that it prints."""

    line: str
    output: str


def console(page: Path) -> tuple[Command, ...]:
    """Return the commands of all ``console`` blocks of a page, in their order."""
    return tuple(
        Command(line.replace("\\\n", ""), output)
        for block in _blocks(page, "console")
        for line, output in re.findall(
            r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE
        )
    )


def python(page: Path) -> tuple[str, ...]:
    """Return the ``python`` blocks of a page."""
    return tuple(_blocks(page, "python"))


def _blocks(page: Path, language: str) -> list[str]:
    return [text for name, text in _BLOCK.findall(page.read_text()) if name == language]
