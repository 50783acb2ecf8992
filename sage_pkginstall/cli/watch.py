"""``watch``: run make, and show what its jobs do, instead of what their programs say.

The jobs are processes of make's; what they do they tell in the event log of the run, which
is read as it grows.  What make itself says is shown as it is.  Ctrl-C reaches make and all
jobs directly, as the terminal sends it to the whole group: here it is only waited for their
end, and told what is left.
"""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from shutil import which

from sage_pkginstall.cli.make_flags import make_letters
from sage_pkginstall.cli.parser import parser
from sage_pkginstall.errors import UsageError
from sage_pkginstall.operations.events import EVENTS, logs_directory, new_event_file
from sage_pkginstall.spkg.logger import WATCHED
from sage_pkginstall.spkg.programs import exit_status
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sage_pkginstall.cli.display import Display

__all__ = ["watch"]

_INTERVAL = 0.1  # seconds between looks at the event log
_CHUNK = 1 << 16
_INTERRUPTED = 130
_PLANNED = re.compile(r"^: '.*/sage-logger' -p '.*/([^/']+)\.log'$", re.MULTILINE)


def watch(arguments: Sequence[str]) -> int:
    """Run COMMAND, a make; on a terminal show its jobs, each in a line that changes.

    Without a terminal, with V=1, for make -n, -q or -t, or without the library rich, COMMAND
    is run and nothing else.
    """
    options = parser("sage-pkginstall watch", watch.__doc__ or "")
    options.add_argument("command", metavar="COMMAND", help="make, as a rule")
    words = options.add_argument(
        "arguments", metavar="ARGUMENT", nargs="...", help="handed to it as they are"
    )
    words.required = False  # `argparse` has it that there is always one more word
    given = options.parse_args(arguments)
    command = [given.command, *given.arguments]
    if which(given.command) is None:
        raise UsageError(f"cannot run {given.command}: there is no such command")
    if not _can_show(os.environ, command):
        os.execvp(command[0], command)  # noqa: S606 - nothing is to be watched
    from sage_pkginstall.cli.display import Display  # noqa: PLC0415 - loads rich

    events = Path(os.environ.get(EVENTS) or new_event_file(logs_directory(os.environ)))
    variables = {**os.environ, EVENTS: os.fspath(events.absolute()), WATCHED: "1"}
    plan = _plan(command, variables)
    display = Display(events, plan.packages)
    with display.shown():
        for warning in plan.warnings:
            display.say(warning)
        status = _show(command, variables, display)
    display.conclude(status)
    return _INTERRUPTED if display.is_interrupted else status


def _can_show(environ: Mapping[str, str], command: Sequence[str]) -> bool:
    words = [environ.get("MAKEFLAGS", "").partition(" ")[0]]
    words += [word for word in command[1:] if word.startswith("-")]
    if any(make_letters(word) & set("nqt") for word in words):
        return False
    # A variable of make's command line is one of its environment for what it runs.
    said = [environ.get("V", ""), *(word[2:] for word in command[1:] if word.startswith("V="))]
    wanted = said[-1] in {"", "0"} and environ.get("TERM", "dumb") != "dumb"
    return wanted and sys.stdout.isatty() and find_spec("rich") is not None


class _Plan(NamedTuple):
    """The packages, with their versions, that a make would build, and what it warned of."""

    packages: tuple[str, ...]
    warnings: tuple[str, ...]


def _plan(command: Sequence[str], variables: Mapping[str, str]) -> _Plan:
    """Ask ``command`` what it would do now.

    That reads the package directories, so their faults are told here, and not again.
    """
    ended = subprocess.run(
        [*command, "-n"],
        env=dict(variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        close_fds=False,  # make's jobserver
        check=False,
    )
    said = ended.stderr.decode(errors="replace").splitlines()
    return _Plan(
        tuple(_PLANNED.findall(ended.stdout.decode(errors="replace"))),
        tuple(line for line in said if line.startswith("Warning: ")),
    )


def _show(command: Sequence[str], variables: Mapping[str, str], display: Display) -> int:
    """Run ``command`` to its end; return its status."""
    talk = subprocess.STDOUT if sys.stderr.isatty() else None
    process = subprocess.Popen(
        command, env=dict(variables), stdout=subprocess.PIPE, stderr=talk, close_fds=False
    )

    def interrupt(_number: int, _frame: object) -> None:
        display.interrupt()

    def terminate(_number: int, _frame: object) -> None:
        display.interrupt()
        process.terminate()

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, terminate)
    assert process.stdout is not None
    for line in _lines(process, process.stdout.fileno()):
        if line is not None:
            display.say(line)
        display.refresh()
    return exit_status(process.wait())


def _lines(process: subprocess.Popen[bytes], pipe: int) -> Iterator[str | None]:
    """Yield what ``process`` writes, line by line, and None now and then, until it ends.

    What it leaves behind may keep the pipe open; that is not waited for.
    """
    os.set_blocking(pipe, False)
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            is_over = process.poll() is not None
            data = _read(pipe) if selector.select(0 if is_over else _INTERVAL) else None
            *lines, rest = (rest + (data or b"")).split(b"\n")
            yield from (line.decode(errors="replace") for line in lines)
            yield None
            if is_over and not data:
                break
            if data == b"":
                time.sleep(_INTERVAL)  # it closed its output, and goes on
    if rest:
        yield rest.decode(errors="replace")


def _read(pipe: int) -> bytes | None:
    try:
        return os.read(pipe, _CHUNK)
    except BlockingIOError:
        return None
