"""The primitive steps that change a file system, each atomic or private.

Only three of them bring anything into the prefix: `rename_new` (to a name that must be
free), `exchange` and `rename`; `remove_if_empty` removes a directory there, and
`make_directory` brings it back where a transaction is undone.  After a kill between the two
steps of a `rename_new` without that call, `unlink` removes the second name.  Everything else
works in the staging area.  Where the kernel
or the file system lacks ``renameat2(2)`` (Linux) or ``renamex_np(2)`` (macOS),
`rename_new` links and unlinks instead, and `can_exchange` says no.
"""

from __future__ import annotations

import _thread
import contextlib
import errno
import os
import stat
import sys

from sage_pkginstall.engine.failpoints import step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    StrPath = str | os.PathLike[str]

__all__ = [
    "can_exchange",
    "can_move_directory",
    "copy_content",
    "current_umask",
    "delete_tree",
    "exchange",
    "flush",
    "flush_directories",
    "flush_file_system",
    "inode",
    "link",
    "lstat",
    "make_directory",
    "naming",
    "open_for_appending",
    "remove_if_empty",
    "rename",
    "rename_new",
    "same_content",
    "unlink",
    "write_new",
]

# ENOTSUP is another number than EOPNOTSUPP on macOS, and the one that renamex_np(2) names.
_UNSUPPORTED = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP})
_NOT_EMPTY = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ENOTDIR, errno.EBUSY})
_NOT_OURS = frozenset({errno.EPERM, errno.EACCES})  # in a directory with the sticky bit, say
_NO_NAME = frozenset({errno.ENAMETOOLONG, errno.ELOOP})
_BLOCK = 1 << 20
_DEEP = 100
_AT_FDCWD = -100  # <fcntl.h> of Linux
_ASKING = _thread.allocate_lock()
_NO_LINK = frozenset({errno.EPERM, errno.EMLINK, *_UNSUPPORTED} - {errno.EINVAL})


def _renamer() -> Callable[[bytes, bytes, int], int] | None:
    """Return ``rename(old, new, flags) -> errno`` of this system, if it has one."""
    if os.environ.get("SAGE_PKGINSTALL_RENAMEAT2") == "0":
        return None
    import ctypes  # noqa: PLC0415 - costs milliseconds; commands that only ask do without

    try:
        libc = ctypes.CDLL(None, use_errno=True)
        function = libc.renamex_np if sys.platform == "darwin" else libc.renameat2
    except (OSError, AttributeError):
        return None
    names = (ctypes.c_char_p,) if sys.platform == "darwin" else (ctypes.c_int, ctypes.c_char_p)
    function.argtypes = (*names, *names, ctypes.c_uint)  # known at each call: big merges notice
    get_errno = ctypes.get_errno

    def by_path(old: bytes, new: bytes, flags: int) -> int:
        return get_errno() if function(old, new, flags) else 0

    def at_directory(old: bytes, new: bytes, flags: int) -> int:
        return get_errno() if function(_AT_FDCWD, old, _AT_FDCWD, new, flags) else 0

    return by_path if sys.platform == "darwin" else at_directory


# RENAME_NOREPLACE, RENAME_EXCHANGE of <linux/fs.h>; RENAME_EXCL, RENAME_SWAP of macOS.
_NOREPLACE, _EXCHANGE = (4, 2) if sys.platform == "darwin" else (1, 2)
_UNKNOWN = object()
_rename_with_flags: object = _UNKNOWN


def _call_rename(old: StrPath, new: StrPath, flags: int) -> int:
    """Rename with flags; return 0 or the error number (ENOSYS if there is no such call)."""
    global _rename_with_flags  # noqa: PLW0603 - looked up once a process
    if _rename_with_flags is _UNKNOWN:
        _rename_with_flags = _renamer()
    if _rename_with_flags is None:
        return errno.ENOSYS
    number = _rename_with_flags(os.fsencode(old), os.fsencode(new), flags)  # type: ignore[operator]
    assert isinstance(number, int)
    return number


def _raise(number: int, path: StrPath) -> None:
    raise OSError(number, os.strerror(number), os.fspath(path))


