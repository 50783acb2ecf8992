"""The one transaction of a package: all that it leaves in a tree comes or goes at once.

To install: the staged files, the distributions of its wheels, the stored wheels, its
requirements, scripts and stamp come; the files of older versions that the new one lacks,
and distributions that it no longer has, go.  To remove: all of these go.

The prefix is written by the transaction only.  Before it, what is to come is laid out in a
workspace; a failure up to then leaves the prefix untouched.

If the target of the wheels is another tree than the package's (SAGE_VENV for a package
that goes to SAGE_LOCAL), there are two transactions, as each tree has its own lock: first
the wheels', then the package's.
"""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

from sage_pkginstall.engine.canonical_paths import CanonicalPaths
from sage_pkginstall.engine.plan import PlanRequest
from sage_pkginstall.engine.planner import make_plan
from sage_pkginstall.engine.staged import close_modes, copy_in, lay_in
from sage_pkginstall.engine.tree import LOCK, Prepared, Tree
from sage_pkginstall.environment import find_interpreter, target_environment
from sage_pkginstall.errors import ConflictError, PackageError
from sage_pkginstall.operations.change import Change, commit_change, plan_change
from sage_pkginstall.operations.history import logged
from sage_pkginstall.spkg.distributions import package_distributions, stored_versions
from sage_pkginstall.spkg.queue import QueuedWheel, queued_wheels
from sage_pkginstall.spkg.staged import listed
from sage_pkginstall.spkg.stamp import Stamp, find_stamps, package_stamps, write_stamp
from sage_pkginstall.spkg.trusted_places import (
    is_trusted,
    require_trusted,
    require_trusted_within,
)
from sage_pkginstall.user_cache import cache_directory
from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.record_directory import SCRIPTS, STAMPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sage_pkginstall.engine.holder import Changed
    from sage_pkginstall.engine.tree import TreeSettings
    from sage_pkginstall.engine.workspace import Workspace
    from sage_pkginstall.environment import Environment
    from sage_pkginstall.operations.change import Outcome
    from sage_pkginstall.spkg.commit_request import CommitRequest
    from sage_pkginstall.wheels.staging import StagedDistribution, WheelRequest

__all__ = ["Committed", "commit_package"]

_OURS = "var/lib/sage"


class _Staged(NamedTuple):
    """What was laid out; ``stored`` are the versions of the wheels that the package will have.

    ``files`` counts those that the package's stamp lists.
    """

    distributions: tuple[StagedDistribution, ...] = ()
    stored: Mapping[str, str] = {}
    files: int = 0


class Committed(NamedTuple):
    """What a request changed; ``warnings`` are to be told to the user.

    ``files`` counts those that the package's stamp lists, not those of the distributions.
    """

    distributions: tuple[StagedDistribution, ...]
    outcomes: tuple[Outcome, ...]
    warnings: tuple[str, ...]
    files: int = 0


def commit_package(request: CommitRequest, settings: TreeSettings) -> Committed:
    """Carry out ``request``: all of it or nothing, in each of the two trees it may change.

    What only pip can uninstall (egg-link, distutils) goes before that, and stays away if the
    rest fails.

    Raises PackageError if wheels have no target, and what staging a wheel and
    `commit_change` raise.
    """
    _require_target(request)
    require_trusted(request, Path(request.tree))
    tree = Tree(Path(request.tree), settings)
    environment = _environment(request)
    if request.action == "remove" and request.keep:
        return _forget(request, tree)
    if environment is not None and _elsewhere(request, environment) is not None:
        there = Tree(environment.prefix, settings)
        elsewhere = _commit(request, there, environment, _wheels_elsewhere)
        rest = _commit_package(request, tree, None)
        return _both(elsewhere, rest)
    return _commit_package(request, tree, environment.at(tree.prefix) if environment else None)


def _change(request: CommitRequest, staged: _Staged, environment: Environment | None) -> Change:
    """Return a change that also drops the distributions that the package will not have.

    Which these are is looked up whenever the change is planned: another process may have
    installed another version meanwhile.  What its script has installed itself, from one of the
    wheels that it stored, the package has.
    """
    come = {distribution.name for distribution in staged.distributions}
    elsewhere = _elsewhere(request, environment)

    def outdated() -> tuple[str, ...]:
        tree, local = Path(request.tree), _local(request)
        lacking = package_distributions(tree, request.package, come, elsewhere, local)
        return tuple(
            one for one in sorted(lacking) if not _is_installed(environment, one, staged.stored)
        )

    if request.keep:
        return Change(staged.distributions)
    return Change(staged.distributions, outdated=outdated)


