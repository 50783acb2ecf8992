"""Requires-Python means what ``packaging`` takes it for."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from sage_pkginstall.wheels.fitness import python_fits
from tests.conftest import ROOT

numbers = st.lists(st.integers(0, 14), min_size=1, max_size=4).map(
    lambda some: ".".join(map(str, some))
)
clauses = st.tuples(
    st.sampled_from([">=", "<=", "==", "!=", "<", ">", "~="]),
    st.sampled_from(["", " "]),
    numbers,
    st.sampled_from(["", "", "", ".*", "rc1", ".post1"]),
).map("".join)


@given(st.lists(clauses, min_size=1, max_size=3).map(",".join), numbers)
def test_plain_comparisons_are_those_of_packaging(requires: str, version: str) -> None:
    try:
        expected = SpecifierSet(requires).contains(version, prereleases=True)
    except ValueError:
        expected = True
    assert python_fits(requires, version) is expected


@pytest.mark.parametrize(
    ("requires", "version", "fits"),
    [
        ("", "3.11.7", True),
        (">=3.8", "3.14.0rc1", True),
        (">=3.14", "3.14.0rc1", False),
        (">=3.6.*", "3.5.0", True),  # as pip: what cannot be read asks for nothing
        (">= 3.8 , != 3.9.* , < 4", "3.9.1", False),
        ("~=3.8", "3.11.0", True),
        (">=2.7, !=3.0.*, !=3.1.*, !=3.2.*", "3.11.0", True),
        (">3.11", "3.11", False),
    ],
)
def test_examples(requires: str, version: str, fits: bool) -> None:
    assert python_fits(requires, version) is fits


def test_plain_comparison_imports_nothing() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from sage_pkginstall.wheels.fitness import python_fits;"
        "python_fits('>=3.8,!=3.9.*', '3.11.7');"
        "assert 'packaging' not in sys.modules"
    )
    subprocess.run([sys.executable, "-I", "-c", code, ROOT], check=True)
