"""Lay other trees into a staged tree: renamed where possible, copied where not.

What is copied may belong to another user, who may change it meanwhile: links are put in
the place of directories, files replaced by pipes.  So nothing is opened by its path: each
entry is opened once, in the open directory that it was seen in, following no link, and
what it is then is what is copied.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from pathlib import Path

from sage_pkginstall.engine import files
from sage_pkginstall.errors import ConflictError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["close_modes", "copy_entry", "copy_in", "lay_in", "open_modes"]

_CHANGED = frozenset({errno.ELOOP, errno.ENOTDIR, errno.ENOENT, errno.ENXIO})
_KEPT_OF_OTHERS = 0o755
_DEPTH = 100


def lay_in(source: Path, staged: Path, *, move: bool, owner: int | None = None) -> None:
    """Lay the entries of ``source`` into a staged tree, which may have some already.

    With ``move`` they are renamed where the file system allows it, else copied: modes,
    times, links and hard links stay.  Afterwards the owner may write (nearly) everything
    and others read what the umask lets them: see `open_modes`.  A copy is ours even if the source
    is somebody else's; so it loses its set-id bits, as with chown(2), the right of others to
    write, and its access lists.

    Raises `ConflictError` if both trees have an entry that is not a directory in both, if
    directories are nested too deeply, if something changes while it is copied, and if ``source``
    does not belong to the user ``owner``.
    """
    with _bounded(os.fspath(source)):
        _lay_in(source, staged, move=move, owner=owner)


def open_modes(directory: str, umask: int) -> None:
    """Let the owner read and write everything below, and others read as ``umask`` allows.

    A read-only directory could not be renamed by its owner, nor upgraded; set-id bits
    and everything else of the modes stay.  A file that has names elsewhere, in a cache and
    in other prefixes, say, stays as it is if it can be read, and is copied if it cannot.  Raises
    `ConflictError` if directories are nested too deeply.
    """
    with _bounded(directory):
        _Opener(umask).open(directory)


@contextlib.contextmanager
def _bounded(shown: str) -> Iterator[None]:
    try:
        yield
    except _TooDeepError as error:
        reason = f"its directories are nested more than {_DEPTH} deep"
        raise ConflictError(shown, reason) from error


def _lay_in(source: Path, staged: Path, *, move: bool, owner: int | None) -> None:
    shown = os.fspath(source)
    with _opened(shown, None, shown) as descriptor:
        if owner is not None and os.fstat(descriptor).st_uid != owner:
            raise ConflictError(shown, "it does not belong to the user who asks for that")
        _Layer(os.fspath(staged)).lay(descriptor, shown, "", move=move)
    _Opener(files.current_umask()).open(os.fspath(staged))


def copy_in(source: Path, place: Path, owner: int) -> None:
    """Copy one file, which another user may change meanwhile, to a place of ours.

    Raises `ConflictError` unless it is the file of ``owner``, or one that everybody may read.
    """
    name = os.fspath(source)
    with _opened(name, None, name, os.O_NONBLOCK) as file:
        status = os.fstat(file)
        if status.st_uid != owner and not status.st_mode & stat.S_IROTH:
            raise ConflictError(name, "it does not belong to the user who asks for that")
        _copy_file(file, os.fspath(place), name)


def copy_entry(source: Path, place: Path) -> None:
    """Copy an entry of a staged tree, whatever lies below it, to a new place.

    It becomes what `lay_in` makes of a tree that is copied.
    """
    shown = os.fspath(source)
    with _bounded(shown), _opened(os.fspath(source.parent), None, shown) as directory:
        _Layer(os.fspath(place.parent)).copy(directory, source.name, shown, place.name)


class _TooDeepError(Exception):
    """Directories are nested more deeply than who plans, some calls deep for each, can walk."""


class _Layer:
    """Lays the entries of directories into one staged tree."""

    def __init__(self, staged: str) -> None:
        self.staged = staged
        self.copied: dict[tuple[int, int], str] = {}

    def lay(self, directory: int, shown: str, below: str, *, move: bool) -> None:
        """Lay the entries of an open directory, ``shown`` in messages, into ``below``."""
        if below.count("/") >= _DEPTH:
            raise _TooDeepError
        for name in os.listdir(directory):
            place = os.path.join(self.staged, below, name)
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            path = os.path.join(shown, name)
            is_directory = stat.S_ISDIR(status.st_mode)
            if not os.path.lexists(place):
                if not (move and _renamed(name, directory, place)):
                    self.copy(directory, name, path, os.path.join(below, name))
            elif is_directory and os.path.isdir(place) and not os.path.islink(place):
                with _opened(name, directory, path) as descriptor:
                    self.lay(descriptor, path, os.path.join(below, name), move=move)
            else:
                raise ConflictError(name, f"both {path} and {place} are staged")

    def copy(self, directory: int, name: str, path: str, below: str) -> None:
        """Copy an entry of an open directory, ``path`` in messages, to ``below``."""
        place = os.path.join(self.staged, below)
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            os.symlink(_link(name, directory, path), place)
            _keep_times(status, place)
        elif stat.S_ISDIR(status.st_mode):
            os.mkdir(place, 0o700)
            with _opened(name, directory, path) as descriptor:
                self.lay(descriptor, path, below, move=False)
                _keep(descriptor, place, stat.S_IRWXU)
        elif stat.S_ISREG(status.st_mode):
            with _opened(name, directory, path, os.O_NONBLOCK) as file:
                self._copy_or_link(file, place, path)
        else:
            raise ConflictError(path, "it is neither file, link nor directory")

    def _copy_or_link(self, file: int, place: str, path: str) -> None:
        status = os.fstat(file)
        key = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and key in self.copied and files.link(self.copied[key], place):
            return
        _copy_file(file, place, path)
        self.copied[key] = place


def _renamed(name: str, directory: int, place: str) -> bool:
    try:
        os.rename(name, place, src_dir_fd=directory)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EACCES, errno.EPERM):
            raise
        return False
    return True


@contextlib.contextmanager
def _opened(
    name: str, directory: int | None, path: str, flags: int = os.O_DIRECTORY
) -> Iterator[int]:
    """Open an entry for reading, a directory unless ``flags`` say otherwise; follow no link."""
    flags |= os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(name, flags, dir_fd=directory)
    except OSError as error:
        raise _changed(error, path) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _link(name: str, directory: int, path: str) -> str:
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError as error:
        raise _changed(error, path) from error


def _changed(error: OSError, path: str) -> Exception:
    if error.errno in _CHANGED or error.errno == errno.EINVAL:
        return ConflictError(path, "it was changed while it was copied")
    return OSError(error.errno, error.strerror, path)


def _copy_file(file: int, place: str, path: str) -> None:
    if not stat.S_ISREG(os.fstat(file).st_mode):
        raise ConflictError(path, "it is no regular file")
    target = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with files.naming(path):
            files.copy_content(file, target, place)
    finally:
        os.close(target)
    _keep(file, place)


def _keep(source: int, place: str, added: int = 0) -> None:
    """Give a copy the times, the mode and, if we own the source, what else stands with it."""
    status = os.fstat(source)
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid == os.geteuid():
        _keep_attributes(source, place)
    else:
        mode &= _KEPT_OF_OTHERS
    _keep_times(status, place)
    os.chmod(place, mode | added)


def _keep_attributes(source: int, place: str) -> None:
    """Give a copy the extended attributes that it can have: access lists are among them."""
    if sys.platform == "linux":
        names: list[str] = []
        with contextlib.suppress(OSError):
            names = os.listxattr(source)
        for name in names:
            with contextlib.suppress(OSError):  # of this one; the others can be had
                os.setxattr(place, name, os.getxattr(source, name))


def _keep_times(status: os.stat_result, place: str) -> None:
    os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


class _Opener:
    """Opens a staged tree; see `open_modes`.

    A file may have names elsewhere, in a cache or another prefix, say, and keeps its mode there.
    One that can be read needs nothing, as what is renamed need not be writable; what is staged
    of another one is a copy.
    """

    def __init__(self, umask: int) -> None:
        self.read = 0o044 & ~umask
        self.search = 0o055 & ~umask
        self.linked: dict[tuple[int, int], list[str]] = {}

    def open(self, directory: str) -> None:
        self._open_below(directory, 0)
        for paths in self.linked.values():
            status = os.lstat(paths[0])
            if status.st_nlink > len(paths):
                if stat.S_IMODE(status.st_mode) | 0o200 == self._wanted(status):
                    continue
                with contextlib.suppress(PermissionError):  # of what even we may not read
                    _copy_in_place(paths)
            os.chmod(paths[0], self._wanted(status))

    def _wanted(self, status: os.stat_result) -> int:
        return stat.S_IMODE(status.st_mode) | 0o600 | self.read

    def _open_below(self, directory: str, depth: int) -> None:
        if depth > _DEPTH:
            raise _TooDeepError
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_symlink():
                    continue
                status = entry.stat(follow_symlinks=False)
                mode = stat.S_IMODE(status.st_mode)
                if entry.is_dir(follow_symlinks=False):
                    _change_mode(entry.path, mode, mode | 0o700 | self.search)
                    self._open_below(entry.path, depth + 1)
                elif mode != self._wanted(status) and status.st_nlink > 1:
                    names = self.linked.setdefault((status.st_dev, status.st_ino), [])
                    names.append(entry.path)
                else:
                    _change_mode(entry.path, mode, self._wanted(status))


def _copy_in_place(paths: list[str]) -> None:
    """Let the names of a file be those of a copy, which has no others."""
    first = Path(paths[0])
    copy = first.with_name(f".{os.urandom(8).hex()}")
    copy_entry(first, copy)
    for path in paths[1:]:
        os.unlink(path)
        if not files.link(copy, path):
            copy_entry(copy, Path(path))
    copy.replace(first)


def close_modes(staged: Path, directory: str) -> None:
    """Take from others the right to write to ``directory`` of a staged tree.

    That is: to what lies below, to itself, and to the directories above it.
    """
    parts = directory.split("/")
    above = [os.path.join(staged, *parts[:n]) for n in range(1, len(parts) + 1)]
    below = [
        os.path.join(here, name) for here, names, files in os.walk(above[-1])
        for name in (*names, *files)
    ]  # fmt: skip
    for path in (*above, *below):
        if os.path.lexists(path) and not os.path.islink(path):
            mode = stat.S_IMODE(os.lstat(path).st_mode)
            _change_mode(path, mode, mode & ~0o022)


def _change_mode(path: str, mode: int, wanted: int) -> None:
    if mode != wanted:
        os.chmod(path, wanted)
