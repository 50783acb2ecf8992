"""A change: staged files come, the files of old versions go, in one transaction.

Installing, upgrading, uninstalling and merging are this with different contents.
"""

from __future__ import annotations

from functools import partial

from sage_pkginstall.engine.canonical_paths import CanonicalPaths
from sage_pkginstall.engine.freshness import freshen
from sage_pkginstall.engine.plan import PlanRequest
from sage_pkginstall.engine.planner import make_plan
from sage_pkginstall.engine.quiet import unfinished
from sage_pkginstall.engine.tree import Prepared
from sage_pkginstall.errors import ConflictError, RecordError
from sage_pkginstall.operations.history import logged
from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.adoption import adopt_shared
from sage_pkginstall.wheels.generated import unlisted_scripts
from sage_pkginstall.wheels.ownership import manifest, package_name, survey
from sage_pkginstall.wheels.record_directory import SCRIPTS, STAMPS, changed_records
from sage_pkginstall.wheels.records import entries_of, files_below, recorded_files
from sage_pkginstall.wheels.reserved import Reserved

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import Literal

    from sage_pkginstall.engine.holder import Changed
    from sage_pkginstall.engine.plan import Ownership, Plan
    from sage_pkginstall.engine.tree import Tree
    from sage_pkginstall.engine.workspace import Workspace
    from sage_pkginstall.environment import Environment
    from sage_pkginstall.wheels.installed import Installed
    from sage_pkginstall.wheels.ownership import Survey
    from sage_pkginstall.wheels.staging import StagedDistribution

__all__ = ["Change", "Outcome", "commit_change", "plan_change"]

_ENGINE_DIRECTORIES = ("var/lock", "var/tmp/sage")


class Change(NamedTuple):
    """What one transaction is to bring about, besides the staged tree's arrival.

    Older versions of the ``staged`` distributions go, and the distributions in
    ``drop``, and the old records and files of the Sage package ``package`` (PKG_BASE), unless
    these are to be kept (``keep``).
    """

    staged: tuple[StagedDistribution, ...] = ()
    drop: tuple[str, ...] = ()
    package: str | None = None
    keep: bool = False
    conflicts: Literal["warn", "error"] = "warn"
    outdated: Callable[[], tuple[str, ...]] = tuple
    """More to be dropped; asked whenever the change is planned, so under the lock, too."""
    still: Callable[[], object] = lambda: None
    """Raises something if the change is not wanted any more; called as ``outdated`` is."""

    @property
    def distributions(self) -> tuple[str, ...]:
        """The names of all distributions whose old files go."""
        return (*(s.name for s in self.staged), *self.drop, *self.outdated())


class Outcome(NamedTuple):
    """What a change did: its plan, warnings, and seconds waited for and holding the lock."""

    plan: Plan
    warnings: tuple[str, ...]
    waited: float = 0.0
    held: float = 0.0


def commit_change(
    tree: Tree, workspace: Workspace, environment: Environment | None, change: Change, label: str
) -> Outcome:
    """Carry out ``change`` with the staged tree of ``workspace``: all of it or nothing.

    ``label`` names the work to those who wait for the lock.  Raises `ConflictError`,
    `RecordError`, `LockError`, `TransactionError`, `JournalError`.
    """
    preparer = _Preparer(tree, workspace, environment, change)
    commit = partial(tree.commit, workspace, label, preparer.prepare)
    committed = logged(tree, workspace, label, change, commit)
    warnings = [*preparer.warnings, *preparer.told(committed.plan)]
    if committed.warning:
        warnings.append(committed.warning)
    return Outcome(committed.plan, tuple(warnings), committed.waited, committed.held)


def plan_change(
    tree: Tree, workspace: Workspace, environment: Environment | None, change: Change
) -> Outcome:
    """Return what `commit_change` would do now, without doing it.

    Nothing is changed, so what a dead process left half done stays so, and is told.
    """
    preparer = _Preparer(tree, workspace, environment, change)
    plan = preparer.prepare().plan
    return Outcome(plan, (*preparer.warnings, *preparer.told(plan), *unfinished(tree)))


