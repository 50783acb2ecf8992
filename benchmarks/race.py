"""The race that this project began with: packages that share a file, installed at once.

    python -m benchmarks.race [--rounds N]

In each round, two or eight writers bring a staged ``backports`` package each into one
empty prefix; all of them wait at a gate and are released together.  A round fails if a
writer fails, or if the prefix is not what it should be afterwards.
"""

# ruff: noqa: T201 - a program that prints what it measured

from __future__ import annotations

import argparse
import compileall
import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.trees import tree
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
ROOT = Path(__file__).resolve().parent.parent
INIT = b"__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
GATE = ["sh", "-c", 'echo ready; read -r _; exec "$@"', "sh"]  # opens when the pipe is closed

# The tool waits at the gate with its modules loaded, or starting would spread the writers.
TOOL = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from sage_pkginstall.cli import install, main, merge
from sage_pkginstall.operations import install, merge
print("ready", flush=True)
sys.stdin.read()
sys.exit(main.main(sys.argv[1:]))
"""


@dataclass(frozen=True)
class Way:
    """A way to bring packages in: its name, and the command of one writer."""

    name: str
    command: Callable[[Package], list[str]]
    prefix: Path


@dataclass(frozen=True)
class Package:
    """One distribution of the shared namespace, as staged tree and as wheel."""

    module: str
    staged: Path
    wheel: Path


def main() -> int:
    """Measure each way with two and with eight writers, and print a table."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=50)
    rounds = options.parse_args().rounds
    print(f"{'writers':>7}  {'way':24} {'failed':>6} of {rounds}          first reason")
    with tempfile.TemporaryDirectory() as name:
        for writers in (2, 8):
            packages = list(_packages(Path(name) / str(writers), writers))
            for way in _ways(Path(name) / f"prefix-{writers}"):
                failures = _failures(way, packages, rounds)
                share = f"{100 * len(failures) / rounds:.1f} %"
                reason = failures[0] if failures else ""
                print(f"{writers:7}  {way.name:24} {len(failures):6} {share:>12}   {reason}")
    return 0


def _packages(directory: Path, count: int) -> Iterator[Package]:
    for number in range(count):
        module = f"part{number}"
        files = {
            "backports/__init__.py": INIT,
            f"backports/{module}/__init__.py": f"x = {number}\n".encode(),
        }
        wheel = make_wheel(directory, f"backports.{module}", "1.0", files)
        yield Package(module, _staged(directory / module, wheel), wheel)


def _staged(directory: Path, wheel: Path) -> Path:
    """Return the staged tree that ``pip install --root`` or the like leaves of a wheel."""
    site = directory / "lib" / "python" / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    compileall.compile_dir(site, quiet=2)
    return directory


def _ways(prefix: Path) -> Iterator[Way]:
    yield Way("cp -Rp", lambda p: [*GATE, "cp", "-Rp", f"{p.staged}/.", str(prefix)], prefix)
    pipe = 'tar -cf - -C "$1" . | tar -xpf - -C "$2"'
    yield Way(
        "tar | tar",
        lambda p: [*GATE, "sh", "-c", pipe, "sh", str(p.staged), str(prefix)],
        prefix,
    )
    tool = [sys.executable, "-I", "-c", TOOL]
    yield Way(
        "sage-pkginstall merge",
        lambda p: [*tool, "merge", "--quiet", "--prefix", str(prefix), str(p.staged)],
        prefix,
    )
    environment = prefix.with_name(f"{prefix.name}-venv")
    venv.EnvBuilder(symlinks=True, with_pip=False).create(environment)
    yield Way(
        "sage-pkginstall install",
        lambda p: [*tool, "install", "--quiet", "--prefix", str(environment), str(p.wheel)],
        environment,
    )


def _failures(way: Way, packages: Sequence[Package], rounds: int) -> list[str]:
    """Return a reason for each round that failed."""
    reasons = (_race(way, packages) for _ in range(rounds))
    return [reason for reason in reasons if reason]


def _race(way: Way, packages: Sequence[Package]) -> str:
    """Return why one round failed, or nothing."""
    _empty(way.prefix)
    ended = together([way.command(package) for package in packages])
    failed = [said for status, said in ended if status]
    return failed[0].splitlines()[-1] if failed else _wrong(way.prefix, packages)


def together(commands: Iterable[Sequence[str]]) -> list[tuple[int, str]]:
    """Run commands that wait at the gate, release all of them at once.

    Returns of each its exit status, and what it said on stderr.
    """
    gate, key = os.pipe()
    writers = [_writer(command, gate) for command in commands]
    os.close(gate)
    os.close(key)
    said = [writer.communicate()[1].strip() for writer in writers]
    return [(writer.returncode, text) for writer, text in zip(writers, said, strict=True)]


def _writer(command: Sequence[str], gate: int) -> subprocess.Popen[str]:
    """Start a writer, and return when it waits at the gate."""
    writer = subprocess.Popen(
        command, stdin=gate, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    return writer


def _empty(prefix: Path) -> None:
    """Have an empty site-packages in the prefix, as after the last round's packages are gone."""
    for site in prefix.glob("lib/python*/site-packages"):
        shutil.rmtree(site)
        site.mkdir()
        return
    (prefix / "lib" / "python" / "site-packages").mkdir(parents=True)


def _wrong(prefix: Path, packages: Sequence[Package]) -> str:
    """Return what is wrong with the shared package, or nothing."""
    (site,) = prefix.glob("lib/python*/site-packages")
    wanted = {"__init__.py", *(f"{package.module}/__init__.py" for package in packages)}
    there = {path: data for path, data in tree(site / "backports").items() if path.endswith(".py")}
    if set(there) != wanted:
        return f"missing: {', '.join(sorted(wanted - set(there)))}"
    return "" if there["__init__.py"] == INIT else "backports/__init__.py is damaged"


if __name__ == "__main__":
    sys.exit(main())
