"""The log of transactions: when, by whom, what for, how long, and what came of it.

Never in the prefix, and never needed: what cannot be written is not.  On disk::

    $SAGE_LOGS/transactions.jsonl                        if SAGE_LOGS is set, else
    $XDG_STATE_HOME/sage-pkginstall/PREFIX.jsonl         (default: ~/.local/state)
    the same, with .1                                    the older ones

PREFIX is a hash of the prefix's real path.  Each line is a JSON object, see `Transaction`,
appended by one write after the lock was released; so lines of many processes never mix (but on
NFS, which appends in two steps), and nobody waits for them.  A file that grew to `_LIMIT`
bytes becomes the older one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from pathlib import Path
from zlib import crc32

from sage_pkginstall.engine.files import open_for_appending
from sage_pkginstall.errors import PkgInstallError
from sage_pkginstall.user_cache import user_directory
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any, Literal

    from sage_pkginstall.engine.tree import Committed, Tree
    from sage_pkginstall.engine.workspace import Workspace
    from sage_pkginstall.operations.change import Change

__all__ = [
    "Transaction",
    "log_files",
    "logged",
    "logged_lock",
    "note",
    "note_recovered",
    "read_transactions",
]

_FORMAT = 1
_LIMIT = 1 << 20
_LONGEST = 500  # characters of a label or an error
_EVER = 1e11  # seconds: three thousand years


class Transaction(NamedTuple):
    """A transaction that ended at ``ended`` (epoch seconds).

    ``took`` seconds from the first staged file on, of which ``waited`` for the lock and
    ``held`` with it.  ``operations`` counts them by kind.  ``recovered`` is the label of
    what a dead process began and this one finished or undid before its own.
    """

    ended: float
    prefix: str
    uid: int
    pid: int
    label: str
    result: Literal["done", "failed"] = "done"
    error: str = ""
    took: float = 0.0
    waited: float = 0.0
    held: float = 0.0
    operations: Mapping[str, int] | None = None
    installed: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    package: str | None = None
    recovered: str | None = None


def logged(
    tree: Tree, workspace: Workspace, label: str, change: Change, commit: Callable[[], Committed]
) -> Committed:
    """Return what ``commit()`` returns, or raise what it raises, and log which it was."""
    facts: dict[str, Any] = {
        "label": label,
        "installed": tuple(f"{one.name} {one.version}" for one in change.staged),
        "dropped": _dropped(change),
        "package": change.package,
    }
    try:
        committed = commit()
    except (PkgInstallError, OSError) as error:
        facts.update(result="failed", error=str(error), recovered=tree.take_recovered())
        note(tree.prefix, took=_age(workspace), **facts)
        raise
    counts: dict[str, int] = {}
    for operation in committed.plan.operations:
        counts[operation.kind] = counts.get(operation.kind, 0) + 1
    facts.update(waited=committed.waited, held=committed.held, operations=counts)
    facts.update(recovered=tree.take_recovered())
    note(tree.prefix, took=_age(workspace), **facts)
    return committed


@contextlib.contextmanager
def logged_lock(
    tree: Tree, label: str, dropped: tuple[str, ...] = ()
) -> Iterator[Callable[[int], int]]:
    """Hold the lock of the tree while another program changes it, and log that.

    The value takes the exit status of that program, and returns it: by it the log tells whether
    it failed.  ``dropped`` are the distributions that it is to uninstall.
    """
    facts: dict[str, Any] = {"label": label, "dropped": dropped}

    def ended(status: int) -> int:
        if status:
            facts.update(result="failed", error=f"it ended with status {status}")
        return status

    asked = taken = time.monotonic()
    try:
        with tree.locked(label):
            taken = time.monotonic()
            yield ended
    except BaseException as error:
        facts.update(result="failed", error=str(error) or "interrupted")
        raise
    finally:
        now = time.monotonic()
        facts.update(recovered=tree.take_recovered())
        note(tree.prefix, took=now - asked, waited=taken - asked, held=now - taken, **facts)


def note_recovered(tree: Tree) -> None:
    """Log what ``tree`` recovered, unless the line of a transaction has told it."""
    recovered = tree.take_recovered()
    if recovered is not None:
        note(tree.prefix, label="recover", recovered=recovered)


def note(prefix: Path, *, label: str, **facts: Any) -> None:  # noqa: ANN401 - fields of Transaction
    """Log a transaction that just ended; nothing happens if that is impossible."""
    for name in ("took", "waited", "held"):
        facts[name] = round(facts.get(name, 0.0), 6)
    facts["error"] = _told(facts.get("error", ""))
    with contextlib.suppress(OSError, ValueError):
        transaction = Transaction(
            round(time.time(), 3),
            os.path.realpath(prefix),
            os.getuid(),
            os.getpid(),
            _told(label),
            **facts,
        )
        document = {"format": _FORMAT, **transaction._asdict()}
        _append(log_files(prefix)[0], json.dumps(document).encode() + b"\n")
    _tell_the_run(label, facts)


def _tell_the_run(label: str, facts: dict[str, Any]) -> None:
    """Tell the job of a run, if we are part of one, how long it had to do with the lock."""
    if "SAGE_PKGINSTALL_JOB" in os.environ:
        from sage_pkginstall.operations.events import tell  # noqa: PLC0415 - jobs of make only

        tell("locked", waited=facts["waited"], held=facts["held"], label=_told(label))


def log_files(prefix: Path) -> tuple[Path, ...]:
    """Return where the transactions of ``prefix`` may be logged; the first is written to.

    Without SAGE_LOGS, its default (below SAGE_ROOT) is where make has them logged.
    """
    key = crc32(os.fsencode(os.path.realpath(prefix)))
    own = user_directory("XDG_STATE_HOME", ".local/state") / f"{key:08x}.jsonl"
    logs, root = os.environ.get("SAGE_LOGS"), os.environ.get("SAGE_ROOT")
    if logs:
        return (Path(logs).absolute() / "transactions.jsonl", own)
    return (own, Path(root).absolute() / "logs/pkgs/transactions.jsonl") if root else (own,)


def read_transactions(prefix: Path, files: Iterable[Path]) -> tuple[Transaction, ...]:
    """Return the transactions of ``prefix`` that the files tell of, in the order of time.

    What cannot be read is left out; of each file the older one is read, too.
    """
    real = os.path.realpath(prefix)
    found = (t for file in files for t in _read(file) if t.prefix == real)
    return tuple(sorted(found, key=lambda t: t.ended))


def _dropped(change: Change) -> tuple[str, ...]:
    """Return the distributions that are to go, other than for a new version."""
    staged = {one.name for one in change.staged}
    with contextlib.suppress(PkgInstallError, OSError):  # then the commit will raise it
        return tuple(name for name in change.distributions if name not in staged)
    return ()


def _told(text: str) -> str:
    """Return a text for the log: bounded, and without user and password of a URL."""
    if "@" in text:
        from sage_pkginstall.passwords import without_passwords  # noqa: PLC0415 - rare

        text = without_passwords(text)
    return text[:_LONGEST]


def _age(workspace: Workspace) -> float:
    """Return the seconds since the workspace was made: its lock file is never written."""
    try:
        made = os.stat(f"{workspace.path}.lock").st_mtime  # noqa: PTH116 - no path is needed
    except OSError:
        return 0.0
    return max(0.0, time.time() - made)


def _append(path: Path, line: bytes) -> None:
    descriptor = open_for_appending(path)
    try:
        os.write(descriptor, line)
        if os.fstat(descriptor).st_size > _LIMIT:
            _rotate(path, descriptor)
    finally:
        os.close(descriptor)


def _rotate(path: Path, descriptor: int) -> None:
    """Make a file the older one, once: who comes second finds another file at ``path``."""
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if os.path.samestat(path.stat(), os.fstat(descriptor)):
        path.rename(_older(path))


def _older(path: Path) -> Path:
    return path.with_name(f"{path.name}.1")


def _read(file: Path) -> Iterator[Transaction]:
    for path in (_older(file), file):
        try:
            lines = path.read_bytes().splitlines()
        except OSError:
            continue
        yield from (t for line in lines if (t := _parsed(line)) is not None)


def _parsed(line: bytes) -> Transaction | None:
    """Return what a line says; None for one that is cut off, damaged or of a later format."""
    try:
        document = json.loads(line)
        if document["format"] != _FORMAT:
            return None
        names = (name for name in Transaction._fields if document.get(name) is not None)
        return Transaction(**{name: _KINDS.get(name, str)(document[name]) for name in names})
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
        return None


def _seconds(value: Any) -> float:  # noqa: ANN401 - what JSON may hold
    seconds = float(value)
    if not 0 <= seconds < _EVER:  # JSON of ours has NaN, too
        raise ValueError(value)
    return seconds


_KINDS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("uid", "pid"), int),
    **dict.fromkeys(("ended", "took", "waited", "held"), _seconds),
    **dict.fromkeys(("installed", "dropped"), lambda names: tuple(map(str, names))),
    "operations": lambda counts: {str(kind): int(number) for kind, number in counts.items()},
}
"""What the fields are that are no text."""
