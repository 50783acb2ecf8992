"""Requirements of wheels that an environment does not meet.

Nearly all are plain, and answered here: a name, extras, specifiers of release numbers, and a
marker of comparisons joined by ``and``:

    Foo.Bar[baz] (>=1.0, <2); python_version >= "3.9" and sys_platform != 'win32'

All others are for ``packaging``, which takes as long to import as a small wheel to be
installed; below, `None` stands for them.  Either way the answer is that of ``packaging``.
"""

from __future__ import annotations

import re

from sage_pkginstall.errors import RequirementError
from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.markers import marker_holds
from sage_pkginstall.wheels.names import canonical_name, is_name
from sage_pkginstall.wheels.plain_versions import Comparison, allowed_by, plain_comparisons
from sage_pkginstall.wheels.refusal import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sage_pkginstall.environment import Environment

__all__ = ["Unmet", "plainly_met", "required_name", "unmet", "unmet_by"]

_PLAIN = re.compile(
    r"[ \t]*([A-Za-z0-9._-]+)[ \t]*(?:\[([^][]*)\][ \t]*)?"
    r"(?:([<>=!~][^()]*)|\(([^()]*)\)[ \t]*)?"
)
"""``NAME [EXTRAS] SPECIFIERS``, or ``(SPECIFIERS)``"""
_GROUP = re.compile(r"\A[ \t]*\(([^()]*)\)(?= and )")
"""Builders add ``and extra == "NAME"`` to a marker, which they put into parentheses."""
_CLAUSE = re.compile(
    r"[ \t]*([a-z_]+)[ \t]*(>=|<=|!=|==|~=|>|<)[ \t]*"
    r"""(?:'([A-Za-z0-9_.*-]+)'|"([A-Za-z0-9_.*-]+)")[ \t]*"""
)
_WORD = re.compile(r"(?![Vv][0-9])[A-Za-z_][A-Za-z0-9_.-]*")
"""A literal that can be no version, and is compared letter by letter."""
_VERSIONS = frozenset(("python_version", "python_full_version"))
_WORDS = frozenset(
    (
        "extra",
        "implementation_name",
        "os_name",
        "platform_machine",
        "platform_python_implementation",
        "platform_system",
        "sys_platform",
    )
)


class Unmet(NamedTuple):
    """A requirement of distribution ``name`` that is not met; ``found`` is the version there is."""

    name: str
    requirement: str
    found: str | None

    def __str__(self) -> str:
        needs = f"{self.name} needs {shown(self.requirement)}"
        if self.found is None:
            return f"{needs}, which is not installed"
        return f"{needs}, but version {shown(self.found)} is installed"


def unmet_by(
    name: str, requires: Iterable[str], environment: Environment, installed: Mapping[str, str]
) -> Iterator[Unmet]:
    """Yield each requirement of distribution ``name`` that is not met, once; see `unmet`."""
    for line in dict.fromkeys(unmet(requires, environment, installed)):
        required = required_name(line)
        yield Unmet(name, line, None if required is None else installed.get(required))


def unmet(
    requires: Iterable[str], environment: Environment, installed: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the lines of ``requires`` that are not met, as they stand there.

    ``installed`` has versions by canonical names.  Markers are those of the target;
    requirements of extras do not count.  Pre-releases meet a requirement.
    What cannot be read, or has a marker that means nothing, is not met.
    """
    return tuple(line for line in requires if not _is_met(line, environment, installed))


def _is_met(line: str, environment: Environment, installed: Mapping[str, str]) -> bool:
    answer = plainly_met(line, environment.markers, installed)
    return _packaging_says(line, environment, installed) if answer is None else answer


def _packaging_says(line: str, environment: Environment, installed: Mapping[str, str]) -> bool:
    """Tell what ``packaging`` says, which understands all requirements."""
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415 -- slow

    try:
        requirement = Requirement(line)
        if requirement.marker and not marker_holds(line, requirement.marker, environment):
            return True
    except (InvalidRequirement, RequirementError):
        return False
    version = installed.get(canonical_name(requirement.name))
    if version is None:
        return False
    if not requirement.specifier:
        return True
    try:
        return requirement.specifier.contains(version, prereleases=True)
    except ValueError:  # InvalidVersion, or a number of too many digits
        return False


def required_name(line: str) -> str | None:
    """Return the canonical name of what is required; None if the line cannot be read."""
    plain = _Requirement.parse(line)
    if plain is not None:
        return plain.name
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415 -- slow

    try:
        return canonical_name(Requirement(line).name)
    except InvalidRequirement:
        return None


# Plain ones


def plainly_met(line: str, markers: Mapping[str, str], installed: Mapping[str, str]) -> bool | None:
    """Tell whether a requirement is met; None if it is not plain."""
    requirement = _Requirement.parse(line)
    if requirement is None:
        return None
    answers = [clause.holds(markers) for clause in requirement.clauses]
    if None in answers:
        return None
    if not all(answers):
        return True
    version = installed.get(requirement.name)
    if version is None or not requirement.comparisons:
        return version is not None
    return allowed_by(requirement.comparisons, version)


class _Requirement(NamedTuple):
    """A plain requirement, with its canonical name."""

    name: str
    comparisons: tuple[Comparison, ...]
    clauses: tuple[_Clause, ...]

    @classmethod
    def parse(cls, line: str) -> _Requirement | None:
        """Take a line apart; None if it is not plain."""
        wanted, semicolon, marker = line.partition(";")
        match = _PLAIN.fullmatch(wanted)
        if match is None:
            return None
        name, extras, bare, enclosed = match.groups()
        names = [name] if extras is None else [name, *extras.split(",")]
        if not all(is_name(one.strip(" \t")) for one in names):
            return None
        specifiers = bare or enclosed
        comparisons = () if specifiers is None else plain_comparisons(specifiers)
        joined = _GROUP.sub(r"\1", marker).split(" and ") if semicolon else []
        clauses = [_Clause.parse(clause) for clause in joined]
        plain = tuple(clause for clause in clauses if clause is not None)
        if comparisons is None or len(plain) < len(clauses):
            return None
        return cls(canonical_name(name), comparisons, plain)


class _Clause(NamedTuple):
    """A plain comparison of a marker: ``VARIABLE OPERATOR "LITERAL"``."""

    variable: str
    operator: str
    literal: str
    comparisons: tuple[Comparison, ...] = ()
    """Those of a version; words are equal or not."""

    @classmethod
    def parse(cls, text: str) -> _Clause | None:
        """Take a clause apart; None if it is not plain."""
        match = _CLAUSE.fullmatch(text)
        if match is None:
            return None
        variable, operator, literal = match[1], match[2], match[3] or match[4]
        if variable in _VERSIONS:
            comparisons = plain_comparisons(f"{operator}{literal}")
            return cls(variable, operator, literal, comparisons) if comparisons else None
        equality = {"=="} if variable == "extra" else {"==", "!="}
        if variable in _WORDS and operator in equality and _WORD.fullmatch(literal):
            return cls(variable, operator, literal)
        return None

    def holds(self, markers: Mapping[str, str]) -> bool | None:
        """Tell whether it holds without extras; None if the target is not plain."""
        value = "" if self.variable == "extra" else markers.get(self.variable)
        if value is None:
            return None
        if not self.comparisons:
            return (value == self.literal) == (self.operator == "==")
        return allowed_by(self.comparisons, value)
