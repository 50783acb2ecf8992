"""The cache of unpacked wheels, from which build environments are composed.

    CACHE/wheels/SHA256-PYTHON-MAGIC/     a wheel's files, byte-compiled, read-only
        lib/pythonX.Y/site-packages/      its modules and *.dist-info
        bin/                              its scripts; they name SCRIPT_INTERPRETER
        include/ share/ …                 its headers and data
    CACHE/var/tmp/sage/T-…                an entry being made; see engine/workspace.py

An entry appears whole, by one rename, flushed to the disk before: so whatever has an
entry's name can be trusted.  Where two builds make the same entry, both use that of the
faster one.  A directory's mtime is when its entry was last used; who uses it holds a
shared flock of it, so that prune.py leaves it alone.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from pathlib import Path
from types import MappingProxyType

from sage_pkginstall.builds.remembered import remembered
from sage_pkginstall.builds.source_files import hash_file
from sage_pkginstall.engine.files import flush_file_system, rename
from sage_pkginstall.engine.workspace import StagingArea
from sage_pkginstall.user_cache import mark_used

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from sage_pkginstall.environment import Environment
    from sage_pkginstall.wheels.bytecode import SourceCompiler

__all__ = ["SCRIPT_INTERPRETER", "held", "site_packages", "unpacked_wheels"]

SCRIPT_INTERPRETER = Path("/build-environment/python3")
"""What scripts of an entry are to be run by: a build environment puts its own there."""


def unpacked_wheels(
    wheels: Iterable[Path],
    environment: Environment,
    cache: Path,
    counted: Callable[[int, int], object] = lambda _hits, _misses: None,
) -> tuple[Path, ...]:
    """Return where each wheel lies unpacked for ``environment``'s Python, in their order.

    What is not in ``cache`` yet is unpacked and compiled now.  Nobody may write there.
    ``counted`` is told how many were there, and how many were not.  Raises WheelError for a
    bad wheel.
    """
    entries = {wheel: cache / "wheels" / _key(wheel, environment) for wheel in wheels}
    missing = {wheel: entry for wheel, entry in entries.items() if not _use(entry)}
    counted(len(entries) - len(missing), len(missing))
    if missing:
        _make(missing, environment, cache)
    return tuple(entries.values())


@contextlib.contextmanager
def held(entries: Iterable[Path]) -> Iterator[None]:
    """Keep ``entries`` from being pruned, also by other processes, for a ``with`` statement.

    Raises FileNotFoundError if one is gone by now: it is to be made again.  Where the file
    system has no locks, entries are as safe as their time of last use makes them.
    """
    with contextlib.ExitStack() as locks:
        for entry in entries:
            descriptor = os.open(entry, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            locks.callback(os.close, descriptor)
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_SH)
            if os.fstat(descriptor).st_ino != entry.stat().st_ino:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(entry))
        yield


def site_packages(environment: Environment) -> str:
    """Return where a virtual environment of this Python has its modules (PEP 405)."""
    name = "pypy" if environment.implementation == "pypy" else "python"
    version = ".".join(environment.version.split(".")[:2])
    threads = "t" if environment.build["free_threaded"] else ""
    return f"lib/{name}{version}{threads}/site-packages"


def _key(wheel: Path, environment: Environment) -> str:
    digest = remembered(wheel, lambda: {"sha256": hash_file(wheel)}, "content")["sha256"]
    python = site_packages(environment).split("/")[1]
    return f"{digest}-{python}-{environment.magic.hex()}"


def _use(entry: Path) -> bool:
    try:
        if not _is_trusted(entry):
            return False
        mark_used(entry)
    except FileNotFoundError:
        return False
    return True


def _is_trusted(entry: Path) -> bool:
    """Tell whether nobody else can have put something there: a build runs what it finds."""
    for status in (os.lstat(entry.parent), os.lstat(entry)):
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in {0, os.geteuid()}:
            return False
        if status.st_mode & 0o022:
            return False
    return True


def _make(entries: dict[Path, Path], environment: Environment, cache: Path) -> None:
    area = StagingArea(cache)
    area.collect()
    with area.workspace() as workspace:
        for wheel, entry in entries.items():
            root = workspace.tree / entry.name
            root.mkdir(mode=0o755)  # whatever the umask is
            _unpack(wheel, root, entry, environment)
            _make_read_only(root)
        flush_file_system(workspace.tree)
        (cache / "wheels").mkdir(mode=0o755, exist_ok=True)
        for entry in entries.values():
            _publish(workspace.tree / entry.name, entry)


def _as_entry(environment: Environment, entry: Path) -> Environment:
    """Return the facts of ``environment``'s Python for an installation into ``entry``."""
    modules = site_packages(environment)
    schemes = {
        "purelib": modules,
        "platlib": modules,
        "scripts": "bin",
        "headers": "include/site/" + modules.split("/")[1],
        "data": "",
    }
    return environment._replace(
        prefix=entry,
        interpreter=SCRIPT_INTERPRETER,
        schemes=MappingProxyType(schemes),
        externally_managed=None,
    )


def _make_read_only(root: Path) -> None:
    for directory, _, names in os.walk(root):
        for name in names:
            path = os.path.join(directory, name)  # noqa: PTH118 -- thousands of files
            os.chmod(path, stat.S_IMODE(os.lstat(path).st_mode) & ~0o222)  # noqa: PTH101
        if directory != os.fspath(root):  # which could not be renamed then
            os.chmod(directory, 0o555)  # noqa: PTH101, S103 -- hot; all may read it


def _publish(root: Path, entry: Path) -> None:
    try:
        rename(root, entry)
    except OSError as error:
        if error.errno not in {errno.EEXIST, errno.ENOTEMPTY}:
            raise
        if not _is_trusted(entry):
            reason = f"{entry} may have been written by others"
            raise PermissionError(errno.EPERM, reason) from error


def _unpack(wheel: Path, root: Path, entry: Path, target: Environment) -> None:
    # Most builds find all they need in the cache, and these cost 20 ms to import.
    from sage_pkginstall.wheels.bytecode import staged_compiler  # noqa: PLC0415
    from sage_pkginstall.wheels.staging import WheelRequest, stage_wheel  # noqa: PLC0415

    def compiler(root: Path, environment: Environment) -> AbstractContextManager[SourceCompiler]:
        runnable = environment._replace(interpreter=target.interpreter)
        return staged_compiler(root, runnable)

    request = WheelRequest(wheel, requested=False)
    stage_wheel(request, _as_entry(target, entry), root, compiler=compiler)
