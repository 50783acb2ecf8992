"""What building wheels costs above what the backend itself needs, beside pip, build and uv.

    python -m benchmarks.build backends [--rounds N] [--only NAME] DIRECTORY
    python -m benchmarks.build list [-j N] [--rounds N] [--packages NAME,NAME] [--make] DIRECTORY

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
takes forty minutes on two processors, once all sources are in upstream/; with ``--make``, which
leaves pip and uv out, five.

DIRECTORY is made; downloads into it are done once.  pip's and uv's settings of the machine are used
for these only.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.building.backends import measure_backends
from benchmarks.building.projects import BACKENDS
from benchmarks.building.whole_list import measure_list
from benchmarks.building.yard import Yard


def main() -> None:
    """Read the command line."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    options.add_argument("what", choices=("backends", "list"))
    options.add_argument("directory", type=Path)
    options.add_argument("--rounds", type=int, help="default: 5 for backends, 1 for the list")
    options.add_argument("--packages", default="", help="these, and what they need; default: all")
    options.add_argument("--make", action="store_true", help="of the list, make's runs only")
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
        measure_list(yard, given.jobs, given.rounds or 1, names, only_make=given.make)


if __name__ == "__main__":
    main()
