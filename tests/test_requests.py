"""What a user names becomes wheels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sage_pkginstall.environment import target_environment
from sage_pkginstall.operations.requests import requests_of_arguments, requests_of_lines
from sage_pkginstall.wheels.requirements import parse_requirement_line
from tests.sources import make_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest


def test_store_is_listed_once_for_all_names(
    tmp_path: Path, venv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = [make_wheel(tmp_path, f"{name}-1.0-py3-none-any.whl") for name in ("one", "two")]
    environment = target_environment(venv)
    listed: list[Path] = []
    glob = Path.glob

    def noted(path: Path, pattern: str) -> Iterator[Path]:
        listed.append(path)
        return glob(path, pattern)

    monkeypatch.setattr(Path, "glob", noted)
    found = requests_of_arguments(["one", "two"], environment, tmp_path)
    assert [request.path for request in found] == wheels
    lines = map(parse_requirement_line, ("two", "one"))
    found = requests_of_lines(lines, environment, tmp_path)
    assert [request.path for request in found] == wheels[::-1]
    assert listed == [tmp_path, tmp_path]