def _is_installed(environment: Environment | None, name: str, stored: Mapping[str, str]) -> bool:
    """Tell whether the environment has a distribution in the version of its stored wheel."""
    if environment is None or name not in stored:
        return False
    from sage_pkginstall.wheels.names import same_version  # noqa: PLC0415
    from sage_pkginstall.wheels.records import find_recorded  # noqa: PLC0415 -- rare

    found = find_recorded(environment, name)
    return any(same_version(stored[name], one.version) for one in found)


def _environment(request: CommitRequest) -> Environment | None:
    if not request.python:
        return None
    require_trusted(request, find_interpreter(Path(request.python)))
    environment = target_environment(Path(request.python))
    require_trusted(request, environment.interpreter)  # which the one that was named may start
    return environment


def _elsewhere(request: CommitRequest, environment: Environment | None) -> Path | None:
    """Return the tree of the distributions, None if it is the package's own."""
    if environment is None:
        return None
    here = os.path.realpath(environment.prefix) == os.path.realpath(request.tree)
    return None if here else environment.prefix


def _local(request: CommitRequest) -> Path | None:
    """Return SAGE_LOCAL, if it is another tree, with packages that have the same target.

    One in which the user who asks could put links is passed over: what they lead to is read.
    """
    if not request.local or os.path.realpath(request.local) == os.path.realpath(request.tree):
        return None
    return Path(request.local) if is_trusted(request, Path(request.local) / SCRIPTS) else None


def _both(first: Committed, second: Committed) -> Committed:
    return Committed(
        first.distributions + second.distributions,
        first.outcomes + second.outcomes,
        first.warnings + second.warnings,
        first.files + second.files,
    )


def _commit_package(
    request: CommitRequest, tree: Tree, environment: Environment | None
) -> Committed:
    """Change the tree of a package, and the distributions there if there is an environment."""
    return _commit(request, tree, environment, _stage, request.package)


def _commit(
    request: CommitRequest,
    tree: Tree,
    environment: Environment | None,
    stage: Callable[[CommitRequest, Workspace, Environment | None], _Staged],
    package: str | None = None,
) -> Committed:
    """Carry out one transaction: what ``stage`` lays out comes, what ``package`` had goes."""
    with tree.workspace() as workspace:
        staged = _Staged()
        if request.action == "install":
            staged = stage(request, workspace, environment)
        change = _change(request, staged, environment)._replace(package=package, keep=request.keep)
        if package is None and not change.distributions and workspace.is_empty():
            return Committed((), (), ())
        if environment is not None:
            _leave_to_pip(tree, environment, change.distributions)
        require_trusted_within(
            request, tree.prefix, lambda: plan_change(tree, workspace, environment, change).plan
        )
        outcome = commit_change(tree, workspace, environment, change, request.label)
    warnings = (*outcome.warnings, *_unmet(request, environment, staged.distributions))
    return Committed(staged.distributions, (outcome,), warnings, staged.files)


def _stage(
    request: CommitRequest, workspace: Workspace, environment: Environment | None
) -> _Staged:
    """Lay out everything that the package shall leave in the tree, its stamp last."""
    staged = Path(request.staged)
    if staged.is_dir():
        lay_in(staged, workspace.tree, move=request.move, owner=request.caller)
    _refuse_links(workspace.tree)
    files = _without_engine_files(workspace.tree)
    distributions: tuple[StagedDistribution, ...] = ()
    if environment is not None:
        distributions = _stage_wheels(request, environment, workspace)
    for distribution in distributions:
        files -= distribution.replaced
    stamp = _stamp(request, files)
    write_stamp(workspace.tree, stamp)
    close_modes(workspace.tree, _OURS)
    stored = stored_versions(workspace.tree, request.package)
    return _Staged(distributions, stored, len(stamp.files or ()))


def _wheels_elsewhere(
    request: CommitRequest, workspace: Workspace, environment: Environment | None
) -> _Staged:
    """Lay out the distributions of a package whose tree is another one."""
    assert environment is not None
    distributions = _stage_wheels(request, environment, workspace)
    return _Staged(distributions, stored_versions(Path(request.staged), request.package))


def _without_engine_files(root: Path) -> set[str]:
    """Return what is staged, once locks and staging areas are left out: also of SAGE_VENV in it."""
    Tree(root).leave_out_own_files()
    found = listed(root)
    within = [path.removesuffix(LOCK) for path in found if path.endswith(f"/{LOCK}")]
    for path in within:
        Tree(root / path).leave_out_own_files()
    return set(listed(root) if within else found)


def _refuse_links(root: Path) -> None:
    """Refuse a staged tree in which records would be written through a link.

    Raises ConflictError.
    """
    parts = STAMPS.split("/")
    for count in range(1, len(parts) + 1):
        directory = "/".join(parts[:count])
        if (root / directory).is_symlink():
            raise ConflictError(directory, "it is a link in the staged tree; stage a directory")


