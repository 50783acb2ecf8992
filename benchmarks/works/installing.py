"""Works (a), (b) and (c): wheels into a fresh environment, by one command or by many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks import completeness
from benchmarks.case import Case, Outcome, Work
from benchmarks.measuring import Job
from benchmarks.works.caches import ready
from benchmarks.works.limits import limits
from benchmarks.works.lock import forget_times, logged_times

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.bench import Bench
    from benchmarks.tools import Tool

__all__ = ["Task", "case", "many_processes", "one_command", "singles", "tiny"]


@dataclass(frozen=True)
class Task:
    """Wheels to install: all by one command, or by one each, ``slots`` at once.

    Into a bare environment, or into a copy of a ``template`` that ``change()`` makes of one.
    """

    wheels: tuple[Path, ...]
    one_by_one: bool = False
    slots: int = 1
    slow_rounds: int = 1000  # of slow tools: one, where they take minutes
    template: str = ""
    change: Callable[[], object] | None = None


def singles(bench: Bench) -> tuple[Work, ...]:
    """Return (a): one wheel each."""
    names = {"six": 1000, "sympy": 2, "scipy": 2}
    return tuple(
        _work(bench, f"a-{name}", name, Task((bench.wheels.one(name),), slow_rounds=rounds))
        for name, rounds in names.items()
    )


def one_command(bench: Bench) -> tuple[Work, ...]:
    """Return (b): all pinned wheels, one command."""
    wheels = bench.wheels.real()
    title = f"{len(wheels)} wheels, one command"
    return (_work(bench, "b", title, Task(wheels, slow_rounds=1)),)


def many_processes(bench: Bench) -> tuple[Work, ...]:
    """Return (c): all pinned wheels, each by a process of its own."""
    wheels = bench.wheels.real()
    works = []
    for slots in (1, 2, 8, 32):
        title = f"{len(wheels)} wheels, a process each, {slots} at once"
        task = Task(wheels, one_by_one=True, slots=slots, slow_rounds=1 if slots == 8 else 0)  # noqa: PLR2004
        works.append(_work(bench, f"c-{slots}", title, task))
    return tuple(works)


def tiny(bench: Bench) -> tuple[Work, ...]:
    """Return (c20): twenty tiny wheels, each by a process of its own, eight at once."""
    task = Task(bench.wheels.tiny(20), one_by_one=True, slots=8)
    return (_work(bench, "c20", "20 tiny wheels, a process each, 8 at once", task),)


def case(bench: Bench, tool: Tool, key: str, task: Task) -> Case:
    """Return the case of one tool."""
    cache = bench.places.cache(tool.label, key)
    job = Job(_commands(tool, task), tool.installer.variables(cache), task.slots)

    def prepare() -> None:
        ready(bench, tool, key, job, lambda: bench.fresh(tool, task.template, task.change))
        forget_times(bench.places.transactions)

    def check() -> Outcome:
        found = completeness.check(task.wheels, bench.places.environment, compiled=tool.compiled)
        return Outcome(found, logged_times(bench.places.transactions))

    return Case(tool.label, prepare, job, check, task.slow_rounds if tool.installer.slow else 1000)


def _commands(tool: Tool, task: Task) -> tuple[tuple[str, ...], ...]:
    groups = [(wheel,) for wheel in task.wheels] if task.one_by_one else [task.wheels]
    commands = (tool.installer.install(group, compiled=tool.compiled) for group in groups)
    return tuple(command for group in commands for command in group)


def _work(bench: Bench, key: str, title: str, task: Task) -> Work:
    cases = tuple(case(bench, tool, key, task) for tool in bench.tools)
    bare = () if task.one_by_one else limits(bench, key, task.wheels)
    return Work(key, title, (*cases, *bare))