class _Preparer:
    """Plans a change, as often as the tree changes before the lock is had."""

    def __init__(
        self, tree: Tree, workspace: Workspace, environment: Environment | None, change: Change
    ) -> None:
        self.prefix = tree.prefix
        self.workspace = workspace
        self.environment = environment
        self.change = change
        self.stamps = CanonicalPaths(self.prefix).directory(STAMPS)  # var may be a link
        self.exchange = not workspace.is_empty() and tree.can_exchange(workspace)
        self.warnings: tuple[str, ...] = ()
        self.facts: Survey | None = None

    def prepare(self, changed: Changed = None) -> Prepared:
        """Plan; only records that were ``changed`` since the last time are looked at, if known."""
        self.change.still()
        twice = _twice_staged(self.change)
        self.facts = facts = survey(self.prefix, self.environment, self.facts, changed)
        names = self.change.distributions  # which others may change until the lock is had
        replaced, warnings = self._replaced(facts, names)
        packages = [self.change.package] if self.change.package else []
        of_package = frozenset(p for name in packages for p in _package_paths(self.prefix, name))
        request = PlanRequest(
            replaced=replaced if self.change.keep else replaced | of_package,
            kept=of_package if self.change.keep else frozenset(),
            ownership=facts.without(names, packages),
            lasting=lasting_directories(self.prefix, self.environment),
            rank=_Rank(self.environment, self.stamps),
            through=_Through(self.environment),
            conflicts=self.change.conflicts,
        )
        self._fit_in(request.ownership)
        try:
            plan = make_plan(self.workspace, request, exchange=self.exchange)
        except ConflictError as error:
            raise ConflictError(error.path, error.reason, self._bringer(error.path)) from error
        self.warnings = (*twice, *warnings)
        changes = changed_records((one.path for one in plan.operations), self.stamps)
        return Prepared(plan, facts.is_current, changes)

    def told(self, plan: Plan) -> Iterator[str]:
        """Yield the notices of a plan; of a path that has owners, also what brings it now."""
        for notice in plan.notices:
            bringer = self._bringer(notice.path) if notice.owners else None
            yield f"{notice.message}; now it is that of {bringer}" if bringer else notice.message

    def _bringer(self, path: str) -> str | None:
        """Return what the staged entry ``path`` belongs to, if that is known."""
        staged = self.change.staged
        found = next((one for one in staged if path in one.paths), None)
        if found is None:  # seldom: a directory, or a file that the package has staged
            below = f"{path}/"
            within = (one for one in staged if any(p.startswith(below) for p in one.paths))
            found = next(within, None)
        if found is not None:
            return f"distribution {found.name} {found.version}"
        return f"package {self.change.package}" if self.change.package else None

    def _fit_in(self, ownership: Ownership) -> None:
        """Fit the staged tree to what is in the prefix."""
        adopted = bool(self.change.staged) and self._adopt_shared(ownership)
        freshened = freshen(self.workspace.tree, self.prefix, self.workspace.renew)
        if freshened or adopted:
            self.workspace.note_change()

    def _adopt_shared(self, ownership: Ownership) -> bool:
        assert self.environment is not None  # who staged a wheel has one
        staged, root = self.change.staged, self.workspace.tree
        return adopt_shared(staged, root, self.environment, lambda p: bool(ownership.owners(p)))

    def _replaced(
        self, facts: Survey, distributions: Iterable[str]
    ) -> tuple[frozenset[str], tuple[str, ...]]:
        paths: set[str] = set()
        warnings: list[str] = []
        if self.environment is not None:
            for name in distributions:
                for installed in facts.named(name):
                    paths |= _distribution_paths(self.environment, installed, warnings)
        return frozenset(paths), tuple(warnings)


def _twice_staged(change: Change) -> tuple[str, ...]:
    """Return a warning for each file that wheels of ``change`` have with different contents.

    Raises ConflictError instead if ``change`` wants conflicts to be errors.
    """
    owners: dict[str, str] = {}
    before: set[str] = set()
    for staged in change.staged:
        owners.update(dict.fromkeys(staged.replaced & before, staged.name))
        before |= staged.paths
    if owners and change.conflicts == "error":
        path, last = min(owners.items())
        first = next(staged.name for staged in change.staged if path in staged.paths)
        reason = f"the wheels of {first} and {last} have it with different contents"
        raise ConflictError(path, f"{reason}; leave one of them out")
    return tuple(
        f"{path} is in two of the wheels, with different contents: that of {name} is installed"
        for path, name in sorted(owners.items())
    )


