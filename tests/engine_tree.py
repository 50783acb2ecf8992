"""A prefix and a change to it, for the tests of the engine; also run as a process of its own.

python engine_tree.py upgrade PREFIX     what `upgrade` does, e.g. under a fail point
python engine_tree.py recover PREFIX
python engine_tree.py remove PREFIX FILE...   removal of what a record lists
python engine_tree.py replace PREFIX FILE SECONDS   by a new one of that time
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sage_pkginstall.engine.plan import PlanRequest
from sage_pkginstall.engine.planner import make_plan
from sage_pkginstall.engine.tree import Committed, Prepared, Tree

if TYPE_CHECKING:
    from sage_pkginstall.engine.workspace import Workspace

LONG = "lib/ns/" + 255 * "n"  # NAME_MAX of nearly all file systems
FOREIGN_BYTECODE = "lib/foo/__pycache__/a.cpython-311.opt-1.pyc"

OLD = {
    "lib/foo/__init__.py": b"old",
    "lib/foo/a.py": b"a",
    FOREIGN_BYTECODE: b"made by python -O",
    "lib/ns/x.py": b"x1",
    "lib/ns/x.py.aside": b"aside 1",
    LONG: b"long 1",
    "lib/ns/gone.py": b"gone",
    "lib/ns/__pycache__/gone.cpython-311.pyc": b"gone",
    "lib/gone/z": b"z",
    "bin/foo": b"script 1",
    "bin/old": b"old script",
    "type": b"a file",
}
OTHERS = {"lib/ns/other.py": b"other", "bin/keep": b"keep"}
NEW = {
    "lib/foo/__init__.py": b"new",
    "lib/foo/b.py": b"b",
    "lib/ns/x.py": b"x2",
    "lib/ns/x.py.aside": b"aside 2",
    LONG: b"long 2",
    "lib/ns/sub/y": b"y",
    "bin/foo": b"script 2",
    "share/doc/a": b"doc",
    "type/k": b"now a directory",
}
STATE = ("var",)


def write(root: Path, contents: dict[str, bytes]) -> None:
    for name, data in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def request() -> PlanRequest:
    return PlanRequest(replaced=frozenset(OLD) - {FOREIGN_BYTECODE})


def commit(tree: Tree, new: dict[str, bytes], wanted: PlanRequest) -> Committed:
    """Bring ``new`` into the tree in place of what the request replaces."""
    with tree.workspace() as workspace:
        write(workspace.tree, new)
        exchange = tree.can_exchange(workspace)
        return commit_staged(tree, workspace, wanted, exchange=exchange)


def commit_staged(
    tree: Tree, workspace: Workspace, wanted: PlanRequest, *, exchange: bool
) -> Committed:
    """Bring what is staged in ``workspace`` into the tree."""
    return tree.commit(
        workspace, "foo", lambda _: Prepared(make_plan(workspace, wanted, exchange=exchange))
    )


def replace(tree: Tree, file: str, seconds: int) -> None:
    """Put a file that was last modified at ``seconds`` in place of another."""
    with tree.workspace() as workspace:
        write(workspace.tree, {file: b"new"})
        os.utime(workspace.tree / file, (seconds, seconds))
        wanted = PlanRequest(replaced=frozenset({file}))
        commit_staged(tree, workspace, wanted, exchange=tree.can_exchange(workspace))


def main(action: str, prefix: Path, *listed: str) -> None:
    tree = Tree(prefix)
    if action == "recover":
        tree.recover()
    elif action == "remove":
        commit(tree, {}, PlanRequest(replaced=frozenset(listed)))
    elif action == "replace":
        replace(tree, listed[0], int(listed[1]))
    else:
        commit(tree, NEW, request())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
