"""What a user names becomes wheels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.environment import target_environment
from sage_pkginstall.errors import WheelError
from sage_pkginstall.operations.requests import requests_of_arguments, requests_of_lines
from sage_pkginstall.wheels.requirements import parse_requirement_line
from tests.sources import make_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch])
def test_name_is_no_path_where_something_is_called_like_it(
    tmp_path: Path, venv: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None]
) -> None:
    wheel = make_wheel(tmp_path, "one-1.0-py3-none-any.whl")
    make(tmp_path / "one")
    monkeypatch.chdir(tmp_path)
    environment = target_environment(venv)
    (found,) = requests_of_arguments(["one"], environment, tmp_path)
    assert found.path == wheel
    with pytest.raises(WheelError, match="it is not a wheel"):
        requests_of_arguments(["./one"], environment, tmp_path)


def test_source_archive_is_told_to_be_no_wheel(
    tmp_path: Path, venv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one-1.0.tar.gz").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WheelError, match="build it first"):
        requests_of_arguments(["one-1.0.tar.gz"], target_environment(venv), tmp_path)


def test_wheel_has_one_path_however_it_is_given(
    tmp_path: Path, venv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel(tmp_path, "one-1.0-py3-none-any.whl")
    (tmp_path / "below" / "deeper").mkdir(parents=True)
    (tmp_path / "link").symlink_to("below/deeper")
    monkeypatch.chdir(tmp_path / "below")
    environment = target_environment(venv)
    for given in (f"../{wheel.name}", f"../link/../../{wheel.name}", str(wheel)):
        (found,) = requests_of_arguments([given], environment, tmp_path)
        assert found.path == wheel
        assert json.loads(found.direct_url or "")["url"] == wheel.as_uri()
