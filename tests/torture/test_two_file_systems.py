"""site-packages on a file system of its own: nothing can be renamed there from the prefix."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.torture import scenes
from tests.torture.mounts import mounted
from tests.torture.stage import Stage
from tests.torture.strace import recording
from tests.torture.sweep import Sweep, sweep_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.torture.conftest import TellFigures

pytestmark = [
    pytest.mark.needs("strace"),
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root"),
]
SWEEPS = [
    pytest.param(61, marks=pytest.mark.slow, id="sample"),
    pytest.param(1, marks=pytest.mark.torture, id="all"),
]
NAMES = [
    "fresh install",
    "upgrade",
    "uninstall",
    "uninstall, void directories",
    "shared namespace, one goes",
]


@pytest.fixture
def two_file_systems(tmp_path: Path) -> Iterator[Path]:
    """Make a directory in which the site-packages of a stage will be a mount point."""
    stage = Stage.build(tmp_path, [])
    (site,) = stage.prefix.glob("lib/python3*/site-packages")
    shutil.rmtree(stage.kept)
    with mounted(site, "tmpfs", "size=8m"):
        yield tmp_path


@pytest.mark.parametrize("every", SWEEPS)
@pytest.mark.parametrize("name", NAMES)
def test_killed_with_schemes_on_two_file_systems(
    two_file_systems: Path, name: str, every: int, tell_figures: TellFigures
) -> None:
    scene = scenes.make_scene(name, two_file_systems)
    stage = Stage.build(two_file_systems, scene.setting, scene.made)
    sweep = Sweep.prepare(stage, scene.command, {})
    sweep_all(sweep, every)
    tell_figures(sweep.figures())


@pytest.mark.slow
def test_copies_on_the_other_file_system_are_flushed_before_the_journal_counts(
    two_file_systems: Path,
) -> None:
    scene = scenes.make_scene("upgrade", two_file_systems)
    stage = Stage.build(two_file_systems, scene.setting, scene.made)
    log = two_file_systems / "log"
    stage.run(scene.command, under=recording(log))
    lines = log.read_text().splitlines()
    volume = re.compile(r"site-packages/\.T-")
    written = [n for n, line in enumerate(lines) if volume.search(line) and " write(" in line]
    written += [n for n, line in enumerate(lines) if volume.search(line) and " sendfile(" in line]
    flushed = [n for n, line in enumerate(lines) if volume.search(line) and " syncfs(" in line]
    (journal,) = [n for n, line in enumerate(lines) if "/sage/journal" in line and "rename" in line]
    assert max(written) < max(flushed) < journal
