"""``recover``, ``verify`` and ``list``."""

from __future__ import annotations

import os
from dataclasses import asdict

from sage_pkginstall.cli.install import add_managed, store_of
from sage_pkginstall.cli.parser import parser
from sage_pkginstall.cli.target import add_options, talk_of, target_of
from sage_pkginstall.cli.terminal import add_colour, aligned, colours_of, shown
from sage_pkginstall.engine.quiet import begun_by_the_dead, unfinished

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from sage_pkginstall.cli.target import Talk, Target
    from sage_pkginstall.cli.terminal import Colours
    from sage_pkginstall.engine.transaction import Recovery
    from sage_pkginstall.engine.tree import Tree
    from sage_pkginstall.operations.repair import Repair
    from sage_pkginstall.operations.verify import Verification

__all__ = ["list_installed", "recover", "verify"]


# --------------------------------------------------------------------------------- recover


def recover(arguments: Sequence[str]) -> int:
    """Finish what a killed command began in the prefix, and delete what it left behind."""
    options = parser("sage-pkginstall recover", recover.__doc__ or "")
    options.add_argument(
        "--discard",
        action="store_true",
        help="if that is impossible (a damaged journal, say), move the journal aside: what was"
        " being changed may then be half old and half new, until it is installed again",
    )
    add_options(options, changes=False)
    given = options.parse_args(arguments)
    talk = talk_of("sage-pkginstall recover", given)
    tree = target_of(given, talk).tree
    if given.discard:
        return _discard(tree, talk)
    recovery = _recover(tree)
    talk.result([_recovered(recovery)], _document_of(recovery))
    return 0


_GIVEN_UP = (
    "what was being changed may be half old and half new; 'sage-pkginstall verify' tells what,"
    " and 'sage-pkginstall verify --fix' or installing it again mends it"
)


def _recover(tree: Tree) -> Recovery | None:
    from sage_pkginstall.operations.history import note_recovered  # noqa: PLC0415 - rare

    recovery = tree.recover()
    note_recovered(tree)
    return recovery


def _log(tree: Tree, label: str, recovered: str | None) -> None:
    from sage_pkginstall.operations.history import note  # noqa: PLC0415 - rare

    note(tree.prefix, label=label, recovered=recovered)


def _recovered(recovery: Recovery | None) -> str:
    if recovery is None:
        return "there was nothing to recover"
    how = "undone, as it could not be finished" if recovery.undone else "recovered"
    return f"{how}: {shown(recovery.label)}"


def _document_of(recovery: Recovery | None) -> dict[str, object]:
    if recovery is None:
        return {"recovered": None, "undone": False}
    return {"recovered": recovery.label, "undone": recovery.undone}


def _discard(tree: Tree, talk: Talk) -> int:
    from sage_pkginstall.operations.discard import discard  # noqa: PLC0415

    done = discard(tree)
    lines = [_recovered(done.recovered)]
    if done.place is not None:
        talk.warn([f"the journal was given up: {done.reason}", _GIVEN_UP])
        _log(tree, f"discard the journal: {done.reason}", None)
        lines = [f"moved to {shown(os.fspath(done.place))}; delete that when all is well"]
    elif done.recovered is not None:
        _log(tree, "recover", done.recovered.label)
    place = None if done.place is None else os.fspath(done.place)
    document = {**_document_of(done.recovered), "discarded": place, "reason": done.reason}
    talk.result(lines, document)
    return 0


# ---------------------------------------------------------------------------------- verify


def verify(arguments: Sequence[str]) -> int:
    """Compare the installed files with their records; status 1 if they differ."""
    options = parser("sage-pkginstall verify", verify.__doc__ or "")
    options.add_argument("names", nargs="*", metavar="NAME", help="what to look at (default: all)")
    options.add_argument(
        "--fix",
        action="store_true",
        help="install again, from its wheel, what differs, and remove debris",
    )
    options.add_argument("--store", metavar="DIR", help="wheel store for --fix")
    add_managed(options)
    add_options(options, changes=False)
    add_colour(options)
    given = options.parse_args(arguments)
    from sage_pkginstall.operations.verify import verify as verify_names  # noqa: PLC0415

    talk = talk_of("sage-pkginstall verify", given)
    target = target_of(given, talk)
    prefix, environment = target.tree.prefix, target.environment
    if given.fix and begun_by_the_dead(target.tree):
        _recover(target.tree)  # what is half done is not damaged
    talk.warn(unfinished(target.tree))
    found = verify_names(prefix, environment, given.names)
    repaired = None
    if given.fix and (found.problems or found.unowned):
        repaired = _repair(target, found, given, talk)
        found = verify_names(prefix, environment, given.names)
    lines = _lines(found, repaired, colours_of(given), quiet=talk.quiet)
    talk.result(lines, _document(found, repaired))
    return 1 if found.problems or found.unowned else 0


def _repair(target: Target, found: Verification, given: argparse.Namespace, talk: Talk) -> Repair:
    from sage_pkginstall.operations.managed import refuse_managed  # noqa: PLC0415
    from sage_pkginstall.operations.repair import repair  # noqa: PLC0415

    environment = target.python_environment()
    if not given.break_system_packages:
        refuse_managed(environment)
    place = store_of(given.store, target.tree.prefix)
    done = repair(target.tree, environment, found, place)
    talk.warn(done.warnings)
    talk.warn(f"cannot repair {title}: {reason}" for title, reason in done.left)
    return done


def _document(found: Verification, repaired: Repair | None) -> dict[str, object]:
    rows = [
        {"of": title, "path": p.path, "kind": p.kind, "detail": p.detail}
        for title, p in found.problems
    ]
    return {
        "checked": found.checked,
        "problems": rows,
        "unowned": found.unowned,
        "repaired": None if repaired is None else asdict(repaired),
    }


def _lines(
    found: Verification, repaired: Repair | None, colours: Colours, *, quiet: bool
) -> Iterator[str]:
    if repaired is not None:
        yield from (colours("green", f"installed again: {shown(t)}") for t in repaired.reinstalled)
        yield from (colours("green", f"removed: {shown(p)}") for p in repaired.removed)
    for title, p in found.problems:
        yield f"{shown(title)}: {shown(p.path)}: {colours('red', p.kind)} ({shown(p.detail)})"
    for path in found.unowned:
        yield f"{shown(path)}: {colours('yellow', 'no distribution or package owns it')}"
    if not (found.problems or found.unowned or quiet):
        yield f"{len(found.checked)} verified: every file there, every recorded hash right"


# ------------------------------------------------------------------------------------ list


def list_installed(arguments: Sequence[str]) -> int:
    """Name the distributions that are installed in the prefix."""
    options = parser("sage-pkginstall list", list_installed.__doc__ or "")
    add_options(options, changes=False)
    given = options.parse_args(arguments)
    from sage_pkginstall.wheels.records import all_recorded  # noqa: PLC0415

    talk = talk_of("sage-pkginstall list", given)
    target = target_of(given, talk)
    environment = target.environment
    found = () if environment is None else all_recorded(environment)
    installed = sorted(found, key=lambda i: i.canonical)
    rows = [{"name": i.name, "version": i.version, "kind": i.kind} for i in installed]
    talk.result(
        aligned([(shown(i.name), shown(i.version)) for i in installed]), {"distributions": rows}
    )
    return 0
