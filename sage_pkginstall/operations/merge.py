"""Bring a staged tree (``DESTDIR``) into a prefix, in one transaction."""

from __future__ import annotations

from sage_pkginstall.engine.staged import lay_in
from sage_pkginstall.engine.tree import Tree
from sage_pkginstall.errors import UsageError
from sage_pkginstall.operations.change import Change, Outcome, commit_change, plan_change
from sage_pkginstall.wheels.ownership import is_package_name
from sage_pkginstall.wheels.records import all_recorded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from sage_pkginstall.engine.workspace import Workspace
    from sage_pkginstall.environment import Environment

__all__ = ["merge", "plan_merge"]


def merge(
    tree: Tree,
    environment: Environment | None,
    staged: Path,
    change: Change,
    *,
    move: bool = False,
) -> Outcome:
    """Bring everything below ``staged`` into the prefix.

    With ``move``, what lies there is renamed where the file system allows that: it is gone
    afterwards, also if merging it fails or is killed.  Otherwise ``staged`` stays as it is.

    Older versions of the distributions in it go.  Locks and staging areas in it, which
    ``install --root`` leaves, stay where they are.  Raises what `commit_change` raises,
    `UsageError` if ``staged`` is no directory, or the package's name none.
    """
    with tree.workspace() as workspace:
        change = _lay_in(workspace, environment, staged, change, move=move)
        label = f"merge {change.package or staged.name}"
        return commit_change(tree, workspace, environment, change, label)


def plan_merge(
    tree: Tree, environment: Environment | None, staged: Path, change: Change
) -> Outcome:
    """Return what `merge` would do; nothing is changed but that a copy is made and deleted."""
    with tree.workspace() as workspace:
        change = _lay_in(workspace, environment, staged, change, move=False)
        return plan_change(tree, workspace, environment, change)


def _lay_in(
    workspace: Workspace,
    environment: Environment | None,
    staged: Path,
    change: Change,
    *,
    move: bool,
) -> Change:
    if not staged.is_dir():
        raise UsageError(f"cannot merge {staged}: it is not a directory")
    if workspace.tree.resolve().is_relative_to(staged.resolve()):  # it would go into itself
        raise UsageError(f"cannot merge {staged}: it holds the prefix, or is part of its var/")
    if change.package is not None and not is_package_name(change.package):
        reason = "letters, digits, '_', '.' and '+' make the name of a package"
        raise UsageError(f"cannot merge {staged} as {change.package!r}: {reason}")
    lay_in(staged, workspace.tree, move=move)
    Tree(workspace.tree).leave_out_own_files()
    return _with_older_versions(workspace.tree, environment, change)


def _with_older_versions(staged: Path, environment: Environment | None, change: Change) -> Change:
    """Return ``change``, which also drops the distributions that ``staged`` has."""
    if environment is None:
        return change
    found = all_recorded(environment.at(staged))
    names = (*change.drop, *(one.canonical for one in found))
    return change._replace(drop=tuple(dict.fromkeys(names)))
