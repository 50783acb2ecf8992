"""Uninstall distributions by their RECORD, in one transaction.

What has no list of its files (egg-link, distutils) is left to the target's pip, which
then runs while we hold the lock.
"""

from __future__ import annotations

from sage_pkginstall.errors import NotInstalledError, PkgInstallError
from sage_pkginstall.operations.change import Change, Outcome, commit_change, plan_change
from sage_pkginstall.operations.history import logged_lock, note_recovered
from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.records import find_recorded, is_recorded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sage_pkginstall.engine.tree import Tree
    from sage_pkginstall.environment import Environment
    from sage_pkginstall.wheels.installed import Installed

    PipRunner = Callable[[Sequence[str]], int]

__all__ = ["Uninstallation", "uninstall"]


class Uninstallation(NamedTuple):
    """What was uninstalled; ``by_pip`` was left to pip, ``missing`` was not installed."""

    distributions: tuple[Installed, ...]
    by_pip: tuple[Installed, ...]
    missing: tuple[str, ...]
    outcome: Outcome | None


def uninstall(
    tree: Tree,
    environment: Environment,
    names: Sequence[str],
    run_pip: PipRunner,
    *,
    dry_run: bool = False,
) -> Uninstallation:
    """Uninstall the distributions called ``names``; those not installed are only told.

    ``run_pip(arguments)`` runs the target's pip and returns its status.  Raises what
    `commit_change` raises, and `PkgInstallError` if pip failed.
    """
    if not dry_run and tree.journal.exists():
        tree.recover()  # what is half gone would not be found, and half would stay
    found = {name: find_recorded(environment, name) for name in dict.fromkeys(names)}
    missing = tuple(name for name, installed in found.items() if not installed)
    installed = tuple(dict.fromkeys(i for group in found.values() for i in group))
    for_pip = tuple(i for i in installed if not is_recorded(environment, i))
    ours = tuple(i for i in installed if i not in for_pip)
    if for_pip and not dry_run:
        _uninstall_with_pip(tree, environment, for_pip, run_pip)
    outcome = _remove(tree, environment, ours, dry_run=dry_run) if ours else None
    if not ours:
        tree.area.collect()
    note_recovered(tree)
    return Uninstallation(ours, for_pip, missing, outcome)


def require_installed(result: Uninstallation, tree: Tree) -> None:
    """Raise `NotInstalledError` if something that was named is not installed."""
    if result.missing:
        raise NotInstalledError(", ".join(result.missing), tree.prefix)


def _remove(
    tree: Tree, environment: Environment, distributions: Sequence[Installed], *, dry_run: bool
) -> Outcome:
    change = Change(drop=tuple(dict.fromkeys(i.canonical for i in distributions)))
    with tree.workspace() as workspace:
        if dry_run:
            return plan_change(tree, workspace, environment, change)
        label = ", ".join(f"uninstall {i.name} {i.version}" for i in distributions)
        return commit_change(tree, workspace, environment, change, label)


def _uninstall_with_pip(
    tree: Tree, environment: Environment, distributions: Sequence[Installed], run_pip: PipRunner
) -> None:
    names = [i.name for i in distributions]
    managed = environment.externally_managed is not None  # then we were told to change it anyway
    options = ["--yes", *(["--break-system-packages"] if managed else [])]
    dropped = tuple(i.canonical for i in distributions)
    with logged_lock(tree, f"pip uninstall {' '.join(names)}", dropped):
        status = run_pip(["uninstall", *options, *names])
        if status:
            message = f"cannot uninstall {', '.join(names)}: pip ended with status {status}"
            raise PkgInstallError(message)
