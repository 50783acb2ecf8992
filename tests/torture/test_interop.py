"""What one installer installs, another one uninstalls to nothing: pip, uv and we."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.torture.scenes import foo
from tests.torture.stage import Stage
from tests.trees import Link

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Installer = Callable[[Stage, str], None]

pytestmark = pytest.mark.slow


def run(words: Sequence[str]) -> None:
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{words}\n{ended.stderr}"


def pip(stage: Stage, *arguments: str) -> None:
    python = str(stage.prefix / "bin" / "python3")
    run([sys.executable, "-m", "pip", "--python", python, *arguments])


def uv(stage: Stage, command: str, *arguments: str) -> None:
    program = Path(sys.executable).with_name("uv")
    assert program.exists() or shutil.which("uv"), "uv is in the dependency group 'test'"
    python = str(stage.prefix / "bin" / "python3")
    words = [str(program), "--offline", "pip", command, "--python", python, *arguments]
    run([*words, "--cache-dir", str(stage.prefix.parent / "uv-cache")])


def our_install(stage: Stage, wheel: str) -> None:
    stage.must(("install", wheel))


def pip_install(stage: Stage, wheel: str) -> None:
    pip(stage, "install", "--no-index", "--no-deps", "--force-reinstall", wheel)


def uv_install(stage: Stage, wheel: str) -> None:
    uv(stage, "install", "--no-deps", "--reinstall", wheel)


def our_uninstall(stage: Stage, name: str) -> None:
    stage.must(("uninstall", name))


def pip_uninstall(stage: Stage, name: str) -> None:
    pip(stage, "uninstall", "--yes", name)


def uv_uninstall(stage: Stage, name: str) -> None:
    uv(stage, "uninstall", name)


INSTALLERS = {"ours": our_install, "pip": pip_install, "uv": uv_install}
UNINSTALLERS = {"ours": our_uninstall, "pip": pip_uninstall, "uv": uv_uninstall}
PAIRS = [("ours", "pip"), ("ours", "uv"), ("pip", "ours"), ("uv", "ours")]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage.build(tmp_path_factory.mktemp("stage"), [])


UVS_OWN = ".lock"  # in the root of the environment


def paths(stage: Stage, last: str) -> set[str]:
    """Return the paths that are there; pip and uv leave directories, or take empty ones."""
    state = stage.state()
    state.pop(UVS_OWN, None)
    if last == "ours":
        return set(state)
    return {path for path, (entry, _) in state.items() if isinstance(entry, (bytes, Link))}


@pytest.mark.parametrize(("installer", "uninstaller"), PAIRS)
def test_uninstalling_what_another_one_installed_leaves_nothing(
    stage: Stage, tmp_path: Path, installer: str, uninstaller: str
) -> None:
    stage.restore()
    before = paths(stage, uninstaller)
    INSTALLERS[installer](stage, foo(tmp_path, "1"))
    assert stage.faults() == []
    UNINSTALLERS[uninstaller](stage, "foo")
    assert paths(stage, uninstaller) == before


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_upgrading_what_another_one_installed_leaves_no_ghost(
    stage: Stage, tmp_path: Path, first: str, second: str
) -> None:
    stage.restore()
    INSTALLERS[second](stage, foo(tmp_path, "2"))
    fresh = paths(stage, second)
    stage.restore()
    INSTALLERS[first](stage, foo(tmp_path, "1"))
    INSTALLERS[second](stage, foo(tmp_path, "2"))
    assert paths(stage, second) == fresh
    assert stage.faults() == []
    (info,) = stage.prefix.glob("lib/python3*/site-packages/foo-*")
    assert info.name == "foo-2.dist-info"
    assert os.listdir(info)  # noqa: PTH208 - a ghost has no files
