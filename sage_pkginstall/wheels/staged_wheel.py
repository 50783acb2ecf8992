"""One wheel in a staged tree: where its files go, what is refused, and its RECORD.

On disk, before: the root of the staged tree, with what other wheels and packages of the
same transaction have put there.  After `StagedWheel.write_record`: also the files of one
distribution, laid out like the prefix, with a RECORD that lists them all.  Nobody reads a
staged tree while it is written; after an error it is thrown away as a whole.

How files are made there, `staged_root` tells.  Files come from a wheel archive through
``installer`` (see `destination`), or from a pack (see `packs`).
"""

from __future__ import annotations

import io
import os
import posixpath
import re
import stat

from sage_pkginstall.errors import ConflictError, WheelError
from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.adoption import MOST, same_code
from sage_pkginstall.wheels.content import EntryStream
from sage_pkginstall.wheels.packs import PackedFile
from sage_pkginstall.wheels.reserved import Reserved
from sage_pkginstall.wheels.shebang import with_interpreter
from sage_pkginstall.wheels.staged_root import Content, StagedRoot, copy_content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from typing import BinaryIO, NoReturn

    from sage_pkginstall.environment import Environment
    from sage_pkginstall.wheels.linked_files import LinkedFiles

__all__ = ["StagedFile", "StagedWheel", "WheelIdentity"]

_MAX_SCRIPT = 64 << 20
_WRAPPER_END = re.compile(r"(?:\.exe|\.pya|-script\.py)\Z", re.IGNORECASE)
_NOT_FOR_RECORDS = frozenset(("data", "headers", "scripts"))
"""Schemes of ``*.data``; `layout` sees to the other two."""


class WheelIdentity(NamedTuple):
    """Which wheel it is: its file, canonical name, and ``NAME-VERSION.dist-info``."""

    path: Path
    name: str
    dist_info_dir: str


class StagedFile(NamedTuple):
    """A file that came out of the wheel: where from, and where it is (below the prefix).

    ``as_it_is``: it was staged with the content that the wheel has.
    """

    scheme: str
    name: str
    path: str
    executable: bool
    as_it_is: bool


