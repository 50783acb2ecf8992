"""Named tuples that are made quickly are those of `typing`, but for what it looks at."""

from __future__ import annotations

import typing

import pytest

from sage_pkginstall.values import NamedTuple

DEFAULT = ("a",)


class Ours(NamedTuple):
    """What the class says of itself."""

    name: str
    size: int = 0
    more: tuple[str, ...] = DEFAULT

    @classmethod
    def of(cls, name: str) -> Ours:
        """Return one of that name."""
        return cls(name)

    @property
    def double(self) -> int:
        """Twice the size."""
        return self.size * 2


class Theirs(typing.NamedTuple):
    """What the class says of itself."""

    name: str
    size: int = 0
    more: tuple[str, ...] = DEFAULT


def test_they_are_tuples_with_names_defaults_and_methods() -> None:
    made = Ours.of("x")._replace(size=3)
    assert tuple(made) == ("x", 3, ("a",)) == tuple(Theirs("x", 3))
    assert (made.name, made.double, repr(made)) == ("x", 6, "Ours(name='x', size=3, more=('a',))")
    with pytest.raises(AttributeError):
        made.size = 4  # type: ignore[misc]
    with pytest.raises(TypeError):
        Ours()  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "attribute", ["_fields", "_field_defaults", "__doc__", "__module__", "__slots__"]
)
def test_they_tell_of_themselves_as_those_of_typing_do(attribute: str) -> None:
    assert getattr(Ours, attribute) == getattr(Theirs, attribute)


def test_their_annotations_can_still_be_had() -> None:
    assert typing.get_type_hints(Ours) == typing.get_type_hints(Theirs)
    assert Ours.__qualname__ == "Ours"
