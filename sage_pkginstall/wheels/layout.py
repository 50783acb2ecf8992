"""What may lie where in a wheel: the names of its entries, and its two own directories.

Names stay below the directory they are written to, are spelt in one way, and mean the
same to every reader.  Specification: PyPA's "Binary distribution format".
"""

from __future__ import annotations

import re
import stat

from installer.utils import SCHEME_NAMES

from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.names import (
    BAD_CHARACTER,
    COMPONENT,
    canonical_name,
    same_version,
)
from sage_pkginstall.wheels.refusal import RefusalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sage_pkginstall.wheels.container import Entry
    from sage_pkginstall.wheels.names import WheelFileName

__all__ = ["Layout", "checked_files"]

_DRIVE = re.compile(r"[A-Za-z]:")
_DEPTH = 100
"""Components of a path.  Who plans walks trees of them, some calls deep for each."""

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a directory and not named like one",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
}


def checked_files(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """Return the entries that are files, in order, once all names are good ones.

    Names that differ in case or Unicode form only are different files on Linux, as they
    are for pip; on a file system that folds them, the destination meets a file that is
    there already, and refuses.
    """
    files: dict[str, Entry] = {}
    directories: set[str] = set()
    for name, entry in entries.items():
        _check_name(name)
        kind = stat.S_IFMT(entry.mode)
        if name.endswith("/"):
            if kind not in {0, stat.S_IFDIR} or entry.size:
                raise RefusalError(f"entry {name!r} is named like a directory and is none")
            _add_with_parents(name[:-1], directories)
            continue
        if kind not in {0, stat.S_IFREG}:
            raise RefusalError(f"entry {name!r} is {_KINDS.get(kind, 'no regular file')}")
        files[name] = entry
        _add_with_parents(name.rpartition("/")[0], directories)
    for name in directories:
        if name in files:
            raise RefusalError(f"entry {name!r} is a file and a directory")
    return files


def _add_with_parents(directory: str, directories: set[str]) -> None:
    while directory and directory not in directories:
        directories.add(directory)
        directory = directory.rpartition("/")[0]


def _check_name(name: str) -> None:
    """Refuse a name that is not relative, normal and below the root."""
    if name.startswith("/") or _DRIVE.match(name):
        raise RefusalError(f"entry {name!r} has an absolute path")
    if BAD_CHARACTER.search(name):
        raise RefusalError(f"entry {name!r} has a backslash or control character in its name")
    parts = name.removesuffix("/").split("/")
    if len(parts) > _DEPTH:
        raise RefusalError(f"entry {name[:40]!r}… lies {len(parts) - 1} directories deep")
    for part in parts:
        if part in {"", ".", ".."}:
            raise RefusalError(f"entry {name!r} has {part!r} as a component of its path")
        if len(part) > COMPONENT // 4 and len(part.encode()) > COMPONENT:
            raise RefusalError(f"entry {name[:40]!r}… has a component of more than 255 bytes")
    if name == "__pycache__" or name.endswith("/__pycache__"):
        raise RefusalError(f"entry {name!r} is a file")


class Layout(NamedTuple):
    """The two directories of a wheel that have a meaning."""

    info: str
    data: str

    @classmethod
    def find(cls, files: Iterable[str], file_name: WheelFileName) -> Layout:
        """Return them; refuses others that a tool could take for them."""
        infos: set[str] = set()
        datas: set[str] = set()
        for name in files:
            top, slash, rest = name.partition("/")
            if top.endswith((".dist-info", ".data")) and not slash:
                raise RefusalError(f"entry {name!r} is a file")
            if top.endswith(".dist-info"):
                infos.add(top)
            elif top.endswith(".data"):
                datas.add(top)
                _check_data_path(name, rest)
        if len(infos) != 1:
            raise RefusalError(f"it has {len(infos)} *.dist-info directories")
        (info,) = infos
        _check_stem(info, ".dist-info", file_name)
        if len(datas) > 1:
            raise RefusalError(f"it has {len(datas)} *.data directories")
        data = datas.pop() if datas else info.removesuffix(".dist-info") + ".data"
        _check_stem(data, ".data", file_name)
        return cls(info, data)


def _check_data_path(name: str, below: str) -> None:
    scheme, _, path = below.partition("/")
    if scheme not in SCHEME_NAMES or not path:
        raise RefusalError(f"entry {name!r} is not below one of {', '.join(SCHEME_NAMES)}")
    if scheme in {"purelib", "platlib"} and path.partition("/")[0].endswith(".dist-info"):
        raise RefusalError(f"entry {name!r} makes a second *.dist-info directory")


def _check_stem(directory: str, suffix: str, file_name: WheelFileName) -> None:
    name, _, version = directory.removesuffix(suffix).rpartition("-")
    same = canonical_name(name) == canonical_name(file_name.distribution)
    if not same or not same_version(file_name.version, version.replace("_", "-")):
        raise RefusalError(
            f"its directory {directory!r} is not that of "
            f"{file_name.distribution} {file_name.version}, which the file name says"
        )
