"""Repair what `verify` found: install again from wheels that are at hand, remove debris.

A distribution whose files are not as recorded is installed again from the wheel that it
came from, if that is still as it was, or else from a wheel of the store.  Debris is what
nobody can need: byte-code without its source, what a pip that was killed left behind
(``~oo``), and records of distributions that hold neither RECORD nor METADATA.  Other files
that nobody owns stay: somebody may have made them on purpose.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sage_pkginstall.engine.paths import bytecode_source
from sage_pkginstall.engine.plan import PlanRequest
from sage_pkginstall.engine.planner import make_plan
from sage_pkginstall.engine.transaction import describe
from sage_pkginstall.engine.tree import Prepared
from sage_pkginstall.errors import JournalError, LockError, PkgInstallError
from sage_pkginstall.operations.change import Change, lasting_directories
from sage_pkginstall.operations.history import logged
from sage_pkginstall.operations.install import InstallOptions, install
from sage_pkginstall.operations.requests import direct_url
from sage_pkginstall.wheels.installed import installed_distributions
from sage_pkginstall.wheels.ownership import survey
from sage_pkginstall.wheels.records import entries_of, find_recorded
from sage_pkginstall.wheels.staging import WheelRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from sage_pkginstall.engine.holder import Changed
    from sage_pkginstall.engine.tree import Tree
    from sage_pkginstall.environment import Environment
    from sage_pkginstall.operations.verify import Verification
    from sage_pkginstall.wheels.checking import Problem
    from sage_pkginstall.wheels.installed import Installed

__all__ = ["Repair", "repair"]


@dataclass(frozen=True)
class Repair:
    """What was done; ``left`` has pairs of what could not be repaired, and why."""

    reinstalled: tuple[str, ...]
    removed: tuple[str, ...]
    left: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Patient:
    installed: Installed
    problems: tuple[Problem, ...]

    @property
    def title(self) -> str:
        return f"{self.installed.name} {self.installed.version}"


class _CannotRepairError(Exception):
    """Says why one distribution cannot be repaired."""


def repair(tree: Tree, environment: Environment, found: Verification, store: Path) -> Repair:
    """Repair what ``found`` tells of; each distribution is one transaction.

    What cannot be installed again is told in ``left``, but for `LockError` and `JournalError`,
    which hold for all.  Raises these, and what removing debris raises.
    """
    problems: dict[str, list[Problem]] = defaultdict(list)
    for title, problem in found.problems:
        problems[title].append(problem)
    reinstalled: list[str] = []
    left: list[tuple[str, str]] = []
    warnings: list[str] = []
    ghosts: set[str] = set()
    for patient in _patients(environment, problems):
        problems.pop(patient.title, None)
        if _is_ghost(environment, patient.installed.info):
            ghosts.add(patient.installed.info)
            continue
        try:
            warnings += _reinstall(tree, environment, patient, store)
            reinstalled.append(patient.title)
        except _CannotRepairError as error:
            left.append((patient.title, str(error)))
    left += [(title, _OF_PACKAGE) for title in problems]
    left_by_the_dead = (entries_of(environment.prefix, info) for info in ghosts)
    debris = frozenset(_debris(environment, found.unowned)).union(*left_by_the_dead)
    removed = _remove(tree, environment, debris, ghosts) if debris else ()
    return Repair(tuple(reinstalled), removed, tuple(left), tuple(warnings))


_OF_PACKAGE = "no wheel holds its files; build it again, with 'make NAME-clean' and 'make NAME'"


def _patients(environment: Environment, problems: dict[str, list[Problem]]) -> tuple[_Patient, ...]:
    return tuple(
        _Patient(one, tuple(problems[title]))
        for one in installed_distributions(environment)
        if (title := f"{one.name} {one.version}") in problems
    )


def _is_ghost(environment: Environment, info: str) -> bool:
    names = ("RECORD", "METADATA")
    there = (environment.prefix / info / name for name in names)
    return info.endswith(".dist-info") and not any(path.exists() for path in there)


# Install again


def _reinstall(
    tree: Tree, environment: Environment, patient: _Patient, store: Path
) -> tuple[str, ...]:
    """Install a distribution again; return warnings, raise `_CannotRepairError`."""
    installed = patient.installed
    versions = [one.info for one in find_recorded(environment, installed.name)]
    if len([info for info in versions if not _is_ghost(environment, info)]) > 1:
        reason = "several versions of it are installed"
        raise _CannotRepairError(f"{reason}; uninstall it, then install the one you want")
    _refuse_shared(environment, patient)
    info = environment.prefix / installed.info
    origin = _text(info / "direct_url.json")
    if _is_editable(origin):  # a wheel of the store would be a copy in its place
        raise _CannotRepairError("it is editable; install it again from its source")
    wheel = _original_wheel(origin)
    if wheel is None:  # what is taken by its name has no URL (PEP 610)
        wheel, origin = _stored_wheel(installed, environment, store), None
    requested = (info / "REQUESTED").exists()
    request = WheelRequest(wheel, requested=requested, direct_url=origin)
    try:
        still = partial(_require_same, environment, installed.name, versions)
        options = InstallOptions(check_requirements=False, still=still)
        return install(tree, environment, (request,), options).outcome.warnings
    except (LockError, JournalError):
        raise
    except PkgInstallError as error:
        raise _CannotRepairError(str(error)) from error
    except OSError as error:
        raise _CannotRepairError(describe(error)) from error


def _require_same(environment: Environment, name: str, versions: list[str]) -> None:
    """Raise `_CannotRepairError` unless the same is installed as when it was looked at."""
    if [one.info for one in find_recorded(environment, name)] != versions:
        raise _CannotRepairError("another command has changed it meanwhile; verify it again")


def _refuse_shared(environment: Environment, patient: _Patient) -> None:
    """Refuse what installing again would only turn into another's problem."""
    ownership = survey(environment.prefix, environment).without((patient.installed.name,), ())
    shared = [(p.path, sorted(ownership.owners(p.path))) for p in patient.problems]
    if any(p.kind not in {"size", "hash"} for p in patient.problems):
        return
    if all(owners for _, owners in shared):
        path, owners = shared[0]
        reason = f"{path} belongs to {', '.join(owners)}, too, with another content"
        raise _CannotRepairError(f"{reason}; uninstall one of them")


