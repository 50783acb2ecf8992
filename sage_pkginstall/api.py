"""What other distributions' build tools import: few names, one promise each.

Every change is one transaction, with all that the command line promises: the old or the
new state whenever the process dies, readers that see no half of it, and one writer at a
time.  What a user, a wheel or the machine can cause is raised as `PkgInstallError`
(`sage_pkginstall.errors` names the kinds) and says ``cannot VERB OBJECT: REASON``.

These functions print nothing.  ``settings`` says how long to wait for the lock, whom to
tell about that, and whether to flush to the disk; the default waits for ever, tells
nobody, and flushes.

Byte-code is compiled in as many processes as there are processors.  In a program that has
other threads it is compiled in this one process: a fork would keep their locks for ever.
"""

from __future__ import annotations

import contextlib
import os
from functools import partial
from pathlib import Path

from sage_pkginstall.builds.build import BuildRequest, build_wheel
from sage_pkginstall.builds.log import BuildLog, log_file
from sage_pkginstall.engine.lock import LockSettings
from sage_pkginstall.engine.transaction import Recovery, describe
from sage_pkginstall.engine.tree import Tree, TreeSettings
from sage_pkginstall.environment import Environment, environment_of, target_environment
from sage_pkginstall.errors import (
    BuildError,
    JournalError,
    PkgInstallError,
    TransactionError,
    UsageError,
)
from sage_pkginstall.operations import install as installing
from sage_pkginstall.operations import merge as merging
from sage_pkginstall.operations import uninstall as uninstalling
from sage_pkginstall.operations.change import Change, Outcome
from sage_pkginstall.operations.history import note_recovered
from sage_pkginstall.operations.install import Installation, InstallOptions
from sage_pkginstall.operations.managed import refuse_managed
from sage_pkginstall.operations.requests import requests_of_arguments
from sage_pkginstall.operations.run_pip import pip_runner
from sage_pkginstall.operations.uninstall import Uninstallation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeVar

    StrPath = str | os.PathLike[str]
    _Thing = TypeVar("_Thing")

__all__ = [
    "BuildRequest",
    "Environment",
    "InstallOptions",
    "Installation",
    "LockSettings",
    "Outcome",
    "PkgInstallError",
    "Recovery",
    "TreeSettings",
    "Uninstallation",
    "build",
    "install",
    "merge",
    "recover",
    "target_environment",
    "uninstall",
]

_STORE = Path("var", "lib", "sage", "wheels")
_CONFLICTS = ("warn", "error")
_ISOLATIONS = ("auto", "yes", "no")


def install(
    wheels: Iterable[StrPath],
    environment: Environment,
    *,
    store: StrPath | None = None,
    options: InstallOptions | None = None,
    settings: TreeSettings | None = None,
) -> Installation:
    """Install wheels in one transaction; older versions of them go in the same.

    A wheel is the path of one, or a requirement (``"six>=1.16"``) that the best wheel of
    the directory ``store`` meets (default: ``PREFIX/var/lib/sage/wheels``).  No index is
    asked.  Requirements that the environment does not meet are no error: see
    `Installation.unmet`.

    Raises `WheelError`, `RequirementError`, `ManagedEnvironmentError` or `ConflictError`
    before anything is changed, and `LockError`, `JournalError`, `TransactionError`.
    """
    how = _known(options)
    if not how.dry_run:
        refuse_managed(environment)
    place = environment.prefix / _STORE if store is None else Path(store)
    several = [os.fspath(wheel) for wheel in _several(wheels)]
    with _told(partial(TransactionError, environment.prefix)):
        requests = requests_of_arguments(several, environment, place)
        return installing.install(Tree(environment.prefix, settings), environment, requests, how)


def uninstall(
    names: Iterable[str],
    environment: Environment,
    *,
    dry_run: bool = False,
    settings: TreeSettings | None = None,
) -> Uninstallation:
    """Uninstall distributions in one transaction.

    What is not installed is no error: see `Uninstallation.missing`.  Raises as `install`
    does, and `RecordError` for a distribution whose files cannot be told.
    """
    if not dry_run:
        refuse_managed(environment)
    several = list(_several(names))
    tree = Tree(environment.prefix, settings)
    run_pip = pip_runner(environment)  # for what has no list of its files (egg-link)
    with _told(partial(TransactionError, environment.prefix)):
        return uninstalling.uninstall(tree, environment, several, run_pip, dry_run=dry_run)


