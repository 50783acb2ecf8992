"""The target's pip: which options it is given, and when it is left to do all by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.engine.tree import Tree
from sage_pkginstall.environment import target_environment
from sage_pkginstall.operations.uninstall import uninstall
from tests.trees import plant

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.conftest import RunCli


def site(venv: Path) -> Path:
    (found,) = (venv / "lib").glob("python3*/site-packages")
    return found


@pytest.mark.parametrize("managed", [None, "Ask the system."])
def test_pip_may_change_what_the_system_manages_where_we_may(
    venv: Path, managed: str | None
) -> None:
    """Who gets so far was not refused (``--break-system-packages``); pip would refuse again."""
    plant(site(venv), {"old.egg-link": b"/src"})
    environment = target_environment(venv)._replace(externally_managed=managed)
    words: list[str] = []

    def run_pip(arguments: Sequence[str]) -> int:
        words.extend(arguments)
        return 0

    done = uninstall(Tree(venv), environment, ["old"], run_pip)
    assert [one.name for one in done.by_pip] == ["old"]
    assert words == ["uninstall", "--yes", *(["--break-system-packages"] if managed else []), "old"]


@pytest.mark.parametrize(("version", "alone"), [("21.2.4", True), ("22.1", True), ("22.2", False)])
def test_pip_that_cannot_say_what_it_would_install_does_that_itself(
    venv: Path, tmp_path: Path, run_cli: RunCli, version: str, *, alone: bool
) -> None:
    plant(
        site(venv),
        {
            f"pip-{version}.dist-info/METADATA": f"Name: pip\nVersion: {version}\n".encode(),
            "pip/__init__.py": b"",
            "pip/__main__.py": b"import sys; print('pip', *sys.argv[1:]); sys.exit(0)",
        },
    )
    env = {"SAGE_VENV": str(venv), "SAGE_LOGS": str(tmp_path / "logs")}
    ended = run_cli("pip", "install", "six", env=env)
    words = ended.stdout.splitlines()[0].split()
    assert words[:3] == ["pip", "--disable-pip-version-check", "install"]
    assert ("--report" in words) is not alone
    assert ("pip install six" in run_cli("log", "--prefix", venv, env=env).stdout) is alone
