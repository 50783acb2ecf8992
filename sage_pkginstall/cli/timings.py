"""``timings``: a page that shows where the time of a build went."""

from __future__ import annotations

import os

from sage_pkginstall.cli.output import write_output
from sage_pkginstall.cli.parser import parser
from sage_pkginstall.cli.paths import given_path
from sage_pkginstall.cli.target import Talk
from sage_pkginstall.operations.events import logs_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["timings"]


def timings(arguments: Sequence[str]) -> int:
    """Write a page in HTML that shows where the time of the last build went.

    It needs no network: timeline by job slot and package, critical path, slowest packages,
    waits for the lock, what came from the cache.
    """
    options = parser("sage-pkginstall timings", timings.__doc__ or "")
    options.add_argument(
        "-o", "--output", metavar="FILE", help="the page (default: $SAGE_LOGS/timings.html)"
    )
    options.add_argument(
        "--events", metavar="FILE", help="the events of another build, in $SAGE_LOGS/builds"
    )
    options.add_argument("--json", action="store_true", help="print the numbers, write no page")
    given = options.parse_args(arguments)
    from sage_pkginstall.reports.timings import (  # noqa: PLC0415
        document_of,
        find_run,
        page_of,
        timings_of,
    )

    logs = logs_directory(os.environ)
    run = find_run(logs, None if given.events is None else given_path(given.events, "--events"))
    document = document_of(timings_of(run))
    talk = Talk("sage-pkginstall timings", as_json=given.json)
    page = logs / "timings.html"
    output = page if given.output is None else given_path(given.output, "--output")
    if not given.json:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_output(output, page_of(document))
    talk.result([os.fspath(output)], document)
    return 0
