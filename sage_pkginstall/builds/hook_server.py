"""Import a build backend once, and run its hooks, each in a process of its own.

This file is a program of the build's Python, 3.8 or newer; see `hook_process`, which starts
it.  Its argument is the backend's module, or nothing if only the hooks know where that lies.

    stdin     requests, one line of JSON each: whether it is the last, and the command that
              would run the hook (its second word is a script), its directory and variables
    stdout    exit status of each, one a line; but the last one's is our own

Output of backend and hooks goes to stderr, and their stdin is empty.  All hooks but the last
run in a fork of the process that has imported the backend, and has done nothing else.  So
none sees what another one did to variables, modules or the directory, as PEP 517 has it.
"""

# ruff: noqa: PTH123 (what this imports, the backend finds imported already)
from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import signal
import sys
import types


def main() -> None:
    """Serve until the last request, or until there are no more."""
    if sys.path[:1] == [""]:  # of `-c`
        del sys.path[0]
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
            sys.stdout.flush()
            if last:
                break
            child = os.fork()
            if child == 0:
                atexit._clear()  # noqa: SLF001 -- else it undoes what the import has set up
                break
            os.write(replies, b"%d\n" % _exit_status_of(child))
        else:
            return
    os.close(replies)
    _run(*call)
    if not last:
        _end_fork()


def _exit_status_of(child: int) -> int:
    """Wait for ``child``, which goes where SIGTERM sends us."""

    def end(*_: object) -> None:
        os.kill(child, signal.SIGKILL)
        os._exit(1)

    signal.signal(signal.SIGTERM, end)
    status = os.waitpid(child, 0)[1]
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)


def _end_fork() -> None:
    """End at once: what the import began, files it has open, say, is not ended twice."""
    atexit._run_exitfuncs()  # noqa: SLF001 -- of what the hook began
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(0)


def _run(command: list[str], directory: str, variables: dict[str, str]) -> None:
    os.chdir(directory)
    os.environ.update(variables)
    sys.argv = command[1:]
    with open(sys.argv[0], "rb") as file:
        code = compile(file.read(), sys.argv[0], "exec")
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
