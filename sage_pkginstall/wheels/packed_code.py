"""Byte-code in a pack: compiled once for all prefixes.

Byte-code has the path of its source in it, once: all code objects of a module share one
string.  It is kept without that string, and put together again with the path that the
source has in another prefix.  Where the path is in it more than once (which no compiler
does), or not as a string, the source is compiled each time; and so is one that did not
compile, as that may have been for lack of memory.

Specifications: CPython's marshal format (version 4), and PEP 552 for the header.
"""

from __future__ import annotations

import os

from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.compiling import (
    Task,
    code_of,
    header_of,
    make_directory,
    write_new,
)
from sage_pkginstall.wheels.packs import Piece
from sage_pkginstall.wheels.workers import Workers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sage_pkginstall.environment import Environment
    from sage_pkginstall.wheels.packs import Pack, PackWriter
    from sage_pkginstall.wheels.staged_wheel import StagedWheel

__all__ = ["PackedCode", "PathlessCode", "take_code", "with_path", "without_path"]

_HEADER = 16  # bytes before the code in a .pyc file

_LEAST = 300
"""Files that are written sooner than a process is forked, and both have their memory (30 ms)."""

_BATCH = 32
"""Files of which a process is told at once (some 3 ms)."""

_REFERRED = 0x80  # the string is referred to again
_SHORT = 256

# By how long a string is and what is in it: as it is, and interned.
_TYPES = {"short": b"zZ", "ascii": b"aA", "unicode": b"ut"}


class PathlessCode(NamedTuple):
    """Marshalled code without its path: what is before and behind the string.

    ``referred`` and ``interned`` are how the string is marshalled.
    """

    before: bytes
    behind: bytes
    referred: bool
    interned: bool


def without_path(code: bytes, path: str) -> PathlessCode | None:
    """Take ``path`` out of marshalled ``code``; None if it is not in it exactly once."""
    text, types = _marshalled(path)
    at = code.find(text)
    if at < 1 or code.find(text, at + 1) >= 0:
        return None
    kind = code[at - 1]
    if kind & ~_REFERRED not in types:
        return None
    plain = kind & ~_REFERRED
    return PathlessCode(
        code[: at - 1], code[at + len(text) :], bool(kind & _REFERRED), plain == types[1]
    )


def with_path(code: PathlessCode, path: str) -> bytes:
    """Return marshalled code whose source is ``path``."""
    text, types = _marshalled(path)
    kind = types[code.interned] | (_REFERRED if code.referred else 0)
    return b"".join((code.before, bytes((kind,)), text, code.behind))


def _marshalled(path: str) -> tuple[bytes, bytes]:
    """Return length and text of a marshalled string, and the two types it may have."""
    if not path.isascii():
        text = path.encode("utf-8", "surrogatepass")
        return len(text).to_bytes(4, "little") + text, _TYPES["unicode"]
    text = path.encode("ascii")
    if len(text) < _SHORT:
        return bytes((len(text),)) + text, _TYPES["short"]
    return len(text).to_bytes(4, "little") + text, _TYPES["ascii"]


def take_code(
    writer: PackWriter, staged: StagedWheel, compiled: Sequence[str], environment: Environment
) -> list[tuple[int, ...]]:
    """Write the byte-code of a staged wheel to a pack; return what its index is to tell.

    That is a row for each source, (number of the file, offset, sizes of the two pieces,
    referred, interned).  One that was not compiled has none: memory may have been short.
    """
    made = frozenset(compiled)
    start = len(os.path.join(staged.place(""), ""))  # noqa: PTH118
    rows: list[tuple[int, ...]] = []
    for number, task in _tasks(staged, environment):
        if task.target[start:] not in made:
            continue
        with open(task.target, "rb", buffering=0) as file:  # noqa: PTH123 -- thousands of files
            code = without_path(file.readall()[_HEADER:], task.final)
        if code is not None:
            sizes = len(code.before), len(code.behind)
            rows.append((number, writer.size, *sizes, code.referred, code.interned))
            writer.add(code.before)
            writer.add(code.behind)
    return rows


def _tasks(staged: StagedWheel, environment: Environment) -> Iterator[tuple[int, Task]]:
    """Yield the sources that came out of the wheel as they are, with their numbers."""
    task_of = _tasks_in(staged, environment)
    sources = frozenset(staged.sources)
    for number, file in enumerate(staged.files):
        if file.as_it_is and file.path in sources:
            yield number, task_of(file.path)


def _tasks_in(staged: StagedWheel, environment: Environment) -> Callable[[str], Task]:
    """Return what makes the task for a path relative to the prefix; hot, so with text only."""
    above = os.path.join(staged.place(""), "")  # noqa: PTH118
    final = os.path.join(environment.prefix, "")  # noqa: PTH118
    return lambda path: Task(above + path, final + path, environment.cache_tag)


class PackedCode:
    """The byte-code of a wheel in a pack, written while the wheel's sources are staged.

    That is done as they are compiled, in up to ``jobs`` processes; see `compiling`.
    """

    def __init__(
        self, pack: Pack, staged: StagedWheel, environment: Environment, jobs: int
    ) -> None:
        self._pack = pack
        self._staged = staged
        self._environment = environment
        self._task_of = _tasks_in(staged, environment)
        self._rows: dict[int, Sequence[int]] = {n: row for n, *row in pack.index["code"]}
        self._workers = Workers(self._write, self._place, jobs=jobs, least=_LEAST, batch=_BATCH)
        self._directories: set[str] = set()
        self._rest: list[str] = []

    def close(self) -> None:
        """Close the pack; after an error no process is left."""
        self._workers.kill()
        self._pack.close()

    def add(self, number: int) -> None:
        """Have byte-code written for a source that was just staged, ``staged.files[number]``."""
        file = self._staged.files[number]
        row = self._rows.get(number) if file.as_it_is else None
        if row is None:
            self._rest.append(file.path)
            return
        directory = os.path.dirname(file.path)  # noqa: PTH120
        if directory not in self._directories:
            make_directory(os.path.dirname(self._task_of(file.path).target))  # noqa: PTH120
            self._directories.add(directory)
        self._workers.add(1, f"{number} {file.path}")

    def finish(self) -> tuple[list[str], list[str]]:
        """Write what is left; return the files, and the sources that are to be compiled.

        Both are relative to the prefix.
        """
        sources = (name.partition(" ")[2] for name in self._workers.finish())
        return [code_of(source, self._environment.cache_tag) for source in sources], self._rest

    def _place(self, name: str) -> str:
        return self._task_of(name.partition(" ")[2]).source

    def _write(self, name: str) -> bool:
        number, _, path = name.partition(" ")
        _write_code(
            self._pack, self._rows[int(number)], self._task_of(path), self._environment.magic
        )
        return True


def _write_code(pack: Pack, row: Sequence[int], task: Task, magic: bytes) -> None:
    offset, size, rest, referred, interned = row
    code = pack.read(Piece(offset, size + rest))
    pathless = PathlessCode(code[:size], code[size:], bool(referred), bool(interned))
    source = None
    if os.environ.get("SOURCE_DATE_EPOCH"):
        with open(task.source, "rb") as file:  # noqa: PTH123
            source = file.read()
    mode = (task.status.st_mode | 0o200) & 0o666
    data = header_of(magic, task.status, source) + with_path(pathless, task.final)
    write_new(task.target, mode, data)
