"""``show``, ``files``, ``owner``, ``status`` and ``log``: they read, and change nothing."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from pathlib import Path

from sage_pkginstall.cli.parser import parser
from sage_pkginstall.cli.paths import given_path
from sage_pkginstall.cli.target import add_options, talk_of, target_of
from sage_pkginstall.cli.terminal import (
    Colours,
    add_colour,
    aligned,
    colours_of,
    shown,
    size_text,
    time_text,
)
from sage_pkginstall.operations.history import log_files, read_transactions

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from sage_pkginstall.cli.terminal import Colour
    from sage_pkginstall.operations.history import Transaction
    from sage_pkginstall.reports.facts import DistributionFacts, PackageFacts
    from sage_pkginstall.reports.owners import Owned
    from sage_pkginstall.reports.status import Status

__all__ = ["files", "log", "owner", "show", "status"]

_LATEST = 20


def _options(command: str, description: str | None) -> argparse.ArgumentParser:
    options = parser(f"sage-pkginstall {command}", description or "")
    add_options(options, changes=False)
    add_colour(options)
    return options


# ------------------------------------------------------------------------------------ show


def show(arguments: Sequence[str]) -> int:
    """Tell what is known of the distribution or package NAME."""
    options = _options("show", show.__doc__)
    options.add_argument("name", metavar="NAME", help="a distribution or package")
    given = options.parse_args(arguments)
    from sage_pkginstall.reports.facts import (  # noqa: PLC0415
        distribution_facts,
        package_facts,
    )
    from sage_pkginstall.reports.subjects import find_subjects  # noqa: PLC0415

    talk = talk_of("sage-pkginstall show", given)
    target = target_of(given, talk)
    prefix, environment = target.tree.prefix, target.environment
    subjects = find_subjects(prefix, environment, given.name)
    past = read_transactions(prefix, log_files(prefix))
    packages = [
        package_facts(prefix, one, environment, past, _package_directory(one.name))
        for one in subjects.packages
    ]
    distributions = []
    if environment is not None:
        distributions = [distribution_facts(environment, d, past) for d in subjects.distributions]
    colours = colours_of(given)
    lines = [line for one in packages for line in _of_package(one, colours)]
    lines += [line for one in distributions for line in _of_distribution(one, colours)]
    document = {
        "packages": [_document(one) for one in packages],
        "distributions": [_document(one) for one in distributions],
    }
    talk.result(lines, document)
    return 0


def _package_directory(name: str) -> Path | None:
    root = os.environ.get("SAGE_ROOT")
    return Path(root) / "build" / "pkgs" / name if root else None


def _of_package(facts: PackageFacts, colours: Colours) -> Iterator[str]:
    yield colours("bold", shown(f"package {facts.name} {facts.version}"))
    number = "its record lists none" if facts.files is None else f"{facts.files:,}"
    yield from _fields(
        ("kind", facts.kind),
        ("installed", facts.date),
        ("by", _transaction(facts.transaction)),
        ("why", facts.why),
        ("tests", facts.test_result),
        ("wheels", ", ".join(facts.distributions)),
        ("files", f"{number}, {size_text(facts.size)}" if facts.files else number),
    )


def _of_distribution(facts: DistributionFacts, colours: Colours) -> Iterator[str]:
    yield colours("bold", shown(f"distribution {facts.name} {facts.version}"))
    yield from _fields(
        ("kind", facts.kind),
        ("record", facts.record),
        ("package", ", ".join(facts.packages)),
        ("installer", facts.installer),
        ("origin", facts.origin or ""),
        ("installed", "" if facts.installed is None else _date(facts.installed)),
        ("by", _transaction(facts.transaction)),
        ("requested", "yes" if facts.requested else "no"),
        ("requires", ", ".join(facts.requires)),
        ("files", f"{facts.files:,}, {size_text(facts.size)}"),
    )


def _fields(*fields: tuple[str, str]) -> Iterator[str]:
    return aligned([(f"  {name}:", shown(text)) for name, text in fields if text])


def _document(subject: PackageFacts | DistributionFacts) -> dict[str, object]:
    transaction = subject.transaction
    return {**asdict(subject), "transaction": transaction and transaction._asdict()}


def _transaction(transaction: Transaction | None) -> str:
    if transaction is None:
        return ""
    who = f"{_user(transaction.uid)}, process {transaction.pid}"
    return f"{who}: {transaction.label} ({time_text(transaction.took)})"


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _user(uid: int) -> str:
    import pwd  # noqa: PLC0415 - only to print a name

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


# ----------------------------------------------------------------------------------- files


def files(arguments: Sequence[str]) -> int:
    """Name the files of the distribution or package NAME, one a line."""
    options = _options("files", files.__doc__)
    options.add_argument("name", metavar="NAME", help="a distribution or package")
    given = options.parse_args(arguments)
    from sage_pkginstall.reports.facts import owned_files  # noqa: PLC0415
    from sage_pkginstall.reports.subjects import find_subjects  # noqa: PLC0415

    talk = talk_of("sage-pkginstall files", given)
    target = target_of(given, talk)
    prefix, environment = target.tree.prefix, target.environment
    subjects = find_subjects(prefix, environment, given.name)
    owned = owned_files(prefix, environment, subjects)
    document = {"files": [asdict(one) for one in owned]}
    talk.result((shown(one.path) for one in owned), document)
    return 0


# ----------------------------------------------------------------------------------- owner


def owner(arguments: Sequence[str]) -> int:
    """Name the owners of each PATH; status 1 if one has none."""
    options = _options("owner", owner.__doc__)
    options.add_argument("paths", nargs="+", metavar="PATH", help="in the prefix")
    given = options.parse_args(arguments)
    from sage_pkginstall.reports.owners import find_owners  # noqa: PLC0415

    talk = talk_of("sage-pkginstall owner", given)
    target = target_of(given, talk)
    found = find_owners(target.tree.prefix, target.environment, given.paths)
    colours = colours_of(given)
    document = {"paths": [asdict(one) for one in found]}
    talk.result((_of_path(one, target.tree.prefix, colours) for one in found), document)
    return 0 if all(one.kind == "owned" for one in found) else 1


def _of_path(owned: Owned, prefix: Path, colours: Colours) -> str:
    path = shown(owned.asked)
    if owned.kind == "owned":
        return f"{path}: {', '.join(colours('bold', shown(one)) for one in owned.owners)}"
    reason = {
        "unowned": "unowned: no distribution or package has it",
        "unknown": f"unknown: there is no such file in {prefix}, and nobody owns it",
        "outside": f"outside: it does not lie in {prefix}",
    }[owned.kind]
    return f"{path}: {colours('yellow', reason)}"


# ---------------------------------------------------------------------------------- status


def status(arguments: Sequence[str]) -> int:
    """Tell what changed in the prefix behind our back: by pip, by hand."""
    options = _options("status", status.__doc__)
    given = options.parse_args(arguments)
    from sage_pkginstall.engine.quiet import unfinished  # noqa: PLC0415
    from sage_pkginstall.reports.status import status as status_of  # noqa: PLC0415

    talk = talk_of("sage-pkginstall status", given)
    target = target_of(given, talk)
    talk.warn(unfinished(target.tree))
    found = status_of(target.tree.prefix, target.environment)
    document = {
        "changed": [asdict(one) for one in found.changed],
        "strangers": [asdict(one) for one in found.strangers],
        "files": [asdict(one) for one in found.files],
        "unowned": list(found.unowned),
    }
    talk.result(_of_status(found, colours_of(given)), document)
    return 0


def _of_status(found: Status, colours: Colours) -> Iterator[str]:
    sections: list[tuple[str, Colour, list[tuple[str, ...]]]] = [
        ("Changed by others", "red", [(shown(c.package), shown(c.message)) for c in found.changed]),
        (
            "Files that are not as recorded",
            "red",
            [(shown(c.path), c.kind, f"{shown(c.of)}: {shown(c.detail)}") for c in found.files],
        ),
        (
            "Installed by others, of no package",
            "yellow",
            [(shown(s.name), shown(s.version), shown(s.by) or "?") for s in found.strangers],
        ),
        ("Files that nobody owns", "yellow", [(shown(path),) for path in found.unowned]),
    ]
    told = [section for section in sections if section[2]]
    for title, colour, rows in told:
        yield colours(colour, f"{title}:")
        yield from (f"  {line}" for line in aligned(rows))
    if not told:
        yield colours("green", "nothing changed behind our back")
    elif found.files or found.changed:
        yield colours("dim", "'sage-pkginstall verify --fix' installs again what the store has")


# ------------------------------------------------------------------------------------- log


def log(arguments: Sequence[str]) -> int:
    """Tell of the transactions in the prefix, the latest last."""
    options = _options("log", log.__doc__)
    options.add_argument("names", nargs="*", metavar="NAME", help="of these only (default: all)")
    options.add_argument(
        "-n", "--number", type=int, default=_LATEST, help="how many (default: 20; 0: all)"
    )
    options.add_argument("--file", metavar="FILE", help="a log that lies elsewhere")
    given = options.parse_args(arguments)
    talk = talk_of("sage-pkginstall log", given)
    prefix = target_of(given, talk).tree.prefix
    places = log_files(prefix) if given.file is None else (given_path(given.file, "--file"),)
    known = [t for t in read_transactions(prefix, places) if _is_of(t, given.names)]
    chosen = known[-given.number :] if given.number > 0 else known
    document = {
        "logs": [os.fspath(p) for p in places],
        "transactions": [t._asdict() for t in chosen],
    }
    talk.result(_of_log(chosen, colours_of(given)), document)
    if not chosen:
        talk.say(f"no transaction is known; looked into {', '.join(map(str, places))}")
    return 0


def _is_of(transaction: Transaction, names: Sequence[str]) -> bool:
    """Tell whether a transaction concerned a distribution or package of these names."""
    from sage_pkginstall.wheels.names import canonical_name  # noqa: PLC0415 - if names are given

    if not names:
        return True
    of = {canonical_name(one.partition(" ")[0]) for one in transaction.installed}
    of.update(map(canonical_name, (*transaction.dropped, transaction.package or "")))
    return not of.isdisjoint(map(canonical_name, names))


def _of_log(transactions: Sequence[Transaction], colours: Colours) -> Iterator[str]:
    if not transactions:
        return iter(())
    head = ("when", "user", "took", "waited", "held", "operations", "what")
    rows = [
        (
            _date(t.ended),
            _user(t.uid),
            *map(time_text, (t.took, t.waited, t.held)),
            str(sum((t.operations or {}).values())),
            _what(t, colours),
        )
        for t in transactions
    ]
    return aligned([head, *rows], right=(2, 3, 4, 5))


def _what(transaction: Transaction, colours: Colours) -> str:
    text = shown(transaction.label)
    if transaction.recovered is not None:
        text += colours("yellow", f" (recovered before: {shown(transaction.recovered)})")
    if transaction.result == "failed":
        text += colours("red", f" (failed: {shown(transaction.error)})")
    return text
