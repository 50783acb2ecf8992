"""Names, versions and tags, as file names of wheels and metadata write them.

Specifications: PyPA's "Names and normalization", "Version specifiers", "Platform
compatibility tags" and the file names of "Binary distribution format".
"""

from __future__ import annotations

import itertools
import math
import re

from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.refusal import RefusalError, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "BAD_CHARACTER",
    "COMPONENT",
    "WheelFileName",
    "canonical_name",
    "expanded_tags",
    "is_component",
    "is_name",
    "same_version",
]

BAD_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\\\\]")
"""Backslash, and what ends a line or a string for one reader of RECORD or another."""

COMPONENT = 255
"""Bytes of the name of one file, as everywhere."""

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_SIMPLE_VERSION = re.compile(
    r"[0-9]{1,18}(?:\.[0-9]{1,18})*(?:(?:a|b|rc|\.post|\.dev)[0-9]{1,18})?"
)
_TAGS = 10_000


class WheelFileName(NamedTuple):
    """NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl, taken apart."""

    distribution: str
    version: str
    tags: frozenset[str]

    @classmethod
    def parse(cls, file_name: str) -> WheelFileName:
        """Return the parts; raises RefusalError for what is no file name of a wheel."""
        stem, dot, suffix = file_name.rpartition(".")
        parts = stem.split("-")
        if not dot or suffix != "whl" or len(parts) not in {5, 6} or "" in parts:
            raise RefusalError("its file name is not NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl")
        if len(parts) == 6 and not parts[2][0].isdigit():  # noqa: PLR2004
            raise RefusalError(f"its file name has the build number {parts[2]!r}")
        return cls(parts[0], parts[1], expanded_tags(["-".join(parts[-3:])]))


def is_name(name: str) -> bool:
    """Tell whether ``name`` may be the name of a distribution."""
    return _NAME.fullmatch(name) is not None


def canonical_name(name: str) -> str:
    """Return the one spelling of a distribution's name (PEP 503)."""
    name = name.lower().replace("_", "-").replace(".", "-")
    while "--" in name:
        name = name.replace("--", "-")
    return name


def same_version(escaped: str, version: str) -> bool:
    """Compare the version in a file name with a version as METADATA has it."""
    if escaped == version and _SIMPLE_VERSION.fullmatch(version):
        return True
    from packaging.version import Version  # noqa: PLC0415 -- seldom needed

    try:
        return Version(escaped.replace("_", "-")) == Version(version)
    except ValueError:  # InvalidVersion, or a number of too many digits
        return False


def expanded_tags(tags: Iterable[str]) -> frozenset[str]:
    """Return all the tags that compressed ones like ``py2.py3-none-any`` stand for."""
    result: set[str] = set()
    for tag in tags:
        parts = [part.split(".") for part in tag.lower().split("-")]
        if len(result) + math.prod(map(len, parts)) > _TAGS:
            raise RefusalError(f"the tag {quoted(tag)} stands for more than {_TAGS} tags")
        result.update(map("-".join, itertools.product(*parts)))
    return frozenset(result)


def is_component(name: str) -> bool:
    """Tell whether ``name`` is the name of one file in one directory."""
    if name in {"", ".", ".."} or "/" in name or BAD_CHARACTER.search(name):
        return False
    return len(name.encode("utf-8", "surrogatepass")) <= COMPONENT