def merge(
    staged: StrPath,
    prefix: StrPath,
    *,
    package: str | None = None,
    options: InstallOptions | None = None,
    settings: TreeSettings | None = None,
) -> Outcome:
    """Bring all that lies below ``staged``, laid out like ``prefix``, into it.

    ``staged`` stays as it is.  With ``package``, the files that older records of this
    package name, and ``staged`` lacks, go in the same transaction.  Raises `UsageError` if
    ``staged`` or ``prefix`` is no directory or ``package`` no name of a package, and what
    `install` raises once it has begun.
    """
    how = _known(options)
    root = _existing(prefix)
    change = Change(package=package, conflicts=how.conflicts)
    act = merging.plan_merge if how.dry_run else merging.merge
    with _told(partial(TransactionError, root)):
        environment = environment_of(root)
        return act(Tree(root, settings), environment, Path(staged), change)


def build(
    source: StrPath | BuildRequest,
    environment: Environment,
    destination: StrPath,
    *,
    store: StrPath | None = None,
    log: StrPath | None = None,
) -> Path:
    """Build a wheel of a source directory or an sdist; return it, in ``destination``.

    ``destination`` then holds that wheel and nothing else: what it held before is deleted.
    Build requirements come from the wheels in ``store`` (default: as with `install`), never
    from an index.  What the build says is appended to ``log``; without one, it is kept only
    if the build fails.  Raises `BuildError`, `RequirementError`, `UsageError`.
    """
    request = _request(source)
    place = environment.prefix / _STORE if store is None else Path(store)
    with _told(partial(BuildError, request.source)):
        goal = Path(destination).absolute()
        with log_file(None if log is None else Path(log).absolute()) as file:
            return build_wheel(request, environment, place, goal, log=BuildLog(file))


def recover(prefix: StrPath, *, settings: TreeSettings | None = None) -> Recovery | None:
    """Finish what a killed process began in ``prefix``, delete its debris.

    Return what it was, None if there was nothing: its ``label``, and whether it is ``undone``,
    because it could not be finished.  Whoever takes the lock does the same.
    Raises `LockError`, `JournalError`, and `UsageError` if ``prefix`` is no directory.
    """
    tree = Tree(_existing(prefix), settings)
    with _told(partial(JournalError, tree.journal.path)):
        recovery = tree.recover()
    note_recovered(tree)
    return recovery


def _known(options: InstallOptions | None) -> InstallOptions:
    """Return the options, or the default; ValueError for words that mean nothing."""
    how = options or InstallOptions()
    if how.conflicts not in _CONFLICTS:  # it would be overwritten what is not to be
        raise ValueError(f"conflicts is one of {_CONFLICTS}, not {how.conflicts!r}")
    return how


def _request(source: StrPath | BuildRequest) -> BuildRequest:
    """Return what to build, its source as an absolute path; ValueError for what means nothing."""
    given = source if isinstance(source, BuildRequest) else BuildRequest(Path(source))
    if given.isolation not in _ISOLATIONS:
        raise ValueError(f"isolation is one of {_ISOLATIONS}, not {given.isolation!r}")
    if not all(isinstance(pair, tuple) for pair in given.config_settings):  # not a key's letters
        raise ValueError(f"config_settings are pairs, not {given.config_settings!r}")
    return given._replace(source=Path(given.source).absolute())


def _existing(prefix: StrPath) -> Path:
    """Return a prefix as an absolute path; one that is not there, it is mistyped, say, stays so."""
    root = Path(os.path.abspath(prefix))  # noqa: PTH100 - links stay as given
    if not root.is_dir():
        raise UsageError(f"cannot use prefix {root}: it is not a directory")
    return root


def _several(things: Iterable[_Thing]) -> Iterable[_Thing]:
    """Return what several things are; a single ``str`` would be taken for its letters."""
    if isinstance(things, (str, bytes)):
        message = f"several are expected: [{things!r}], not {things!r}"
        raise TypeError(message)
    return things


@contextlib.contextmanager
def _told(error_for: Callable[[str], PkgInstallError]) -> Iterator[None]:
    """Raise what the machine causes, a full disk, say, as the error for that reason."""
    try:
        yield
    except OSError as error:
        raise error_for(describe(error)) from error