@contextlib.contextmanager
def naming(path: StrPath) -> Iterator[None]:
    """Make an OSError name the file ``path``: one of a descriptor names none."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


def rename_new(old: StrPath, new: StrPath) -> None:
    """Rename ``old`` to ``new``, which must not exist (``FileExistsError``)."""
    step(new)
    number = _call_rename(old, new, _NOREPLACE)
    if not number:
        return
    if number not in _UNSUPPORTED:
        _raise(number, new)
    _rename_new_by_link(old, new)


def _rename_new_by_link(old: StrPath, new: StrPath) -> None:
    if not stat.S_ISDIR(os.lstat(old).st_mode):
        try:
            os.link(old, new, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
        else:
            step(old)
            os.unlink(old)
            return
    if os.path.lexists(new):
        _raise(errno.EEXIST, new)
    try:
        os.rename(old, new)
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:  # somebody has made it just now
            raise
        _raise(errno.EEXIST, new)


def exchange(first: StrPath, second: StrPath) -> bool:
    """Exchange two entries atomically; return False if the file system cannot."""
    step(second)
    number = _call_rename(first, second, _EXCHANGE)
    if number in _UNSUPPORTED:
        return False
    if number:
        _raise(number, second)
    return True


def can_exchange(directory: Path) -> bool:
    """Tell whether entries of the file system of ``directory`` can be exchanged.

    ``directory`` is private to the caller; two empty directories are made in it, exchanged
    and removed.
    """
    names = directory / "exchange-a", directory / "exchange-b"
    for name in names:
        os.mkdir(name)
    try:
        return _call_rename(*names, _EXCHANGE) == 0
    finally:
        for name in names:
            os.rmdir(name)


def can_move_directory(directory: StrPath, not_empty: StrPath) -> bool:
    """Tell whether ``directory`` can be renamed to the place where ``not_empty`` is.

    Nothing is moved: a rename onto a directory that is not empty fails, but with EXDEV
    where it could not have worked (a directory of a lower overlayfs layer, another
    mount), and with ENOTEMPTY where it could.
    """
    try:
        os.rename(directory, not_empty)
    except OSError as error:
        return error.errno in (errno.ENOTEMPTY, errno.EEXIST)
    message = f"{os.fspath(not_empty)} was empty"
    raise AssertionError(message)


def rename(old: StrPath, new: StrPath) -> None:
    """Rename ``old`` to ``new``, replacing a file that is there."""
    step(new)
    os.rename(old, new)


def link(old: StrPath, new: StrPath) -> bool:
    """Hard-link ``old`` (not what it points to) as ``new``; return False if impossible."""
    step(new)
    try:
        os.link(old, new, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        return False
    return True


def unlink(path: StrPath) -> None:
    """Remove a file or link."""
    step(path)
    os.unlink(path)


def make_directory(path: StrPath, mode: int = 0o777) -> None:
    """Make one directory."""
    step(path)
    os.mkdir(path, mode)


def remove_if_empty(path: StrPath) -> None:
    """Remove a directory, unless it is not empty, not there, a mount point, or another user's."""
    step(path)
    try:
        os.rmdir(path)
    except OSError as error:
        if error.errno not in _NOT_EMPTY | _NOT_OURS:
            raise


def write_new(path: Path, data: bytes, *, mode: int = 0o644, durable: bool = False) -> None:
    """Write a file that does not exist yet; not visible to anybody who matters before."""
    step(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, mode)
    try:
        with naming(path):
            _write_all(descriptor, data)
            if durable:
                _sync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def copy_content(source: int, target: int, place: StrPath) -> None:
    """Copy what is left of an open file into another, ``place``: in the kernel if it is large.

    An OSError names ``place`` if that cannot be written, and nothing if the source cannot be
    read.
    """
    left = os.fstat(source).st_size
    if left > _BLOCK and hasattr(os, "copy_file_range"):
        with contextlib.suppress(OSError):  # two file systems, or one that cannot
            while os.copy_file_range(source, target, left):
                pass
    block = min(left + 1, _BLOCK)
    while data := os.read(source, block):
        with naming(place):
            _write_all(target, data)


def lstat(path: StrPath) -> os.stat_result | None:
    """Return the status of ``path`` itself, or None if there is no such entry.

    Nor is there one of a name that is too long, as others' records may have it.
    """
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno in _NO_NAME:
            return None
        raise


