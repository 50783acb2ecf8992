"""``recover``, ``verify`` and ``list``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sage_pkginstall.cli.target import add_options, parser, talk_of, target_of

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["list_installed", "recover", "verify"]


def recover(arguments: Sequence[str]) -> int:
    """Finish what a killed command began in the prefix, and delete what it left behind."""
    options = parser("sage-pkginstall recover", recover.__doc__ or "")
    add_options(options, changes=False)
    given = options.parse_args(arguments)
    talk = talk_of("sage-pkginstall recover", given)
    tree = target_of(given, talk).tree
    journal = tree.recover()
    label = None if journal is None else journal.label
    line = "there was nothing to recover" if label is None else f"recovered: {label}"
    talk.result([line], {"recovered": label})
    return 0


def verify(arguments: Sequence[str]) -> int:
    """Compare the installed files with their records; status 1 if they differ."""
    options = parser("sage-pkginstall verify", verify.__doc__ or "")
    options.add_argument("names", nargs="*", metavar="NAME", help="what to look at (default: all)")
    add_options(options, changes=False)
    given = options.parse_args(arguments)
    from sage_pkginstall.operations.verify import verify as verify_names  # noqa: PLC0415

    talk = talk_of("sage-pkginstall verify", given)
    target = target_of(given, talk)
    result = verify_names(target.tree.prefix, target.environment, given.names)
    lines = [f"{title}: {p.path}: {p.kind} ({p.detail})" for title, p in result.problems]
    lines += [f"{path}: no distribution or package owns it" for path in result.unowned]
    rows = [
        {"of": title, "path": p.path, "kind": p.kind, "detail": p.detail}
        for title, p in result.problems
    ]
    clean = not lines
    if clean and not talk.quiet:
        lines = [f"{len(result.checked)} verified: every file there, every recorded hash right"]
    document = {"checked": result.checked, "problems": rows, "unowned": result.unowned}
    talk.result(lines, document)
    return 0 if clean else 1


def list_installed(arguments: Sequence[str]) -> int:
    """Name the distributions that are installed in the prefix."""
    options = parser("sage-pkginstall list", list_installed.__doc__ or "")
    add_options(options, changes=False)
    given = options.parse_args(arguments)
    from sage_pkginstall.wheels.records import installed_distributions  # noqa: PLC0415

    talk = talk_of("sage-pkginstall list", given)
    target = target_of(given, talk)
    environment = target.environment
    found = () if environment is None else installed_distributions(environment)
    installed = sorted(found, key=lambda i: i.canonical)
    width = max((len(i.name) for i in installed), default=0)
    rows = [{"name": i.name, "version": i.version, "kind": i.kind} for i in installed]
    talk.result((f"{i.name:{width}} {i.version}" for i in installed), {"distributions": rows})
    return 0
