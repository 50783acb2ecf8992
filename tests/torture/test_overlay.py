"""Overlays, as containers have them: the old version lies in a layer that never changes."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.engine.plan import PlanRequest
from sage_pkginstall.engine.planner import make_plan
from sage_pkginstall.engine.tree import Prepared, Tree
from sage_pkginstall.errors import ConflictError
from tests.engine_tree import commit
from tests.torture import scenes
from tests.torture.mounts import mount, mounted, overlay, unmount
from tests.torture.stage import Stage
from tests.torture.sweep import Sweep, sweep_all
from tests.trees import plant, tree

if TYPE_CHECKING:
    from pathlib import Path

    from tests.torture.conftest import TellFigures

pytestmark = [
    pytest.mark.needs("strace"),
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root"),
]
SWEEPS = [
    pytest.param(31, marks=pytest.mark.slow, id="sample"),
    pytest.param(1, marks=pytest.mark.torture, id="all"),
]
NAMES = [
    "upgrade",
    "uninstall",
    "uninstall, void directories",
    "staged merge",
    "shared namespace, one goes",
]
FILES = 50


class OverlaidStage(Stage):
    """A stage whose first state lies in the lower layer."""

    def restore(self) -> None:
        """Lay an empty upper layer over the first state."""
        self.uncover()
        upper = self.prefix.with_name("upper")
        shutil.rmtree(upper, ignore_errors=True)
        mount(self.prefix, "overlay", overlay(self.kept, upper))

    def uncover(self) -> None:
        """Take the overlay away, if there is one."""
        if self.prefix.is_mount():
            unmount(self.prefix)


@pytest.mark.parametrize("every", SWEEPS)
@pytest.mark.parametrize("name", NAMES)
def test_killed_above_a_lower_layer(
    tmp_path: Path, name: str, every: int, tell_figures: TellFigures
) -> None:
    scene = scenes.make_scene(name, tmp_path)
    stage = OverlaidStage.build(tmp_path, scene.setting, scene.made)
    try:
        stage.restore()
        sweep = Sweep.prepare(stage, scene.command, {})
        sweep_all(sweep, every)
        tell_figures(sweep.figures())
    finally:
        stage.uncover()


@pytest.mark.slow
def test_layers_with_inode_numbers_of_their_own(tmp_path: Path) -> None:
    """Old and staged files with one number are not taken for one another."""
    with (
        mounted(tmp_path / "low", "tmpfs", "size=4m") as low,
        mounted(tmp_path / "high", "tmpfs", "size=4m") as high,
    ):
        name_by_number(low / "lib" / "ns", b"old")
        with mounted(tmp_path / "merged", "overlay", overlay(low, high)) as prefix:
            install_by_number(Tree(prefix), low)
            contents = tree(prefix, ignore=("var",))
    assert contents
    assert set(contents.values()) == {b"new"}


def name_by_number(directory: Path, content: bytes) -> list[str]:
    """Write files whose names are their inode numbers."""
    directory.mkdir(parents=True)
    for number in range(FILES):
        draft = directory / f"draft-{number}"
        draft.write_bytes(content)
        draft.rename(directory / str(draft.stat().st_ino))
    return [path.name for path in directory.iterdir()]


def install_by_number(prefix: Tree, low: Path) -> None:
    """Replace each file by a staged one with its inode number, where there is one."""
    with prefix.workspace() as workspace:
        names = name_by_number(workspace.tree / "lib" / "ns", b"new")
        common = set(names) & {path.name for path in (low / "lib" / "ns").iterdir()}
        assert common
        for name in set(names) - common:
            (workspace.tree / "lib" / "ns" / name).unlink()
        replaced = frozenset(f"lib/ns/{path.name}" for path in (low / "lib" / "ns").iterdir())
        request = PlanRequest(replaced=replaced)
        exchange = prefix.can_exchange(workspace)
        prefix.commit(
            workspace,
            "by number",
            lambda _: Prepared(make_plan(workspace, request, exchange=exchange)),
        )


@pytest.mark.slow
def test_file_in_place_of_a_directory_of_a_lower_layer_is_refused_by_the_plan(
    tmp_path: Path,
) -> None:
    """That directory cannot be moved away, but uninstalled."""
    low = plant(tmp_path / "low", {"share/x/a": b"1", "share/y": b""})
    with mounted(tmp_path / "top", "tmpfs", "size=4m") as top:
        options = f"{overlay(low, top)},redirect_dir=off"
        with mounted(tmp_path / "merged", "overlay", options) as prefix:
            old = PlanRequest(frozenset({"share/x/a"}))
            with pytest.raises(ConflictError, match="share/x: it is a directory that cannot be"):
                commit(Tree(prefix), {"share/x": b"2"}, old)
            commit(Tree(prefix), {}, old)
            commit(Tree(prefix), {"share/x": b"2"}, PlanRequest())
            assert tree(prefix, ignore=("var",)) == {"share/x": b"2", "share/y": b""}
