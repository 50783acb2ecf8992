"""In what condition a prefix is: lock, journal, debris, rights, records."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections import Counter

from sage_pkginstall.engine.holder import describe, last_holder
from sage_pkginstall.engine.lock import is_held
from sage_pkginstall.engine.quiet import begun_by_the_dead
from sage_pkginstall.errors import JournalError
from sage_pkginstall.operations.history import log_files
from sage_pkginstall.reports.finding import error, warning
from sage_pkginstall.reports.subjects import packages
from sage_pkginstall.wheels.records import all_recorded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sage_pkginstall.engine.holder import Holder
    from sage_pkginstall.environment import Environment
    from sage_pkginstall.reports.finding import Examination, Finding

__all__ = ["debris", "interpreter", "journal", "lock", "log", "records", "rights"]

_LONG = 60.0  # seconds; a commit takes milliseconds
_OURS = ("var", "var/lock", "var/lock/pip3.lock", "var/tmp", "var/tmp/sage", "var/lib/sage")


def rights(examination: Examination) -> Iterator[Finding]:
    """Look whether we may write, and whether all that is ours belongs to one user."""
    prefix = examination.tree.prefix
    sites = examination.environment.site_directories if examination.environment else ()
    owner = prefix.stat().st_uid
    for name in ("", *_OURS, "bin", *sites):
        path = prefix / name
        if not os.path.lexists(path):
            continue
        if not os.access(path, os.W_OK):
            yield error(f"{path} cannot be written", _way_to_write(path))
        elif path.lstat().st_uid != owner:
            text = f"{path} belongs to user {path.lstat().st_uid}, the prefix to user {owner}"
            yield warning(text, f"chown -R {owner} {prefix}")
    if os.geteuid() not in {0, owner}:
        return
    if os.geteuid() != owner:
        yield warning(
            f"the prefix belongs to user {owner}, and you are user {os.geteuid()}",
            "run as its owner: what you install would not be his to remove",
        )


def _way_to_write(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError):  # a link that leads nowhere
        if os.statvfs(path).f_flag & os.ST_RDONLY:
            return "mount its file system for writing"
    status = path.lstat()
    if status.st_uid == os.geteuid() and not status.st_mode & stat.S_IWUSR:
        return f"chmod u+w {path}"
    return "run as its owner, or set SAGE_SUDO"


def lock(examination: Examination) -> Iterator[Finding]:
    """Look who holds the lock, if anybody does."""
    path = examination.tree.lock_path
    if path.is_symlink():
        yield error(f"{path} is a symbolic link, which is not followed", f"remove {path}")
        return
    if not is_held(path):
        return
    holder = last_holder(path)
    remedy = f"see who it is with 'fuser -v {path}', and end that process if it hangs"
    if holder is None or not _lives(holder):
        yield warning(f"{path} is held by a program that does not say who it is", remedy)
    elif time.time() - holder.since > _LONG:
        yield warning(f"{path} is held by {describe(holder)}", remedy)


def journal(examination: Examination) -> Iterator[Finding]:
    """Look for a transaction that nobody finished."""
    try:
        examination.tree.journal.read()
    except JournalError as damage:
        yield error(
            f"the journal {damage.journal} cannot be used: {damage.reason}",
            "'sage-pkginstall recover --discard' moves it aside",
        )
        return
    label = begun_by_the_dead(examination.tree)
    if label is not None:
        yield warning(
            f"'{label}' was begun by a process that died",
            "'sage-pkginstall recover', or any command that installs, finishes it",
        )


def debris(examination: Examination) -> Iterator[Finding]:
    """Look for what dead processes left in the staging area."""
    area = examination.tree.area.path
    dead = sorted(path.stem for path in area.glob("T-*.lock") if not is_held(path))
    if dead:
        yield warning(
            f"{len(dead)} staging directories of dead processes lie in {area}",
            "'sage-pkginstall recover' deletes them",
        )
    for path in sorted(area.glob("discarded-*")):
        yield warning(f"{path} holds a discarded transaction", "delete it when all is well")


def records(examination: Examination) -> Iterator[Finding]:
    """Look for records of old kinds, damaged ones, and several of one name."""
    old = [p.stamp.file_name for p in packages(examination.tree.prefix) if p.stamp.files is None]
    if old:
        yield warning(
            f"the stamps of {_some(old)} list no files",
            "build these packages again, so that they can be removed",
        )
    if examination.environment is not None:
        yield from _distribution_records(examination.environment)


def _distribution_records(environment: Environment) -> Iterator[Finding]:
    installed = all_recorded(environment)
    old = [one.name for one in installed if one.kind in {"egg-link", "distutils"}]
    if old:
        yield warning(
            f"{_some(old)}: installed in a way that lists no files (egg-link, distutils)",
            "uninstall them, then install wheels of them",
        )
    wheels = [one for one in installed if one.kind == "dist-info"]
    bare = [w.info for w in wheels if not (environment.prefix / w.info / "RECORD").is_file()]
    if bare:
        yield warning(f"{_some(bare)}: no RECORD", "install these distributions again")
    counts = Counter(one.canonical for one in installed)
    twins = sorted(name for name, count in counts.items() if count > 1)
    if twins:
        remedy = "uninstall them, then install the version that you want"
        yield warning(f"{_some(twins)}: several versions are installed", remedy)


def interpreter(examination: Examination) -> Iterator[Finding]:
    """Look whether wheels can be installed at all."""
    environment = examination.environment
    if environment is None:
        lacking = _lacking(examination.tree.prefix)
        remedy = "make it a virtual environment, if they should be"
        yield warning(f"{lacking}: wheels cannot be installed", remedy)
    elif environment.externally_managed is not None:
        text = f"{environment.prefix} is managed by the system (PEP 668): it is not changed"
        yield warning(text, "use a virtual environment")


def _lacking(prefix: Path) -> str:
    """Return why a prefix has no environment."""
    if (prefix / "bin" / "python3").exists():
        return f"{prefix}/bin/python3 is that of another prefix"
    return f"{prefix} has no bin/python3"


def log(examination: Examination) -> Iterator[Finding]:
    """Look whether transactions can be logged."""
    path = log_files(examination.tree.prefix)[0]
    existing = path
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    no_place = existing != path and not existing.is_dir()
    if path.is_symlink() or no_place or not os.access(existing, os.W_OK):
        remedy = f"make {existing} writable, or set SAGE_LOGS or XDG_STATE_HOME to what is"
        yield warning(f"transactions cannot be logged in {path}", remedy)


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= len(names[:3]) else f"{shown} and {len(names) - 3} more"


def _lives(holder: Holder) -> bool:
    with contextlib.suppress(PermissionError):
        try:
            os.kill(holder.pid, 0)
        except ProcessLookupError:
            return False
    return True
