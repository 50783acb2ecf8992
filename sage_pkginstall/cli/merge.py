"""``merge``: bring a staged tree (DESTDIR) into a prefix."""

from __future__ import annotations

from sage_pkginstall.cli.options import Options
from sage_pkginstall.cli.paths import given_path
from sage_pkginstall.cli.plans import outcome_document, plan_lines, tell_operations
from sage_pkginstall.cli.target import add_options, talk_of, target_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["merge"]


def merge(arguments: Sequence[str]) -> int:
    """Bring what lies below STAGED into the prefix, in one transaction."""
    options = Options("sage-pkginstall merge", merge.__doc__ or "")
    options.add_argument("staged", metavar="STAGED", help="a directory laid out like the prefix")
    options.add_argument(
        "--package", metavar="NAME", help="replace the older files of this package"
    )
    options.add_argument(
        "--move",
        action="store_true",
        help="rename what lies there instead of copying it: then it is gone, come what may",
    )
    options.add_argument(
        "--conflicts",
        choices=("warn", "error"),
        default="warn",
        help="what becomes of files of others with another content",
    )
    add_options(options, changes=True)
    given = options.parse_args(arguments)
    from sage_pkginstall.operations import merge as merging  # noqa: PLC0415
    from sage_pkginstall.operations.change import Change  # noqa: PLC0415

    talk = talk_of("sage-pkginstall merge", given)
    target = target_of(given, talk)
    change = Change(package=given.package, conflicts=given.conflicts)
    staged = given_path(given.staged, "STAGED")
    where = target.tree, target.environment
    if given.dry_run:
        outcome = merging.plan_merge(*where, staged, change)
    else:
        outcome = merging.merge(*where, staged, change, move=given.move)
    talk.warn(outcome.warnings)
    number = len(outcome.plan.operations)
    done = f"merged {staged}: {number} operation{'' if number == 1 else 's'}"
    lines = plan_lines(outcome) if given.dry_run else [done]
    if not given.dry_run:
        tell_operations(outcome, talk)
    if given.dry_run or talk.as_json or not talk.quiet:
        talk.result(lines, {"dry_run": given.dry_run, **outcome_document(outcome)})
    return 0
