"""``completion``: scripts that complete command lines in bash, zsh and fish.

They are made from the parsers that answer ``--help``.  Names of what is installed, and of
package directories, are asked for when they are needed: ``completion names WORD…``.
"""

from __future__ import annotations

import argparse
import os
import re
from dataclasses import replace
from pathlib import Path

from sage_pkginstall.cli.manual import Argument, Command, commands
from sage_pkginstall.cli.parser import parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["completion"]

_DIRECTORIES = frozenset({"DIR", "SOURCE", "STAGED", "TREE"})
_FILES = frozenset({"EXE", "FILE", "FILE|FD", "LOG", "PATH", "HTML"})
_NAMES = frozenset({"NAME", "NAME[-VERSION]"})


def completion(arguments: Sequence[str]) -> int:
    """Print a script that completes the command lines of this tool in a shell.

    In bash: source <(sage-pkginstall completion bash). In zsh: the same, or the output as
    _sage-pkginstall in a directory of $fpath. In fish: sage-pkginstall completion fish | source.
    """
    options = parser("sage-pkginstall completion", completion.__doc__ or "")
    options.add_argument(
        "shell", choices=("bash", "zsh", "fish", "names"), help="names: what the scripts ask for"
    )
    options.add_argument("words", nargs="...", metavar="WORD", help=argparse.SUPPRESS)
    given = options.parse_args(arguments)
    if given.shell == "names":
        lines = _names(given.words)
    else:
        lines = {"bash": _bash, "zsh": _zsh, "fish": _fish}[given.shell](_known())
    for line in lines:
        print(line)
    return 0


def _known() -> tuple[Command, ...]:
    """Return all commands; ``manual`` takes the name of any of them, not of a program."""
    known = commands()
    page = Argument((), "COMMAND", tuple(c.name for c in known), several=False, help="")
    return tuple(replace(c, positionals=(page,)) if c.name == "manual" else c for c in known)


# -------------------------------------------------------------------------------- names


def _names(words: Sequence[str]) -> Iterator[str]:
    """Yield the names that may stand in a command line: of packages, or of distributions."""
    if any(Path(word).name.startswith(("sage-spkg", "spkg")) for word in words[:2]):
        yield from _package_names()
        return
    from sage_pkginstall.errors import PkgInstallError  # noqa: PLC0415 - with the others

    try:
        yield from _installed_names(words)
    except (PkgInstallError, OSError):
        return  # a shell that completes has no use for an error


def _package_names() -> Iterator[str]:
    directory = Path(os.environ.get("SAGE_ROOT", "/nonexistent"), "build", "pkgs")
    yield from sorted(type_file.parent.name for type_file in directory.glob("*/type"))


def _installed_names(words: Sequence[str]) -> Iterator[str]:
    from sage_pkginstall.cli.target import Talk, target_of  # noqa: PLC0415 - with the others
    from sage_pkginstall.wheels.records import all_recorded  # noqa: PLC0415

    given = argparse.Namespace(
        prefix=_value("--prefix", words), python=_value("--python", words), lock_timeout=None
    )
    target = target_of(given, Talk("sage-pkginstall completion"))
    found = () if target.environment is None else all_recorded(target.environment)
    yield from sorted({one.name for one in found})


def _value(option: str, words: Sequence[str]) -> str | None:
    for n, word in enumerate(words):
        if word == option:
            value = next((one for one in words[n + 1 :] if one != "="), None)  # bash splits there
            return None if value is None else os.path.expanduser(value)  # noqa: PTH111 - never raises
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    return None


def _programs(known: Sequence[Command]) -> list[str]:
    """Return the names under which commands are called as programs of their own."""
    return sorted(c.called for c in known if _is_program(c))


def _is_program(command: Command) -> bool:
    return " " not in command.called


