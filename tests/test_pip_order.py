"""What pip chose is installed in pip's order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.operations.pip_order import in_order_of_pip

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.mark.parametrize(
    ("needs", "order"),
    [
        ({}, ""),
        ({"a": ["b"], "b": []}, "b a"),
        ({"a": [], "b": [], "c": ["a"]}, "b a c"),
        ({"a": ["B_.x >=1; python_version > '3'"], "b-x": ["a; extra == 't'"]}, "b-x a"),
        ({"a": ["b; extra == 't'"], "b": []}, "b a"),
        ({"a": ["b"], "b": ["a"], "c": ["a"], "d": []}, "d c b a"),
        ({"a": ["b", "c; python_version < '3'"], "b": [], "c": ["a"]}, "b a c"),
        ({"a": ["b; os_name != 'x'"], "b": ["a; extra == 't'"]}, "b a"),
        ({"b": ["a; os_name != 'x'"], "a": ["b; extra == 't'"]}, "a b"),
        ({"a": ["a[x]", "!", "absent"]}, "a"),
    ],
    ids=str,
)
def test_what_others_need_comes_first_and_later_names_before(
    needs: Mapping[str, list[str]], order: str
) -> None:
    items = [
        {"metadata": {"name": name.upper(), "requires_dist": lines}}
        for name, lines in needs.items()
    ]
    assert [i["metadata"]["name"].lower() for i in in_order_of_pip(items)] == order.split()
