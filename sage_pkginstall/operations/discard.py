"""Give up a transaction whose journal can be neither finished nor undone.

On disk, all below ``TREE/var/tmp/sage/``: before, ``journal`` or ``undo`` and the workspaces
of dead processes; after, ``discarded-TIME/`` with all of them.  So nothing is lost: what
the transaction had taken out of the prefix lies in ``discarded-TIME/T-.../old/``.  But what
was being changed may be half old and half new from then on; `verify` tells.
"""

from __future__ import annotations

import contextlib
import os
import time

from sage_pkginstall.engine.lock import TreeLock
from sage_pkginstall.engine.transaction import recover
from sage_pkginstall.errors import JournalError
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from sage_pkginstall.engine.transaction import Recovery
    from sage_pkginstall.engine.tree import Tree

__all__ = ["Discarded", "discard"]


class Discarded(NamedTuple):
    """What became of a journal.

    ``recovered`` is what it was, if it could be carried out or undone after all; otherwise
    ``place`` is where it was moved to, and ``reason`` why it could not.  All None: there was none.
    """

    recovered: Recovery | None = None
    place: Path | None = None
    reason: str | None = None


def discard(tree: Tree) -> Discarded:
    """Recover, and if that fails move the journal aside, so that others can go on.

    Raises `LockError`, and OSError if not even that is possible.
    """
    with TreeLock(tree.lock_path, "discard the journal", tree.settings.lock).hold():
        try:
            recovery = recover(tree.prefix, tree.journal, durable=tree.settings.durable)
        except JournalError as error:
            return Discarded(place=_move_aside(tree), reason=error.reason)
    tree.area.collect()
    return Discarded(recovered=recovery)


def _move_aside(tree: Tree) -> Path:
    place = _new_directory(tree.area.path / time.strftime("discarded-%Y%m%d-%H%M%S"))
    tree.area.move_dead(place, _named(tree))
    for path in (tree.journal.path, tree.journal.undo_path):
        with contextlib.suppress(FileNotFoundError):
            path.rename(place / path.name)
    return place


def _new_directory(path: Path) -> Path:
    """Make a directory of that name, or with a number behind it: clocks stand, and go back."""
    place, number = path, 1
    while os.path.lexists(place):
        number += 1
        place = path.with_name(f"{path.name}-{number}")
    place.mkdir(mode=0o700)
    return place


def _named(tree: Tree) -> str | None:
    """Return the workspace that the journal names, if it can be read."""
    with contextlib.suppress(JournalError):
        journal = tree.journal.read()
        return None if journal is None else journal.workspace
    return None
