"""``manual``: pages for man(1), made from the parsers that answer ``--help``.

A page says what ``--help`` says, and is the same text with every Python that we run on:
pages are kept in ``data/`` (a wheel brings them to ``share/man``), and a test compares.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from inspect import cleandoc

from sage_pkginstall import __version__
from sage_pkginstall.cli.main import COMMANDS, find_function
from sage_pkginstall.cli.parser import PARSER_PLEASE, ParserAsked, parser
from sage_pkginstall.cli.paths import given_path
from sage_pkginstall.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["Argument", "Command", "commands", "manual", "pages"]

# Scripts and make rules call these, people do not.
_INTERNAL = frozenset({"commit-package", "make-rules", "stage-wheel"})

_MARK = '.\\" Made by `make man` from the parsers of the commands; do not edit.'
"""The first line of each page, by which it is known to be ours."""

# These hand on their arguments: what they are called, and what they are given.
_FOREIGN = {
    "pip": ("sage -pip", "PIP-ARGUMENT"),
    "watch": ("sage-pkginstall watch", "COMMAND"),
}


@dataclass(frozen=True)
class Argument:
    """An option (``flags``) or a positional argument (no flags) of a command.

    ``metavar`` is empty for an option without a value; a positional one may be ``optional``.
    """

    flags: tuple[str, ...]
    metavar: str
    choices: tuple[str, ...]
    several: bool
    help: str
    optional: bool = False


@dataclass(frozen=True)
class Command:
    """A command as its parser describes it.

    ``name`` is what follows ``sage-pkginstall``, ``called`` what people write.
    """

    name: str
    called: str
    summary: str
    description: str
    options: tuple[Argument, ...]
    positionals: tuple[Argument, ...]


def manual(arguments: Sequence[str]) -> int:
    """Print the manual page of a command, for ``man -l -``, or write all pages to a directory."""
    options = parser("sage-pkginstall manual", manual.__doc__ or "")
    options.add_argument("command", nargs="?", metavar="COMMAND", help="default: the overview")
    options.add_argument("--all", metavar="DIR", help="write all pages to DIR")
    given = options.parse_args(arguments)
    known = pages()
    if given.all is not None:
        _write(given_path(given.all, "--all"), known)
        return 0
    name = given.command or "sage-pkginstall"
    for page in (name, f"sage-{name}", f"sage-pkginstall-{name}"):
        if page in known:
            print(known[page], end="")
            return 0
    raise UsageError(f"cannot show the page of {name}: there is no such command")


def pages() -> dict[str, str]:
    """Return all pages, in roff, by name (``sage-pkginstall-install``)."""
    described = commands()
    made = {"sage-pkginstall": "".join(f"{line}\n" for line in _overview(described))}
    for command in described:
        made[_page_name(command)] = "".join(f"{line}\n" for line in _page(command))
    return made


def _page_name(command: Command) -> str:
    return command.called.replace(" -", "-").replace(" ", "-")


def _write(directory: Path, known: dict[str, str]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.glob("sage-*.1"):
        if old.is_file() and old.read_bytes().startswith(_MARK.encode()):
            old.unlink()
    for page, text in known.items():
        (directory / f"{page}.1").write_text(text, encoding="utf-8")


# --------------------------------------------------------------------- what parsers know


def commands() -> tuple[Command, ...]:
    """Return all commands that people call, in their order."""
    return tuple(
        _foreign(name) if name in _FOREIGN else _described(name)
        for name in COMMANDS
        if name not in _INTERNAL
    )


def _foreign(name: str) -> Command:
    called, given = _FOREIGN[name]
    return Command(
        name=name,
        called=called,
        summary=COMMANDS[name][1].removeprefix(f"{called}: "),
        description=cleandoc(find_function(name).__doc__ or ""),
        options=(),
        positionals=(Argument((), given, (), several=True, help="handed on as it is"),),
    )


def _described(name: str) -> Command:
    options = _parser_of(name)
    actions = [a for a in options._actions if a.help != argparse.SUPPRESS]  # noqa: SLF001 - argparse has no public name for them
    arguments = [_argument(action) for action in actions]
    return Command(
        name=name,
        called=options.prog,
        summary=COMMANDS[name][1].removeprefix(f"{options.prog}: "),
        description=cleandoc(options.description or "").replace("``", ""),
        options=tuple(a for a in arguments if a.flags),
        positionals=tuple(a for a in arguments if not a.flags),
    )


def _parser_of(name: str) -> argparse.ArgumentParser:
    try:
        find_function(name)([PARSER_PLEASE])
    except ParserAsked as asked:
        return asked.options
    message = f"{name} has no parser of ours"
    raise AssertionError(message)


def _argument(action: argparse.Action) -> Argument:
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    choices = tuple(map(str, action.choices or ()))
    if choices:
        metavar = "|".join(choices)
    takes_none = bool(action.option_strings) and action.nargs == 0
    return Argument(
        flags=tuple(action.option_strings),
        metavar="" if takes_none else metavar,
        choices=choices,
        several=action.nargs in ("*", "+", "..."),
        help="show this and end" if action.dest == "help" else (action.help or ""),
        optional=action.nargs in ("?", "*", "..."),
    )


# --------------------------------------------------------------------------------- roff


def _overview(described: Sequence[Command]) -> Iterator[str]:
    yield from _head("sage-pkginstall", "install wheels and staged trees under one lock")
    yield from (".B sage\\-pkginstall", ".I COMMAND", "[OPTIONS] [ARGUMENTS]")
    yield from (".SH DESCRIPTION",)
    yield _text(
        "Installs Python wheels and staged trees into a prefix that many jobs change at once."
        " Whatever an install leaves behind is first laid out in a private staged tree. Then one"
        " plan, one journal and a few renames under one lock bring it into the prefix."
    )
    yield ".SH COMMANDS"
    for command in described:
        name = _text(_page_name(command))
        yield from (".TP", f".BR {name} (1)", _text(command.summary))
    yield from (".SH EXIT STATUS",)
    for status, meaning in (
        ("0", "done"),
        ("1", "failed or refused; nothing has changed"),
        ("2", "the command line, or a variable, asks for something impossible"),
        ("3", "sage-pip-install failed"),
        ("130", "interrupted; nothing is half installed"),
    ):
        yield from (".TP", f".B {status}", _text(meaning))
    yield from (".SH SEE ALSO", _text("The manual in HTML has a tutorial, guides, all messages"))
    yield _text("with cause and remedy, and the reasons for all this.")


def _head(page: str, summary: str) -> Iterator[str]:
    yield _MARK
    yield f'.TH {_text(page.upper())} 1 "" "sage-pkginstall {__version__}" "User Commands"'
    yield from (".SH NAME", f"{_text(page)} \\- {_text(summary)}", ".SH SYNOPSIS")


def _page(command: Command) -> Iterator[str]:
    yield from _head(_page_name(command), command.summary)
    yield f".B {_text(command.called)}"
    options = ["[OPTIONS]"] if command.options else []
    yield _text(" ".join([*options, *map(_positional, command.positionals)]))
    yield ".SH DESCRIPTION"
    for n, paragraph in enumerate(command.description.split("\n\n")):
        yield from ((".PP",) if n else ())
        yield _text(" ".join(paragraph.split()))
    told = [p for p in command.positionals if p.help]
    yield from ((".SH ARGUMENTS",) if told else ())
    for positional in told:
        yield from (".TP", f".I {_text(positional.metavar)}", _text(positional.help))
    yield from ((".SH OPTIONS",) if command.options else ())
    for option in command.options:
        yield ".TP"
        yield ", ".join(_flag(flag, option.metavar) for flag in option.flags)
        yield _text(option.help)
    yield from (".SH SEE ALSO", ".BR sage\\-pkginstall (1)")


def _positional(argument: Argument) -> str:
    text = f"{argument.metavar}..." if argument.several else argument.metavar
    return f"[{text}]" if argument.optional else text


def _flag(flag: str, metavar: str) -> str:
    value = f" \\fI{_text(metavar)}\\fR" if metavar else ""
    return f"\\fB{_text(flag)}\\fR{value}"


def _text(text: str) -> str:
    """Return text as roff: a hyphen is a minus that can be copied, no line is a request."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("%%", "%")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
