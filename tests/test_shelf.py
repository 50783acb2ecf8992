from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from sage_pkginstall.builds.shelf import Shelf

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_build_goes_on_where_there_are_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", fails)
    said: list[str] = []
    with Shelf(tmp_path, None, said.append).building("0" * 64, lambda: said.append("waits")):
        said.append("builds")
    assert said == ["builds"]
