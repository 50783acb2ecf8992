from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from sage_pkginstall.spkg.stamp import Stamp, stamp_place, write_stamp
from sage_pkginstall.spkg.written_past import written_past
from tests.trees import plant

if TYPE_CHECKING:
    from pathlib import Path

LONG_AGO = 1_000_000_001
SOON = time.time_ns() + 10**15


def test_new_file_of_no_package_is_found(tmp_path: Path) -> None:
    found = ("bin/a", "share/b", "var/lib/c")
    passed = ("lib/__pycache__/c.pyc", "var/lib/sage/d", "var/lock/e", "var/tmp/sage/build/f")
    plant(tmp_path, dict.fromkeys((*found, *passed), b""))
    for path in found:
        assert written_past(tmp_path, LONG_AGO) == path
        (tmp_path / path).unlink()
    assert written_past(tmp_path, LONG_AGO) is None


def test_older_file_is_none_of_its(tmp_path: Path) -> None:
    plant(tmp_path, {"bin/a": b""})
    assert written_past(tmp_path, SOON) is None


def test_file_that_came_with_its_stamp_is_none(tmp_path: Path) -> None:
    plant(tmp_path, {"bin/a": b""})
    stamp = Stamp("foo", "1", files=("bin/a",))
    write_stamp(tmp_path, stamp)
    assert written_past(tmp_path, LONG_AGO) is None
    _wait_for_the_clock(tmp_path / stamp_place(stamp), tmp_path / "bin/a")
    assert written_past(tmp_path, LONG_AGO) == "bin/a"


def test_file_of_a_package_that_finishes_meanwhile_is_its_own(tmp_path: Path) -> None:
    """Its script ``postinst`` wrote it where only that package has files."""
    plant(tmp_path, {"share/foo/data": b"", "share/foo/made/INDEX": b"", "bin/foo": b""})
    stamp = Stamp("foo", "1", files=("bin/foo", "share/foo/data"))
    write_stamp(tmp_path, stamp)
    _wait_for_the_clock(tmp_path / stamp_place(stamp), tmp_path / "share/foo/made/INDEX")
    assert written_past(tmp_path, LONG_AGO) == "share/foo/made/INDEX"
    assert written_past(tmp_path, LONG_AGO, None, {"bar"}.__contains__) == "share/foo/made/INDEX"
    assert written_past(tmp_path, LONG_AGO, None, {"foo"}.__contains__) is None


def test_file_beside_those_of_others_is_nobodys_own(tmp_path: Path) -> None:
    plant(tmp_path, {"share/both/foo": b"", "share/both/bar/data": b"", "bin/foo": b""})
    write_stamp(tmp_path, Stamp("bar", "1", files=("share/both/bar/data",)))
    stamp = Stamp("foo", "1", files=("bin/foo", "share/both/foo"))
    write_stamp(tmp_path, stamp)
    plant(tmp_path, {"share/both/INDEX": b"", "bin/more": b""})
    for name in ("share/both/INDEX", "bin/more"):
        _wait_for_the_clock(tmp_path / stamp_place(stamp), tmp_path / name)
    assert written_past(tmp_path, LONG_AGO, None, {"foo"}.__contains__) == "bin/more"
    (tmp_path / "bin/more").unlink()
    assert written_past(tmp_path, LONG_AGO, None, {"foo"}.__contains__) == "share/both/INDEX"


def test_nothing_is_new_where_no_tree_is(tmp_path: Path) -> None:
    assert written_past(tmp_path / "none", LONG_AGO) is None


def _wait_for_the_clock(old: Path, new: Path) -> None:
    """Change ``new`` until the file system says that it is newer than ``old``."""
    while new.stat().st_ctime_ns <= old.stat().st_ctime_ns:
        os.utime(new)
