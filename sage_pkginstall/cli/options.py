"""Options of a command, for which an argument parser is made only if a command line needs one.

Most command lines hold a few words, and flags that are just set.  What these mean is clear
without `argparse`, whose import and parser take longer than all that such a command then
does.  Everything else, errors and ``--help`` among it, is left to the parser.
"""

from __future__ import annotations

from types import SimpleNamespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any

__all__ = ["Options"]


class Options:
    """What a command takes: options, and one list of words."""

    def __init__(self, program: str, description: str) -> None:
        self._program = program
        self._description = description
        self._arguments: list[tuple[tuple[str, ...], dict[str, Any]]] = []

    def add_argument(self, *names: str, **settings: Any) -> None:  # noqa: ANN401 - argparse's
        """Take one more argument: what `argparse` says of it holds."""
        self._arguments.append((names, settings))

    def parse_args(self, words: Sequence[str]) -> Any:  # noqa: ANN401 - a namespace
        """Return the values by their names; ends the process as `argparse` does."""
        given = self._parsed_without(words)
        return self.parser().parse_args(words) if given is None else given

    def parser(self) -> argparse.ArgumentParser:
        """Return the parser that `parse_args` stands for."""
        from sage_pkginstall.cli.parser import parser  # noqa: PLC0415 - 5 ms

        options = parser(self._program, self._description)
        for names, settings in self._arguments:
            options.add_argument(*names, **settings)
        return options

    def _parsed_without(self, words: Sequence[str]) -> SimpleNamespace | None:
        """Return the values if there are only words, in one row, and flags that are just set."""
        values = {_destination(*one): _default(one[1]) for one in self._arguments}
        flags = {
            name: _destination(names, settings)
            for names, settings in self._arguments
            if settings.get("action") == "store_true"
            for name in names
        }
        places = []
        for place, word in enumerate(words):
            if word in flags:
                values[flags[word]] = True
            elif word.startswith("-"):
                return None
            else:
                places.append(place)
        row = list(words[places[0] : places[-1] + 1]) if places else []
        name, needed = self._words()
        if len(row) != len(places) or (needed and not row):
            return None
        return SimpleNamespace(**{**values, name: row})

    def _words(self) -> tuple[str, bool]:
        """Return the name of the list of words, and whether it must not be empty."""
        ((names, settings),) = [one for one in self._arguments if not one[0][0].startswith("-")]
        assert settings["nargs"] in ("*", "+")
        return names[0], settings["nargs"] == "+"


def _destination(names: tuple[str, ...], settings: dict[str, Any]) -> str:
    """Return the name of an argument's value: as said, or of its first long name."""
    if "dest" in settings:
        return str(settings["dest"])
    long = (name for name in names if name.startswith("--"))
    return next(long, names[0]).lstrip("-").replace("-", "_")


def _default(settings: dict[str, Any]) -> object:
    return settings.get("default", False if settings.get("action") == "store_true" else None)
