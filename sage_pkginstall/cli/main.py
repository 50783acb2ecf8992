"""The command line: finds the subcommand, and prints errors as one line each.

Each subcommand is a function ``(arguments) -> status`` in a module of its own, imported
only when it is asked for, because start-up is a good part of installing a small wheel.
"""

from __future__ import annotations

import errno
import gc
import os
import sys
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper

from sage_pkginstall import __version__
from sage_pkginstall.errors import PkgInstallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

__all__ = ["COMMANDS", "find_function", "main", "os_reason", "program"]

COMMANDS: dict[str, tuple[str, str]] = {
    "install": ("install:install", "install wheels in one transaction"),
    "uninstall": ("install:uninstall", "uninstall distributions"),
    "build": ("build:build", "build a wheel from a source"),
    "cache": ("cache:cache", "tell of the cache, or delete what was not used for long"),
    "why-rebuilt": ("cache:why_rebuilt", "tell why a wheel was built again"),
    "merge": ("merge:merge", "bring a staged tree (DESTDIR) into a prefix"),
    "recover": ("maintain:recover", "finish what a killed command began, delete its debris"),
    "verify": ("maintain:verify", "compare what is installed with its records"),
    "list": ("maintain:list_installed", "name what is installed"),
    "show": ("ask:show", "tell what is known of a distribution or package"),
    "files": ("ask:files", "name the files of a distribution or package"),
    "owner": ("ask:owner", "name the owners of paths"),
    "status": ("ask:status", "tell what changed behind our back"),
    "log": ("ask:log", "tell of past transactions"),
    "watch": ("watch:watch", "run make, and show what its jobs do"),
    "timings": ("timings:timings", "write a page that shows where a build's time went"),
    "doctor": ("doctor:doctor", "tell what is wrong with this machine or prefix"),
    "manual": ("manual:manual", "show manual pages, or write all of them"),
    "completion": ("completion:completion", "print what completes command lines in a shell"),
    "pip-install": ("sage:pip_install", "sage-pip-install: install wheels into $SAGE_VENV"),
    "pip-uninstall": ("sage:pip_uninstall", "sage-pip-uninstall: uninstall from $SAGE_VENV"),
    "flock": ("flock:flock", "sage-flock: run a command while a lock is held"),
    "pip": ("pip:pip", "sage -pip: the target's pip, with this tool's transactions"),
    "spkg": ("package:install", "sage-spkg: build and install a package directory"),
    "spkg-uninstall": ("package:uninstall", "sage-spkg-uninstall: uninstall a package"),
    "stage-wheel": (
        "package_commit:stage_wheel",
        "queue a wheel for the transaction of its package",
    ),
    "commit-package": ("package_commit:commit_package", "what sage-spkg runs under $SAGE_SUDO"),
    "logger": ("logger:logger", "sage-logger: run a command, prefix and log its lines"),
    "make-rules": ("rules:make_rules", "write make rules for the package directories"),
}

_NEW_OBJECTS = 100_000
"""Between two collections of cyclic garbage: more than a short run ever makes, few megabytes."""

_STATUS_OF_FAILURE = {"pip-install": 3}
_WRONG_WORDS = 2
_INTERRUPTED = 130

_REMEDIES = {
    errno.EACCES: "; do this as a user who may, the owner of the prefix, say",
    errno.ENOSPC: "; make room, then repeat the command",
    errno.EDQUOT: "; make room, then repeat the command",
    errno.EROFS: "; the file system is mounted for reading only",
    errno.EMFILE: "; allow more open files (ulimit -n), then repeat the command",
}


def program() -> NoReturn:
    """Be the program: run the command line, and end at once.

    Nothing is left to be done then: what was printed is written, what was begun is ended.  To
    clear all modules and look for garbage among them, as Python does at its end, takes an
    eighth of a short run.
    """
    if os.environ.get("PYTHONPATH") and not sys.flags.ignore_environment:
        from sage_pkginstall.cli.python_path import leave_python_path  # noqa: PLC0415 - who has it

        leave_python_path()
    status = main()
    with suppress(OSError, ValueError):  # nobody hears it, or it is closed
        sys.stderr.flush()
    os._exit(status)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    gc.set_threshold(_NEW_OBJECTS)  # a twentieth of a short run went into looking in vain
    _have_streams()
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # any name can be told in any locale
    command = words[0] if words and words[0] in COMMANDS else ""
    return _flushed(command, _run(command, words))


