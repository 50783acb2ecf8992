"""Messages of builds, of the cache, and of the cache that machines share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.messages.desk import produces
from tests.sources import make_source
from tests.trees import plant

if TYPE_CHECKING:
    from tests.messages.desk import Desk


@produces(
    "cannot build {source}: it holds neither pyproject.toml nor setup.py",
    "cannot build {source}: it is neither a directory nor an sdist ({reason})",
    "cannot use -C '{text}': it is not KEY=VALUE",
    "cannot empty {directory}: it holds {path}",
)
def test_what_cannot_be_built(desk: Desk) -> str:
    plant(desk.directory, {"source/a": b"", "file": b""})
    source = desk.directory / "source"
    goal = ("-w", str(desk.directory / "dist"))
    said = desk.run("build", *goal, source, status=1)
    said += desk.run("build", *goal, desk.directory / "file", status=1)
    said += desk.run("build", *goal, "-C", "x", source, status=2)
    return said + desk.run("build", "-w", desk.directory, source, status=2)


@produces(
    "cannot build {source}: {what}; {log} has the whole log, which ends:",
    "Warning: cannot meet requirement '{requirement}': {reason}. Building {name} without"
    " isolation; add what provides it, behind the '|', to {file}",
)
def test_backend_fails(desk: Desk) -> str:
    source = make_source(
        desk.directory / "source",
        requires=["bar>=2"],
        code="print('no luck', flush=True); os._exit(3)",
    )
    variables = {"SAGE_ROOT": "/sage", "PKG_BASE": "tiny"}
    said = desk.run("build", "-w", desk.directory / "dist", source, status=1, env=variables)
    assert "behind the '|', to /sage/build/pkgs/tiny/dependencies" in said
    assert "no luck" in said.split("which ends:")[1]
    return said
