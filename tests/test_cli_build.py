"""The command line of ``build``."""

from __future__ import annotations

import pytest

from sage_pkginstall.cli.build import _with_joined_settings


@pytest.mark.parametrize(
    ("given", "joined"),
    [
        (["-C", "--global-option=--quiet", "."], ["-C--global-option=--quiet", "."]),
        (["--config-settings", "a=b c", "."], ["--config-settings=a=b c", "."]),
        (["-Ca=b", "."], ["-Ca=b", "."]),
        (["-C"], ["-C"]),
    ],
)
def test_settings_may_start_with_dashes(given: list[str], joined: list[str]) -> None:
    assert _with_joined_settings(given) == joined
