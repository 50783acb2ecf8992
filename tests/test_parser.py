"""Argument parsers in our manner."""

from __future__ import annotations

import pytest

from sage_pkginstall.cli.parser import parser


@pytest.mark.parametrize("columns", ["", "0", "-1", "many", "²", "9" * 5000])
def test_help_needs_no_number_of_columns(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = "one two three " * 30
    monkeypatch.setenv("COLUMNS", "80")
    usual = parser("tool", words).format_help()
    monkeypatch.setenv("COLUMNS", columns)
    assert parser("tool", words).format_help() == usual
