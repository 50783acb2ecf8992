"""Tables of figures: for a terminal, and for the manual.  Ratios are ours/other."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from benchmarks.goals import verdicts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from benchmarks.figures import Figures

__all__ = ["counterpart", "figures_table", "goals_table", "lock_table", "plain_table"]

_HEAD = ("tool", "CPU s", "wall s", "MiB", "ours/it CPU", "ours/it wall", "files", ".pyc", "rounds")


def counterpart(tool: str) -> str:
    """Return which of our variants a tool is compared with: the same cache and byte-code."""
    if tool in {"cp -Rp", "tar | tar", "ours"}:
        return "ours"
    cache = "warm" if "warm" in tool or tool in {"cp -al", "sha256sum of all files"} else "cold"
    return f"ours, {cache}{', no .pyc' if tool.endswith(', no .pyc') or tool == 'unzip' else ''}"


def plain_table(works: Mapping[str, str], figures: Figures) -> str:
    """Return tables for a terminal, one for each work."""
    lines = []
    for work in figures.works():
        lines.append(f"{work}: {works.get(work, '')}")
        rows = [_HEAD, *_rows(work, figures)]
        lines += [
            "  {:28} {:>9} {:>9} {:>6} {:>12} {:>12} {:>7} {:>7} {:>6}".format(*r) for r in rows
        ]
    for verdict in verdicts(figures):
        met = "met   " if verdict.met else "MISSED"
        lines.append(f"{met} {verdict.work:20} {verdict.goal}: {verdict.measured}")
    return "\n".join(lines)


def goals_table(figures: Figures) -> str:
    """Return the goals as a Markdown table, the missed ones in bold."""
    rows = [(v.work, v.goal, v.measured, "yes" if v.met else "**no**") for v in verdicts(figures)]
    return markdown(("work", "goal", "measured", "met"), rows)


def figures_table(work: str, figures: Figures) -> str:
    """Return the medians of a work as a Markdown table."""
    return markdown(_HEAD, _rows(work, figures), right=1)


def lock_table(figures: Figures) -> str:
    """Return held and waited of each work that was logged, in milliseconds, as Markdown."""
    rows = []
    for work in figures.works():
        for tool in figures.tools(work):
            held = [1000 * s for s in figures.seconds((work,), (tool,), "held")]
            waited = [1000 * s for s in figures.seconds((work,), (tool,), "waited")]
            if held:
                cells = (f"{f(v):.2f}" for v in (held, waited) for f in (median, max))
                rows.append((work, tool, str(len(held)), *cells))
    head = ("work", "tool", "transactions", "held: median", "worst", "waited: median", "worst")
    return markdown(head, rows, right=2)


def markdown(head: tuple[str, ...], rows: Iterable[tuple[str, ...]], right: int = 99) -> str:
    """Return a Markdown table, columns from ``right`` on aligned to the right."""
    rule = ["---:" if column >= right else "---" for column in range(len(head))]
    lines = [head, rule, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _rows(work: str, figures: Figures) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for tool in figures.tools(work):
        ours, it, found = (work, counterpart(tool)), (work, tool), figures.found(work, tool)
        same = tool.startswith("ours")
        rows.append(
            (
                tool,
                _cell(figures.value(work, tool, "cpu")),
                _cell(figures.value(work, tool, "wall")),
                _cell(figures.value(work, tool, "memory"), 0),
                "" if same else _cell(figures.ratio(ours, it, "cpu")),
                "" if same else _cell(figures.ratio(ours, it, "wall")),
                str(found.files or ""),
                str(found.compiled or ""),
                str(figures.rounds(work, tool)),
            )
        )
    return rows


def _cell(value: float | None, digits: int = 3) -> str:
    return "" if value is None else f"{value:.{digits}f}"
