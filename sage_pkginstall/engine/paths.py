"""Paths relative to a prefix, which is the empty one itself; and what their names tell."""

from __future__ import annotations

__all__ = ["bytecode_source", "is_within", "join"]


def join(directory: str, name: str) -> str:
    """Join two relative paths; the prefix itself is the empty path."""
    return f"{directory}/{name}" if directory else name


def is_within(path: str, directory: str) -> bool:
    """Tell whether ``path`` is ``directory``, or lies below it."""
    return path == directory or path.startswith(directory + "/")


def bytecode_source(path: str) -> str | None:
    """Return the source that ``DIR/__pycache__/NAME.TAG[.opt-N].pyc`` was made from (PEP 3147)."""
    directory, _, name = path.rpartition("/")
    package, _, cache = directory.rpartition("/")
    if not name.endswith(".pyc") or cache != "__pycache__":
        return None
    stem = name.removesuffix(".pyc")
    head, _, last = stem.rpartition(".")
    if last.startswith("opt-"):
        stem = head
    module = stem.rpartition(".")[0]
    return join(package, f"{module}.py") if module else None
