"""Readers: fresh interpreters that import a package while it is upgraded again and again.

A read imports all modules of ``foo`` and asks importlib.metadata for its version.  It
*fails* with an exception; it is *mixed* if it saw two versions, which no installer can
keep from a read that began before an upgrade and ended after it.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Measurement", "foo_wheels", "measure"]

MODULES = 20
READERS = 2

_READ = """
import time; start = time.monotonic()
import importlib.metadata, json
try:
    import foo
    seen, error = [*foo.versions, importlib.metadata.version("foo")], None
except BaseException as problem:
    seen, error = [], type(problem).__name__
print(json.dumps([start, time.monotonic(), seen, error]))
"""


def foo_wheels(directory: Path) -> tuple[Path, Path]:
    """Make two versions of ``foo``: the same modules, and each knows its version."""
    return _foo(directory, "1.0"), _foo(directory, "2.0")


def _foo(directory: Path, version: str) -> Path:
    names = [f"m{number}" for number in range(MODULES)]
    files = {f"foo/{name}.py": f"version = {version!r}\n" for name in names}
    imports = "".join(f"from foo import {name}\n" for name in names)
    files["foo/__init__.py"] = f"{imports}versions = [m.version for m in ({', '.join(names)})]\n"
    return make_wheel(directory, "foo", version, files)


@dataclass(frozen=True)
class Read:
    """What one interpreter saw, and when (seconds of the monotonic clock)."""

    start: float
    end: float
    versions: tuple[str, ...]
    error: str | None

    @property
    def is_mixed(self) -> bool:
        """Whether the read saw two versions."""
        return len(set(self.versions)) > 1

    def overlaps(self, span: tuple[float, float]) -> bool:
        """Tell whether some of the read was in ``span``."""
        return self.start <= span[1] and self.end >= span[0]


@dataclass
class Measurement:
    """All reads, and the time that each upgrade took."""

    reads: list[Read] = field(default_factory=list)
    upgrades: list[tuple[float, float]] = field(default_factory=list)

    @property
    def failed(self) -> list[Read]:
        """The reads that raised something."""
        return [read for read in self.reads if read.error]

    @property
    def mixed(self) -> list[Read]:
        """The reads that saw two versions."""
        return [read for read in self.reads if read.is_mixed]

    @property
    def disturbed(self) -> list[Read]:
        """The failed or mixed reads during which nothing was upgraded."""
        wrong = [*self.failed, *self.mixed]
        return [read for read in wrong if not any(map(read.overlaps, self.upgrades))]

    def upgrades_with_failures(self) -> int:
        """Return in how many upgrades some read failed."""
        return sum(any(read.overlaps(span) for read in self.failed) for span in self.upgrades)

    def figures(self) -> str:
        """Return the counts as one line."""
        errors = ", ".join(sorted({str(read.error) for read in self.failed})) or "none"
        return (
            f"{len(self.upgrades)} upgrades, {len(self.reads)} reads:"
            f" {len(self.failed)} failed ({errors}), in {self.upgrades_with_failures()} upgrades;"
            f" {len(self.mixed)} mixed"
        )


def measure(python: Path, upgrade: Callable[[int], None], count: int) -> Measurement:
    """Call ``upgrade(0)``, ``upgrade(1)`` … while two loops read; return what was seen."""
    result = Measurement()
    over = threading.Event()

    def read_on() -> None:
        while not over.is_set():
            result.reads.append(_read(python))

    readers = [threading.Thread(target=read_on) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    try:
        for number in range(count):
            start = time.monotonic()
            upgrade(number)
            result.upgrades.append((start, time.monotonic()))
    finally:
        over.set()
        for reader in readers:
            reader.join()
    return result


def _read(python: Path) -> Read:
    ended = subprocess.run(
        [str(python), "-I", "-c", _READ], capture_output=True, text=True, check=True
    )
    start, end, versions, error = json.loads(ended.stdout)
    return Read(start, end, tuple(versions), error)
