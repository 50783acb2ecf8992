"""The goals of speed, and whether a run meets them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.figures import Figures

__all__ = ["GOALS", "Goal", "Verdict", "verdicts"]

_BOTH = ("cpu", "wall")
_WORDS = {"cpu": "CPU", "wall": "wall", "memory": "memory"}
_TINY, _BIG = r"a-six|c20|c-\d+", "a-sympy|a-scipy|b"
_COLD, _WARM, _LINKED = "ours, cold", "ours, warm", "ours, hard links, warm"


@dataclass(frozen=True)
class Goal:
    """``ours`` takes at most ``at_most`` times what ``other`` takes, in works that match."""

    works: str
    ours: str
    other: str
    at_most: float
    metrics: tuple[str, ...] = _BOTH


@dataclass(frozen=True)
class Verdict:
    """A goal in words, what was measured, whether that is good enough."""

    work: str
    goal: str
    measured: str
    met: bool


GOALS = (
    Goal(_TINY, _COLD, "uv, cold", 0.6),
    Goal(_TINY, _COLD, "pip", 0.15),
    Goal(_TINY, _COLD, "the Sage way", 0.1),
    Goal(_BIG, _COLD, "uv, cold", 0.95),
    Goal(_BIG, _COLD, "pip", 0.5, ("wall",)),
    Goal(_BIG, _COLD, "unzip, compile, 2 processes", 1.1),
    Goal(_BIG, _WARM, "uv, warm", 0.1),
    Goal(_BIG, _LINKED, "uv, warm", 0.1),
    Goal(r"c-\d+|c20", _WARM, "uv, warm", 0.5),
    Goal(r"a-.*|b|c.*", f"{_COLD}, no .pyc", "uv, cold, no .pyc", 1.0),
    Goal(r"a-.*|b|c.*", f"{_WARM}, no .pyc", "uv, warm, no .pyc", 3.0),
    Goal(r"a-.*|b|c.*", f"{_LINKED}, no .pyc", "uv, warm, no .pyc", 3.0),
    Goal("d-(upgrade|uninstall)-.*", _COLD, "uv, cold", 1.0),
    Goal("d-(upgrade|uninstall)-.*", _WARM, "uv, warm", 1.0),
    Goal("d-(upgrade|uninstall)-.*", _COLD, "pip", 0.2),
    Goal("e-.*", "ours", "cp -Rp", 0.2),
    Goal("e-.*", "ours", "tar | tar", 0.2),
)
"""Ratios within one work; `verdicts` knows the others, too."""

_FULL, _FEW, _GROWTH = "g-5000", "g-50", 1.3  # distributions installed; per install
_WIDEST, _WIDE, _LINEAR = "g-files-100000", "g-files-10000", 12.0  # ten times the files
_MOST_MEMORY = 100e6 / 2**20  # MiB: 100 MB
_HELD_MEDIAN, _HELD_WORST, _HELD_NAMESPACE = 3.0, 25.0, 50.0  # milliseconds


def verdicts(figures: Figures) -> tuple[Verdict, ...]:
    """Return a verdict for every goal of which both sides were measured."""
    return (*_ratios(figures), *_locks(figures), *_growth(figures))


def _ratios(figures: Figures) -> Iterator[Verdict]:
    for goal in GOALS:
        for work in figures.works():
            if re.fullmatch(goal.works, work):
                one, other = (work, goal.ours), (work, goal.other)
                words = f"{goal.ours} ≤ {goal.at_most:g} of {goal.other}"
                yield from _compared(figures, one, other, _Limit(goal.at_most, words, goal.metrics))


@dataclass(frozen=True)
class _Limit:
    at_most: float
    words: str
    metrics: tuple[str, ...] = _BOTH


def _compared(
    figures: Figures, one: tuple[str, str], other: tuple[str, str], limit: _Limit
) -> Iterator[Verdict]:
    measured = [(metric, figures.ratio(one, other, metric)) for metric in limit.metrics]
    known = [(metric, ratio) for metric, ratio in measured if ratio is not None]
    if known:
        text = ", ".join(f"{_WORDS[metric]} {ratio:.3g}" for metric, ratio in known)
        met = all(ratio <= limit.at_most for _, ratio in known)
        yield Verdict(one[0], limit.words, text, met)


def _locks(figures: Figures) -> Iterator[Verdict]:
    many = [work for work in figures.works() if re.fullmatch(r"c-\d+|c20", work)]
    for tool in (_COLD, _WARM):
        times = [1000 * second for second in figures.seconds(many, (tool,), "held")]
        if times:
            middle, worst = median(times), max(times)
            goal = f"{tool}: lock held, median ≤ {_HELD_MEDIAN:g} ms, worst ≤ {_HELD_WORST:g} ms"
            met = middle <= _HELD_MEDIAN and worst <= _HELD_WORST
            yield Verdict("c", goal, f"median {middle:.2f} ms, worst {worst:.1f} ms", met)
    times = [1000 * second for second in figures.seconds(("h-namespace",), (_COLD,), "held")]
    if times:
        goal = f"{_COLD}: lock held ≤ {_HELD_NAMESPACE:g} ms"
        met = max(times) <= _HELD_NAMESPACE
        yield Verdict("h-namespace", goal, f"worst {max(times):.1f} ms", met)


def _growth(figures: Figures) -> Iterator[Verdict]:
    for tool in (_COLD, _WARM):
        limit = _Limit(_GROWTH, f"{tool} ≤ {_GROWTH:g} of the same with 50 installed")
        yield from _compared(figures, (_FULL, tool), (_FEW, tool), limit)
    limit = _Limit(_LINEAR, f"{_COLD} ≤ {_LINEAR:g} of a tenth of the files")
    yield from _compared(figures, (_WIDEST, _COLD), (_WIDE, _COLD), limit)
    memory = figures.value(_WIDEST, _COLD, "memory")
    if memory is not None:
        met = memory <= _MOST_MEMORY
        yield Verdict(_WIDEST, f"{_COLD}: ≤ 100 MB", f"{memory * 2**20 / 1e6:.0f} MB", met)
