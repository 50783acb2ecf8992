"""What a backend's build costs here, beside the bare backend, uv, pip and build."""

from __future__ import annotations

import shutil
import statistics
from typing import TYPE_CHECKING

from benchmarks.building.projects import BACKENDS, make_project
from benchmarks.building.yard import (
    ROOT,
    Usage,
    measure,
    median_of,
    processor_seconds,
    uv_build,
    wall_seconds,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TypeAlias

    from benchmarks.building.yard import Yard

    Found: TypeAlias = dict[tuple[str, str], list[Usage]]
    """What each way took with each backend, round after round."""

__all__ = ["measure_backends"]

_OTHERS = ("uv build", "pip wheel", "build")
HOOKS = """import importlib, sys
_, name, hooks, directory = sys.argv
backend = importlib.import_module(name)
if "requires" in hooks:
    getattr(backend, "get_requires_for_build_wheel", lambda: ())()
if "build" in hooks:
    backend.build_wheel(directory)
"""


def contenders(yard: Yard, backend: str, number: int) -> dict[str, list[list[str | Path]]]:
    """Return the commands of each way to build the project in the current directory.

    The variable ROUND, which counts for a wheel as all do, makes it a new one in each round.
    """
    python = yard.tools / "bin" / "python"
    binaries = yard.bare(backend) / "bin"
    path = f"PATH={binaries}:{yard.environment()['PATH']}"
    bare: list[str | Path] = ["env", path, binaries / "python", "-c", HOOKS, BACKENDS[backend][0]]
    here: list[str | Path] = [
        "env", f"ROUND={number}", ROOT / "build" / "bin" / "sage-pkginstall", "build",
        "--build-isolation", "--prefix", yard.target, "--store", yard.store,
        "--quiet", "--wheel-dir", "../out", "--log", "../log.txt",
    ]  # fmt: skip
    pip: list[str | Path] = [yard.target / "bin" / "python", "-m", "pip", "wheel", "--no-deps"]
    return {
        "bare": [[*bare, "requires build", "../out"]],
        "bare, 2": [[*bare, "requires", "../out"], [*bare, "build", "../out"]],
        "here": [[*here, "."]],
        "again": [[*here, "."]],
        "uv build": [[*uv_build(yard.store), "--out-dir", "../out", "."]],
        "pip wheel": [[*pip, "--wheel-dir", "../out", "."]],
        "build": [[python, "-m", "build", "--wheel", "--outdir", "../out", "."]],
    }


def measure_backends(yard: Yard, rounds: int, only: str | None) -> None:
    """Measure all ways for all backends, and print a table for processor and wall time."""
    found: Found = {}
    shutil.rmtree(yard.root / "cache" / "built", ignore_errors=True)
    shutil.rmtree(yard.root / "cache" / "asked", ignore_errors=True)
    names = [name for name in BACKENDS if only in (None, name)]
    for number in range(rounds + 1):  # the first fills the caches
        for backend in names:
            for way, commands in contenders(yard, backend, number).items():
                usage = build_once(yard, backend, commands)
                if number:
                    found.setdefault((backend, way), []).append(usage)
    ways = list(contenders(yard, names[0], 0))
    for title, of in (("processor", processor_seconds), ("wall", wall_seconds)):
        write(f"\n| {title}, s | {' | '.join(ways)} | above bare | above bare, 2 |")
        write("|---" * (len(ways) + 3) + "|")
        for backend in names:
            cells = [median_of(found[backend, way], of) for way in ways]
            cells += [_above(found, backend, way, of) for way in ("bare", "bare, 2")]
            write(f"| {backend} | {' | '.join(f'{cell:.2f}' for cell in cells)} |")
        write(f"\n| {title}, added to bare | {' | '.join(f'of {way}' for way in _OTHERS)} |")
        write("|---" * (len(_OTHERS) + 1) + "|")
        for backend in names:
            shares = [_share(found, backend, way, of) for way in _OTHERS]
            write(f"| {backend} | {' | '.join(f'{share:.2f}' for share in shares)} |")


def _above(found: Found, backend: str, way: str, of: Callable[[Usage], float]) -> float:
    """Return by how much ours is above ``way``: the median of the differences in one round."""
    pairs = zip(found[backend, "here"], found[backend, way], strict=True)
    return statistics.median(of(here) - of(other) for here, other in pairs)


def _share(found: Found, backend: str, way: str, of: Callable[[Usage], float]) -> float:
    """Return what ours adds to the bare backend, as a part of what ``way`` adds to it."""
    rounds = zip(*(found[backend, one] for one in ("here", way, "bare")), strict=True)
    return statistics.median(
        (of(here) - of(bare)) / (of(other) - of(bare)) for here, other, bare in rounds
    )


def build_once(yard: Yard, backend: str, commands: list[list[str | Path]]) -> Usage:
    """Build a fresh copy of the project; return what that took."""
    source = make_project(yard.root / "work" / "ten", backend)
    out = yard.root / "work" / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    used = [measure(command, source, yard.environment()) for command in commands]
    return Usage(sum(one.cpu for one in used), sum(one.wall for one in used))