def _kind(argument: Argument) -> str:
    """Return what completes an argument; empty if nothing does."""
    if argument.choices:
        return "words"
    for kind, metavars in (("directory", _DIRECTORIES), ("file", _FILES), ("name", _NAMES)):
        if argument.metavar in metavars:
            return kind
    return {"WHEEL": "wheel", "COMMAND": "command"}.get(argument.metavar, "")


def _positional(command: Command) -> Argument | None:
    """Return what stands in most places of a command line, if anything does."""
    return command.positionals[0] if command.positionals else None


# --------------------------------------------------------------------------------- bash

_BASH_HEAD = r"""# Completes sage-pkginstall and its other names in bash.
# Made by `sage-pkginstall completion bash` from the parsers of the commands.
_sage_pkginstall() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local command=${COMP_WORDS[0]##*/} options='' kind='' words=''
    # Bash splits --option=value, as readline breaks words at "=".
    if [[ $word == = ]]; then
        word=''
    elif [[ $before == = ]]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    COMPREPLY=()
    if [[ $command == sage-pkginstall ]]; then
        if ((COMP_CWORD == 1)); then
            mapfile -t COMPREPLY < <(compgen -W "$_sage_pkginstall_commands" -- "$word")
            return
        fi
        command=${COMP_WORDS[1]}
    else
        command=${command#sage-}
    fi
    case $command in"""

_BASH_TAIL = r"""    esac
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
        return
    fi
    case $kind in
        words) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word") ;;
        command) mapfile -t COMPREPLY < <(compgen -c -- "$word") ;;
        name)
            words=$(sage-pkginstall completion names "${COMP_WORDS[@]}" 2>/dev/null)
            mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
            ;;
        directory)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -d -- "$word")
            ;;
        wheel)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -d -- "$word"; compgen -f -X '!*.whl' -- "$word")
            ;;
        file)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            ;;
    esac
}"""


def _bash(known: Sequence[Command]) -> Iterator[str]:
    names = " ".join([*(c.name for c in known), "--help", "--version"])
    yield from _BASH_HEAD.splitlines()
    for command in known:
        yield from _bash_case(command)
    yield from _BASH_TAIL.splitlines()
    yield f"_sage_pkginstall_commands='{names}'"
    yield f"complete -F _sage_pkginstall sage-pkginstall {' '.join(_programs(known))}"


def _bash_case(command: Command) -> Iterator[str]:
    flags = " ".join(flag for option in command.options for flag in option.flags)
    yield f"        {command.name})"
    yield f"            options='{flags}'"
    positional = _positional(command)
    if positional is not None:
        yield f"            {_bash_kind(positional)}"
    valued = [option for option in command.options if option.metavar]
    if valued:
        yield "            case $before in"
        for option in valued:
            yield f"                {' | '.join(option.flags)}) {_bash_kind(option)} ;;"
        yield "            esac"
    yield "            ;;"


def _bash_kind(argument: Argument) -> str:
    words = f" words='{' '.join(argument.choices)}'" if argument.choices else ""
    return f"kind='{_kind(argument)}'{words}"


# ---------------------------------------------------------------------------------- zsh

_ZSH_TAIL = r"""  esac
}

_sage_pkginstall_names() {
  local -a names
  names=("${(@f)$(sage-pkginstall completion names $sage_pkginstall_line 2>/dev/null)}")
  compadd -a names
}

if [ "$funcstack[1]" = _sage-pkginstall ]; then
  _sage-pkginstall "$@"
else
  compdef _sage-pkginstall PROGRAMS
fi"""