def _stage_wheels(
    request: CommitRequest, environment: Environment, workspace: Workspace
) -> tuple[StagedDistribution, ...]:
    from sage_pkginstall.wheels.bytecode import staged_compiler  # noqa: PLC0415 -- Python only
    from sage_pkginstall.wheels.staging import stage_wheels  # noqa: PLC0415

    queued = queued_wheels(Path(request.private))
    wheels = (_wheel_request(request, wheel, workspace) for wheel in queued)
    return stage_wheels(
        wheels,
        environment,
        workspace.tree,
        compiler=staged_compiler,
        cache=cache_directory(),
    )


def _wheel_request(
    request: CommitRequest, wheel: QueuedWheel, workspace: Workspace
) -> WheelRequest:
    """Return the request for a wheel, which may have been moved with the staged tree.

    If another process asks, which may change it, it is for a copy.
    """
    from sage_pkginstall.operations.requests import direct_url, editable_url  # noqa: PLC0415
    from sage_pkginstall.wheels.staging import WheelRequest  # noqa: PLC0415

    path, final = wheel.path, wheel.path
    if path.is_relative_to(request.staged):
        place = path.relative_to(request.staged)
        final = Path(request.tree) / place
        path = path if path.exists() else workspace.tree / place
    if request.caller is not None:
        path = workspace.scratch / path.name
        copy_in(wheel.path, path, request.caller)
    if wheel.editable_source is not None:
        origin = editable_url(Path(wheel.editable_source))  # not by the build directory
    else:
        origin = direct_url(path, kept_at=final)
    return WheelRequest(path, requested=True, direct_url=origin, compile=wheel.compile)


def _stamp(request: CommitRequest, files: Iterable[str]) -> Stamp:
    paths = set(files)
    if request.keep:
        paths.update(_kept_files(request))
    return Stamp(
        package_name=request.package,
        package_version=request.version,
        install_date=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        system_uname=tuple(os.uname()),
        sage_version=request.sage_version,
        test_result=request.test_result,
        files=tuple(sorted(paths)),
    )


def _kept_files(request: CommitRequest) -> Iterable[str]:
    """Yield the files of the stamp that the new one replaces: they stay, so does their owner."""
    for stamp in package_stamps(Path(request.tree), request.package):
        if stamp.package_version == request.version:
            yield from stamp.files or ()


def _leave_to_pip(tree: Tree, environment: Environment, names: Iterable[str]) -> None:
    """Have pip uninstall those distributions of which nothing lists the files (egg-link)."""
    from sage_pkginstall.operations.run_pip import pip_runner  # noqa: PLC0415
    from sage_pkginstall.operations.uninstall import uninstall  # noqa: PLC0415
    from sage_pkginstall.wheels.records import find_recorded, is_recorded  # noqa: PLC0415

    unlisted = [
        name
        for name in names
        if not all(is_recorded(environment, one) for one in find_recorded(environment, name))
    ]
    if unlisted:
        uninstall(tree, environment, unlisted, pip_runner(environment))


def _unmet(
    request: CommitRequest,
    environment: Environment | None,
    distributions: tuple[StagedDistribution, ...],
) -> Iterable[str]:
    """Yield a warning for each requirement of the wheels that the environment does not meet."""
    if environment is None or not any(one.requires for one in distributions):
        return
    from sage_pkginstall.wheels.unmet import unmet_by  # noqa: PLC0415
    from sage_pkginstall.wheels.visible import visible_versions  # noqa: PLC0415

    versions = visible_versions(environment)
    for one in distributions:
        for unmet in unmet_by(one.name, one.requires, environment, versions):
            if unmet.found is None:
                remedy = f"add the package that provides it to {request.dependencies_file}"
            else:
                remedy = "build a version of one or the other that fits"
            yield f"{unmet}; {remedy}"


def _forget(request: CommitRequest, tree: Tree) -> Committed:
    """Remove the stamps of a package and nothing else: its files are nobody's then."""
    stamps = find_stamps(tree.prefix, request.package)
    directory = CanonicalPaths(tree.prefix).directory(STAMPS)  # var may be a link
    paths = frozenset(f"{directory}/{stamp.name}" for stamp in stamps)
    with tree.workspace() as workspace:

        def prepare(_changed: Changed) -> Prepared:
            return Prepared(make_plan(workspace, PlanRequest(replaced=paths), exchange=False))

        commit = partial(tree.commit, workspace, request.label, prepare)
        logged(tree, workspace, request.label, Change(package=request.package), commit)
    return Committed((), (), ())


def _require_target(request: CommitRequest) -> None:
    """Raise PackageError if wheels are queued and there is nothing to install them into."""
    if request.python or not request.private:
        return
    if queued_wheels(Path(request.private)):
        remedy = "make a virtual environment there ('python3 -m venv --without-pip DIRECTORY')"
        where = f"neither {request.tree} nor SAGE_VENV has a python3 of its own"
        raise PackageError(request.package, f"its wheels have no target: {where}; {remedy}")
