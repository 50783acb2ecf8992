"""Fail points: die or fail at the n-th primitive step, to prove what a crash leaves.

``SAGE_PKGINSTALL_FAIL=kill@17`` kills the process (SIGKILL) before its 17th step,
``ENOSPC@17`` makes that step fail with this error; steps count from 1 in each process.
``NAME@17+`` fails every step from the 17th on.  The crash and fault tests sweep through
all steps this way; strace is their independent witness.
"""

from __future__ import annotations

import errno
import os
import signal

from sage_pkginstall.errors import UsageError

__all__ = ["step"]


class _FailPoint:
    def __init__(self, specification: str) -> None:
        self.action, _, number = specification.partition("@")
        self.onwards = number.endswith("+")
        digits = number.removesuffix("+")
        is_known = self.action == "kill" or isinstance(getattr(errno, self.action, None), int)
        if not (is_known and digits.isascii() and digits.isdecimal()):
            reason = "it is neither kill@N nor an error's name, as in ENOSPC@N"
            raise UsageError(f"cannot use SAGE_PKGINSTALL_FAIL={specification!r}: {reason}")
        self.remaining = int(digits)

    def __call__(self, path: str) -> None:
        self.remaining -= 1
        if self.remaining > 0 or (self.remaining < 0 and not self.onwards):
            return
        if self.action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        number = getattr(errno, self.action)
        raise OSError(number, os.strerror(number), path)


_SPECIFICATION = os.environ.get("SAGE_PKGINSTALL_FAIL")
_fail_point = _FailPoint(_SPECIFICATION) if _SPECIFICATION else None


def step(path: str | os.PathLike[str]) -> None:
    """Announce a primitive step that is about to change ``path``."""
    if _fail_point is not None:
        _fail_point(os.fspath(path))
