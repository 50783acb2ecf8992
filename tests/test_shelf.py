from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from sage_pkginstall.builds.shelf import About, Shelf
from sage_pkginstall.builds.source_files import hash_file

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


def test_wheel_is_taken_from_a_cache_that_is_mounted_for_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    wheel, key = tmp_path / "foo-1-py3-none-any.whl", "0" * 64
    wheel.write_bytes(b"wheel")
    about = About(wheel.name, hash_file(wheel), 5, "now", {"source": "1"})
    warnings: list[str] = []
    shelf = Shelf(tmp_path / "cache", None, warnings.append)
    shelf.keep(key, wheel, about)
    (tmp_path / "taken").mkdir()
    monkeypatch.setattr("os.utime", fails)
    assert shelf.take(key, {"source": "1"}, tmp_path / "taken") == about
    assert warnings == []


def test_entry_stays_if_there_is_no_room_to_take_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not what is at fault."""
    wheel = tmp_path / "foo-1.0-py3-none-any.whl"
    wheel.write_bytes(b"a wheel")
    warnings: list[object] = []
    shelf = Shelf(tmp_path / "cache", None, warnings.append)
    key = "0" * 64
    shelf.keep(key, wheel, About(wheel.name, hash_file(wheel), 7, "now", {}))
    (tmp_path / "to").mkdir()

    def full(_source: object, place: Path) -> None:
        place.write_bytes(b"a wh")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(place))

    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfile", full)
        assert shelf.take(key, {}, tmp_path / "to") is None
    (warning,) = warnings
    assert "cannot be taken" in str(warning)
    assert "No space left" in str(warning)
    assert not any((tmp_path / "to").iterdir())
    assert shelf.take(key, {}, tmp_path / "to") is not None
