"""The command line of ``build``."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from sage_pkginstall.cli.build import _settings_of, _with_joined_settings


@pytest.mark.parametrize(
    ("given", "joined"),
    [
        (["-C", "--global-option=--quiet", "."], ["-C--global-option=--quiet", "."]),
        (["--config-settings", "a=b c", "."], ["--config-settings", "a=b c", "."]),
        (["--build-option", "-q", "."], ["--build-option=-q", "."]),
        (["-Ca=b", "."], ["-Ca=b", "."]),
        (["-C"], ["-C"]),
    ],
)
def test_settings_may_start_with_dashes(given: list[str], joined: list[str]) -> None:
    assert _with_joined_settings(given) == joined


def test_settings_of_setuptools_come_from_options_of_their_own() -> None:
    given = SimpleNamespace(config_settings=["a=b"], global_option=["-v"], build_option=["x", "y"])
    assert _settings_of(given) == [
        "a=b",
        "--global-option=-v",
        "--build-option=x",
        "--build-option=y",
    ]