def same_content(first: str, second: str) -> bool:
    """Tell whether two files, or two links, have the same content."""
    if os.path.islink(first) or os.path.islink(second):
        same_kind = os.path.islink(first) and os.path.islink(second)
        return same_kind and os.readlink(first) == os.readlink(second)
    import filecmp  # noqa: PLC0415 - where others have had such a file only

    return filecmp.cmp(first, second, shallow=False)


def inode(path: StrPath) -> int | None:
    """Return the inode number of ``path`` itself, or None if there is no such entry."""
    status = lstat(path)
    return None if status is None else status.st_ino


def flush(path: StrPath) -> None:
    """Have the entries of a directory, or the data of a file, written to the disk.

    What we may write but not read cannot be written by itself: then everything is.
    """
    step(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:
        os.sync()
        return
    try:
        with naming(path):
            _sync(descriptor)
    finally:
        os.close(descriptor)


def _sync(descriptor: int) -> None:
    """Have a file's data on the disk; fsync(2) of macOS leaves it in the cache of the drive."""
    if sys.platform == "darwin":
        import fcntl  # noqa: PLC0415 - there only

        with contextlib.suppress(OSError):  # a file system that lacks it has fsync
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def flush_directories(directories: Iterable[str]) -> None:
    """Have the entries of each directory that still exists written to the disk."""
    for directory in directories:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            flush(directory)


def flush_file_system(path: Path) -> None:
    """Write out all data of the file system of ``path``: ``syncfs(2)``, else ``sync(2)``."""
    step(path)
    if not sys.platform.startswith("linux"):
        os.sync()
        return
    import ctypes  # noqa: PLC0415 - see _renamer

    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(descriptor):
            _raise(ctypes.get_errno(), path)
    finally:
        os.close(descriptor)


def delete_tree(path: StrPath) -> None:
    """Delete a private tree, closed directories included; it may be missing.

    If ``path`` is a link, only that goes.
    """
    status = lstat(path)
    if status is None:
        return
    if not stat.S_ISDIR(status.st_mode):
        os.unlink(path)
        return
    try:
        _delete_directory(path, None)
    except OSError:
        if os.path.lexists(path):
            _open_directories(path)
            _delete_directory(path, None)


def _delete_directory(name: StrPath, parent: int | None, depth: int = 0, top: int = -1) -> None:
    """Delete a directory; no link is followed, whoever puts one there meanwhile.

    `shutil.rmtree` does the same, but `shutil` comes with bz2 and lzma; `os.fwalk` looks at
    each entry once more.  What lies too deep for descriptors and calls is moved up to the ``top``.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, dir_fd=parent)
    try:
        while _delete_entries(descriptor, depth, descriptor if depth == 0 else top):
            pass
    finally:
        os.close(descriptor)
    os.rmdir(name, dir_fd=parent)


def _delete_entries(directory: int, depth: int, top: int) -> bool:
    """Delete what is in a directory; tell whether something may have been moved there."""
    with os.scandir(directory) as entries:
        found = list(entries)
    has_directories = False
    for entry in found:
        if not entry.is_dir(follow_symlinks=False):
            os.unlink(entry.name, dir_fd=directory)
        elif depth < _DEEP:
            has_directories = True
            _delete_directory(entry.name, directory, depth + 1, top)
        else:
            place = os.urandom(8).hex()
            os.rename(entry.name, place, src_dir_fd=directory, dst_dir_fd=top)
    return has_directories and depth == 0


def _open_directories(path: StrPath) -> None:
    """Let us delete in our directories below ``path``; those of others are left alone."""
    pending = [os.fspath(path)]
    while pending:
        directory = pending.pop()
        with contextlib.suppress(OSError):
            if os.lstat(directory).st_uid == os.geteuid():
                os.chmod(directory, 0o700)
            with os.scandir(directory) as entries:
                pending += (e.path for e in entries if e.is_dir(follow_symlinks=False))


def current_umask() -> int:
    """Return the umask of this process.

    It can be asked for only by setting another one: for that moment the strictest, as other
    threads may be making files.  Those that ask take turns, or one would take that for the mask.
    """
    with _ASKING:
        mask = os.umask(0o077)
        os.umask(mask)
    return mask


def open_for_appending(path: Path) -> int:
    """Return the descriptor of a log to which many processes append, each line by one write.

    The file and its directory are made at need; a link is not followed, nobody waits for
    the reader of a pipe.  This is never a file of the prefix.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        return os.open(path, flags, 0o644)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        return os.open(path, flags, 0o644)