def _zsh(known: Sequence[Command]) -> Iterator[str]:
    programs = " ".join(["sage-pkginstall", *_programs(known)])
    yield f"#compdef {programs}"
    yield "# Completes sage-pkginstall and its other names in zsh."
    yield "# Made by `sage-pkginstall completion zsh` from the parsers of the commands."
    yield "_sage-pkginstall() {"
    yield "  local command=${${service:-$words[1]}:t}"
    yield "  local -a commands sage_pkginstall_line=($words)"
    yield "  if [[ $command == sage-pkginstall ]]; then"
    yield "    if (( CURRENT == 2 )); then"
    yield "      commands=("
    for command in known:
        yield f"        {_zsh_quoted(command.name + ':' + command.summary)}"
    yield "      )"
    yield "      _describe command commands"
    yield "      return"
    yield "    fi"
    yield "    command=$words[2]"
    yield "    shift words"
    yield "    (( CURRENT-- ))"
    yield "  fi"
    yield "  case ${command#sage-} in"
    for command in known:
        specifications = " ".join(map(_zsh_quoted, _zsh_specifications(command)))
        yield f"    {command.name}) _arguments -S {specifications} ;;"
    yield from _ZSH_TAIL.replace("PROGRAMS", programs).splitlines()


def _zsh_specifications(command: Command) -> Iterator[str]:
    for option in command.options:
        text = re.sub(r"([\[\]:\\])", r"\\\1", option.help.replace("%%", "%"))
        for flag in option.flags:
            value = f":{_zsh_name(option)}:{_zsh_action(option)}" if option.metavar else ""
            joint = ("=" if flag.startswith("--") else "+") if value else ""  # or the next word
            yield f"*{flag}{joint}[{text}]{value}"
    positional = _positional(command)
    if positional is not None:
        yield f"*:{_zsh_name(positional)}:{_zsh_action(positional)}"


def _zsh_name(argument: Argument) -> str:
    return argument.metavar.replace(":", " ")


def _zsh_action(argument: Argument) -> str:
    if argument.choices:
        return f"({' '.join(argument.choices)})"
    return {
        "directory": "_files -/",
        "file": "_files",
        "wheel": '_files -g "*.whl"',
        "name": "_sage_pkginstall_names",
        "command": "_command_names",
    }.get(_kind(argument), " ")


def _zsh_quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# --------------------------------------------------------------------------------- fish


def _fish(known: Sequence[Command]) -> Iterator[str]:
    yield "# Completes sage-pkginstall and its other names in fish."
    yield "# Made by `sage-pkginstall completion fish` from the parsers of the commands."
    yield "function __sage_pkginstall_names"
    yield "    sage-pkginstall completion names (commandline -opc) 2>/dev/null"
    yield "end"
    yield "function __sage_pkginstall_runs"
    yield "    set -l words (commandline -opc)"
    yield '    test (count $words) -gt 1; and test "$words[2]" = $argv[1]'
    yield "end"
    yield "complete -c sage-pkginstall -f"
    for command in known:
        first = "-n 'test (count (commandline -opc)) -eq 1'"
        summary = _fish_quoted(command.summary)
        yield f"complete -c sage-pkginstall {first} -a {command.name} -d {summary}"
    for command in known:
        yield from _fish_command(
            f"complete -c sage-pkginstall -n '__sage_pkginstall_runs {command.name}'", command
        )
        if _is_program(command):
            yield f"complete -c {command.called} -f"
            yield from _fish_command(f"complete -c {command.called}", command)


def _fish_command(begin: str, command: Command) -> Iterator[str]:
    for option in command.options:
        flags = " ".join(
            f"-l {f[2:]}" if f.startswith("--") else f"-s {f[1:]}" for f in option.flags
        )
        value = f" -x{_fish_values(option)}" if option.metavar else ""
        yield f"{begin} {flags}{value} -d {_fish_quoted(option.help.replace('%%', '%'))}"
    positional = _positional(command)
    if positional is not None and _kind(positional):
        yield f"{begin}{_fish_values(positional)}"


def _fish_values(argument: Argument) -> str:
    values = {
        "words": " ".join(argument.choices),
        "directory": "(__fish_complete_directories)",
        "file": "(__fish_complete_path)",
        "wheel": "(__fish_complete_suffix .whl)",
        "name": "(__sage_pkginstall_names)",
        "command": "(__fish_complete_command)",
    }.get(_kind(argument), "")
    return f" -a {_fish_quoted(values)}" if values else ""


def _fish_quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
