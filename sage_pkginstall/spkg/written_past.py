"""Tell whether something was written into a tree past its transactions.

A script may put files into the prefix itself, besides or instead of staging them.  Such a file
is new, and belongs to no package, or to one whose stamp is older than it: transactions bring
the stamp last.

Scripts that run once their package is installed (``postinst``) do that by right.  With
``make -jN`` they do it while others build; then the file is theirs if it lies where their
package alone has files.
"""

from __future__ import annotations

import os

from sage_pkginstall.engine.canonical_paths import CanonicalPaths
from sage_pkginstall.engine.clock import is_settled
from sage_pkginstall.spkg.distributions import package_distributions
from sage_pkginstall.spkg.stamp import read_stamp
from sage_pkginstall.wheels.installed import installed_distributions
from sage_pkginstall.wheels.ownership import package_name
from sage_pkginstall.wheels.record_directory import STAMPS
from sage_pkginstall.wheels.records import listed_paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from sage_pkginstall.environment import Environment

__all__ = ["written_past"]

_NOT_SEARCHED = ("var/lib/sage", "var/lock", "var/tmp")  # ours, and where others build


def written_past(
    tree: Path,
    began: int,
    environment: Environment | None = None,
    finishes: Callable[[str], bool] = lambda _package: False,
) -> str | None:
    """Return a file of ``tree`` that was written since ``began`` and came in no transaction.

    ``began`` is a time of files (`engine.clock.file_time`); the records of distributions are
    read if ``environment`` is that of the tree.  None means that there is no such file,
    byte-code aside; a file that another program put there meanwhile counts, too, but for those
    of packages that came meanwhile and of which ``finishes`` says that they have a script that
    runs after that.
    """
    changed = {path: _changed(tree / path) for path in _files(os.fspath(tree), "")}
    new = {path: when for path, when in changed.items() if not is_settled(when, began)}
    if not new:
        return None
    stamps = {stamp.name: _changed(stamp) for stamp in (tree / STAMPS).glob("*-*")}
    came = {name: when for name, when in stamps.items() if not is_settled(when, began)}
    brought: dict[str, int] = {}
    if environment is not None and environment.prefix == tree:
        names = (package_distributions(tree, package_name(name)) for name in came)
        brought.update(_with_distributions(environment, frozenset().union(*names), began))
    for name, when in came.items():
        brought.update(dict.fromkeys(_listed(tree, name), when))
    left = [path for path in sorted(new) if brought.get(path, 0) < new[path]]
    finishing = [name for name in came if finishes(package_name(name))]
    if left and finishing:
        places = _places_of_their_own(tree, stamps, finishing)
        left = [path for path in left if not path.startswith(places)]
    return left[0] if left else None


def _places_of_their_own(
    tree: Path, stamps: Collection[str], packages: Collection[str]
) -> tuple[str, ...]:
    """Return the directories, but the prefix's own, where one of ``packages`` alone has files."""
    holders: dict[str, set[str]] = {}
    direct: set[str] = set()
    for name in stamps:
        for path in _listed(tree, name):
            directory = path.rpartition("/")[0]
            if name in packages:
                direct.add(directory)
            while directory:
                holders.setdefault(directory, set()).add(name)
                directory = directory.rpartition("/")[0]
    return tuple(f"{one}/" for one in direct if "/" in one and len(holders[one]) == 1)


def _with_distributions(
    environment: Environment, names: Collection[str], began: int
) -> Iterator[tuple[str, int]]:
    """Yield the files of each of these distributions that came since, and when that was done."""
    paths = CanonicalPaths(environment.prefix)
    for one in installed_distributions(environment):
        info = environment.prefix / one.info
        when = max(_changed(info), _changed(info / "RECORD"))
        if one.canonical in names and one.kind == "dist-info" and not is_settled(when, began):
            for path in listed_paths(environment, one, paths):
                yield path, when


def _listed(tree: Path, stamp: str) -> tuple[str, ...]:
    return read_stamp(tree / STAMPS / stamp).files or ()


def _changed(path: Path) -> int:
    try:
        return path.lstat().st_ctime_ns
    except FileNotFoundError:
        return 0


def _files(root: str, below: str) -> Iterator[str]:
    try:
        with os.scandir(os.path.join(root, below)) as found:  # noqa: PTH118 -- thousands
            entries = list(found)
    except FileNotFoundError:  # gone meanwhile
        return
    for entry in entries:
        path = below + entry.name
        if entry.is_dir(follow_symlinks=False):
            if path not in _NOT_SEARCHED and entry.name != "__pycache__":
                yield from _files(root, path + "/")
        else:
            yield path
