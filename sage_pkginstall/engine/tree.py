"""A tree: one prefix with its lock, staging area and journal.  The engine's entrance."""

from __future__ import annotations

import contextlib
import os
import time
from functools import partial
from pathlib import Path

from sage_pkginstall.engine import files
from sage_pkginstall.engine.holder import changed_since, last_holder
from sage_pkginstall.engine.journal import Journal, JournalFile
from sage_pkginstall.engine.lock import LockSettings, TreeLock
from sage_pkginstall.engine.transaction import LostError, Recovery, carry_out, describe, recover
from sage_pkginstall.engine.workspace import StagingArea, Workspace
from sage_pkginstall.errors import ConflictError, RecordError, TransactionError
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sage_pkginstall.engine.holder import Changed, Holder
    from sage_pkginstall.engine.lock import Held
    from sage_pkginstall.engine.plan import Plan

__all__ = ["LOCK", "Committed", "Prepared", "Tree", "TreeSettings"]

LOCK = "var/lock/pip3.lock"
"""The lock of a tree, relative to it."""

_OVERTAKEN = (FileExistsError, FileNotFoundError, NotADirectoryError)
_LOOKS = 3  # more than one, before what others do is taken for a fault


class TreeSettings(NamedTuple):
    """How a tree is worked on.

    ``durable``: flush to the disk, so that even a power failure leaves the old or the
    new state.
    """

    lock: LockSettings = LockSettings()
    durable: bool = True


class Prepared(NamedTuple):
    """A plan, and whether what it was made from (records, say) still holds.

    ``changes`` are the file names of the records that it changes, None if it may be any.
    """

    plan: Plan
    holds: Callable[[], bool] = lambda: True
    changes: Changed = None


class Committed(NamedTuple):
    """What a commit did: the plan, the seconds waited for the lock and held it."""

    plan: Plan
    waited: float
    held: float
    warning: str | None = None


