"""A bar that counts wheels while they are staged, drawn by rich, and gone afterwards."""

from __future__ import annotations

import contextlib

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from sage_pkginstall.cli.terminal import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["bar"]


@contextlib.contextmanager
def bar(total: int) -> Iterator[Callable[[str], None]]:
    """Show a bar on stderr; the value is to be called with the name of each wheel."""
    columns = (
        TextColumn("staging wheels"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}", markup=False),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as progress:
        task = progress.add_task("", total=total)
        progress.refresh()

        def staged(name: str) -> None:
            progress.update(task, advance=1, description=shown(name), refresh=True)

        yield staged
