"""Plain version specifiers, which nearly all are: they compare release numbers (PEP 440).

Plain are ``>= 3.8, != 3.9.*, < 4`` and the version ``3.11.7``.  Everything else (pre-releases,
epochs, local versions, ``===``, what cannot be read) is for ``packaging``, which takes as
long to import as a small wheel to be installed.
"""

from __future__ import annotations

import re

from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Comparison", "allowed_by", "plain_comparisons"]

_RELEASE = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18})*")
_PLAIN = re.compile(rf"[ \t]*(>=|<=|!=|==|~=|>|<)[ \t]*({_RELEASE.pattern})(\.\*)?[ \t]*")


class Comparison(NamedTuple):
    """A plain specifier: an operator and a release number, or the first numbers of some."""

    operator: str
    release: str
    is_prefix: bool

    def allows(self, version: str) -> bool:
        """Tell whether ``version``, a plain release number, is one of those that are meant."""
        left, right = _numbers(version), _numbers(self.release)
        if self.is_prefix:
            left = left[: len(right)]
        length = max(len(left), len(right))
        left, right = (numbers + [0] * (length - len(numbers)) for numbers in (left, right))
        if self.operator == "~=":
            series = self.release.count(".")
            return left >= right and left[:series] == right[:series]
        return {
            "==": left == right,
            "!=": left != right,
            ">=": left >= right,
            "<=": left <= right,
            ">": left > right,
            "<": left < right,
        }[self.operator]


def plain_comparisons(specifiers: str) -> tuple[Comparison, ...] | None:
    """Take specifiers apart at their commas; None unless all of them are plain and valid."""
    found = tuple(_comparison(specifier) for specifier in specifiers.split(","))
    plain = tuple(comparison for comparison in found if comparison is not None)
    return plain if len(plain) == len(found) else None


def allowed_by(comparisons: Iterable[Comparison], version: str) -> bool | None:
    """Tell whether all comparisons allow a version; None if that is no plain release number."""
    if _RELEASE.fullmatch(version) is None:
        return None
    return all(comparison.allows(version) for comparison in comparisons)


def _comparison(specifier: str) -> Comparison | None:
    match = _PLAIN.fullmatch(specifier)
    if match is None:
        return None
    operator, release, star = match.groups()
    if star is not None and operator not in {"==", "!="}:
        return None
    if operator == "~=" and "." not in release:
        return None
    return Comparison(operator, release, star is not None)


def _numbers(version: str) -> list[int]:
    return [int(number) for number in version.split(".")]
