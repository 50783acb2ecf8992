"""Install wheels: stage them without the lock, then bring them in by one transaction."""

from __future__ import annotations

from sage_pkginstall.errors import WheelError
from sage_pkginstall.operations.change import Change, Outcome, commit_change, plan_change
from sage_pkginstall.user_cache import cache_directory
from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.bytecode import staged_compiler
from sage_pkginstall.wheels.names import canonical_name
from sage_pkginstall.wheels.staging import stage_wheels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Literal

    from sage_pkginstall.engine.tree import Tree
    from sage_pkginstall.engine.workspace import Workspace
    from sage_pkginstall.environment import Environment
    from sage_pkginstall.wheels.staging import StagedDistribution, WheelRequest
    from sage_pkginstall.wheels.unmet import Unmet

__all__ = ["InstallOptions", "Installation", "install"]


class InstallOptions(NamedTuple):
    """How wheels are installed.

    ``conflicts``: what becomes of a file that another distribution owns with another
    content; ``dry_run``: only plan; ``check_requirements``: name those that are unmet;
    ``link_mode`` "hardlink": files are shared with other prefixes, read-only, where the file
    system can; None: as $SAGE_PKGINSTALL_LINK_MODE says, else "copy".
    ``staged`` is told the file name of each wheel when it is staged.  ``still`` raises something
    if what is installed is not any more what is to be replaced: nothing is changed then.
    """

    conflicts: Literal["warn", "error"] = "warn"
    dry_run: bool = False
    check_requirements: bool = True
    link_mode: Literal["copy", "hardlink"] | None = None
    staged: Callable[[str], object] = lambda _name: None
    still: Callable[[], object] = lambda: None


class Installation(NamedTuple):
    """What was (or with a dry run would be) installed.

    ``unmet`` are the requirements of the wheels that the environment does not meet.
    """

    distributions: tuple[StagedDistribution, ...]
    outcome: Outcome
    unmet: tuple[Unmet, ...] = ()


def install(
    tree: Tree,
    environment: Environment,
    requests: Sequence[WheelRequest],
    options: InstallOptions,
) -> Installation:
    """Install the wheels in one transaction; older versions of them go in it.

    The files of the wheels lie in ``tree.prefix`` afterwards; paths written into scripts
    and byte-code are those of ``environment.prefix`` (they differ with a ``--root``).
    Raises `WheelError` before anything is changed, and what `commit_change` raises.
    """
    requests = _each_once(requests)
    with tree.workspace() as workspace:
        staged = stage_wheels(
            requests,
            environment,
            workspace.tree,
            compiler=staged_compiler,
            cache=cache_directory(),
            link_mode=options.link_mode,
            told=lambda request: options.staged(request.path.name),
        )
        missing = _unmet(environment, staged) if options.check_requirements else ()
        outcome = _bring_in(tree, workspace, environment, staged, options)
    return Installation(staged, outcome, missing)


def _bring_in(
    tree: Tree,
    workspace: Workspace,
    environment: Environment,
    staged: tuple[StagedDistribution, ...],
    options: InstallOptions,
) -> Outcome:
    there = environment.at(tree.prefix)
    change = Change(staged, conflicts=options.conflicts, still=options.still)
    if options.dry_run:
        return plan_change(tree, workspace, there, change)
    label = ", ".join(f"install {s.name} {s.version}" for s in staged) or "install nothing"
    return commit_change(tree, workspace, there, change, label)


def _unmet(environment: Environment, staged: tuple[StagedDistribution, ...]) -> tuple[Unmet, ...]:
    """Return the requirements that are not met."""
    if not any(s.requires for s in staged):
        return ()
    from sage_pkginstall.wheels.unmet import unmet_by  # noqa: PLC0415
    from sage_pkginstall.wheels.visible import visible_versions  # noqa: PLC0415 - not without any

    installed = visible_versions(environment)
    installed.update((s.name, s.version) for s in staged)
    return tuple(
        unmet for s in staged for unmet in unmet_by(s.name, s.requires, environment, installed)
    )


def _each_once(requests: Sequence[WheelRequest]) -> tuple[WheelRequest, ...]:
    """Return the requests, each wheel once; WheelError for two wheels of one distribution."""
    wheels: dict[str, WheelRequest] = {}
    for request in requests:
        name = canonical_name(request.path.name.partition("-")[0])
        other = wheels.setdefault(name, request).path
        if other != request.path:
            reason = f"{other.name} is of the same distribution; give one of them"
            raise WheelError(request.path, reason)
    return tuple(wheels.values())
