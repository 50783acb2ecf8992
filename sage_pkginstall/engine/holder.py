"""Who holds the lock of a tree, or held it last, and what the last holders changed.

On disk: ``pip3.lock.holder`` beside the lock, JSON, written by each holder as it begins and
as it ends.  Its ``token`` is new for each, and ``ended`` tells whether it is done: so a
plan that was made before the lock was taken can tell whether anybody else held it
meanwhile.  ``changes`` tells of the last holders, the latest last, which records each one
changed (file names only), or null where that is not known: so who planned before them looks
at those records again, and not at all.  A holder that was killed is followed by a new list.
"""

from __future__ import annotations

import json
import os
import time

from sage_pkginstall.engine.trust import open_trusted
from sage_pkginstall.errors import LockError
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any, TypeAlias

__all__ = ["Holder", "changed_since", "describe", "last_holder", "record_end", "record_holder"]

Changed: TypeAlias = "frozenset[str] | None"
"""The file names of the records that a holder changed; None if it may be any."""

_HOLDERS = 64
"""So many of the last holders are told of ..."""
_NAMES = 64
"""... and of each so many records; of one that changed more, nothing is known."""


class Holder(NamedTuple):
    """Who holds the lock: process, what it works on, and since when (epoch seconds).

    ``ended`` is false while it works, and stays so if it was killed.  ``changes`` has the
    tokens of the last holders, this one the last, with what they changed.
    """

    pid: int
    label: str
    since: float
    token: str
    ended: bool = False
    changes: tuple[tuple[str, Changed], ...] = ()

    @classmethod
    def this_process(cls, label: str) -> Holder:
        """Return the facts of this process, with a token of their own.

        All users can read them: a URL in ``label`` loses its password.
        """
        if "@" in label:
            from sage_pkginstall.passwords import without_passwords  # noqa: PLC0415 - rare

            label = without_passwords(label)
        return cls(os.getpid(), label, time.time(), f"{os.getpid()}-{time.time_ns()}")


def holder_path(lock: Path) -> Path:
    """Return the file that names the holder of ``lock``."""
    return lock.with_name(lock.name + ".holder")


def last_holder(lock: Path) -> Holder | None:
    """Return who holds or last held ``lock``, as far as that can be read."""
    try:
        with open(open_trusted(holder_path(lock), os.O_RDONLY, lock.parent), "rb") as file:
            facts = json.loads(file.read())
        return Holder(
            int(facts["pid"]),
            str(facts["label"]),
            float(facts["since"]),
            str(facts["token"]),
            facts.get("ended") is True,
            tuple(_change(*change) for change in facts.get("changes", ())),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _change(token: str, names: list[str] | None) -> tuple[str, Changed]:
    if names is not None and not all(isinstance(name, str) for name in names):
        raise ValueError(names)
    return str(token), None if names is None else frozenset(names)


def changed_since(before: Holder | None, now: Holder | None) -> Changed:
    """Return the records that may have changed since ``before`` was read as the last holder.

    ``now`` is who held the lock last, and nobody holds it.
    """
    if before is None or now is None or not now.ended:
        return None
    names: set[str] = set()
    for token, changed in reversed(now.changes):
        if token == before.token and before.ended:
            return frozenset(names)
        if changed is None:
            return None
        names |= changed
        if token == before.token:  # it was at work then
            return frozenset(names)
    return None


def describe(holder: Holder | None) -> str:
    """Return who holds the lock, for a message, if ``holder`` is the last on record.

    That is: process, package, since when.  If it has ended, somebody holds the lock who keeps
    no record: ``sage-flock -s``, flock(1).
    """
    if holder is None or holder.ended:
        return "another program"
    since = time.strftime("%H:%M:%S", time.localtime(holder.since))
    seconds = max(0, round(time.time() - holder.since))
    return f"process {holder.pid} ({holder.label}), since {since} ({seconds} s)"


def record_holder(lock: Path, label: str) -> Holder:
    """Say beside ``lock``, which the caller holds, who we are and what for."""
    holder = Holder.this_process(label)
    _write(lock, holder)
    return holder


def record_end(lock: Path, holder: Holder, previous: Holder | None, changed: Changed) -> None:
    """Say beside ``lock``, which ``holder`` still holds after ``previous``, that it is done."""
    earlier = previous.changes if previous is not None and previous.ended else ()
    if changed is not None and len(changed) > _NAMES:
        changed = None
    changes = (*earlier, (holder.token, changed))[-_HOLDERS:]
    _write(lock, holder._replace(ended=True, changes=changes))


def _write(lock: Path, holder: Holder) -> None:
    """Write the file that names the holder, in place: only the holder of the lock does."""
    path = holder_path(lock)
    try:
        descriptor = open_trusted(path, os.O_WRONLY | os.O_CREAT, path.parent, 0o644)
    except OSError as error:
        raise LockError(path, error.strerror or str(error)) from error
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(_document(holder)).encode())
    except OSError as error:
        raise LockError(path, error.strerror or str(error)) from error
    finally:
        os.close(descriptor)


def _document(holder: Holder) -> dict[str, Any]:
    changes = [[token, None if c is None else sorted(c)] for token, c in holder.changes]
    return {**holder._asdict(), "changes": changes}
