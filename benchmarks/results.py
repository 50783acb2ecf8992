"""Raw results on disk: a line of JSON with the facts of the run, then one for each result.

{"facts": {"Python": "3.13.1", ...}, "works": {"a-six": "six", ...}}
{"work": "a-six", "tool": "pip", "round": 0, "usage": {...}, ...}
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmarks.figures import Figures, Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

__all__ = ["Run", "append", "begin", "read"]


@dataclass(frozen=True)
class Run:
    """Results, with the facts of the machine and the titles of the works."""

    facts: Mapping[str, str]
    works: Mapping[str, str]
    results: tuple[Result, ...]

    @property
    def figures(self) -> Figures:
        """Medians and ratios."""
        return Figures(self.results)


def begin(path: Path, facts: Mapping[str, str], works: Mapping[str, str]) -> None:
    """Begin a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"facts": facts, "works": works}) + "\n")


def append(path: Path, result: Result) -> None:
    """Add a result to a file."""
    with path.open("a") as file:
        file.write(json.dumps(result.document()) + "\n")


def read(paths: Sequence[Path]) -> Run:
    """Return all that the files have; rounds of different files are different rounds."""
    facts: dict[str, str] = {}
    works: dict[str, str] = {}
    results: list[Result] = []
    for number, path in enumerate(paths):
        head, *lines = path.read_text().splitlines()
        document = json.loads(head)
        facts.update(document["facts"])
        works.update(document["works"])
        results += _of_run(number, lines)
    return Run(facts, works, tuple(results))


def _of_run(number: int, lines: Iterable[str]) -> list[Result]:
    found = [Result.of_document(json.loads(line)) for line in lines]
    return [replace(result, round=1000 * number + result.round) for result in found]