def _distribution_paths(
    environment: Environment, installed: Installed, warnings: list[str]
) -> frozenset[str]:
    try:
        recorded = recorded_files(environment, installed)
    except RecordError as error:
        if installed.kind != "dist-info":
            what = f"{installed.name} {installed.version}".rstrip()
            reason = f"it does not tell which files {what} has; uninstall that first"
            raise RecordError(environment.prefix / installed.info, reason) from error
        warnings.append(
            f"{installed.info} has no readable RECORD: only that directory is removed,"
            f" other files of {installed.name} {installed.version} may stay"
        )
        return frozenset(entries_of(environment.prefix, installed.info))
    reserved = Reserved(installed.info.rpartition("/")[2], environment)
    paths = recorded.paths | unlisted_scripts(environment, installed, recorded.paths)
    staying = reserved.of_the_environment(paths)
    who = f"{installed.name} {installed.version} lists"
    warnings += [f"{who} {p!r}, which is outside of the prefix and stays" for p in recorded.outside]
    warnings += [f"{who} {p!r}, which belongs to the environment and stays" for p in staying]
    return paths.difference(staying)


def _package_paths(prefix: Path, package: str) -> Iterator[str]:
    """Yield the files of a package's old records: stamps, manifests, scripts."""
    paths = CanonicalPaths(prefix)  # var may be a link
    stamps, scripts = paths.directory(STAMPS), paths.directory(SCRIPTS)
    for stamp in stamp_names(prefix, package):
        yield f"{stamps}/{stamp}"
        yield from manifest(prefix, stamp, paths)
    yield from files_below(prefix, f"{scripts}/{package}")


def stamp_names(prefix: Path, package: str) -> tuple[str, ...]:
    """Return the file names of all stamps of ``package``, whatever their version."""
    try:
        names = [stamp.name for stamp in (prefix / STAMPS).iterdir()]
    except FileNotFoundError:
        return ()
    return tuple(sorted(name for name in names if package_name(name) == package))


def lasting_directories(prefix: Path, environment: Environment | None) -> frozenset[str]:
    """Return the directories that stay even when empty: the engine's, the interpreter's."""
    directories = set(_ENGINE_DIRECTORIES)
    if environment is not None:
        directories.update(environment.schemes[name] for name in ("purelib", "platlib", "scripts"))
        if (prefix / "pyvenv.cfg").exists():
            version = ".".join(environment.version.split(".")[:2])
            directories.add(f"include/python{version}")
    lasting: set[str] = set()
    for directory in directories:
        parts = directory.split("/")
        lasting.update("/".join(parts[:n]) for n in range(1, len(parts) + 1))
    return frozenset(lasting - {""})


class _Through:
    """Which links out of the prefix files are removed through: ``share`` on another disk, say.

    Not those within a site directory: somebody's own sources stand in for a package there.
    """

    def __init__(self, environment: Environment | None) -> None:
        self.sites = environment.site_directories if environment else ()

    def __call__(self, link: str) -> bool:
        return not any(link.startswith(f"{site}/") for site in self.sites)


class _Rank:
    """The order of operations: code, other files, ``.pth``, metadata, records."""

    def __init__(self, environment: Environment | None, stamps: str) -> None:
        self.sites = environment.site_directories if environment else ()
        self.stamps = f"{stamps}/"
        self.state = f"{stamps.rpartition('/')[0]}/"

    def __call__(self, path: str) -> int:
        if self.stamps.startswith(f"{path}/") or path.startswith(self.stamps):
            return 5
        if path.startswith(self.state):
            return 4
        for site in self.sites:
            if path.startswith(f"{site}/"):
                return _rank_in_site(path[len(site) + 1 :])
        return 1


def _rank_in_site(path: str) -> int:
    top = path.partition("/")[0]
    if top.endswith((".dist-info", ".egg-info")):
        return 3
    return 2 if top.endswith(".pth") else 0
