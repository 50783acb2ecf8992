"""The stamp of a package: its record, and the file that make looks at.

    TREE/var/lib/sage/installed/NAME-VERSION    JSON, see `Stamp`

A stamp is part of the package's staged tree: it comes and goes in the transaction that
brings or removes the package's files.  ``files`` lists what was staged, but not the files of
distributions: those stand in their RECORD.

Older stamps may list Python files, too, or have no list of files, or be no JSON at all.
"""

from __future__ import annotations

import json

from sage_pkginstall.errors import RecordError
from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.record_directory import STAMPS
from sage_pkginstall.wheels.records import can_be_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

__all__ = ["Stamp", "find_stamps", "package_stamps", "read_stamp", "stamp_place", "write_stamp"]


class Stamp(NamedTuple):
    """What a stamp says.  ``files`` is None where it does not list any (an old one).

    ``files`` are relative to the tree, with undecodable bytes as surrogates.
    """

    package_name: str
    package_version: str
    install_date: str = ""
    system_uname: tuple[str, ...] = ()
    sage_version: str = ""
    test_result: str = ""
    files: tuple[str, ...] | None = None

    @property
    def file_name(self) -> str:
        """The name of the stamp's file."""
        return f"{self.package_name}-{self.package_version}"


def stamp_place(stamp: Stamp) -> str:
    """Return the path of a stamp, relative to its tree."""
    return f"{STAMPS}/{stamp.file_name}"


def write_stamp(root: Path, stamp: Stamp) -> None:
    """Write a stamp below ``root``, a staged tree (never into a prefix)."""
    path = root / stamp_place(stamp)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # which may be a link
    document = {key: value for key, value in stamp._asdict().items() if value is not None}
    text = json.dumps(document, indent=4, sort_keys=False)  # ASCII: surrogates survive
    path.write_text(text + "\n", encoding="ascii")


def read_stamp(path: Path) -> Stamp:
    """Read a stamp, also an older one.  Raises RecordError if the file cannot be read."""
    name, _, version = path.name.partition("-")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecordError(path, error.strerror or str(error)) from error
    document = _document(content)
    return Stamp(
        package_name=name,
        package_version=version,
        install_date=_text(document, "install_date"),
        system_uname=_uname(document.get("system_uname")),
        sage_version=_text(document, "sage_version"),
        test_result=_text(document, "test_result"),
        files=_files(document.get("files")),
    )


def find_stamps(tree: Path, package: str) -> tuple[Path, ...]:
    """Return all stamps of a package in a tree, whatever their version."""
    try:
        paths = sorted((tree / STAMPS).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return ()
    return tuple(path for path in paths if path.name.partition("-")[:2] == (package, "-"))


def package_stamps(tree: Path, package: str) -> tuple[Stamp, ...]:
    """Read all stamps of a package in a tree; one that goes away meanwhile does not count.

    Raises RecordError if one cannot be read.
    """
    found = []
    for path in find_stamps(tree, package):
        try:
            found.append(read_stamp(path))
        except RecordError as error:  # noqa: PERF203 -- one or two
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
    return tuple(found)


def _document(content: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key, "")
    return _printable(value) if isinstance(value, str) else ""


def _printable(text: str) -> str:
    """Return a text that can be encoded: JSON may hold half a surrogate pair."""
    return text.encode("utf-8", "replace").decode()


def _uname(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (_printable(value),)
    return tuple(_printable(str(part)) for part in value) if isinstance(value, list) else ()


def _files(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list):
        return None
    return tuple(path for path in value if isinstance(path, str) and can_be_path(path))
