"""How results look: aligned columns, colours on terminals only, names that cannot harm."""

from __future__ import annotations

import contextlib
import os
import sys

from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from typing import Literal, TypeAlias

__all__ = [
    "Colour",
    "Colours",
    "add_colour",
    "aligned",
    "colours_of",
    "harmless",
    "shown",
    "size_text",
    "tell",
    "time_text",
]

Colour: TypeAlias = "Literal['bold', 'dim', 'red', 'green', 'yellow', 'cyan']"

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_KILO = 1000


class Colours(NamedTuple):
    """Colours text, or leaves it alone."""

    on: bool

    def __call__(self, colour: Colour, text: str) -> str:
        """Return ``text`` in a colour."""
        return f"\033[{_CODES[colour]}m{text}\033[0m" if self.on and text else text


def add_colour(options: argparse.ArgumentParser) -> None:
    """Add ``--color`` to the options of a command."""
    options.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="colours (default: on terminals, unless NO_COLOR is set)",
    )


def colours_of(arguments: argparse.Namespace) -> Colours:
    """Return the colours that the arguments and ``NO_COLOR`` (https://no-color.org) ask for."""
    if arguments.json or arguments.color == "never":
        return Colours(on=False)
    if arguments.color == "always":
        return Colours(on=True)
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return Colours(on=not plain and sys.stdout.isatty())


def aligned(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> Iterator[str]:
    """Yield the rows with their columns aligned, those numbered in ``right`` to the right.

    The last column is left as it is: it may hold colours.
    """
    if not rows:
        return
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if n in right else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(row[:-1], widths, strict=False))
        ]
        yield "  ".join([*cells, row[-1]]).rstrip()


def shown(name: str) -> str:
    """Return a name of a file as it can be printed: one line, no control characters."""
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def harmless(text: str) -> str:
    """Return a text as it can be printed: lines and tabs stay, no other control character does."""
    if text.isprintable():
        return text
    return "\n".join("\t".join(map(shown, line.split("\t"))) for line in text.split("\n"))


def tell(line: str) -> None:
    """Print a line to standard error; that nobody can hear it changes nothing that is done.

    A log may keep it: URLs lose their passwords.
    """
    if "@" in line:
        from sage_pkginstall.passwords import without_passwords  # noqa: PLC0415 - rare

        line = without_passwords(line)
    with contextlib.suppress(OSError):
        print(harmless(line), file=sys.stderr, flush=True)


def size_text(size: int) -> str:
    """Return a number of bytes for people."""
    number, units = float(size), iter(("B", "kB", "MB", "GB"))
    unit = next(units)
    while number >= _KILO and unit != "GB":
        number, unit = number / _KILO, next(units)
    return f"{number:.1f} {unit}" if unit != "B" else f"{size} B"


def time_text(seconds: float) -> str:
    """Return a length of time for people."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s"
