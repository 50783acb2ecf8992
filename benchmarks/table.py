"""Tables of figures: for a terminal, and for the manual."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.case import Work
    from benchmarks.figures import Figures

__all__ = ["plain_table"]


def counterpart(tool: str) -> str:
    """Return which of our variants a tool is compared with: the same cache and byte-code."""
    cache = "warm" if "warm" in tool or tool == "cp -al" else "cold"
    return f"ours, {cache}{', no .pyc' if tool.endswith(', no .pyc') or tool == 'unzip' else ''}"


def plain_table(works: Sequence[Work], figures: Figures) -> str:
    """Return a table for a terminal; ratios are ours/other."""
    head = ("work", "tool", "CPU s", "wall s", "MiB", "ours/it CPU", "wall", "rounds")
    lines = ["{:8} {:28} {:>9} {:>9} {:>6} {:>12} {:>8} {:>6}".format(*head)]
    for work in works:
        for tool in figures.tools(work.key):
            ours = (work.key, counterpart(tool))
            cells = [
                _cell(figures.value(work.key, tool, "cpu")),
                _cell(figures.value(work.key, tool, "wall")),
                _cell(figures.value(work.key, tool, "memory"), 0),
                _cell(figures.ratio(ours, (work.key, tool), "cpu")),
                _cell(figures.ratio(ours, (work.key, tool), "wall")),
            ]
            row = "{:>9} {:>9} {:>6} {:>12} {:>8}".format(*cells)
            lines.append(f"{work.key:8} {tool:28} {row} {figures.rounds(work.key, tool):6}")
    return "\n".join(lines)


def _cell(value: float | None, digits: int = 3) -> str:
    return "" if value is None else f"{value:.{digits}f}"
