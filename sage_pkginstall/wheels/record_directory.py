"""The directories that hold the records of a prefix: what lies in them, and what changed.

Those are each site-packages, with ``NAME-VERSION.dist-info/RECORD`` and its elders, and
``var/lib/sage/installed``, with the packages' stamps.  Nothing is changed here.
"""

from __future__ import annotations

import contextlib
import os

from sage_pkginstall.engine.clock import file_time, is_settled
from sage_pkginstall.errors import RecordError
from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.installed import is_info

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = [
    "REQUIREMENTS",
    "SCRIPTS",
    "STAMPS",
    "UNSETTLED",
    "RecordDirectory",
    "changed_records",
    "look_at",
]

STAMPS = "var/lib/sage/installed"
"""The directory of the packages' stamps, relative to the prefix."""

SCRIPTS = "var/lib/sage/scripts"
"""The directory with one for each package: the scripts that stay, and its requirements."""

REQUIREMENTS = "spkg-requirements.txt"
"""The file below that which has one line for each wheel that the package brought."""

UNSETTLED = "unsettled"
"""The identity of a record that may be written to without a trace in its times."""

_LISTS = {
    ".dist-info": "/RECORD",
    ".egg-info": "/installed-files.txt",
    ".egg-link": "",
    ".egg": "",
}
"""Where each kind of record lists its files, below itself."""
_NONE = "none"
_SECOND = 1_000_000_000


def changed_records(paths: Iterable[str], stamps: str = STAMPS) -> frozenset[str]:
    """Return the file names of the records that changes at ``paths`` of a prefix touch.

    ``stamps`` is the one name of that directory, as ``var`` may be a link.  Records that come
    or go with a directory above them are not among them.
    """
    names: set[str] = set()
    for path in paths:
        if path.startswith(f"{stamps}/"):
            names.add(path[len(stamps) + 1 :].partition("/")[0])
        elif ".dist-info" in path or ".egg" in path:
            names.update(part for part in path.split("/") if is_info(part))
    return frozenset(names)


class RecordDirectory(NamedTuple):
    """A directory of records as it was seen: its state before it was read, and what is in it.

    ``identities`` tell of each record whether its list of files is what it was; ``moved`` are the
    records that were looked at now, or are gone.  What had changed within the same tick of
    the clock counts as changed: see engine/clock.py.
    """

    path: Path
    now: int
    state: tuple[int, int, int] | None
    names: frozenset[str]
    identities: dict[str, str]
    moved: frozenset[str]

    @property
    def unsure(self) -> frozenset[str]:
        """The names of records that may change without a trace in what was seen."""
        unsure = (r for r, seen in self.identities.items() if seen in {UNSETTLED, _NONE})
        return frozenset(record.rpartition("/")[2] for record in unsure)

    def is_same(self) -> bool:
        """Tell whether the directory is certainly as it was."""
        if self.state is None:
            return _state(self.path) is None
        return is_settled(self.state[2], self.now) and _state(self.path) == self.state


def look_at(
    prefix: Path, directory: str, before: RecordDirectory | None, changed: frozenset[str]
) -> RecordDirectory:
    """Return what a directory of records holds now; raises RecordError.

    With what it held ``before``, only names that are new or ``changed`` since are looked at,
    those of which nothing was sure then, and no others.
    """
    path = prefix / directory
    now = file_time()
    state = _state(path)
    with _reading(path) as (descriptor, listed):
        names = frozenset(listed)
        if before is None or not _is_same_directory(before.state, state):
            found = _identities(_places(directory, names), descriptor, now)
            moved = found.keys() | (before.identities.keys() if before else ())
            return RecordDirectory(path, now, state, names, found, frozenset(moved))
        again = changed.union(names - before.names, before.unsure) & names
        found = _identities(_places(directory, again), descriptor, now)
    moved = {f"{directory}/{name}" for name in again.union(before.names - names)}
    lasting = dict(before.identities)
    for record in moved:
        lasting.pop(record, None)
    return RecordDirectory(path, now, state, names, {**lasting, **found}, frozenset(moved))


def _is_same_directory(
    one: tuple[int, int, int] | None, other: tuple[int, int, int] | None
) -> bool:
    return one is not None and other is not None and one[:2] == other[:2]


def _places(directory: str, names: Iterable[str]) -> list[tuple[str, str]]:
    """Return the record of each name that is one, and where its list of files is."""
    if directory == STAMPS:
        return [(f"{STAMPS}/{name}", name) for name in names if not name.startswith(".")]
    infos = filter(is_info, names)
    return [(f"{directory}/{name}", name + _LISTS[name[name.rindex(".") :]]) for name in infos]


def _identities(places: Iterable[tuple[str, str]], descriptor: int, now: int) -> dict[str, str]:
    """Return the identity of each file; with 5,000 of them, every instruction counts."""
    found: dict[str, str] = {}
    newest = now - 2 * _SECOND
    for record, path in places:
        try:
            status = os.stat(path, dir_fd=descriptor)
        except (FileNotFoundError, NotADirectoryError) as error:
            is_file = isinstance(error, NotADirectoryError)
            if not (is_file and record.endswith(".dist-info")):  # a file is no distribution
                found[record] = _NONE
            continue
        changed = status.st_ctime_ns
        if changed > newest and not is_settled(changed, now):
            found[record] = UNSETTLED
        else:
            found[record] = f"{changed} {status.st_ino}"
    return found


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Open a directory and list it; what is missing is empty."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield -1, []
        return
    except OSError as error:
        raise RecordError(path, error.strerror or str(error)) from error
    try:
        yield descriptor, os.listdir(descriptor)  # noqa: PTH208 -- no path is at hand
    except OSError as error:
        record = path / error.filename if isinstance(error.filename, str) else path
        raise RecordError(record, error.strerror or str(error)) from error
    finally:
        os.close(descriptor)


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 -- under the lock, hot
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_ctime_ns