class StagedWheel:
    """Lays one wheel out below ``root``, as it shall lie below the prefix.

    Between `open` and `close` it holds directories open.  Modes are those of pip: as the
    umask wants them, executable where the wheel says so, scripts of entry points for
    everybody; and the owner may always write.

    Raises WheelError where the wheel is at fault, ConflictError where something else in
    the staged tree is in the way, OSError with the full path for everything else.
    """

    def __init__(self, wheel: WheelIdentity, environment: Environment, root: Path) -> None:
        self._wheel = wheel
        self._environment = environment
        self._interpreter = os.fspath(environment.interpreter)
        self._reserved = Reserved(wheel.dist_info_dir, environment)
        self._root = StagedRoot(root)
        self._written: dict[str, Content] = {}
        self._scripts: set[str] = set()
        self._entry_points: set[str] = set()
        self._replaced: set[str] = set()
        self._record = ""
        self.on_source: Callable[[int], object] = lambda _number: None
        """Told of each source (see `sources`) when it is there: its place in ``files``."""
        self.on_replaced: Callable[[str], object] = lambda _path: None
        """Told of a path that others have staged, before it is written over."""
        self.links: LinkedFiles | None = None
        """Where files that are in the wheel as they are staged come from, and are kept."""
        self.files: list[StagedFile] = []
        self.scripts: list[tuple[str, str]] = []

    def open(self) -> None:
        """Open the root of the staged tree."""
        self._root.on_replaced = self.on_replaced
        self._root.open()

    def close(self) -> None:
        """Close what is open."""
        self._root.close()

    @property
    def paths(self) -> frozenset[str]:
        """The files written so far, relative to the prefix."""
        return frozenset(self._written)

    @property
    def sources(self) -> tuple[str, ...]:
        """The Python sources among them that came out of the wheel: those to be compiled."""
        return tuple(sorted(filter(self._is_source, self._written)))

    def _is_source(self, path: str) -> bool:
        return path.endswith(".py") and path not in self._scripts

    @property
    def replaced(self) -> frozenset[str]:
        """Files that others had staged with another content, and that are this wheel's now."""
        return frozenset(self._replaced)

    @property
    def info(self) -> str:
        """The ``*.dist-info`` directory, relative to the prefix; once installed."""
        return posixpath.dirname(self._record)

    def add_script(self, name: str, content: bytes) -> tuple[str, Content]:
        """Write the script of an entry point; return where it is and what it holds."""
        path = self._add_script(name, content)
        self._entry_points.add(name)
        self.scripts.append((name, path))
        if name == self._wheel.name == "pip":
            # The wheel cannot know this one; ensurepip and pip make it, so it must not
            # vanish when pip is upgraded here.
            major, minor, *_ = self._environment.version.split(".")
            self._add_script(f"pip{major}.{minor}", content)
        return path, self._written[path]

    def _add_script(self, name: str, content: bytes) -> str:
        path = self._path("scripts", name)
        self._scripts.add(path)
        self._write(path, io.BytesIO(content), self._root.modes.script)
        return path

    def add_file(
        self, scheme: str, name: str, stream: BinaryIO, *, executable: bool
    ) -> tuple[str, Content]:
        """Write a file of the wheel; reading ``stream`` checks what is in it."""
        target = self._path(scheme, name)
        mode = self._root.modes.executable if executable else self._root.modes.plain
        is_new_source = self._is_source(target) and target not in self._written
        as_it_is = True
        if target in self._scripts or (scheme == "scripts" and self._is_wrapper(target)):
            self.files.append(StagedFile(scheme, name, target, executable, as_it_is=False))
            return target, copy_content(stream, None)
        if scheme == "scripts":
            as_it_is = self._write_wheel_script(target, stream, mode)
        elif target.endswith("/__init__.py"):
            shared = self._shared(target, stream)
            self._write(target, shared, mode)
            as_it_is = shared is stream
        else:
            self._write(target, stream, mode)
        self.files.append(StagedFile(scheme, name, target, executable, as_it_is))
        if is_new_source:
            self.on_source(len(self.files) - 1)
        return target, self._written[target]

    def _is_wrapper(self, path: str) -> bool:
        """Tell whether a script is what old builders made for an entry point.

        pip leaves those out: ``NAME``, ``NAME.exe``, ``NAME.pya`` and ``NAME-script.py``.
        """
        name = posixpath.basename(path)
        end = _WRAPPER_END.search(name)
        stem = name[: end.start()] if end else name
        return stem in self._entry_points

    def place(self, path: str) -> Path:
        """Return where a file of the prefix is staged."""
        return self._root.path / path

    def _shared(self, path: str, stream: BinaryIO) -> BinaryIO:
        """Return what another wheel of this call staged at ``path``, if it is the same code."""
        staged = self._root.path / path
        if path in self._written or staged.is_symlink() or not staged.is_file():
            return stream
        size = stream.size if isinstance(stream, (EntryStream, PackedFile)) else 0
        if max(size, staged.stat().st_size) > MOST:
            return stream
        ours, theirs = stream.read(), staged.read_bytes()
        return io.BytesIO(theirs if same_code(ours, theirs) else ours)

    def set_record(self, scheme: str, name: str) -> None:
        """Remember where RECORD goes; `write_record` writes it, after compilation."""
        self._record = self._path(scheme, name)

    def write_record(self, compiled: Iterable[str]) -> None:
        """Write RECORD as pip does: sorted rows, ``compiled`` files without a hash.

        It is the last file; nothing is to be written after it.
        """
        start = posixpath.dirname(self.info) or "."
        rows = [(_relative(path, start), "", "") for path in (self._record, *compiled)]
        for path, content in self._written.items():
            rows.append((_relative(path, start), content.hash, str(content.size)))
        data = _csv(sorted(rows)).encode("utf-8", "surrogateescape")
        self._write(self._record, io.BytesIO(data), self._root.modes.plain)

    def _path(self, scheme: str, path: str) -> str:
        """Return where a file goes, relative to the prefix; raises WheelError."""
        if path in {"", ".", ".."} or path.startswith(("/", "../")):
            self._refuse(path, f"leaves its scheme {scheme}")
        if path != posixpath.normpath(path):
            self._refuse(path, "is no normal path")
        base = self._environment.schemes[scheme]
        if scheme == "headers":
            base = posixpath.join(base, self._wheel.name)  # canonical: pip since 25
        target = posixpath.join(base, path)
        is_data = scheme in _NOT_FOR_RECORDS
        fault = (self._reserved.fault_of_data if is_data else self._reserved.fault_of)(target)
        if fault:
            self._refuse(target, fault)
        return target

    def _write_wheel_script(self, path: str, stream: BinaryIO, mode: int) -> bool:
        """Write a script; where its first line is ``#!python…``, name the target there.

        Returns whether that was not so.  Only such a script must fit into memory; others may
        be programs of any size.
        """
        start = stream.read(8)
        if start != b"#!python":
            self._write(path, stream, mode, start=start)
            return True
        content = start + stream.read(_MAX_SCRIPT)
        if len(content) > _MAX_SCRIPT:
            self._refuse(path, f"is a Python script of more than {_MAX_SCRIPT} bytes")
        self._write(path, io.BytesIO(with_interpreter(content, self._interpreter)), mode)
        return False

    def _write(self, path: str, stream: BinaryIO, mode: int, *, start: bytes = b"") -> None:
        """Write ``start`` and ``stream``, or compare them with what this wheel wrote there."""
        if path in self._written:
            if copy_content(stream, None, start) != self._written[path]:
                self._refuse(path, "is in it twice, with different contents")
            return
        content = self._linked(path, stream, mode)
        if content is None:
            content = self._copied(path, stream, mode, start)
        self._written[path] = content

    def _linked(self, path: str, stream: BinaryIO, mode: int) -> Content | None:
        """Link a file that is shared with other prefixes; return None if there is none."""
        if self.links is None or not isinstance(stream, PackedFile):
            return None
        content = Content(stream.verified_hash(), stream.size)
        source = self.links.find(content.hash, content.size, executable=_is_executable(mode))
        return content if source and self._root.link(path, source) else None

    def _copied(self, path: str, stream: BinaryIO, mode: int, start: bytes) -> Content:
        """Write a file, and have it shared where files of the wheel are."""
        try:
            descriptor, before = self._root.create(path, mode)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            self._refuse_clash(path, error)
        try:
            with self._root.naming(path):
                content = copy_content(stream, descriptor, start)
                if isinstance(stream, (PackedFile, EntryStream)):
                    self._share(path, content, descriptor, mode)
        finally:
            os.close(descriptor)
        if before is not None and before != content:
            self._replaced.add(path)
        return content

    def _share(self, path: str, content: Content, descriptor: int, mode: int) -> None:
        """Have other prefixes get a file, if they may; one that they cannot get keeps its mode."""
        if self.links is None:
            return
        executable = _is_executable(mode)
        place = self.links.place(content.hash, executable=executable)
        if place is None:
            return
        os.fchmod(descriptor, self.links.mode(executable=executable))
        if not self._root.share(path, place):
            os.fchmod(descriptor, mode)

    def _refuse_clash(self, path: str, error: OSError) -> NoReturn:
        """A file is where a directory is needed, or the other way round, or a link."""
        parts = path.split("/")
        above = {"/".join(parts[:end]) for end in range(1, len(parts))}
        mine = above & self._written.keys()
        mine |= {other for other in self._written if other.startswith(f"{path}/")}
        if mine:
            self._refuse(path, f"and {min(mine)!r} are in it, a file and a directory of one name")
        raise ConflictError(path, "a file, directory or link is staged in its way") from error

    def _refuse(self, path: str, reason: str) -> NoReturn:
        raise WheelError(self._wheel.path, f"{path!r} {reason}")


def _is_executable(mode: int) -> bool:
    return bool(mode & stat.S_IXUSR)


def _relative(path: str, start: str) -> str:
    """Return ``path`` relative to ``start``; hot, and nearly always below it."""
    return (
        path[len(start) + 1 :] if path.startswith(f"{start}/") else posixpath.relpath(path, start)
    )


def _csv(rows: Iterable[tuple[str, str, str]]) -> str:
    import csv  # noqa: PLC0415 -- in `listing`, too, but not where a pack is staged

    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()
