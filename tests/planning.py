"""Plans carried out at once, for the tests of what makes them."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from sage_pkginstall.engine.plan import PlanRequest
from sage_pkginstall.engine.tree import Committed, Tree, TreeSettings
from tests.engine_tree import commit

if TYPE_CHECKING:
    from pathlib import Path

    from sage_pkginstall.engine.plan import Plan


class Owned:
    """Other people's files."""

    def __init__(self, **_owners: str) -> None:
        self.files: dict[str, frozenset[str]] = {}

    def __call__(self, path: str, *owners: str) -> Owned:
        self.files[path] = frozenset(owners)
        return self

    def owners(self, path: str) -> frozenset[str]:
        return self.files.get(path, frozenset())

    def others_within(self, directory: str) -> bool:
        return any(path.startswith(directory + "/") for path in self.files)


def bring(prefix: Path, new: dict[str, bytes], request: PlanRequest | None = None) -> Committed:
    settings = TreeSettings(durable=False)
    done = commit(Tree(prefix, settings), new, request or PlanRequest())
    assert is_independent(done.plan)
    return done


def is_independent(plan: Plan) -> bool:
    """Tell whether no operation lies within what another one moves: else undoing loses files."""
    moved = {o.path for o in plan.operations if o.kind != "prune"}
    above = ({*map(str, PurePosixPath(o.path).parents)} for o in plan.operations)
    return not any(moved & parents for parents in above)


def operations(committed: Committed) -> list[tuple[str, str]]:
    return [(o.kind, o.path) for o in committed.plan.operations]
