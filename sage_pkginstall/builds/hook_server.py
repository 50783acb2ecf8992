"""Import a build backend once, and run its hooks, each in a process of its own.

This file is a program of the build's Python, 3.8 or newer; see `hook_process`, which starts
it.  Its argument is the backend's module, or nothing if only the hooks know where that lies.

    stdin     requests, one line of JSON each: whether it is the last, and the command that
              would run the hook (its second word is a script), its directory and variables
    stdout    exit status of each, one a line; but the last one's is our own

Output of backend and hooks goes to stderr, and their stdin is empty.  All hooks but the last
run in a fork of the process that has imported the backend, and has done nothing else.  So
none sees what another one did to variables, modules or the directory, as PEP 517 has it;
docs/decisions/0002-building-wheels.md says what they share.
"""

# ruff: noqa: PTH123 (what this imports, the backend finds imported already)
from __future__ import annotations

import sys

if sys.path[:1] == [""]:  # of `-c`, in the directory of the source, which may have a json.py
    del sys.path[0]

import atexit
import contextlib
import importlib
import json
import os
import signal
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


def main() -> None:
    """Serve until the last request, or until there are no more."""
    module = sys.argv[1]
    requests, replies = os.dup(0), os.dup(1)  # they are not inheritable
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    if module:
        with contextlib.suppress(Exception):  # the hooks say so themselves
            importlib.import_module(module)
    with open(requests) as lines:
        for line in lines:
            last, *call = json.loads(line)
            if last:
                break
            os.write(replies, b"%d\n" % _forked(call, (requests, replies)))
        else:
            return
    os.close(replies)
    _run(*call)


def _forked(call: list[Any], ours: tuple[int, ...]) -> int:
    """Run a hook in a fork; return its exit status, -N if signal N ended it."""
    _flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTS)
    child = os.fork()
    if child == 0:
        _be_forked(call, ours)

    def end(*_: object) -> None:
        os.kill(child, signal.SIGKILL)
        os._exit(1)

    # Who presses Ctrl-C interrupts the hook, too, and is heard by who started us.
    handlers = signal.signal(signal.SIGINT, signal.SIG_IGN), signal.signal(signal.SIGTERM, end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPTS)
    status = os.waitpid(child, 0)[1]
    for number, handler in zip(_INTERRUPTS, handlers):  # noqa: B905 -- since Python 3.10
        signal.signal(number, handler)
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)


def _be_forked(call: list[Any], not_ours: tuple[int, ...]) -> NoReturn:
    """Be the fork: end as Python would, but for what was begun before it.

    What the import wants done at its end, and files that it has open, are left to its end.
    """
    status = 1
    try:
        for descriptor in not_ours:
            os.close(descriptor)
        atexit._clear()  # noqa: SLF001 -- as multiprocessing does in a fork
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPTS)
        _run(*call)
        status = 0
    except SystemExit as ended:
        status = _status_of(ended)
    except BaseException:  # noqa: BLE001 -- told as Python tells it
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(Exception):
            _end_threads()
            atexit._run_exitfuncs()  # noqa: SLF001
        _flush()
        os._exit(status)


def _status_of(ended: SystemExit) -> int:
    if ended.code is None or isinstance(ended.code, int):
        return (ended.code or 0) & 0xFF
    sys.stderr.write(f"{ended.code}\n")
    return 1


def _end_threads() -> None:
    if "threading" in sys.modules:
        import threading  # noqa: PLC0415 -- where it is there already

        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()


def _run(command: list[str], directory: str, variables: dict[str, str]) -> None:
    os.chdir(directory)
    os.environ.update(variables)
    sys.argv = command[1:]
    with open(sys.argv[0], "rb") as file:
        code = compile(file.read(), sys.argv[0], "exec", dont_inherit=True)
    program = types.ModuleType("__main__")
    program.__file__ = sys.argv[0]
    sys.modules["__main__"] = program
    try:
        exec(code, program.__dict__)  # noqa: S102 -- a program, run as Python would
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()  # before an error is told, again as Python would


if __name__ == "__main__":
    main()
