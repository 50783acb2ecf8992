"""Which distributions a package brought into its tree, by the package's records.

    TREE/var/lib/sage/scripts/NAME/spkg-requirements.txt    one line a wheel
    TREE/var/lib/sage/installed/NAME-VERSION                an old stamp may list the files
                                                            of distributions, *.dist-info too

A distribution that another package's requirements name as well is that package's, too,
and does not go with this one.  Where the distributions go to another tree, as those of a
package of SAGE_LOCAL do, the packages of that one are asked as well; and those of SAGE_LOCAL
where a package of SAGE_VENV is asked for.
"""

from __future__ import annotations

import os
import re

from sage_pkginstall.errors import RequirementError
from sage_pkginstall.spkg.stamp import package_stamps
from sage_pkginstall.wheels.names import canonical_name
from sage_pkginstall.wheels.record_directory import REQUIREMENTS, SCRIPTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

__all__ = ["keep_requirements", "package_distributions", "required_by_others", "stored_versions"]

_WHEEL = re.compile(r"[^-]+-[^-]+-.*\.whl")
_INFO = re.compile(r"(?:^|/)([^/]+?)-[^/-]+(?:-py[0-9.]+)?\.(?:dist-info|egg-info)(?:/|$)")


def package_distributions(
    tree: Path,
    package: str,
    besides: Collection[str] = (),
    elsewhere: Path | None = None,
    local: Path | None = None,
) -> frozenset[str]:
    """Return the canonical names of the distributions that are ``package``'s alone.

    Those in ``besides`` are left out: if the package has no other, no other package is asked.
    ``elsewhere`` is the tree that its distributions are in, if that is another one: what its
    stamps list is not there, and who has the same name there is another package.  ``local`` is a
    tree whose packages have their distributions where this one has: what this package left there,
    when it went to that tree, has none.
    """
    own = set(_required(tree / SCRIPTS / package))
    if elsewhere is None:
        own.update(_listed(tree, package))
    own.difference_update(besides)
    if not own:
        return frozenset()
    others = [one for one in _with_requirements(tree) if one.name != package]
    if elsewhere is not None:
        others += _with_requirements(elsewhere)
    if local is not None:
        others += [one for one in _with_requirements(local) if one.name != package]
    return frozenset(own.difference(*map(_required, others)))


def required_by_others(trees: Iterable[Path], package: str) -> frozenset[str]:
    """Return the canonical names of the distributions that other packages of ``trees`` have."""
    others = (one for tree in trees for one in _with_requirements(tree) if one.name != package)
    return frozenset().union(*map(_required, others))


def keep_requirements(tree: Path, staged: Path, package: str) -> None:
    """Have a package's staged requirements name, too, what those in the tree name and they do not.

    These distributions of an older version are kept, and go with the package one day.  A line
    that names none (of a damaged file, say) is not: it would be in the way then.
    """
    old, new = (root / SCRIPTS / package / REQUIREMENTS for root in (tree, staged))
    if not old.is_file() or not new.is_file():
        return
    names = _required(new.parent)
    lines = old.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if _named(os.fsdecode(line)) not in {None, *names}]
    if kept:
        data = b"".join([*new.read_bytes().splitlines(keepends=True), *kept])
        new.unlink()  # a cache may have it, too
        new.write_bytes(data)


def _named(line: str) -> str | None:
    from sage_pkginstall.wheels.requirements_file import name_said  # noqa: PLC0415 -- Python only

    try:
        return name_said(line)
    except RequirementError:
        return None


def stored_versions(staged: Path, package: str) -> Mapping[str, str]:
    """Return which wheels a package will have, by its requirements in a staged tree.

    The keys are canonical names, the values versions as file names have them.
    """
    path = staged / SCRIPTS / package / REQUIREMENTS
    if not path.is_file():
        return {}
    from sage_pkginstall.wheels.requirements_file import parse_requirements_file  # noqa: PLC0415

    try:
        lines = parse_requirements_file(path)
    except RequirementError:  # written by hand
        return {}
    wheels = {line.name: line.wheel.name for line in lines if line.wheel is not None}
    return {name: file.split("-")[1] for name, file in wheels.items() if _WHEEL.fullmatch(file)}


def _with_requirements(tree: Path) -> Iterator[Path]:
    """Yield the directories, one a package, that hold requirements."""
    return (path.parent for path in (tree / SCRIPTS).glob(f"*/{REQUIREMENTS}"))


def _required(scripts: Path) -> tuple[str, ...]:
    """Return the names in a requirements file; only names count, wheels may be gone."""
    path = scripts / REQUIREMENTS
    if not path.is_file():
        return ()
    from sage_pkginstall.wheels.requirements_file import names_only  # noqa: PLC0415 -- Python only

    try:
        return names_only(path)
    except RequirementError as error:
        if isinstance(error.__cause__, FileNotFoundError):  # uninstalled meanwhile
            return ()
        raise


def _listed(tree: Path, package: str) -> Iterator[str]:
    for stamp in package_stamps(tree, package):
        for path in stamp.files or ():
            match = _INFO.search(path)
            if match:
                yield canonical_name(match[1])
