"""Import a build backend once, and run its hooks, each in a process of its own.

This file is a program of the build's Python, 3.8 or newer; see `hook_process`, which starts
it.  Its argument is the backend's module, or nothing if only the hooks know where that lies.

    stdin     requests, one line of JSON each: whether it is the last, and the command that
              would run the hook (its second word is a script), its directory and variables
    stdout    exit status of each, one a line; but the last one's is our own

Output of backend and hooks goes to stderr, and their stdin is empty.  All hooks but the last
run in a fork of the process that has imported the backend, and has done nothing else.  So
none sees what another one did to variables, modules or the directory, as PEP 517 has it;
docs/decisions/0002-building-wheels.md says what they share.  After an import that failed, or has
left threads, which a fork does not have, they share nothing: each starts Python anew.
"""

# ruff: noqa: PTH123 (what this imports, the backend finds imported already)
from __future__ import annotations

import sys

if sys.path[:1] == [""]:  # of `-c`, in the directory of the source, which may have a json.py
    del sys.path[0]

import _thread
import atexit
import contextlib
import importlib
import json
import os
import signal
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

_INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
_ENVIRON = dict(os.environ)  # before the import
_scripts: dict[str, types.CodeType] = {}


def main() -> None:
    """Serve until the last request, or until there are no more."""
    module = sys.argv[1]
    requests, replies = os.dup(0), os.dup(1)  # they are not inheritable
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    imported = not module or _import(module)
    run = _run if imported and _has_one_thread() else _run_anew
    with open(requests, "rb") as lines:
        for line in lines:
            last, *call = json.loads(line)
            if last:
                break
            if run is _run:
                _prepare(call[0][1])
            os.write(replies, b"%d\n" % _forked(run, call, (requests, replies)))
        else:
            return
    os.close(replies)
    (_run if imported else _run_anew)(*call)


def _import(module: str) -> bool:
    """Import the backend; tell whether that went well.  If not, the hooks say so themselves."""
    try:
        importlib.import_module(module)
    except Exception:  # noqa: BLE001 -- whatever it is
        return False
    return True


def _has_one_thread() -> bool:
    try:
        return len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208 -- see above
    except OSError:
        return _thread._count() == 0  # noqa: SLF001 -- without importing threading


def _forked(run: Callable[..., None], call: list[Any], ours: tuple[int, ...]) -> int:
    """Have ``run`` run a hook in a fork; return its exit status, -N if signal N ended it."""
    _flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTS)
    of_children = signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # else there may be no status
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGCHLD, of_children or signal.SIG_DFL)
        _be_forked(run, call, ours)

    def end(*_: object) -> None:
        os.kill(child, signal.SIGKILL)
        os._exit(1)

    # Who presses Ctrl-C interrupts the hook, too, and is heard by who started us.
    handlers = signal.signal(signal.SIGINT, signal.SIG_IGN), signal.signal(signal.SIGTERM, end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPTS)
    status = os.waitpid(child, 0)[1]
    for number, handler in zip(_INTERRUPTS, handlers):  # noqa: B905 -- since Python 3.10
        signal.signal(number, handler)
    signal.signal(signal.SIGCHLD, of_children or signal.SIG_DFL)
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)


def _be_forked(run: Callable[..., None], call: list[Any], not_ours: tuple[int, ...]) -> NoReturn:
    """Be the fork: end as Python would, but for what was begun before it.

    What the import wants done at its end, and files that it has open, are left to its end.
    """
    status = 1
    try:
        for descriptor in not_ours:
            os.close(descriptor)
        atexit._clear()  # noqa: SLF001 -- as multiprocessing does in a fork
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPTS)
        run(*call)
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
    """Wait for threads as Python's end does, which tells executors that there is no more work."""
    if "threading" in sys.modules:
        import threading  # noqa: PLC0415 -- where it is there already

        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 -- as multiprocessing does


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()


def _run_anew(command: list[str], directory: str, variables: dict[str, str]) -> None:
    """Run a hook as if nothing had been imported: Python starts again."""
    os.chdir(directory)
    _flush()
    os.execve(command[0], command, {**_ENVIRON, **variables})  # noqa: S606 -- who asks, says what


def _prepare(script: str) -> None:
    """Do once what each hook would begin with: compile its script, import what that does."""
    _compiled(script)
    for name in ("glob", "re", "shutil", "traceback", "warnings"):
        importlib.import_module(name)


def _compiled(script: str) -> types.CodeType:
    if script not in _scripts:
        with open(script, "rb") as file:
            _scripts[script] = compile(file.read(), script, "exec", dont_inherit=True)
    return _scripts[script]


def _run(command: list[str], directory: str, variables: dict[str, str]) -> None:
    os.chdir(directory)
    os.environ.update(variables)
    sys.argv = command[1:]
    code = _compiled(sys.argv[0])
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
