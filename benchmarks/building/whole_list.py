"""The whole list of packages by make, and its Python packages by pip and uv."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

from benchmarks.building.yard import (
    ROOT,
    Usage,
    complain,
    measure,
    median_of,
    processor_seconds,
    uv_build,
    wall_seconds,
    write,
)
from benchmarks.environments import delete_removed, remove
from sage_pkginstall.spkg.package import Package, package_names, read_package
from sage_pkginstall.spkg.rules import PYTHON_TOOLCHAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from benchmarks.building.yard import Yard

__all__ = ["measure_list"]

BUILT = ("normal", "wheel")
FIRST, AGAIN = "make, from nothing", "make again, empty prefix"
PYTHON = "make, Python packages from nothing"
PIP, UV = "pip wheel, pip install", "uv build, uv pip install"
COMPILED = "uv build, uv pip install --compile-bytecode"


def measure_list(yard: Yard, jobs: int, rounds: int, names: list[str], *, only_make: bool) -> None:
    """Measure make with a cold and a warm cache, then pip and uv with the same sources.

    What was there before is moved away, and deleted in the end: for some minutes ext4 makes
    new files slowly where many were deleted.
    """
    packages = [one for one in in_order(names) if one.is_python and one.kind in BUILT]
    fetch_sources(in_order(names))
    goals = [package.name for package in packages]
    found: dict[str, list[Usage]] = {}
    ways: Mapping[str, Callable[[], Usage]] = {
        FIRST: lambda: make_list(yard, jobs, names, keep=False),
        AGAIN: lambda: make_list(yard, jobs, names, keep=True),
        PYTHON: lambda: make_list(yard, jobs, goals, keep=False),
        PIP: lambda: build_list(yard, "pip", packages),
        UV: lambda: build_list(yard, "uv", packages),
        COMPILED: lambda: build_list(yard, "uv", packages, "--compile-bytecode"),
    }
    if only_make:
        ways = {title: ways[title] for title in (FIRST, AGAIN)}
    for _ in range(rounds):
        for title, run in ways.items():
            found.setdefault(title, []).append(run())
            complain(f"{title}: {found[title][-1]}")
    delete_removed(yard.root)
    write(f"\n{len(packages)} Python packages\n\n| | processor, s | wall, s |\n|---|---|---|")
    for title, usages in found.items():
        seconds = [median_of(usages, of) for of in (processor_seconds, wall_seconds)]
        write(f"| {title} | {seconds[0]:.1f} | {seconds[1]:.1f} |")
    write("\n| | processor | wall | goal |\n|---|---|---|---|")
    goals_of = (
        (AGAIN, FIRST, 0.05),
        (PYTHON, PIP, 0.5),
        (PYTHON, UV, 1.0),
        (PYTHON, COMPILED, 1.0),
    )
    for title, other, goal in goals_of:
        if title not in found:
            continue
        ratios = [
            median_of(found[title], of) / median_of(found[other], of)
            for of in (processor_seconds, wall_seconds)
        ]
        write(f"| {title} / {other} | {ratios[0]:.3f} | {ratios[1]:.3f} | at most {goal} |")


def fetch_sources(packages: Iterable[Package]) -> None:
    """Have all sources in upstream/: downloads are not what is measured."""
    for package in packages:
        files = [ROOT / "upstream" / tarball.filename for tarball in package.tarballs]
        if package.kind in BUILT and not any(path.exists() for path in files):
            tool = os.fspath(ROOT / "build" / "bin" / "sage-spkg")
            command = [tool, "-d", "-o", package.name]
            subprocess.run(command, env={**os.environ, "SAGE_ROOT": os.fspath(ROOT)}, check=False)


def make_list(yard: Yard, jobs: int, goals: list[str], *, keep: bool) -> Usage:
    """Make ``goals``, or all, in an empty prefix; ``keep`` the cache of the time before."""
    remove(yard.root / "local")
    if not keep:
        remove(yard.root / "list cache")
    given = {name: value for name, value in os.environ.items() if not name.startswith("SAGE_")}
    environment = {
        **given,
        "SAGE_LOCAL": os.fspath(yard.root / "local"),
        "SAGE_LOGS": os.fspath(yard.root / "logs"),
        "SAGE_PKGINSTALL_CACHE": os.fspath(yard.root / "list cache"),
        "SAGE_PKGINSTALL_BUILT": "packages",
    }
    try:
        return measure(["make", f"-j{jobs}", *goals], ROOT, environment)
    except subprocess.CalledProcessError as error:
        complain(error.output)
        raise


def build_list(yard: Yard, tool: str, packages: Iterable[Package], *options: str) -> Usage:
    """Build and install ``packages`` one after another with ``tool``; say which fail.

    ``options`` are those of its install command.
    """
    target, store = yard.root / f"target-{tool}", yard.root / f"store-{tool}"
    for directory in (target, store, yard.root / "uv of list"):
        remove(directory)
    subprocess.run([sys.executable, "-m", "venv", target], check=True)
    store.mkdir()
    environment = {
        **yard.environment(),
        "PIP_FIND_LINKS": os.fspath(store),
        "UV_PYTHON": os.fspath(target),
        "UV_CACHE_DIR": os.fspath(yard.root / "uv of list"),
    }
    cpu = wall = 0.0
    for package in packages:
        source = unpacked_source(package, yard.root / "work" / "list")
        if source is None:
            continue
        try:
            build, install = list_commands(tool, target, store, source)
            commands = [build, [*install, *options]]
            used = [measure(one, yard.root / "work" / "list", environment) for one in commands]
        except subprocess.CalledProcessError as error:
            complain(f"{tool}: {package.name}: {str(error.output)[-200:]}")
            continue
        cpu += sum(usage.cpu for usage in used)
        wall += sum(usage.wall for usage in used)
    return Usage(cpu, wall)


def list_commands(tool: str, target: Path, store: Path, source: Path) -> list[list[str | Path]]:
    """Return how ``tool`` builds a source (or takes a wheel) and installs it."""
    name = source.name.partition("-")[0]
    pip: list[str | Path] = [target / "bin" / "python", "-m", "pip"]
    build: list[str | Path]
    if source.suffix == ".whl":
        build = ["cp", source, store]
    elif tool == "pip":
        build = [*pip, "wheel", "--no-deps", "--wheel-dir", store, source]
    else:
        build = [*uv_build(store), "--out-dir", store, source]
    install: list[str | Path] = ["uv", "pip", "install", "--python", target, "--no-deps"]
    install += ["--reinstall", "--no-index", "--find-links", store]
    if tool == "pip":
        install = [*pip, "install", "--no-deps", "--force-reinstall"]
    return [build, [*install, name]]


def in_order(wanted: list[str]) -> list[Package]:
    """Return the packages ``wanted``, or all, each after those that it depends on."""
    names = package_names(ROOT / "build" / "pkgs")
    packages = {name: read_package(ROOT / "build" / "pkgs" / name) for name in names}
    order: dict[str, Package] = {}

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in order or name in above or name not in packages:
            return
        needs = packages[name].dependencies
        for other in (*needs.normal, *needs.order_only, *needs.build):
            visit(other, (*above, name))
        order[name] = packages[name]

    standard = [name for name in names if packages[name].type == "standard"]
    for name in (*PYTHON_TOOLCHAIN, *(wanted or standard)):
        visit(name, ())
    return list(order.values())


def unpacked_source(package: Package, directory: Path) -> Path | None:
    """Return the package's patched source in ``directory``, or its wheel; None without file."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    files = (ROOT / "upstream" / tarball.filename for tarball in package.tarballs)
    found = [path for path in files if path.exists()]
    wheels = [path for path in found if path.suffix == ".whl"]
    if wheels or not found:
        fitting = [path for path in wheels if "any" in path.stem or os.uname().machine in path.stem]
        return fitting[0] if fitting else None
    with tarfile.open(found[0]) as tar:
        tar.extractall(directory, filter="data")
    (source,) = directory.iterdir()
    for patch in package.patches:
        subprocess.run(
            ["patch", "-p1", "--quiet", "-i", patch],  # noqa: S607 -- as sage-spkg finds it
            cwd=source,
            check=True,
        )
    return source
