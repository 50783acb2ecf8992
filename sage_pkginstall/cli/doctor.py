"""``doctor``."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict

from sage_pkginstall.cli.parser import parser
from sage_pkginstall.cli.target import add_options, talk_of, target_of
from sage_pkginstall.cli.terminal import add_colour, colours_of, shown
from sage_pkginstall.reports.doctor import examine
from sage_pkginstall.reports.finding import Examination

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sage_pkginstall.cli.terminal import Colour, Colours
    from sage_pkginstall.reports.finding import Finding

__all__ = ["doctor"]

_COLOURS: dict[str, Colour] = {"ok": "green", "warning": "yellow", "error": "red"}
_WIDTH = 14


def doctor(arguments: Sequence[str]) -> int:
    """Tell what is wrong with this machine or prefix, and what to do; status 1 for errors."""
    options = parser("sage-pkginstall doctor", doctor.__doc__ or "")
    add_options(options, changes=False)
    add_colour(options)
    given = options.parse_args(arguments)
    talk = talk_of("sage-pkginstall doctor", given)
    target = target_of(given, talk)
    examination = Examination(target.tree, target.environment, os.environ, shutil.which)
    findings = tuple(examine(examination))
    told = [one for one in findings if one.level != "ok" or not talk.quiet]
    document = {"findings": [asdict(one) for one in findings]}
    talk.result(_lines(told, colours_of(given)), document)
    return 1 if any(one.level == "error" for one in findings) else 0


def _lines(findings: Sequence[Finding], colours: Colours) -> Iterator[str]:
    for one in findings:
        level = colours(_COLOURS[one.level], f"{one.level:7}")
        yield f"{level}  {one.check:{_WIDTH}}{shown(one.text)}"
        if one.remedy:
            yield " " * (_WIDTH + 9) + colours("dim", f"-> {shown(one.remedy)}")
