"""Compiles all modules of a directory, as bare as can be, and throws the result away.

    python -I -S bare_compile.py DIRECTORY PROCESSES

Modules go to the processes by size, the largest first, each to that with the least so far.
"""

from __future__ import annotations

import marshal
import os
import sys
import warnings


def main(directory: str, processes: int) -> int:
    """Return 0 when all modules are compiled."""
    warnings.simplefilter("ignore")
    sizes: dict[str, int] = {}
    for path, _, names in os.walk(directory):
        for name in names:
            if name.endswith(".py"):
                module = os.path.join(path, name)  # noqa: PTH118 - as bare as can be
                sizes[module] = os.stat(module).st_size  # noqa: PTH116 - the same
    shares: list[list[str]] = [[] for _ in range(processes)]
    loads = [0] * processes
    for module in sorted(sizes, key=lambda module: -sizes[module]):
        least = loads.index(min(loads))
        shares[least].append(module)
        loads[least] += sizes[module]
    children = [_compile_in_child(share) for share in shares[1:]]
    _compile(shares[0])
    return sum(os.waitpid(child, 0)[1] for child in children)


def _compile_in_child(modules: list[str]) -> int:
    child = os.fork()
    if not child:
        _compile(modules)
        os._exit(0)
    return child


def _compile(modules: list[str]) -> None:
    for module in modules:
        with open(module, "rb") as file:  # noqa: PTH123 - as bare as can be
            source = file.read()
        try:
            marshal.dumps(compile(source, module, "exec", dont_inherit=True))
        except (SyntaxError, ValueError):  # test data of some wheels
            continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
