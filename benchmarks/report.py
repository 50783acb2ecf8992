"""The page of the manual: prose that people write, and between two markers the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.picture import picture
from benchmarks.table import figures_table, goals_table, lock_table

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.results import Run

__all__ = ["filled", "write"]

_BEGIN, _END = "<!-- figures: `make bench` writes them -->", "<!-- end of figures -->"
_LETTERS = {
    "a": "(a) One wheel",
    "b": "(b) All wheels, one command",
    "c": "(c) A process for each wheel",
    "d": "(d) Reinstall, upgrade, uninstall",
    "e": "(e) Merging a staged tree",
    "f": "(f) Starting, nothing to do, verifying",
    "g": "(g) Growth",
    "h": "(h) The lock",
}


def write(run: Run, template: Path, page: Path) -> None:
    """Put the figures of a run into ``page``, made from ``template`` if it is not there.

    The picture is written beside it, as ``performance.svg``.
    """
    source = page if page.exists() else template
    page.write_text(filled(source.read_text(encoding="utf-8"), run), encoding="utf-8")
    page.with_name("performance.svg").write_text(picture(run.works, run.figures), encoding="utf-8")


def filled(text: str, run: Run) -> str:
    """Return a page with the figures of ``run`` between its markers."""
    before, _, rest = text.partition(_BEGIN)
    after = rest.partition(_END)[2]
    return f"{before}{_BEGIN}\n\n{_body(run)}\n\n{_END}{after}"


def _body(run: Run) -> str:
    figures = run.figures
    facts = ", ".join(f"{name} {value}" for name, value in run.facts.items())
    parts = [f"Measured with: {facts}.", "### Goals", goals_table(figures)]
    for letter, title in _LETTERS.items():
        works = [work for work in figures.works() if work[0] == letter]
        parts += [f"### {title}"] if works or letter == "h" else []
        for work in works:
            parts += [f"`{work}`: {run.works.get(work, '')}", figures_table(work, figures)]
        if letter == "h":
            parts += ["Milliseconds, from the log of transactions:", lock_table(figures)]
    return "\n\n".join(parts)
