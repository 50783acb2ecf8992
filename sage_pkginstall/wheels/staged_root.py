"""The root of a staged tree: new files below it, and never anything outside of it.

Each directory is entered from the root, one component at a time, without following a
link, and files are made new in it (``O_EXCL``): whatever a wheel, or the build of another
package of the transaction, has left in the tree, nothing is written elsewhere.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import os
import stat

from sage_pkginstall.engine.files import current_umask
from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.content import PIECE, EntryStream
from sage_pkginstall.wheels.packs import PackedFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

__all__ = ["Content", "StagedRoot", "copy_content"]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_MOST_OPEN = 16
"""Directories kept open; deeper trees are rare, and a process may have 256 files open on macOS."""


class Content(NamedTuple):
    """What a file holds: its hash as RECORD has it (``sha256=…``), and its size in bytes."""

    hash: str
    size: int


class _Modes(NamedTuple):
    """Modes of new files under one umask; the owner may read and write whatever it is."""

    umask: int
    plain: int
    executable: int
    script: int

    @classmethod
    def of_this_process(cls) -> _Modes:
        umask = current_umask()
        plain = 0o666 & ~umask | 0o600
        return cls(umask, plain, 0o777 & ~umask | 0o711, plain | 0o555)


class StagedRoot:
    """The root of the staged tree, and the directories that lead to the one used last.

    A wheel's entries come directory by directory, so most of them are open already.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.modes = _Modes.of_this_process()
        self._descriptor = -1
        self._last: str | None = None
        self._entered: list[tuple[str, int]] = []  # name and descriptor, -1 if closed again
        self.on_replaced: Callable[[str], object] = lambda _path: None
        """Told of a path that others have staged, before it is taken away."""

    def open(self) -> None:
        """Open the root, which must be there; nothing is made before."""
        self._descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Close all directories that are open."""
        self._leave(())
        os.close(self._descriptor)
        self._descriptor = -1

    def create(self, path: str, mode: int) -> tuple[int, Content | None]:
        """Make the file ``path``; return it, open, and what was there before (or None).

        Raises FileExistsError, NotADirectoryError or IsADirectoryError where something
        of another kind is in the way.
        """
        directory, _, name = path.rpartition("/")
        with self.naming(path):
            parent = self._enter(directory)
            before = None
            try:
                descriptor = os.open(name, _NEW_FILE, mode, dir_fd=parent)
            except FileExistsError:
                self.on_replaced(path)
                before = _take_away(name, parent)
                descriptor = os.open(name, _NEW_FILE, mode, dir_fd=parent)
            try:
                if mode & self.modes.umask:
                    os.fchmod(descriptor, mode)
            except OSError:
                os.close(descriptor)
                raise
        return descriptor, before

    def link(self, path: str, source: str) -> bool:
        """Make ``path`` one more name of the file ``source``; return False if that cannot be.

        So it is where something is at ``path``, whatever it is.
        """
        directory, _, name = path.rpartition("/")
        try:
            os.link(source, name, dst_dir_fd=self._enter(directory), follow_symlinks=False)
        except OSError:
            return False
        return True

    def share(self, path: str, place: str) -> bool:
        """Make ``place``, outside, one more name of the file ``path``; False if that cannot be."""
        directory, _, name = path.rpartition("/")
        try:
            os.link(name, place, src_dir_fd=self._enter(directory), follow_symlinks=False)
        except OSError:
            return False
        return True

    @contextlib.contextmanager
    def naming(self, path: str) -> Iterator[None]:
        """Make an OSError name the file: relative to a directory, it says little."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, os.fspath(self.path / path)) from error

    def _enter(self, directory: str) -> int:
        """Return a descriptor of ``directory``, which is made if it is not there."""
        if directory != self._last:
            parts = directory.split("/") if directory else []
            self._leave(parts)
            for part in parts[len(self._entered) :]:
                self._entered.append((part, self._enter_one(part, self._current())))
                self._close(len(self._entered) - 1 - _MOST_OPEN)
            self._last = directory
        return self._current()

    def _current(self) -> int:
        return self._entered[-1][1] if self._entered else self._descriptor

    def _enter_one(self, name: str, parent: int) -> int:
        try:
            return os.open(name, _DIRECTORY, dir_fd=parent)
        except FileNotFoundError:
            os.mkdir(name, 0o777, dir_fd=parent)
            if self.modes.umask & 0o700:
                os.chmod(name, 0o777 & ~self.modes.umask | 0o700, dir_fd=parent)
            return os.open(name, _DIRECTORY, dir_fd=parent)
        except OSError as error:
            if error.errno == errno.ELOOP:  # a link, where Linux says ENOTDIR
                raise NotADirectoryError(errno.ENOTDIR, error.strerror, name) from error
            raise

    def _leave(self, parts: Sequence[str]) -> None:
        """Go back to what leads to ``parts``; to the root, if that is not open any more."""
        self._last = None
        names = [name for name, _ in self._entered]
        while names != [*parts[: len(names)]] or (names and self._current() < 0):
            self._close(len(names) - 1)
            self._entered.pop()
            names.pop()

    def _close(self, number: int) -> None:
        if number >= 0 and self._entered[number][1] >= 0:
            name, descriptor = self._entered[number]
            self._entered[number] = (name, -1)
            os.close(descriptor)


def _take_away(name: str, parent: int) -> Content:
    """Remove a file or link that others staged; return what it was."""
    mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    content = Content("none=", -1)  # a link or device: like no file of a wheel
    if stat.S_ISREG(mode):
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(name, flags, dir_fd=parent), "rb") as file:
            content = copy_content(file, None)
    os.unlink(name, dir_fd=parent)
    return content


def copy_content(stream: BinaryIO, descriptor: int | None, start: bytes = b"") -> Content:
    """Copy what is left of ``stream`` after ``start``; return what it is in all.

    An `EntryStream` has computed and checked its hash, that of a `PackedFile` is known; the
    others are short.
    """
    if isinstance(stream, PackedFile) and descriptor is not None and not start:
        return Content(stream.verified_hash(), stream.copy_to(descriptor))
    own = isinstance(stream, (EntryStream, PackedFile))
    hasher = hashlib.sha256()
    size = 0
    piece = start or stream.read(PIECE)
    while piece:
        if not own:
            hasher.update(piece)
        size += len(piece)
        if descriptor is not None:
            _write_all(descriptor, piece)
        piece = stream.read(PIECE)
    if isinstance(stream, (EntryStream, PackedFile)):
        return Content(stream.verified_hash(), size)
    return Content(_sha256(hasher.digest()), size)


def _sha256(digest: bytes) -> str:
    return f"sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode('ascii')}"


def _write_all(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data)
    while written < len(data):
        data = data[written:]
        written = os.write(descriptor, data)
