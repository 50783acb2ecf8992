"""The user's cache, and files in it: all of it may be thrown away at any time.

Nothing is taken from a file that another user could have written, and nothing fails because
one cannot be written.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

__all__ = ["cache_directory", "mark_used", "read_cached", "user_directory", "write_cached"]

_NOT_OURS = frozenset((errno.EPERM, errno.EACCES, errno.EROFS))


def cache_directory() -> Path:
    """Return the directory of everything that may be thrown away at any time."""
    own = os.environ.get("SAGE_PKGINSTALL_CACHE")
    if own:
        return Path(own).absolute()
    return user_directory("XDG_CACHE_HOME", ".cache")


def user_directory(variable: str, below_home: str) -> Path:
    """Return our directory in one of the user's, as the XDG base directories are found.

    Who has no home directory (a number without an entry among the users, say) has none: nothing
    can be made there.
    """
    base = os.environ.get(variable, "")
    if not base.startswith("/"):
        base = os.path.expanduser(f"~/{below_home}")  # noqa: PTH111 -- never raises
    return Path(base if base.startswith("/") else os.devnull) / "sage-pkginstall"


def read_cached(path: Path) -> bytes:
    """Return a file of the cache; OSError if another user can have written it, too."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(path, flags)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if status.st_uid not in {0, os.geteuid()} or status.st_mode & 0o022:
            raise PermissionError(f"{path} may have been written by others")
        return file.read()


def mark_used(entry: Path | int) -> None:
    """Let the time of an entry of the cache (or an open file) be that of its last use.

    Nothing happens where that is not ours to write, or nobody's: it can be read all the same.
    """
    try:
        os.utime(entry)
    except OSError as error:
        if error.errno not in _NOT_OURS:
            raise


def write_cached(path: Path, data: bytes) -> None:
    """Write a file of the cache; readers see the old one or the new one.

    Nothing happens if that is impossible: the cache is never needed.
    """
    name = f"{path.name}.{os.urandom(8).hex()}"  # containers that share a cache share numbers, too
    temporary = path.with_name(name)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
            file.write(data)
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
