"""Work (h): how long the lock was waited for and held, from the log of transactions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["forget_times", "logged_times"]


def forget_times(directory: Path) -> None:
    """Remove what was logged."""
    for path in directory.glob("transactions.jsonl*"):
        path.unlink()


def logged_times(directory: Path) -> dict[str, list[float]]:
    """Return seconds by "held" and "waited", one of each for each transaction logged."""
    times: dict[str, list[float]] = {}
    for path in sorted(directory.glob("transactions.jsonl*")):
        for line in path.read_text().splitlines():
            transaction = json.loads(line)
            for name in ("held", "waited"):
                times.setdefault(name, []).append(transaction[name])
    return times