def _is_editable(origin: str | None) -> bool:
    """Tell whether direct_url.json says that a source directory is used as it stands (PEP 610)."""
    try:
        return json.loads(origin or "")["dir_info"]["editable"] is True
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _original_wheel(origin: str | None) -> Path | None:
    """Return the wheel that direct_url.json names (PEP 610), if it is still the same."""
    try:
        document = json.loads(origin or "")
        parts = urlsplit(document["url"])
        wheel = Path(unquote(parts.path))
        if parts.scheme != "file" or wheel.suffix != ".whl" or not wheel.is_file():
            return None
        recorded = document["archive_info"]["hash"]
        same = json.loads(direct_url(wheel))["archive_info"]["hash"] == recorded
    except (ValueError, KeyError, TypeError, RecursionError, PkgInstallError):
        return None
    return wheel if same else None


def _stored_wheel(installed: Installed, environment: Environment, store: Path) -> Path:
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415

    from sage_pkginstall.builds.store import find_wheel, stored_wheels  # noqa: PLC0415

    text = f"{installed.name}=={installed.version}"
    try:
        found = find_wheel(stored_wheels(store), Requirement(text), environment)
    except (InvalidRequirement, PkgInstallError) as error:
        raise _CannotRepairError(str(error)) from error
    if found is None:
        reason = f"there is no wheel of it in {store}"
        raise _CannotRepairError(f"{reason}; install it from where it came from, or give --store")
    return found.path


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


# Debris


def _debris(environment: Environment, unowned: Iterable[str]) -> Iterator[str]:
    left_by_pip = tuple(f"{site}/~" for site in environment.site_directories)
    for path in unowned:
        source = bytecode_source(path)
        is_orphan = source is not None and not os.path.lexists(environment.prefix / source)
        if is_orphan or path.startswith(left_by_pip):
            yield path


def _remove(
    tree: Tree, environment: Environment, unwanted: frozenset[str], ghosts: Collection[str]
) -> tuple[str, ...]:
    """Remove files in one transaction; what anybody but the ghosts owns stays."""
    with tree.workspace() as workspace:

        def prepare(_changed: Changed) -> Prepared:
            facts = survey(tree.prefix, environment)
            dead = [info for info in ghosts if _is_ghost(environment, info)]
            request = PlanRequest(
                replaced=unwanted,
                ownership=facts.without((), (), dead),  # one may have been installed since
                lasting=lasting_directories(tree.prefix, environment),
            )
            return Prepared(make_plan(workspace, request, exchange=False), facts.is_current)

        commit = partial(tree.commit, workspace, "remove debris", prepare)
        logged(tree, workspace, "remove debris", Change(), commit)
    return tuple(sorted(path for path in unwanted if not os.path.lexists(tree.prefix / path)))
