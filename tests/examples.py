"""Examples of a page, as they stand there: ``console`` and ``python`` blocks.

``python3 -m tests.examples DIR`` makes in ``DIR`` what they work with.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.sources import make_source, make_wheel

__all__ = ["Command", "console", "lay_out", "python"]

_WHEELS = (
    "six-1.17.0-py2.py3-none-any.whl",
    "foo-1.0-py3-none-any.whl",
    "foo-1.1-py3-none-any.whl",
)

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


def lay_out(desk: Path) -> None:
    """Put a folder ``wheels`` with some tiny wheels, and a ``source``, into ``desk``."""
    for wheel in _WHEELS:
        make_wheel(desk / "wheels", wheel)
    make_source(desk / "source")


def _blocks(page: Path, language: str) -> list[str]:
    return [text for name, text in _BLOCK.findall(page.read_text()) if name == language]


if __name__ == "__main__":
    lay_out(Path(sys.argv[1]))
