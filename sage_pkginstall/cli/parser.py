"""Argument parsers in our manner, which also tell others what they parse."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["PARSER_PLEASE", "ParserAsked", "parser"]

PARSER_PLEASE = "--\0parser"
"""The word to which every parser answers with itself; no command line can hold a NUL."""
_COLUMNS = 80  # where nobody knows


class ParserAsked(Exception):  # noqa: N818 - nothing is wrong
    """The answer to `PARSER_PLEASE`."""

    def __init__(self, options: argparse.ArgumentParser) -> None:
        super().__init__(options.prog)
        self.options = options


class _Answer(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        raise ParserAsked(parser)


class _Formatter(argparse.HelpFormatter):
    """As wide as `argparse` has it, without `shutil`, which it imports to ask how wide that is.

    Every option that is added asks for one, and nearly no run prints any help.
    """

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


def _columns() -> int:
    with contextlib.suppress(ValueError):
        columns = int(os.environ.get("COLUMNS", ""))
        if columns > 0:
            return columns
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or _COLUMNS  # type: ignore[union-attr]
    except (AttributeError, ValueError, OSError):  # no terminal, or nothing at all
        return _COLUMNS


class _Parser(argparse.ArgumentParser):
    """Exits with 2 and one line for a bad command line.

    Options may stand between words, as with pip.
    """

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:  # noqa: ANN401 - as in `argparse`
        takes_rest = any(action.nargs == argparse.REMAINDER for action in self._actions)
        if args is None or takes_rest or "--" in args:
            return super().parse_args(args, namespace)
        return self.parse_intermixed_args(args, namespace)

    def error(self, message: str) -> Any:  # noqa: ANN401 - never returns
        from sage_pkginstall.cli.terminal import shown, tell  # noqa: PLC0415 - who errs

        tell(f"{self.prog}: {shown(message)}; see {self.prog} --help")
        sys.exit(2)


def parser(program: str, description: str) -> argparse.ArgumentParser:
    """Return an argument parser in our manner."""
    options = _Parser(
        prog=program, description=description, allow_abbrev=False, formatter_class=_Formatter
    )
    hidden = argparse.SUPPRESS
    options.add_argument(PARSER_PLEASE, action=_Answer, nargs=0, default=hidden, help=hidden)
    return options
