"""What figures depend on: versions, processors, the file system; nothing that names a machine."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.bench import Bench

__all__ = ["facts"]


def facts(bench: Bench) -> dict[str, str]:
    """Return facts by name, in the order in which they are told."""
    pip = bench.wheels.pip().name.split("-")[1]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processors": str(len(os.sched_getaffinity(0))),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "file system": _file_system(bench),
        "Python": platform.python_version(),
        "pip": pip,
        **{name: version(name) for name in ("uv", "installer", "gpep517")},
    }


def _file_system(bench: Bench) -> str:
    words = ["stat", "--file-system", "--format", "%T", str(bench.places.root)]
    told = subprocess.run(words, capture_output=True, text=True, check=False)
    return told.stdout.strip() or "unknown"
