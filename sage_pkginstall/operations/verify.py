"""Compare what is installed with what the records say."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial

from sage_pkginstall.engine.quiet import looks
from sage_pkginstall.engine.tree import Tree
from sage_pkginstall.errors import NotInstalledError
from sage_pkginstall.wheels.checking import Problem, check
from sage_pkginstall.wheels.names import canonical_name
from sage_pkginstall.wheels.ownership import manifest, package_name, survey, unowned_files
from sage_pkginstall.wheels.record_directory import STAMPS
from sage_pkginstall.wheels.records import all_recorded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from sage_pkginstall.environment import Environment

__all__ = ["Verification", "verify"]


@dataclass(frozen=True)
class Verification:
    """What was looked at, and where the disk differs; ``unowned`` is nobody's."""

    checked: tuple[str, ...]
    problems: tuple[tuple[str, Problem], ...]
    unowned: tuple[str, ...] = ()


def verify(prefix: Path, environment: Environment | None, names: Sequence[str]) -> Verification:
    """Check what is called ``names``, or everything, and then also for unowned files.

    What others change meanwhile is no damage: that is what a look finds that nobody disturbed, or
    what two looks in turn find, if there is always somebody (see engine/quiet.py).  A name is
    that of a distribution or of a Sage package.  Raises `NotInstalledError` for a name that is
    neither.
    """
    found: Verification | None = None
    before: Verification | None = None
    look = partial(_look, prefix, environment, names)
    for seen, undisturbed in looks(Tree(prefix).lock_path, look):
        found = seen if before is None or undisturbed else _in_both(before, seen)
        if not seen.problems and not seen.unowned:
            break
        before = seen
    assert found is not None  # it looks at least once
    return found


def _in_both(first: Verification, second: Verification) -> Verification:
    before, unowned_before = set(first.problems), set(first.unowned)
    problems = tuple(problem for problem in second.problems if problem in before)
    unowned = tuple(path for path in second.unowned if path in unowned_before)
    return Verification(second.checked, problems, unowned)


def _look(prefix: Path, environment: Environment | None, names: Sequence[str]) -> Verification:
    checks = [*_distribution_checks(environment), *_package_checks(prefix)]
    wanted = {canonical_name(name) for name in names}
    unknown = wanted - {check.canonical for check in checks}
    if unknown:
        raise NotInstalledError(", ".join(sorted(unknown)), prefix)
    chosen = [check for check in checks if not wanted or check.canonical in wanted]
    problems = tuple((check.title, problem) for check in chosen for problem in check.run())
    unowned: tuple[str, ...] = ()
    if not wanted and environment is not None:
        unowned = unowned_files(environment, survey(prefix, environment))
    return Verification(tuple(check.title for check in chosen), problems, unowned)


@dataclass(frozen=True)
class _Check:
    canonical: str
    title: str
    run: Callable[[], tuple[Problem, ...]]


def _distribution_checks(environment: Environment | None) -> Iterator[_Check]:
    if environment is None:
        return
    for one in all_recorded(environment):
        run = partial(check, environment, one)
        yield _Check(one.canonical, f"{one.name} {one.version}", run)


def _package_checks(prefix: Path) -> Iterator[_Check]:
    try:
        stamps = sorted(stamp.name for stamp in (prefix / STAMPS).iterdir())
    except FileNotFoundError:
        return
    for stamp in stamps:
        name = canonical_name(package_name(stamp))
        yield _Check(name, f"package {stamp}", partial(_check_package, prefix, stamp))


def _check_package(prefix: Path, stamp: str) -> tuple[Problem, ...]:
    """Return the files of a package's manifest that are not there; it has no hashes."""
    return tuple(
        Problem(path, "missing", "not there")
        for path in sorted(manifest(prefix, stamp))
        if not os.path.lexists(prefix / path)
    )
