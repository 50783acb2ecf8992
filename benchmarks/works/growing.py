"""Work (g): how the cost of an installation grows, and (h) the lock in a full namespace.

With 50, 500 and 5,000 installed distributions: twenty tiny wheels, eight processes at once.
With 10 to 100,000 files a wheel: that wheel.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.case import Work
from benchmarks.completeness import site_packages
from benchmarks.measuring import Job
from benchmarks.works.installing import Task, case
from benchmarks.works.lock import forget_times

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.bench import Bench
    from benchmarks.case import Case
    from benchmarks.tools import Tool

__all__ = ["full_namespace", "growing"]

_INSTALLED = (50, 500, 5000)
_WIDTHS = (10, 100, 1000, 10_000, 100_000)
_FEW = 3  # rounds, and files of a wheel that slow tools install
_SLOW = 1000


def growing(bench: Bench) -> tuple[Work, ...]:
    """Return the works of (g), byte-compiled."""
    tools = [t for t in bench.tools if t.compiled]
    works = []
    for count in _INSTALLED:
        title = f"20 tiny wheels, {count:,} distributions installed"
        cases = tuple(
            _beside(bench, t, count) for t in tools if t.installer.removes and t.cache != "none"
        )
        works.append(Work(f"g-{count}", title, cases, _FEW))
    for count in _WIDTHS:
        wide = [t for t in tools if t.cache == "cold" or (count <= _SLOW and t.cache == "none")]
        task = Task((bench.wheels.wide(count),), slow_rounds=1)
        cases = tuple(case(bench, t, f"g-files-{count}", task) for t in wide)
        rounds = 1 if count > _SLOW else _FEW
        works.append(Work(f"g-files-{count}", f"a wheel of {count:,} modules", cases, rounds))
    return tuple(works)


def full_namespace(bench: Bench) -> tuple[Work, ...]:
    """Return (h): 1,500 modules into a directory that another distribution has files in."""
    own, other = bench.wheels.namespace("own", 1500), bench.wheels.namespace("other", 20)
    tools = [t for t in bench.tools if t.compiled and t.cache == "cold"]
    cases = []
    for tool in tools:

        def install(tool: Tool = tool) -> None:
            variables = tool.installer.variables(bench.places.cache("scratch", "h"))
            bench.run(Job(tool.installer.install((other,), compiled=True), variables))

        template = f"{tool.installer.name}-namespace"
        task = Task((own,), template=template, change=install)
        cases.append(case(bench, tool, "h-namespace", task))
    return (Work("h-namespace", "1,500 modules into a namespace", tuple(cases)),)


def _beside(bench: Bench, tool: Tool, count: int) -> Case:
    """Return the case of an environment that the tool has worked on before."""

    def install() -> None:
        write_distributions(site_packages(bench.places.environment), count)

    task = Task(
        bench.wheels.tiny(20), one_by_one=True, slots=8, template=f"made-{count}", change=install
    )
    plain = case(bench, tool, f"g-{count}", task)
    before = tool.installer.install(bench.wheels.tiny(21)[20:], compiled=True)

    def prepare() -> None:
        plain.prepare()
        bench.run(Job(before, plain.job.environment))
        forget_times(bench.places.transactions)

    return replace(plain, prepare=prepare)


def write_distributions(site: Path, count: int) -> None:
    """Write ``count`` distributions of one small package each, as pip would leave them."""
    for number in range(count):
        name = f"made{number:05}"
        info = f"{name}-1.0.dist-info"
        files = {
            f"{name}/__init__.py": f"number = {number}\n",
            f"{name}/part.py": '"""A part."""\n',
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/INSTALLER": "pip\n",
        }
        rows = [f"{path},," for path in (*files, f"{info}/RECORD")]
        for path, text in (*files.items(), (f"{info}/RECORD", "\n".join([*rows, ""]))):
            (site / path).parent.mkdir(exist_ok=True)
            (site / path).write_text(text)
