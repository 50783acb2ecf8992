"""Bring a staged tree (``DESTDIR``) into a prefix, in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sage_pkginstall.engine.staged import lay_in
from sage_pkginstall.errors import UsageError
from sage_pkginstall.operations.change import Change, Outcome, commit_change, plan_change

if TYPE_CHECKING:
    from pathlib import Path

    from sage_pkginstall.engine.tree import Tree
    from sage_pkginstall.environment import Environment

__all__ = ["merge"]


def merge(
    tree: Tree,
    environment: Environment | None,
    staged: Path,
    change: Change,
    *,
    dry_run: bool = False,
) -> Outcome:
    """Bring everything below ``staged`` into the prefix; ``staged`` itself is not changed.

    Raises what `commit_change` raises, `UsageError` if ``staged`` is no directory.
    """
    if not staged.is_dir():
        raise UsageError(f"cannot merge {staged}: it is not a directory")
    with tree.workspace() as workspace:
        lay_in(staged, workspace.tree, move=False)
        if dry_run:
            return plan_change(tree, workspace, environment, change)
        label = f"merge {change.package or staged.name}"
        return commit_change(tree, workspace, environment, change, label)
