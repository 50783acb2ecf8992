"""Argument parsers in our manner, which also tell others what they parse."""

from __future__ import annotations

import argparse
import sys
from typing import Any

__all__ = ["PARSER_PLEASE", "ParserAsked", "parser"]

PARSER_PLEASE = "--\0parser"
"""The word to which every parser answers with itself; no command line can hold a NUL."""


class ParserAsked(Exception):  # noqa: N818 - nothing is wrong
    """The answer to `PARSER_PLEASE`."""

    def __init__(self, options: argparse.ArgumentParser) -> None:
        super().__init__(options.prog)
        self.options = options


class _Answer(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        raise ParserAsked(parser)


class _Parser(argparse.ArgumentParser):
    """Exits with 2 and one line for a bad command line."""

    def error(self, message: str) -> Any:  # noqa: ANN401 - never returns
        print(f"{self.prog}: {message}; see {self.prog} --help", file=sys.stderr)
        sys.exit(2)


def parser(program: str, description: str) -> argparse.ArgumentParser:
    """Return an argument parser in our manner."""
    options = _Parser(prog=program, description=description, allow_abbrev=False)
    hidden = argparse.SUPPRESS
    options.add_argument(PARSER_PLEASE, action=_Answer, nargs=0, default=hidden, help=hidden)
    return options
