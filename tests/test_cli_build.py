"""The command line of ``build``."""

from __future__ import annotations

import pytest

from sage_pkginstall.cli.build import _with_settings


@pytest.mark.parametrize(
    ("given", "joined"),
    [
        (["-C", "--global-option=--quiet", "."], ["-C--global-option=--quiet", "."]),
        (["--config-settings", "a=b c", "."], ["--config-settings", "a=b c", "."]),
        (["--build-option", "-q", "."], ["--config-settings=--build-option=-q", "."]),
        (
            ["--global-option=x", "-C", "a=b", "--global-option", "y"],
            [
                "--config-settings=--global-option=x",
                "-C",
                "a=b",
                "--config-settings=--global-option=y",
            ],
        ),
        (["--global-option"], ["--global-option"]),
        (["-Ca=b", "."], ["-Ca=b", "."]),
        (["-C"], ["-C"]),
    ],
)
def test_settings_may_start_with_dashes(given: list[str], joined: list[str]) -> None:
    assert _with_settings(given) == joined
