"""Plain specifiers mean what ``packaging`` takes them for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion

from sage_pkginstall.wheels.plain_versions import allowed_by, plain_comparisons

releases = st.lists(st.integers(0, 4), min_size=1, max_size=4).map(
    lambda some: ".".join(map(str, some))
)
blanks = st.sampled_from(["", "", " ", "\t ", "\n", "\xa0"])
operators = st.sampled_from([">=", "<=", "==", "!=", "<", ">", "~=", "===", "="])
ends = st.sampled_from(["", "", "", ".*", "rc1", ".post1", "+local", "."])
specifiers = st.tuples(blanks, operators, blanks, releases, ends, blanks).map("".join)


@given(st.lists(specifiers, max_size=3).map(",".join), st.tuples(releases, ends).map("".join))
def test_what_is_answered_is_what_packaging_says(specifiers: str, version: str) -> None:
    comparisons = plain_comparisons(specifiers)
    answer = None if comparisons is None else allowed_by(comparisons, version)
    assert answer in {None, _said_by_packaging(specifiers, version)}


def _said_by_packaging(specifiers: str, version: str) -> bool | str:
    try:
        return SpecifierSet(specifiers).contains(version, prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return "it cannot be read"


@pytest.mark.parametrize(
    ("specifiers", "version", "allowed"),
    [
        (">=1.2", "1.10", True),
        (">= 1.2, != 1.3.*, <2", "1.3.4", False),
        ("==1.2", "1.2.0", True),
        ("==1.0.*", "1", True),
        ("~=1.4.2", "1.4.10", True),
        ("~=1.4.2", "1.5", False),
        ("~=1.4", "1.5", True),
        ("<20240101", "2.9.0.20240316", True),
    ],
)
def test_plain_ones_are_answered(specifiers: str, version: str, allowed: bool) -> None:
    comparisons = plain_comparisons(specifiers)
    assert comparisons is not None
    assert allowed_by(comparisons, version) is allowed


@pytest.mark.parametrize(
    "specifiers", ["", ",", ">=1,", "~=1", ">=1.*", "===1", "==1rc1", "1", "==v1"]
)
def test_others_are_for_packaging(specifiers: str) -> None:
    assert plain_comparisons(specifiers) is None


@pytest.mark.parametrize("version", ["", "1rc1", "1!1", "1+l", "v1", "1.", "\u0661"])
def test_versions_of_other_shapes_are_for_packaging(version: str) -> None:
    comparisons = plain_comparisons(">=0")
    assert comparisons is not None
    assert allowed_by(comparisons, version) is None
