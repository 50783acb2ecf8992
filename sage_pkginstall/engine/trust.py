"""Whose files are obeyed: our own, root's, and those of the owner of the prefix.

A prefix, or the staging area in it, may be writable for others as well: by its group, by
a umask of 000 long ago.  What others put where our files are expected (a link, a pipe, a
journal) is refused with one line that names its owner; what we make ourselves they
cannot write, whatever the umask is.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

__all__ = [
    "make_closed",
    "open_trusted",
    "other_writer",
    "others_who_write",
    "trusted_users",
    "user_name",
]

_WRITE = 0o022  # by the group, by all others
_ATTEMPTS = 100
_LINKS = 40  # as many as the kernel follows


def trusted_users(prefix: Path) -> frozenset[int]:
    """Return whose files in ``prefix`` are obeyed."""
    return frozenset({0, os.geteuid(), os.stat(prefix).st_uid})


def user_name(number: int) -> str:
    """Return a user's name for a message, or the number if nobody has it."""
    import pwd  # noqa: PLC0415 - only for messages

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def open_trusted(path: Path, flags: int, prefix: Path, mode: int = 0o600) -> int:
    """Open a regular file that belongs to somebody trusted in ``prefix``.

    No link is followed, and no pipe waited for.  ``mode`` is that of a new file.  Raises
    OSError, whose ``strerror`` is a reason for people.
    """
    guards = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags | guards, mode)
    except OSError as error:
        reason = _reason(path, error)
        raise OSError(error.errno, reason, os.fspath(path)) from error
    try:
        _require_trusted(path, os.fstat(descriptor), prefix)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _require_trusted(path: Path, status: os.stat_result, prefix: Path) -> None:
    if status.st_uid not in trusted_users(prefix):
        reason = _foreign(status, prefix)
    elif not stat.S_ISREG(status.st_mode):
        reason = "it is no regular file; remove it"
    else:
        return
    raise PermissionError(errno.EPERM, reason, os.fspath(path))


def _reason(path: Path, error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "it is a symbolic link, which is not followed; remove it"
    if error.errno == errno.ENXIO:
        return "it is no regular file; remove it"
    if error.errno == errno.EACCES and os.path.lexists(path):
        owner = user_name(os.lstat(path).st_uid)
        return f"permission denied, it belongs to user {owner}; go on as that user or as root"
    return error.strerror or str(error)


def _foreign(status: os.stat_result, prefix: Path) -> str:
    owner, mine = user_name(status.st_uid), user_name(os.stat(prefix).st_uid)
    return (
        f"it belongs to user {owner}, and only {mine}, to whom {prefix} belongs, root and"
        " whoever runs this are obeyed there; look what it is, and remove it"
    )


def make_closed(directory: Path, prefix: Path, attempts: int = _ATTEMPTS) -> None:
    """Make a directory of ours, and what is missing above it, so that no others write there.

    It is tried again as often as ``attempts`` says, as others remove what is empty above it.

    One of ours that exists is closed, too (but for a sticky one, as /tmp is).  Raises
    OSError, whose ``strerror`` is a reason for people, for one that somebody else made.
    """
    try:
        os.mkdir(directory, 0o755)
    except FileNotFoundError:
        if not attempts:  # so autofs and proc refuse to make anything
            raise
        make_closed(directory.parent, prefix if prefix in directory.parents else directory.parent)
        make_closed(directory, prefix, attempts - 1)
    except FileExistsError:
        _require_closed(directory, prefix)


def _require_closed(directory: Path, prefix: Path) -> None:
    status = os.stat(directory)
    for one in (os.lstat(directory), status):  # a link, and what it leads to
        if one.st_uid not in trusted_users(prefix):
            raise PermissionError(errno.EPERM, _foreign(one, prefix), os.fspath(directory))
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISDIR(status.st_mode):
        raise OSError(errno.ENOTDIR, "it is no directory; remove it", os.fspath(directory))
    if not mode & _WRITE or mode & stat.S_ISVTX:
        return
    try:
        os.chmod(directory, mode & ~_WRITE)
    except PermissionError as error:  # its owner's business, or everybody's
        if mode & stat.S_IWOTH:
            reason = "everybody may write there; 'chmod go-w' it"
            raise PermissionError(errno.EPERM, reason, os.fspath(directory)) from error


def others_who_write(path: Path) -> str | None:
    """Return who else than root and we could put another file at ``path``, if anybody.

    That is: could write to it, or to a directory above it, also of the links on the way.
    The value is a clause for a message.
    """
    pending = list(reversed(Path(os.path.abspath(path)).parts[1:]))
    place, links = Path("/"), 0
    while True:
        if (clause := other_writer(place)) is not None or not pending:
            return clause
        part = pending.pop()
        place = place.parent if part == ".." else place / part
        if place.is_symlink():
            links += 1
            if links > _LINKS:
                return f"{place} is a link that leads round in a circle"
            if (clause := other_writer(place)) is not None:
                return clause
            target = place.readlink()
            pending.extend(reversed([part for part in target.parts if part != target.root]))
            place = Path("/") if target.is_absolute() else place.parent


def other_writer(path: Path) -> str | None:
    """Return who else than root and we could change an entry itself; see `others_who_write`."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if status.st_uid not in {0, os.geteuid()}:
        return f"{path} belongs to user {user_name(status.st_uid)}"
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISLNK(status.st_mode) or mode & stat.S_ISVTX:
        return None
    if mode & stat.S_IWOTH:
        return f"everybody may write to {path}"
    if mode & stat.S_IWGRP and status.st_gid not in {0, os.getegid()}:
        return f"the group of {path} may write to it"
    return None
