"""Work (d): reinstall, upgrade and uninstall one distribution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from zlib import crc32

from benchmarks import completeness
from benchmarks.case import Case, Outcome, Work
from benchmarks.measuring import Job
from benchmarks.works.caches import ready
from benchmarks.works.lock import forget_times, logged_times

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.bench import Bench
    from benchmarks.measuring import Command
    from benchmarks.tools import Tool

__all__ = ["changes"]

_NAMES = ("six", "sympy", "scipy")


@dataclass(frozen=True)
class _Change:
    """What is installed before, and the command that changes it."""

    before: Path
    command: tuple[Command, ...]


def changes(bench: Bench) -> tuple[Work, ...]:
    """Return a work for each distribution and change, byte-compiled."""
    kinds = {"reinstall": _reinstall, "upgrade": _upgrade, "uninstall": _uninstall}
    works = []
    for name in _NAMES:
        for kind, make in kinds.items():
            tools = [t for t in bench.tools if t.compiled and t.installer.removes]
            cases = tuple(make(bench, tool, name) for tool in tools)
            works.append(Work(f"d-{kind}-{name}", f"{kind} {name}", cases))
    return tuple(works)


def _reinstall(bench: Bench, tool: Tool, name: str) -> Case:
    wheel = bench.wheels.one(name)
    command = tool.installer.reinstall((wheel,), compiled=True)
    return _case(bench, tool, _Change(wheel, command), _installed(bench, wheel, wheel))


def _upgrade(bench: Bench, tool: Tool, name: str) -> Case:
    wheel, former = bench.wheels.one(name), bench.wheels.former(name)
    command = tool.installer.install((wheel,), compiled=True)
    return _case(bench, tool, _Change(former, command), _installed(bench, wheel, former))


def _uninstall(bench: Bench, tool: Tool, name: str) -> Case:
    wheel = bench.wheels.one(name)

    def check() -> Outcome:
        found = completeness.absent((wheel,), bench.places.environment)
        return Outcome(found, logged_times(bench.places.transactions))

    return _case(bench, tool, _Change(wheel, tool.installer.uninstall((name,))), check)


def _case(bench: Bench, tool: Tool, change: _Change, check: Callable[[], Outcome]) -> Case:
    """Return the case that begins with ``change.before`` installed, by the same tool."""
    before = change.before
    template = f"{tool.installer.name}-{before.stem}".replace(" ", "-")
    key = f"d-{crc32(repr(change).encode()):08x}"
    job = Job(change.command, tool.installer.variables(bench.places.cache(tool.label, key)))

    def install() -> None:
        words = tool.installer.install((before,), compiled=True)
        variables = tool.installer.variables(bench.places.cache("scratch", template))
        bench.run(Job(words, variables))

    def prepare() -> None:
        ready(bench, tool, key, job, lambda: bench.fresh(tool, template, install))
        forget_times(bench.places.transactions)

    return Case(tool.label, prepare, job, check, 2 if tool.installer.slow else 1000)


def _installed(bench: Bench, wheel: Path, former: Path) -> Callable[[], Outcome]:
    """Return a check that the new version is there, and nothing that only the old one has."""

    def check() -> Outcome:
        target = bench.places.environment
        found = completeness.check((wheel,), target, compiled=True)
        if former != wheel:
            completeness.absent((former,), target, but=(wheel,))
        return Outcome(found, logged_times(bench.places.transactions))

    return check
