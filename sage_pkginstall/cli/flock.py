"""``sage-flock [-s|-x|-u] FILE|FD [COMMAND…]``: run a command while a lock is held.

The lock is held by this process, which waits for the command: it lasts until the
command ends, is gone when we are killed, and no daemon that the command leaves behind
can keep it, because the descriptor is not inherited (PEP 446).  All others that we got are:
make's jobserver is among them.  Below another one that holds the same lock we take turns with
its other commands, by a lock of their own (see engine/lock.py).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sys
from pathlib import Path

from sage_pkginstall.cli.parser import parser
from sage_pkginstall.cli.paths import given_path
from sage_pkginstall.cli.terminal import shown, tell
from sage_pkginstall.engine.holder import describe, last_holder, record_end, record_holder
from sage_pkginstall.engine.lock import (
    HELD_VARIABLE,
    has_nested,
    held_as_well,
    is_held_for_us,
    nested_lock,
    open_lock,
    refuse_to_wait_for_ancestors,
)
from sage_pkginstall.errors import LockError, UsageError
from sage_pkginstall.operations.outlast import outlast
from sage_pkginstall.spkg.programs import exit_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sage_pkginstall.engine.holder import Holder

__all__ = ["flock"]

_STDERR = 2
_COMMAND_NOT_FOUND = 127
_NOT_EXECUTABLE = 126


def flock(arguments: Sequence[str]) -> int:
    """Run a command while a lock is held, exclusive by default; its status is ours."""
    options = parser("sage-flock", flock.__doc__ or "")
    kind = options.add_mutually_exclusive_group()
    for short, long, value, text in (
        ("-x", "--exclusive", fcntl.LOCK_EX, "lock for us alone (the default)"),
        ("-s", "--shared", fcntl.LOCK_SH, "share the lock with others who share it"),
        ("-u", "--unlock", fcntl.LOCK_UN, "unlock an inherited descriptor"),
    ):
        kind.add_argument(short, long, dest="kind", action="store_const", const=value, help=text)
    options.add_argument("lock", metavar="FILE|FD", help="a file, or an inherited descriptor")
    without = "without it a descriptor stays locked, and a file was waited for"
    text = f"what to run meanwhile; {without}"
    words = options.add_argument("command", nargs="...", metavar="COMMAND", help=text)
    words.required = False  # `argparse` has it that there is always one more word
    given = options.parse_args(arguments)
    kind_of_lock: int = fcntl.LOCK_EX if given.kind is None else given.kind
    command: list[str] = given.command[1:] if given.command[:1] == ["--"] else given.command
    is_inherited = given.lock.isdecimal()
    if is_inherited:
        descriptor, path = _inherited(given.lock), Path(f"/dev/fd/{given.lock}")
    else:
        path = _not_held_for_us(given_path(given.lock, "FILE").absolute())
        descriptor = _open(path)
    _take(descriptor, path, kind_of_lock)
    if descriptor > _STDERR:  # one given by its number, and no stream of the command's
        os.set_inheritable(descriptor, False)  # noqa: FBT003 -- it has no name
    environment = dict(os.environ)
    with contextlib.ExitStack() as stack:
        if kind_of_lock == fcntl.LOCK_EX and not is_inherited:
            holder = stack.enter_context(_recorded(path, " ".join(command) or "sage-flock"))
            environment[HELD_VARIABLE] = held_as_well(path, holder)
            _wait_for_others_commands(path)
        elif kind_of_lock == fcntl.LOCK_SH and not is_inherited:
            environment[HELD_VARIABLE] = held_as_well(path, None)
        return _run(command, environment) if command else 0


@contextlib.contextmanager
def _recorded(path: Path, label: str) -> Iterator[Holder]:
    """Say who holds the lock, and at the end that this is over: anything may have changed."""
    previous = last_holder(path)
    holder = record_holder(path, label)
    try:
        yield holder
    finally:
        with contextlib.suppress(OSError, LockError):
            record_end(path, holder, previous, None)


def _inherited(number: str) -> int:
    try:
        os.fstat(int(number))
    except (OSError, OverflowError):
        raise UsageError(f"cannot lock descriptor {number}: it is not open") from None
    return int(number)


def _not_held_for_us(path: Path) -> Path:
    """Return the lock to take: where an ancestor holds it for us, that of those below it."""
    while is_held_for_us(path):
        path = nested_lock(path)
    return path


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return open_lock(path)


def _take(descriptor: int, path: Path, kind: int) -> None:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        if kind == fcntl.LOCK_EX:
            refuse_to_wait_for_ancestors(path)
        holder = describe(last_holder(path))
        print(
            shown(f"waiting for the lock {path}, held by {holder} ... "),
            end="",
            file=sys.stderr,
            flush=True,
        )
        fcntl.flock(descriptor, kind)
        print("ok", file=sys.stderr)
    except OSError as error:
        raise LockError(path, error.strerror or str(error)) from error


def _wait_for_others_commands(path: Path) -> None:
    """Wait for who still works below another ``sage-flock``, which was killed or left it behind.

    It is on record that we hold the lock: who begins later sees that, and takes ours itself.
    """
    if has_nested(path):
        nested = nested_lock(path)
        descriptor = open_lock(nested)
        try:
            _take(descriptor, nested, fcntl.LOCK_EX)
        finally:
            os.close(descriptor)


def _run(command: list[str], environment: dict[str, str]) -> int:
    """Run ``command`` and wait for it: we hold the lock, and do not end before it."""
    try:
        return exit_status(outlast(command, environment))
    except FileNotFoundError:
        tell(f"sage-flock: cannot run {command[0]}: there is no such command")
        return _COMMAND_NOT_FOUND
    except OSError as error:
        if error.errno not in {errno.EACCES, errno.ENOEXEC}:
            raise
        tell(f"sage-flock: cannot run {command[0]}: it is not executable")
        return _NOT_EXECUTABLE
