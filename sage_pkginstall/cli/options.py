"""Options of a command, for which an argument parser is made only if a command line needs one.

Most command lines hold a few words, flags, and options with a value.  What these mean is clear
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

_WITH_VALUE = ("store", "append")
_OF_PLAIN_VALUES = {"action", "default", "dest", "help", "metavar"}
_OF_PLAIN_WORDS = {"help", "metavar", "nargs"}


class Options:
    """What a command takes: options, and words."""

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
        """Return the values if there are only words and plain options."""
        values: dict[str, Any] = {}
        for names, settings in self._arguments:
            values.setdefault(_destination(names, settings), _default(settings))
        options = {name: one for one in self._arguments for name in one[0]}
        places = []
        rest = enumerate(words)
        for place, word in rest:
            if not word.startswith("-"):
                places.append(place)
                continue
            name, equals, after = word.partition("=")
            if name not in options or (equals and not name.startswith("--")):
                return None
            names, settings = options[name]
            value = after if equals else None
            if value is None and _action(settings) in _WITH_VALUE:
                _, value = next(rest, (0, "-"))
                if value.startswith("-"):  # there is none
                    return None
            if not _take(values, _destination(names, settings), settings, value):
                return None
        named = self._named([words[place] for place in places])
        return None if named is None else SimpleNamespace(**{**values, **named})

    def _named(self, row: list[str]) -> dict[str, Any] | None:
        """Return words by their names; None if there are too few or too many."""
        values: dict[str, Any] = {}
        for (name, *_), settings in self._arguments:
            number = settings.get("nargs")
            if name.startswith("-"):
                continue
            if not settings.keys() <= _OF_PLAIN_WORDS:
                return None
            if number in ("*", "+") and (row or number == "*"):
                values[name], row = row, []
            elif number in (None, "?") and row:
                values[name], *row = row
            elif number == "?":
                values[name] = None
            else:
                return None
        return None if row else values


def _destination(names: tuple[str, ...], settings: dict[str, Any]) -> str:
    """Return the name of an argument's value: as said, or of its first long name."""
    if "dest" in settings:
        return str(settings["dest"])
    long = (name for name in names if name.startswith("--"))
    return next(long, names[0]).lstrip("-").replace("-", "_")


def _action(settings: dict[str, Any]) -> str:
    return str(settings.get("action", "store"))


def _take(values: dict[str, Any], name: str, settings: dict[str, Any], value: str | None) -> bool:
    """Let ``values`` be those after one more option; return False if `argparse` is to tell."""
    action = _action(settings)
    if value is None and action == "store_true":
        values[name] = True
    elif value is None and action == "store_const":
        values[name] = settings["const"]
    elif value is None and action == "append_const":
        values[name] = [*(values[name] or ()), settings["const"]]
    elif value is None and action == "count":
        values[name] = (values[name] or 0) + 1
    elif value is not None and action in _WITH_VALUE and settings.keys() <= _OF_PLAIN_VALUES:
        values[name] = value if action == "store" else [*(values[name] or ()), value]
    else:
        return False
    return True


def _default(settings: dict[str, Any]) -> object:
    return settings.get("default", False if settings.get("action") == "store_true" else None)
