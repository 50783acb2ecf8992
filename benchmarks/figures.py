"""Medians of rounds, and ratios of what was measured in the same round."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.completeness import NOTHING, Found
from benchmarks.measuring import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Figures", "Result"]


@dataclass(frozen=True)
class Result:
    """One measurement."""

    work: str
    tool: str
    round: int
    usage: Usage
    found: Found = NOTHING
    seconds: Mapping[str, list[float]] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return what `of_document` reads."""
        return asdict(self)

    @staticmethod
    def of_document(document: Mapping[str, Any]) -> Result:
        """Return the result that `document` wrote."""
        usage, found = Usage(**document["usage"]), Found(**document["found"])
        return Result(**{**document, "usage": usage, "found": found})


class Figures:
    """All results of a run, by work and tool.  A metric is a field of `Usage`."""

    def __init__(self, results: Iterable[Result]) -> None:
        self._results: dict[tuple[str, str], dict[int, Result]] = defaultdict(dict)
        for result in results:
            self._results[result.work, result.tool][result.round] = result

    def works(self) -> tuple[str, ...]:
        """Return the works that were measured, in their order."""
        return tuple(dict.fromkeys(work for work, _ in self._results))

    def tools(self, work: str) -> tuple[str, ...]:
        """Return the tools that did a work."""
        return tuple(tool for other, tool in self._results if other == work)

    def rounds(self, work: str, tool: str) -> int:
        """Return how often a tool did a work."""
        return len(self._results.get((work, tool), {}))

    def value(self, work: str, tool: str, metric: str) -> float | None:
        """Return the median, None without any result."""
        rounds = self._results.get((work, tool), {})
        return median(getattr(r.usage, metric) for r in rounds.values()) if rounds else None

    def ratio(self, one: tuple[str, str], other: tuple[str, str], metric: str) -> float | None:
        """Return the median of one/other, each of (work, tool), over their common rounds.

        The machine's speed drifts: only what was measured one after the other compares.
        """
        ours, theirs = self._results.get(one, {}), self._results.get(other, {})
        ratios = [
            getattr(ours[n].usage, metric) / below
            for n in ours.keys() & theirs.keys()
            if (below := getattr(theirs[n].usage, metric)) > 0
        ]
        return median(ratios) if ratios else None

    def seconds(self, works: Iterable[str], tools: Iterable[str], name: str) -> list[float]:
        """Return all values of other figures, over all rounds, in seconds."""
        wanted = {(work, tool) for work in works for tool in tools}
        found = [rounds for key, rounds in self._results.items() if key in wanted]
        return [v for rounds in found for r in rounds.values() for v in r.seconds.get(name, ())]

    def found(self, work: str, tool: str) -> Found:
        """Return what was found after the last round."""
        rounds = self._results.get((work, tool), {})
        return rounds[max(rounds)].found if rounds else NOTHING
