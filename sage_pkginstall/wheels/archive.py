"""A wheel file, checked whole before the first byte of it is written anywhere.

`WheelArchive.open` reads the structure of the zip file once, and `WheelArchive` hands the
same entries to ``installer.install``.  What is checked stands in `container` (the zip
file), `layout` (names of entries), `names` (file name and tags), `listing` (RECORD),
`metadata` (METADATA, WHEEL, entry_points.txt) and `content` (bytes of an entry).

Nothing is written and nothing is held but one descriptor, the list of entries and the
files of the ``*.dist-info`` directory that are needed (`Limits` bounds all of them).
"""

from __future__ import annotations

import os

from installer.sources import WheelSource

from sage_pkginstall.errors import WheelError
from sage_pkginstall.wheels.container import Limits, open_regular, read_entries
from sage_pkginstall.wheels.content import EntryStream, Source
from sage_pkginstall.wheels.fitness import Needs
from sage_pkginstall.wheels.inflating import library_for
from sage_pkginstall.wheels.layout import Layout, checked_files
from sage_pkginstall.wheels.listing import check_record, record_rows
from sage_pkginstall.wheels.metadata import (
    check_entry_points,
    check_wheel_file,
    read_metadata,
)
from sage_pkginstall.wheels.names import WheelFileName, canonical_name
from sage_pkginstall.wheels.packs import file_state
from sage_pkginstall.wheels.refusal import RefusalError
from sage_pkginstall.wheels.staged_wheel import WheelIdentity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import BinaryIO, ClassVar, NoReturn

    from sage_pkginstall.wheels.content import Expected

__all__ = ["WheelArchive"]

_FILES_OF_INSTALLERS = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"})


