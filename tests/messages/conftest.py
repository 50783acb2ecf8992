"""The fixture of these tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.messages.desk import Desk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import RunCli


@pytest.fixture
def desk(
    venv: Path, tmp_path: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    monkeypatch.setenv("SAGE_LOGS", str(tmp_path / "logs"))
    with monkeypatch.context() as patch:
        yield Desk(venv, tmp_path, run_cli, patch)
