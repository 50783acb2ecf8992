"""Work (f): ``--version``, nothing to do, ``verify``; each several times over, being short."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.case import Case, Outcome, Work
from benchmarks.measuring import Job
from benchmarks.tools import Ours, Pip, Uv

if TYPE_CHECKING:
    from benchmarks.bench import Bench
    from benchmarks.measuring import Command
    from benchmarks.tools import Tool

__all__ = ["asking"]

_TIMES = 10
_HASHES = 'find "$0" -type f -print0 | xargs -0 sha256sum'


def asking(bench: Bench) -> tuple[Work, ...]:
    """Return the three works, in an environment with all pinned wheels, caches warm."""
    tools = [t for t in bench.tools if t.compiled and t.cache != "cold"]
    tools = [t for t in tools if type(t.installer) in (Ours, Pip, Uv)]
    versions = tuple(_case(bench, t, _version(bench, t) * _TIMES) for t in tools)
    nothing = tuple(
        _case(bench, t, t.installer.uninstall(("not-installed",)) * _TIMES) for t in tools
    )
    return (
        Work("f-version", f"--version, {_TIMES} times", versions),
        Work("f-nothing", f"uninstall what is not installed, {_TIMES} times", nothing),
        Work("f-verify", f"verify {len(bench.wheels.real())} distributions", _verify(bench, tools)),
    )


def _version(bench: Bench, tool: Tool) -> tuple[Command, ...]:
    if isinstance(tool.installer, Pip):
        return ((tool.installer.python, "-m", "pip", "--version"),)
    if isinstance(tool.installer, Uv):
        return ((str(bench.places.programs / "uv"), "--version"),)
    return ((_ours(bench), "--version"),)


def _verify(bench: Bench, tools: list[Tool]) -> tuple[Case, ...]:
    """Return ours, and the least that is needed: all files hashed by one process."""
    ours = [t for t in tools if isinstance(t.installer, Ours)]
    site = bench.places.environment / "lib"
    hashes = ("sh", "-c", _HASHES, str(site))
    cases = [_case(bench, t, ((_ours(bench), "verify"),)) for t in ours]
    cases += [_case(bench, t, (hashes,), "sha256sum of all files") for t in ours]
    return tuple(cases)


def _ours(bench: Bench) -> str:
    return str(bench.places.checkout / "build" / "bin" / "sage-pkginstall")


def _case(bench: Bench, tool: Tool, commands: tuple[Command, ...], name: str = "") -> Case:
    """Return a case in an environment in which ``tool`` has installed all pinned wheels."""
    variables = tool.installer.variables(bench.places.cache(tool.label, "f"))

    def install() -> None:
        bench.run(Job(tool.installer.install(bench.wheels.real(), compiled=True), variables))

    def prepare() -> None:
        bench.fresh(tool, f"{tool.installer.name}-all", install)
        bench.run(Job(tool.installer.acquaint(), variables))

    return Case(name or tool.label, prepare, Job(commands, variables), Outcome)
