"""Modules of ours as programs of other Pythons, which cannot import them from here.

The modules use nothing but the standard library of Python 3.8, and each other.
"""

from __future__ import annotations

import os

__all__ = ["program_text"]

_START = """import sys, types
for name, text in {others!a}:
    sys.modules[name] = module = types.ModuleType(name)
    exec(compile(text, name, "exec"), module.__dict__)
exec(compile({text!a}, {name!a}, "exec"))
"""


def program_text(module: str, *others: str) -> str:
    """Return the text of ``module``, a name below ours, for ``python -c``.

    ``others`` are modules that it imports, in an order in which they can be imported.
    """
    if not others:
        return _source(module)
    sources = [(f"{__package__}.{other}", _source(other)) for other in others]
    return _START.format(others=sources, text=_source(module), name=f"{__package__}.{module}")


def _source(module: str) -> str:
    """Return the source of a module; it may lie in a zip file.

    `pkgutil` and `inspect` would do the same, and take longer to import than this to read.
    """
    path = os.path.join(os.path.dirname(__file__), *module.split(".")) + ".py"  # noqa: PTH118, PTH120
    data: bytes = __loader__.get_data(path)  # type: ignore[name-defined]
    return data.decode()
