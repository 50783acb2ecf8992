"""``cache`` and ``why-rebuilt``: what is kept of builds, and what is known of them."""

from __future__ import annotations

import os
import time

from sage_pkginstall.cli.parser import parser
from sage_pkginstall.cli.target import Talk
from sage_pkginstall.cli.terminal import aligned, shown, size_text
from sage_pkginstall.errors import UsageError
from sage_pkginstall.user_cache import cache_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from sage_pkginstall.builds.last_builds import LastBuild, Subject

__all__ = ["cache", "why_rebuilt"]

_DAYS = 30.0
_SHOWN = 20


def cache(arguments: Sequence[str]) -> int:
    """Tell where the cache is and what is in it, or delete what was not used for long."""
    options = parser("sage-pkginstall cache", cache.__doc__ or "")
    options.add_argument("action", choices=("info", "dir", "prune"), help="what to do")
    options.add_argument("--days", type=float, default=_DAYS, help="prune: unused for so long")
    _add_output(options)
    given = options.parse_args(arguments)
    if not given.days >= 0:  # nan, too
        raise UsageError(f"cannot prune what was not used for {given.days} days: that is no time")
    talk = Talk("sage-pkginstall cache", quiet=given.quiet, as_json=given.json)
    if given.action == "dir":
        where = os.fspath(cache_directory())
        talk.result([where], {"directory": where})
    elif given.action == "info":
        _tell_info(talk)
    else:
        _prune(talk, given.days)
    return 0


def _tell_info(talk: Talk) -> None:
    from sage_pkginstall.builds.prune import kinds  # noqa: PLC0415

    where = cache_directory()
    found = kinds(where)
    rows = [(kind.name, f"{kind.entries:,}", size_text(kind.bytes)) for kind in found]
    document = {kind.name: {"entries": kind.entries, "bytes": kind.bytes} for kind in found}
    lines = [os.fspath(where), *aligned(rows, right=(1, 2))]
    talk.result(lines, {"directory": os.fspath(where), "kinds": document})


def _prune(talk: Talk, days: float) -> None:
    from sage_pkginstall.builds.prune import prune  # noqa: PLC0415

    pruned = prune(cache_directory(), days, time.time())
    held = f"; {len(pruned.held)} are in use and stay" if pruned.held else ""
    line = f"deleted {len(pruned.entries)} entries, {size_text(pruned.bytes)}{held}"
    document = {
        "deleted": [os.fspath(path) for path in pruned.entries],
        "bytes": pruned.bytes,
        "held": [os.fspath(path) for path in pruned.held],
    }
    talk.result([line], document)


def why_rebuilt(arguments: Sequence[str]) -> int:
    """Tell what changed since the wheel of the package or source NAME was built before."""
    options = parser("sage-pkginstall why-rebuilt", why_rebuilt.__doc__ or "")
    options.add_argument("name", metavar="NAME", help="a package, or a source")
    options.add_argument("--all", action="store_true", help="name all that changed")
    _add_output(options)
    given = options.parse_args(arguments)
    from sage_pkginstall.builds.last_builds import known_builds  # noqa: PLC0415

    found = known_builds(cache_directory(), given.name)
    if not found:
        reason = f"{cache_directory()} knows of no build of it; name the package, or the source"
        raise UsageError(f"cannot tell why {given.name} was built: {reason}")
    subject, builds = next(iter(found.items()))
    talk = Talk("sage-pkginstall why-rebuilt", quiet=given.quiet, as_json=given.json)
    changes = list(_changes(builds))
    told = changes if given.all else changes[:_SHOWN]
    more = [f"  and {len(changes) - len(told)} more (--all)"] if len(changes) > len(told) else []
    lines = map(shown, [_verdict(subject, builds), *(f"  {line}" for line in told), *more])
    document = {"name": subject.name, "place": subject.place, "when": builds[0].when,
                "wheel": builds[0].wheel, "taken": builds[0].taken,
                "reason": builds[0].reason, "changes": changes}  # fmt: skip
    talk.result(lines, document)
    return 0


def _verdict(subject: Subject, builds: Sequence[LastBuild]) -> str:
    newest = builds[0]
    what = f"{newest.wheel} ({subject.place})"
    if newest.taken:
        return f"{what} was taken from the cache, {newest.when}"
    if not newest.is_known:
        return f"{what} was built, {newest.when}, without looking into the cache: {newest.reason}"
    if newest.reason:
        return f"{what} was built again, {newest.when}, because that was asked for: {newest.reason}"
    if len(builds) == 1:
        return f"{what} was built, {newest.when}: no build before that is known"
    if newest.inputs == builds[1].inputs:
        reason = "nothing changed, but its entry in the cache was pruned, damaged, or never kept"
        return f"{what} was built again, {newest.when}: {reason}"
    return f"{what} was built again, {newest.when}, because of"


def _changes(builds: Sequence[LastBuild]) -> Iterator[str]:
    from sage_pkginstall.builds.inputs import differences  # noqa: PLC0415

    if len(builds) > 1 and builds[0].is_known:
        yield from differences(builds[1].inputs, builds[0].inputs)


def _add_output(options: argparse.ArgumentParser) -> None:
    options.add_argument("--json", action="store_true", help="print the result as JSON")
    options.add_argument("-q", "--quiet", action="store_true", help="say only what went wrong")