class WheelArchive(WheelSource):
    """A wheel file whose structure, names and records have been found good.

    Use ``with WheelArchive.open(path) as archive``; it reads from the file it opened,
    whatever becomes of the path.
    """

    validation_error: ClassVar[type[Exception]] = WheelError

    def __init__(self, path: Path, descriptor: int, limits: Limits) -> None:
        """Check the wheel behind ``descriptor``; use `open`, which closes it on errors."""
        file_name = WheelFileName.parse(path.name)
        super().__init__(file_name.distribution, file_name.version)
        self.path = path
        self.name = canonical_name(file_name.distribution)
        self.tags = file_name.tags
        self._descriptor = descriptor
        self._limits = limits
        self._most = {"METADATA": limits.text}
        self._source = Source(path, descriptor, library_for(os.fstat(descriptor).st_size))
        entries = read_entries(descriptor, limits)
        self._entries = checked_files(entries)
        self._layout = Layout.find(self._entries, file_name)
        self._expected: Mapping[str, Expected] = {}
        self.on_piece: Callable[[bytes], object] | None = None
        """Given all content of `get_contents` while it is read, piece by piece."""
        self.on_begin: Callable[[EntryStream], object] | None = None
        """Given each entry of `get_contents` before it is read."""
        self.on_entry: Callable[[EntryStream], object] | None = None
        """Given each entry of `get_contents` that was read to its end."""
        self._most["RECORD"] = _most_of_record(entries, limits)
        rows = record_rows(self._text("RECORD"))
        self._expected = check_record(rows, entries, self._layout)
        self._purelib = check_wheel_file(self._text("WHEEL"))
        self.metadata = read_metadata(self._text("METADATA"), file_name, limits.lines)
        self.version = self.metadata.version
        if f"{self._layout.info}/entry_points.txt" in self._entries:
            check_entry_points(self._text("entry_points.txt"), limits.scripts)

    @classmethod
    def open(cls, path: Path, *, limits: Limits | None = None) -> WheelArchive:
        """Return the wheel at ``path`` if it is a good one; else raise WheelError.

        What is promised: the zip file is whole and unambiguous, every entry has a name
        that stays below the directory it is written to, the wheel is the one that its
        file name says, and RECORD lists exactly the entries, with their sizes and with
        hashes.  That the content has these hashes is checked while it is read.
        """
        descriptor = open_regular(path)
        try:
            return cls(path, descriptor, limits or Limits())
        except RefusalError as refusal:
            os.close(descriptor)
            raise WheelError(path, str(refusal)) from None
        except BaseException:
            os.close(descriptor)
            raise

    def close(self) -> None:
        """Close the file; what is not read by then cannot be read any more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> WheelArchive:  # noqa: PYI034 -- Self came with 3.11
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def needs(self) -> Needs:
        """What it asks of an environment; see `check_fits`."""
        return Needs(self.tags, self.metadata.requires_python)

    @property
    def state(self) -> tuple[int, ...]:
        """What tells the open file from another one; see `packs.file_state`."""
        return file_state(self._descriptor)

    @property
    def requires(self) -> tuple[str, ...]:
        """Values of Requires-Dist."""
        return self.metadata.requires_dist

    @property
    def count(self) -> int:
        """Number of its files."""
        return len(self._entries)

    @property
    def root_scheme(self) -> str:
        """The scheme of what is not below ``*.data``."""
        return "purelib" if self._purelib else "platlib"

    @property
    def identity(self) -> WheelIdentity:
        """Which wheel it is."""
        return WheelIdentity(self.path, self.name, self._layout.info)

    @property
    def dist_info_dir(self) -> str:
        """Name of the ``*.dist-info`` directory, as it is in the wheel."""
        return self._layout.info

    @property
    def data_dir(self) -> str:
        """Name of the ``*.data`` directory, or what it would be called."""
        return self._layout.data

    @property
    def dist_info_filenames(self) -> list[str]:
        """Names of the files below the ``*.dist-info`` directory, relative to it."""
        start = f"{self._layout.info}/"
        return [name[len(start) :] for name in self._entries if name.startswith(start)]

    def read_dist_info(self, filename: str) -> str:
        """Return a file of the ``*.dist-info`` directory; its hash has been checked."""
        try:
            return self._text(filename)
        except RefusalError as refusal:
            self._refuse(str(refusal))

    def get_contents(self) -> Iterator[tuple[tuple[str, str, str], BinaryIO, bool]]:
        """Yield what is to be installed, each entry with its row of RECORD.

        Left out are RECORD and the other files that an installer writes itself, and
        byte-code of the wheel's own sources (`_is_left_out`).  The streams are
        `EntryStream`: each is valid until the next one.
        """
        for name, entry in self._entries.items():
            if self._is_left_out(name):
                continue
            expected = self._expected.get(name)
            row = (name, expected.text, str(entry.size)) if expected else (name, "", "")
            stream = self._stream(name)
            stream.on_piece = self.on_piece
            if self.on_begin is not None:
                self.on_begin(stream)
            yield row, stream, entry.executable  # type: ignore[misc]  # it is only read
            if self.on_entry is not None:
                self.on_entry(stream)

    def _is_left_out(self, name: str) -> bool:
        """Tell whether ``name`` is no part of what an install leaves behind.

        A ``__pycache__`` would be run instead of the sources that it claims to be made
        from; it is made anew here.  A ``.pyc`` beside its source is never looked at by
        Python.  One without source is the module itself, and stays, as with pip.
        """
        directory, _, base = name.rpartition("/")
        if directory == self._layout.info and base in _FILES_OF_INSTALLERS:
            return True
        if "__pycache__" in directory.split("/"):
            return True
        return base.endswith(".pyc") and name[:-1] in self._entries

    def _stream(self, name: str) -> EntryStream:
        return EntryStream(self._source, self._entries[name], self._expected.get(name))

    def _text(self, filename: str) -> str:
        """Return a file of ``*.dist-info`` as text; raises RefusalError."""
        name = f"{self._layout.info}/{filename}"
        entry = self._entries.get(name)
        if entry is None:
            raise RefusalError(f"it has no {name!r}")
        limit = self._most.get(filename, self._limits.lines)
        if entry.size > limit:
            raise RefusalError(f"{name!r} has {entry.size} bytes (allowed: {limit})")
        try:
            return self._stream(name).read().decode("utf-8")
        except UnicodeDecodeError as error:
            raise RefusalError(f"{name!r} is not UTF-8 (byte {error.start})") from None

    def _refuse(self, reason: str) -> NoReturn:
        raise WheelError(self.path, reason) from None


def _most_of_record(entries: Collection[str], limits: Limits) -> int:
    """Return how long RECORD can be: a row for each entry; one that packs well is long in vain."""
    return min(limits.directory, limits.row * len(entries) + 8 * sum(map(len, entries)))
