"""The picture beside the tables: processor seconds of the tools, a panel for each work."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.figures import Figures

__all__ = ["picture"]

_WORKS = ("a-six", "c20", "a-sympy", "a-scipy", "b", "c-8")
_TOOLS = (
    "the Sage way",
    "pip",
    "installer",
    "gpep517",
    "uv, cold",
    "ours, cold",
    "uv, warm",
    "ours, warm",
)
_COLUMNS, _WIDTH, _BAR, _LABEL, _LONGEST = 2, 380, 15, 90, 220  # pixels


def picture(works: Mapping[str, str], figures: Figures) -> str:
    """Return an SVG of what was measured of `_WORKS`, byte-compiled; each panel's own scale."""
    shown = [work for work in _WORKS if figures.tools(work)]
    height = _BAR * (len(_TOOLS) + 3)
    rows = -(-len(shown) // _COLUMNS)
    body = [
        _panel(works.get(work, work), _seconds(work, figures), n % _COLUMNS, n // _COLUMNS * height)
        for n, work in enumerate(shown)
    ]
    size = f'width="{_COLUMNS * _WIDTH}" height="{rows * height}"'
    style = "text{font:11px sans-serif;fill:#222}.t{font-weight:bold}.o{fill:#c33}.b{fill:#9ab}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
            f"<style>{style}</style>",
            '<rect width="100%" height="100%" fill="#fff"/>',
            *body,
            "</svg>",
            "",
        ]
    )


def _seconds(work: str, figures: Figures) -> dict[str, float]:
    values = {tool: figures.value(work, tool, "cpu") for tool in _TOOLS}
    return {tool: value for tool, value in values.items() if value is not None}


def _panel(title: str, seconds: Mapping[str, float], column: int, top: int) -> str:
    left = column * _WIDTH
    lines = [f'<text class="t" x="{left + 8}" y="{top + _BAR}">{escape(title)}, CPU seconds</text>']
    longest = max(seconds.values(), default=1.0)
    for number, (tool, value) in enumerate(seconds.items()):
        y, width = top + _BAR * (number + 2) - 6, max(1.0, _LONGEST * value / longest)
        kind = "o" if tool.startswith("ours") else "b"
        start = left + _LABEL
        lines += [
            f'<text x="{start - 5}" y="{y + 10}" text-anchor="end">{escape(tool)}</text>',
            f'<rect class="{kind}" x="{start}" y="{y}" width="{width:.1f}" height="{_BAR - 3}"/>',
            f'<text x="{start + width + 4:.1f}" y="{y + 10}">{value:.3g}</text>',
        ]
    return "\n".join(lines)