def _run(command: str, words: list[str]) -> int:
    """Run a command, and say why if it fails; return its exit status."""
    try:
        return _call(words)
    except SystemExit as ended:  # argparse has said why
        status = int(ended.code or 0)
        return _STATUS_OF_FAILURE.get(command, status) if status == _WRONG_WORDS else status
    except PkgInstallError as error:
        return _failed(command, str(error), error.exit_status)
    except BrokenPipeError:
        _drop_output()
        return _STATUS_OF_FAILURE.get(command, 1)
    except OSError as error:
        if not _is_written():  # it may have been the output itself: that is told once
            _drop_output()
        return _failed(command, f"cannot go on: {os_reason(error)}", 1)
    except KeyboardInterrupt:
        _failed(command, "interrupted; nothing is half installed", _INTERRUPTED)
        return _INTERRUPTED


def _flushed(command: str, status: int) -> int:
    """Have what was printed written; return the exit status, that of a failure if it cannot be."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return status or 1
    except OSError as error:
        _drop_output()
        done = "" if status else "; all else is done"
        reason = f"cannot write to standard output: {os_reason(error)}{done}"
        return _failed(command, reason, status or 1)
    return status


def _is_written() -> bool:
    """Have what was printed so far written, before what stderr is to say; tell if it could be."""
    try:
        sys.stdout.flush()
    except OSError:
        return False
    return True


def _have_streams() -> None:
    """Open what was closed: no other file may become standard input, output or error.

    What we run has them, too, and `subprocess` asks for Python's own.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # 0, 1, 2
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)  # the lowest one, which was closed
            os.set_inheritable(descriptor, True)  # noqa: FBT003 -- by position only
            stream = open(descriptor, mode, encoding="utf-8")  # noqa: PTH123, SIM115 - for good
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def _call(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        return _usage(0 if words else 2)
    if words[0] in ("-V", "--version"):
        print(f"sage-pkginstall {__version__}")
        return 0
    if words[0] not in COMMANDS:
        first = words[0].startswith("-")
        reason = "the command comes first" if first else "there is no such command"
        return _failed("", f"cannot run {words[0]!r}: {reason}; see sage-pkginstall --help", 2)
    os.umask(os.umask(0o022) | 0o002)  # not even then may everybody write what is installed
    return find_function(words[0])(words[1:])


def _failed(command: str, reason: str, status: int) -> int:
    """Say why a command failed, as far as anybody hears it; return its exit status."""
    from sage_pkginstall.cli.terminal import tell  # noqa: PLC0415 - who fails

    _is_written()
    tell(f"{_called(command)}: {reason}")
    return _STATUS_OF_FAILURE.get(command, status)


def _drop_output() -> None:
    """Let what could not be written go nowhere, so that Python does not try it again."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)


def find_function(command: str) -> Callable[[Sequence[str]], int]:
    """Return what runs a command: it takes the arguments, and returns the exit status."""
    module, _, name = COMMANDS[command][0].partition(":")
    function: Callable[[Sequence[str]], int] = getattr(
        import_module(f"sage_pkginstall.cli.{module}"), name
    )
    return function


def _called(command: str) -> str:
    if command == "pip":
        return "sage -pip"
    sage = command in ("pip-install", "pip-uninstall", "flock", "spkg", "spkg-uninstall", "logger")
    return f"sage-{command}" if sage else f"sage-pkginstall {command}".rstrip()


def os_reason(error: OSError) -> str:
    """Return why something failed, for people: with the file, and the remedy where one is known."""
    remedy = _REMEDIES.get(error.errno or 0, "")
    if error.filename is not None:
        return f"{error.strerror}: {error.filename!r}{remedy}"
    if isinstance(error, FileNotFoundError) and _is_nowhere():
        return "the current directory was deleted; go to another one"
    return (_copy_fault(error) or error.strerror or str(error)) + remedy


def _copy_fault(error: OSError) -> str | None:
    """Return the first fault of a `shutil.Error`, which has a list of (file, copy, reason)."""
    faults = error.args[0] if error.args else None
    if not isinstance(faults, list) or not faults:
        return None
    file, _, reason = faults[0]
    return f"{os.fspath(file)!r} could not be copied: {reason}"


def _is_nowhere() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 - the question is whether it fails
    except FileNotFoundError:
        return True
    return False


def _usage(status: int) -> int:
    lines = ["usage: sage-pkginstall COMMAND [OPTIONS] [ARGUMENTS]", ""]
    lines += [f"  {name:15} {text}" for name, (_, text) in COMMANDS.items()]
    lines += ["", "sage-pkginstall COMMAND --help tells more."]
    print("\n".join(lines), file=sys.stderr if status else sys.stdout)
    return status
