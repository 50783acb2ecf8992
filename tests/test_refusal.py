"""What a wheel says of itself is quoted in one printable line."""

from __future__ import annotations

import pytest

from sage_pkginstall.wheels.refusal import quoted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("foo", "'foo'"),
        ("a\nb\x1b[2J\u2028", r"'a\nb\x1b[2J\u2028'"),
        ("x" * 100, f"'{'x' * 100}'"),
        ("x" * 101, f"'{'x' * 99}…'"),
    ],
)
def test_quoted_text_is_one_line_of_bounded_length(text: str, expected: str) -> None:
    assert quoted(text) == expected
