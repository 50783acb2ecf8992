from __future__ import annotations

import pytest

from sage_pkginstall.cli.make_flags import make_letters


@pytest.mark.parametrize(
    ("word", "letters"),
    [("kn", "kn"), ("-kn", "kn"), ("", ""), ("-Oline", ""), ("-Otarget", ""), ("--quiet", "")],
)
def test_letters_are_those_of_options_without_an_argument(word: str, letters: str) -> None:
    assert make_letters(word) == set(letters)
