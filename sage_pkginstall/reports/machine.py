"""Whether a machine gives what is needed: file system, programs, variables."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from pathlib import Path

from sage_pkginstall.engine.files import can_exchange
from sage_pkginstall.errors import PkgInstallError
from sage_pkginstall.reports.finding import error, warning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sage_pkginstall.reports.finding import Examination, Finding

__all__ = ["exchange", "file_systems", "flock", "path_order", "programs", "space", "variables"]

_SCARCE = 200 * 1000 * 1000  # bytes
_COMPILERS = ("cc", "gcc", "clang")
_PROGRAMS = ("make", "tar", "patch", "bash")
_MISLEADING = (
    "PYTHONHOME",
    "PYTHONPATH",
    "PIP_PREFIX",
    "PIP_ROOT",
    "PIP_TARGET",
    "PIP_USER",
    "PYTHONUSERBASE",
)


@contextlib.contextmanager
def _probe(examination: Examination) -> Iterator[Path | None]:
    """Give a directory in the prefix that is gone afterwards, None if that is impossible.

    It lies in the staging area, if there is one: the next command deletes it if we are killed.
    """
    area = examination.tree.area
    with contextlib.ExitStack() as stack:
        probe: Path | None = None
        with contextlib.suppress(OSError, PkgInstallError):
            if area.path.is_dir():
                probe = stack.enter_context(area.workspace()).scratch
            else:
                made = tempfile.TemporaryDirectory(prefix=".sage-doctor-", dir=area.prefix)
                probe = Path(stack.enter_context(made))
        yield probe


def exchange(examination: Examination) -> Iterator[Finding]:
    """Look whether the file system exchanges two entries in one step."""
    with _probe(examination) as probe:
        if probe is not None and not can_exchange(probe):
            text = "the file system cannot exchange two entries (renameat2)"
            yield warning(
                f"{text}: upgrades are done file by file, and a directory that becomes a file"
                " is absent for a moment",
                "put the prefix on ext4, XFS, Btrfs or tmpfs if that matters",
            )


def flock(examination: Examination) -> Iterator[Finding]:
    """Look whether the file system gives locks."""
    with contextlib.ExitStack() as stack:
        try:  # a file without a name: nothing stays of it if we are killed
            file = stack.enter_context(tempfile.TemporaryFile(dir=examination.tree.prefix))
        except OSError:
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            text = f"the file system of the prefix gives no flock ({problem.strerror})"
            yield error(text, "mount it with locks (NFS: without 'nolock'), or move the prefix")


def file_systems(examination: Examination) -> Iterator[Finding]:
    """Look for directories of the prefix that lie on another file system."""
    prefix = examination.tree.prefix
    sites = examination.environment.site_directories if examination.environment else ()
    names = ["bin", "include", "lib", "share", "var/lib/sage", "var/tmp/sage", *sites]
    device = prefix.stat().st_dev
    for name in dict.fromkeys(names):
        with contextlib.suppress(OSError):
            if (prefix / name).stat().st_dev != device:
                text = f"{name} lies on another file system than the prefix"
                reason = "what goes there is copied first, and takes longer"
                yield warning(f"{text}: {reason}", "mount one file system for the whole prefix")


def space(examination: Examination) -> Iterator[Finding]:
    """Look whether there is room."""
    found = os.statvfs(examination.tree.prefix)
    free = found.f_bavail * found.f_frsize
    if free < _SCARCE:
        yield warning(
            f"only {free // 1_000_000} MB are free on the file system of the prefix",
            "make room: an upgrade needs the old version and the new at once",
        )
    if found.f_files and not found.f_favail:
        yield error("the file system of the prefix has no inode left", "delete files there")


def programs(examination: Examination) -> Iterator[Finding]:
    """Look for the programs that building from source needs."""
    which = examination.which
    compiler = examination.variables.get("CC", "").split()
    if compiler and which(compiler[0]) is None:
        yield warning(f"CC names {compiler[0]}, which is not there", "set CC, or unset it")
    elif not compiler and not any(map(which, _COMPILERS)):
        yield warning(
            f"there is no C compiler ({', '.join(_COMPILERS)})",
            "install one, or set CC; wheels alone need none",
        )
    for program in _PROGRAMS:
        if which(program) is None:
            yield warning(f"there is no {program}", "install it; wheels alone need none")


def path_order(examination: Examination) -> Iterator[Finding]:
    """Look whether programs of the prefix come before others of the same name."""
    binaries = examination.tree.prefix / "bin"
    if not binaries.is_dir():
        return
    place = os.path.realpath(binaries)
    places = [os.path.realpath(p) for p in examination.variables.get("PATH", "").split(":") if p]
    remedy = f"put {binaries} first in PATH, or activate the environment"
    if place not in places:
        yield warning(f"{binaries} is not in PATH", remedy)
        return
    for above in places[: places.index(place)]:
        if (Path(above) / "python3").exists() and (binaries / "python3").exists():
            yield warning(f"{above} comes before {binaries} in PATH: its python3 is run", remedy)
            return


def variables(examination: Examination) -> Iterator[Finding]:
    """Look for variables that lead Python or pip elsewhere."""
    for name in _MISLEADING:
        if examination.variables.get(name):
            text = f"{name} is set, which leads Python or pip away from the prefix"
            yield warning(text, f"unset {name}")
