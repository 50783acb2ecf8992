"""Directories of records: which records a change touches (what they hold: test_ownership.py)."""

from __future__ import annotations

from sage_pkginstall.wheels.record_directory import STAMPS, changed_records


def test_changed_records_are_those_that_paths_lie_in() -> None:
    s = "lib/python3.11/site-packages"
    paths = [
        f"{s}/foo-1.dist-info",
        f"{s}/bar-1.dist-info/RECORD",
        f"{s}/bar-1.dist-info/licenses/x.dist-info",
        f"{s}/old.egg-info",
        f"{s}/old.egg-link",
        f"{s}/foo/__init__.py",
        f"{s}/~oo-1.dist-info",
        f"{STAMPS}/box-1",
        "var/lib/sage/scripts/box/spkg-piprm",
    ]
    assert changed_records(paths) == {
        "foo-1.dist-info",
        "bar-1.dist-info",
        "x.dist-info",
        "old.egg-info",
        "old.egg-link",
        "box-1",
    }
