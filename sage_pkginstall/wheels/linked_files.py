"""Files of wheels that the prefixes of a user share by hard links, if that is asked for.

    CACHE/files/SHA256        content of a file of a wheel, mode 0444
    CACHE/files/SHA256.x      the same for an executable one, mode 0555

A file comes here by one link(2) from the staged tree in which it was written, and gets
from here into other staged trees by one more, after its content was found to be what its
name says.  So an edit in one prefix, which all of them see that have the file, reaches none
that is filled later: what does not fit its name goes.  Nothing is ever written to a file
here, its mode and times least of all: they are those of files in prefixes.

What no prefix links any more (one link is left) was last used when that link went, which
its ctime tells.  Together such files are kept below `LIMIT` bytes.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import stat

from sage_pkginstall.errors import UsageError
from sage_pkginstall.wheels.room import make_room

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LIMIT", "LinkedFiles", "last_use", "linked_files"]

LIMIT = 1 << 30
"""Bytes of files that no prefix uses."""

_MODES = ("copy", "hardlink")
_BLOCK = 1 << 20
_NAME = re.compile(r"[0-9a-f]{64}(?:\.x)?")
_ALGORITHM = "sha256="
_FOR_ALL = 0o055  # who may read a file here may be anybody, unless this is masked


def linked_files(cache: Path, mode: str, umask: int) -> LinkedFiles | None:
    """Return the files that are shared with ``mode`` "hardlink"; None if they are copied.

    That is so with "copy", and where ``umask`` keeps files from others.  Raises UsageError for
    another mode.
    """
    if mode not in _MODES:
        raise UsageError(f"cannot use link mode {mode!r}: it is one of {', '.join(_MODES)}")
    return LinkedFiles(cache) if mode == "hardlink" and not umask & _FOR_ALL else None


class LinkedFiles:
    """The shared files in the cache directory ``cache``, which need not be there.

    No method raises OSError: a file that cannot be shared is copied.  Each file is checked once.
    """

    def __init__(self, cache: Path) -> None:
        self._directory = os.path.join(cache, "files")  # noqa: PTH118 -- thousands of files
        self._good: set[str] = set()
        with contextlib.suppress(OSError):
            os.makedirs(self._directory, mode=0o700, exist_ok=True)  # noqa: PTH103

    @staticmethod
    def mode(*, executable: bool) -> int:
        """Return the mode of a file that is shared."""
        return 0o555 if executable else 0o444

    def find(self, known: str, size: int, *, executable: bool) -> str | None:
        """Return a good file with this hash (as RECORD has it) and size, None if there is none."""
        path = self._path(known, executable=executable)
        if path is None or path in self._good:
            return path
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            if _is_intact(descriptor, known, size, self.mode(executable=executable)):
                self._good.add(path)
                return path
        except OSError:
            pass
        finally:
            os.close(descriptor)
        with contextlib.suppress(OSError):
            os.unlink(path)  # noqa: PTH108
        return None

    def place(self, known: str, *, executable: bool) -> str | None:
        """Return where a file with this hash is to be linked to; None if it cannot be."""
        path = self._path(known, executable=executable)
        if path is not None and os.path.basename(path).startswith("000"):  # noqa: PTH119 -- 1 in 4096
            with contextlib.suppress(OSError):
                make_room(self._directory, _NAME, LIMIT, last_use)
        return path

    def _path(self, known: str, *, executable: bool) -> str | None:
        if not known.startswith(_ALGORITHM):
            return None
        digest = _digest(known).hex()
        return os.path.join(self._directory, f"{digest}.x" if executable else digest)  # noqa: PTH118


def last_use(status: os.stat_result) -> float:
    """Return when a shared file was last used, in seconds since 1970; infinity if it is now."""
    return status.st_ctime if status.st_nlink == 1 else float("inf")


def _digest(known: str) -> bytes:
    return base64.urlsafe_b64decode(f"{known[len(_ALGORITHM) :]}=")


def _is_intact(descriptor: int, known: str, size: int, mode: int) -> bool:
    """Tell whether an open file is one that only we can have written, and is as it was."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or stat.S_IMODE(status.st_mode) != mode:
        return False
    if status.st_uid != os.geteuid() or status.st_size != size:
        return False
    digest = hashlib.sha256()
    while block := os.read(descriptor, _BLOCK):
        digest.update(block)
    return digest.digest() == _digest(known)
