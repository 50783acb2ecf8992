"""``make-rules``: make rules for the package directories."""

from __future__ import annotations

import os
import time
from pathlib import Path

from sage_pkginstall.cli.output import write_output
from sage_pkginstall.cli.parser import parser
from sage_pkginstall.cli.paths import given_path
from sage_pkginstall.cli.terminal import shown, tell
from sage_pkginstall.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["make_rules"]


def make_rules(arguments: Sequence[str]) -> int:
    """Write make rules for the package directories, as build/make/Makefile includes them."""
    options = parser("sage-pkginstall make-rules", make_rules.__doc__ or "")
    options.add_argument("--packages", metavar="DIR", help="default: $SAGE_ROOT/build/pkgs")
    options.add_argument("-o", "--output", metavar="FILE", help="default: standard output")
    given = options.parse_args(arguments)
    from sage_pkginstall.spkg import rules  # noqa: PLC0415

    began = time.time_ns()
    made = rules.make_rules(_packages(given.packages))
    for warning in made.warnings:
        tell(f"Warning: {shown(warning)}")
    if given.output is None:
        print(made.text, end="")
    else:
        # As old as what was read for it: a change since then makes it anew.
        write_output(given_path(given.output, "--output"), made.text, time_ns=began)
    return 0


def _packages(given: str | None) -> Path:
    root = os.environ.get("SAGE_ROOT")
    if given is None and not root:
        raise UsageError("cannot find the package directories: give --packages, or set SAGE_ROOT")
    path = Path(root or "", "build", "pkgs") if given is None else Path(given)
    if not path.is_dir():
        raise UsageError(f"cannot read package directories in {path}: there is no such directory")
    return path
