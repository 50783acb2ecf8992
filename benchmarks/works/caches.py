"""Caches as a tool is to find them: empty, or filled by the same work done before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.environments import remove
from benchmarks.measuring import Job

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.bench import Bench
    from benchmarks.tools import Tool

__all__ = ["ready"]


def ready(bench: Bench, tool: Tool, key: str, job: Job, fresh: Callable[[], object]) -> None:
    """Have a fresh environment, and the cache of ``tool`` for work ``key`` as it is to be.

    A warm cache knows the new environment, too, as it would if this were an old one.
    """
    cache = bench.places.cache(tool.label, key)
    if tool.cache == "cold":
        remove(cache)
    elif tool.cache == "warm" and not cache.exists():
        fresh()
        bench.run(job)
    fresh()
    if tool.cache == "warm":
        bench.run(Job(tool.installer.acquaint(), job.environment))
