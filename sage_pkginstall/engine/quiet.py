"""Reading a tree without its lock: whether somebody changed it meanwhile.

Who only looks takes no lock, and may be overtaken by an upgrade: the records that were
read are then those of the old version, the files those of the new one.  So what seems to
be wrong counts only if nobody worked on the tree while it was looked at, or if it is found
again.
"""

from __future__ import annotations

import contextlib
import errno

from sage_pkginstall.engine.holder import last_holder
from sage_pkginstall.engine.lock import is_held
from sage_pkginstall.errors import JournalError, PkgInstallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import TypeVar

    from sage_pkginstall.engine.tree import Tree

    _Seen = TypeVar("_Seen")

__all__ = ["begun_by_the_dead", "looks", "unfinished"]

_LOOKS = 10


def looks(lock: Path, look: Callable[[], _Seen]) -> Iterator[tuple[_Seen, bool]]:
    """Yield what ``look`` finds, again and again, until nobody changed the tree meanwhile.

    Beside it stands whether that was so; then it is the last.  After some times it ends all the
    same: a busy tree never rests.
    """
    for _ in range(_LOOKS):
        before = last_holder(lock)
        seen = look()
        at_rest = before is None or before.ended or not is_held(lock)
        undisturbed = last_holder(lock) == before and at_rest
        yield seen, undisturbed
        if undisturbed:
            return


def begun_by_the_dead(tree: Tree) -> str | None:
    """Return the label of the journal that a dead process left, which a commit finishes.

    One that is there before and after nobody held the lock: its owner may end meanwhile.
    """
    with contextlib.suppress(PkgInstallError, OSError):
        journal = tree.journal.read()
        if journal is None or is_held(tree.lock_path):
            return None
        if tree.journal.read() == journal:
            return journal.label
    return None


def unfinished(tree: Tree) -> Iterator[str]:
    """Yield a warning if what is seen of the tree may be half of a transaction."""
    label = begun_by_the_dead(tree)
    if label is not None:
        yield f"{label!r} was begun by a process that died; 'sage-pkginstall recover' finishes it"
    elif tree.journal.exists():
        yield from _unusable(tree)


def _unusable(tree: Tree) -> Iterator[str]:
    """Yield why the journal cannot be carried out, as the next command that changes the tree will.

    Not of one that we may not read: it may be that of another user at work.
    """
    try:
        tree.journal.read()
    except JournalError as error:
        may_read = getattr(error.__cause__, "errno", None) != errno.EACCES
        if may_read and not is_held(tree.lock_path):
            yield str(error)