class Tree:
    """One prefix that many processes change, one at a time."""

    def __init__(self, prefix: Path, settings: TreeSettings | None = None) -> None:
        self.prefix = prefix
        self.settings = settings or TreeSettings()
        self.lock_path = prefix / LOCK
        self.area = StagingArea(prefix)
        self.journal = JournalFile(self.area.path)
        self._recovery: Recovery | None = None

    @contextlib.contextmanager
    def workspace(self) -> Iterator[Workspace]:
        """Give a private directory in the prefix; what dead processes left there goes.

        What cannot be deleted is told, and is no error: the work was done by then.
        """
        with self.area.workspace() as workspace:
            yield workspace
        with contextlib.suppress(OSError):
            self.area.collect()
        if workspace.path.exists():
            self.settings.lock.notify(f"{workspace.path} could not be deleted; later commands try")

    @contextlib.contextmanager
    def locked(self, label: str) -> Iterator[Held]:
        """Hold the lock of the tree, whatever dead processes began being finished first.

        ``label`` tells waiters what the lock is held for.
        """
        with TreeLock(self.lock_path, label, self.settings.lock).hold() as held:
            if self._recover() is not None:
                held.previous = None  # what was changed since is not what it told
                held.recovered = True
            yield held

    def commit(
        self, workspace: Workspace, label: str, prepare: Callable[[Changed], Prepared]
    ) -> Committed:
        """Bring the staged tree of ``workspace`` into the prefix: all of it or nothing.

        ``prepare`` plans; it is called before the lock is taken, and once more under it
        if the tree was changed in between, with the file names of the records that others
        changed since the first time, or None if it may be any; again, if others overtake us who
        take no lock.  Raises what ``prepare`` raises, and
        `LockError`, `TransactionError`, `JournalError`.
        """
        if self.settings.durable:
            files.flush_file_system(workspace.path)
        token = last_holder(self.lock_path)
        ahead = self._prepare_ahead(workspace, label, partial(prepare, None), token)
        asked = time.monotonic()
        with self.locked(label) as held:
            taken = time.monotonic()
            idle = not held.recovered and _nobody_worked(token, held.previous)
            changed = changed_since(token, held.previous)
            again = partial(self._prepare, workspace, label, partial(prepare, changed))

            def first() -> Prepared:
                if ahead is None or not idle or not self._holds(ahead):
                    return again(drafted=ahead)
                return ahead

            prepared, warning = self._carry_out(workspace, label, first, again)
            held.changed = prepared.changes if held.previous else None
        released = time.monotonic()
        if self.settings.durable and prepared.plan.operations:
            with contextlib.suppress(OSError):  # it is done; see `carry_out`
                self.journal.flush()
        return Committed(
            prepared.plan, waited=taken - asked, held=released - taken, warning=warning
        )

    def _prepare_ahead(
        self,
        workspace: Workspace,
        label: str,
        prepare: Callable[[], Prepared],
        token: Holder | None,
    ) -> Prepared | None:
        """Plan before the lock is had; None if others changed what it was to be made from.

        What is refused then is refused for good only if nobody worked on the tree meanwhile.
        """
        if self.journal.exists():
            return None
        try:
            return self._prepare(workspace, label, prepare)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ConflictError, RecordError):
            if _nobody_worked(token, last_holder(self.lock_path)):
                raise
            return None

    def _prepare(
        self,
        workspace: Workspace,
        label: str,
        prepare: Callable[[], Prepared],
        drafted: Prepared | None = None,
    ) -> Prepared:
        """Plan, and draft the journal, unless ``drafted`` is planned alike: that draft is there.

        Others often hold the lock between the plan and us, and seldom change what we do;
        the disk is not waited for twice then.
        """
        prepared = prepare()
        if self.settings.durable:
            workspace.flush_changes()
        operations = prepared.plan.operations
        if operations and (drafted is None or drafted.plan.operations != operations):
            journal = _journal(workspace, label, prepared.plan)
            try:
                self.journal.draft(journal, durable=self.settings.durable)
            except OSError as error:
                raise TransactionError(self.prefix, describe(error)) from error
        return prepared

    @staticmethod
    def _holds(prepared: Prepared) -> bool:
        return prepared.plan.holds() and prepared.holds()

    def _carry_out(
        self,
        workspace: Workspace,
        label: str,
        look: Callable[[], Prepared],
        again: Callable[[], Prepared],
    ) -> tuple[Prepared, str | None]:
        """Carry out what a look finds to be done; look again if others overtake us meanwhile.

        Who knows of no lock may take away or put there what a look rests on, before all is done
        that it found: that is undone then.
        """
        overtaken = 0
        while True:
            try:
                prepared = look()
                return prepared, self._carry_out_plan(workspace, label, prepared.plan)
            except (OSError, TransactionError) as error:
                cause = error if isinstance(error, OSError) else error.__cause__
                overtaken += 1
                is_ours = not isinstance(cause, _OVERTAKEN) or isinstance(cause, LostError)
                if is_ours or overtaken > _LOOKS:
                    raise
            look = again

    def _carry_out_plan(self, workspace: Workspace, label: str, plan: Plan) -> str | None:
        if not plan.operations:
            return None
        journal = _journal(workspace, label, plan)
        warning = carry_out(self.prefix, self.journal, journal, durable=self.settings.durable)
        if any(one.kind in {"swap", "remove"} for one in plan.operations):
            from sage_pkginstall.engine import strays  # noqa: PLC0415 - not where all is new

            strays.bring_back_strays(self.prefix, plan)
        return warning

    def recover(self) -> Recovery | None:
        """Finish what a dead process began, or undo it, and delete what dead processes left.

        Returns which it was, None if there was nothing.
        """
        with TreeLock(self.lock_path, "recover", self.settings.lock).hold():
            recovery = self._recover()
        self.area.collect()
        return recovery

    def _recover(self) -> Recovery | None:
        recovery = recover(self.prefix, self.journal, durable=self.settings.durable)
        self._recovery = recovery or self._recovery
        return recovery

    def take_recovered(self) -> str | None:
        """Return the label of what this object recovered since it was asked last, for the log."""
        recovery, self._recovery = self._recovery, None
        return None if recovery is None else recovery.label

    def leave_out_own_files(self) -> None:
        """Take locks and staging area out of a tree that is staged, an image say.

        In the prefix they would replace the lock that is held, and the journal.  Not by a link
        that leads out of the tree: behind it, commands may be at work.
        """
        root = os.path.realpath(self.prefix)
        locks = self.lock_path.parent.glob(f"{self.lock_path.name}*")
        for path in (self.area.path, *locks):
            if Path(os.path.realpath(path.parent)).is_relative_to(root):
                files.delete_tree(path)

    def can_exchange(self, workspace: Workspace) -> bool:
        """Tell whether the file system of the prefix can exchange two entries."""
        return workspace.can_exchange(workspace.path)


def _nobody_worked(before: Holder | None, now: Holder | None) -> bool:
    """Tell whether nobody held the lock between two looks at who held it last."""
    return before == now and (now is None or now.ended)


def _journal(workspace: Workspace, label: str, plan: Plan) -> Journal:
    return Journal(label, workspace.name, plan.operations, workspace.identity)
