"""Whether what a tool left behind is all that it should be: speed by omission does not count."""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import warnings
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["NOTHING", "Found", "IncompleteError", "absent", "check", "site_packages"]


class IncompleteError(Exception):
    """A tool said that it was done, and was not."""


@dataclass(frozen=True)
class Found:
    """How many files of the wheels, and how many byte-code files, were found."""

    files: int
    compiled: int


NOTHING = Found(0, 0)


def site_packages(environment: Path) -> Path:
    """Return the directory of modules; IncompleteError if there is not exactly one."""
    found = [path for path in environment.glob("lib/*/site-packages") if path.parent.is_dir()]
    if len(found) != 1:
        raise IncompleteError(f"{environment} has {len(found)} site-packages")
    return found[0]


def check(wheels: Iterable[Path], environment: Path, *, compiled: bool) -> Found:
    """Return what was found of the wheels in ``environment``.

    Every module and file of the wheels' roots is there with the size and hash of the
    wheel's RECORD; the installed RECORD names all files of the wheel, and names none that
    is not there; each module has byte-code if ``compiled``, and none otherwise, unless it
    cannot be compiled.  Raises `IncompleteError` for the first that is wrong.
    """
    site = site_packages(environment)
    files = byte_code = 0
    for wheel in wheels:
        wanted = _record_of_wheel(wheel)
        files += len(wanted)
        _check_files(wheel, site, wanted)
        _check_record(wheel, site, wanted)
        byte_code += _check_byte_code(wheel, site, wanted, compiled=compiled)
    return Found(files, byte_code)


def absent(wheels: Iterable[Path], environment: Path, but: Iterable[Path] = ()) -> Found:
    """Return that nothing of the wheels' roots is left, except what is in those of ``but``.

    Raises `IncompleteError` otherwise.
    """
    site = site_packages(environment)
    kept = {name for wheel in but for name in _record_of_wheel(wheel)}
    for wheel in wheels:
        for name in _in_root(_record_of_wheel(wheel)):
            if name not in kept and os.path.lexists(site / name):
                raise IncompleteError(f"{wheel.name}: {name} is still there")
    return NOTHING


def _record_of_wheel(wheel: Path) -> dict[str, tuple[str, str]]:
    """Return hash and size by path, without RECORD itself."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if _is_own(n) and n.endswith("/RECORD")]
        return _rows(archive.read(name).decode())


def _rows(text: str) -> dict[str, tuple[str, str]]:
    rows = (row for row in csv.reader(text.splitlines()) if row)
    return {p: (h, s) for p, h, s in rows if not _is_own(p)}


def _is_own(path: str) -> bool:
    """Tell whether a path is a wheel's RECORD or a signature of that, not a vendored one's."""
    directory, _, name = path.partition("/")
    return directory.endswith(".dist-info") and name in {"RECORD", "RECORD.jws", "RECORD.p7s"}


def _in_root(record: Iterable[str]) -> list[str]:
    return [path for path in record if not path.split("/", 1)[0].endswith(".data")]


def _check_files(wheel: Path, site: Path, record: Mapping[str, tuple[str, str]]) -> None:
    for name in _in_root(record):
        algorithm, _, wanted = record[name][0].partition("=")
        try:
            data = (site / name).read_bytes()
        except OSError as error:
            raise IncompleteError(f"{wheel.name}: {name}: {error.strerror}") from None
        if not wanted:  # RECORD may leave it out
            continue
        digest = hashlib.new(algorithm, data).digest()
        if base64.urlsafe_b64encode(digest).decode().rstrip("=") != wanted:
            raise IncompleteError(f"{wheel.name}: {name} has another content")


def _check_record(wheel: Path, site: Path, record: Mapping[str, tuple[str, str]]) -> None:
    info = "-".join(wheel.name.split("-")[:2]) + ".dist-info"
    if not (site / info).is_dir():  # a directory of the same name, written in another way
        (info,) = {name.split("/")[0] for name in record if ".dist-info/" in name}
    installed = _rows((site / info / "RECORD").read_text(encoding="utf-8"))
    lost = set(_in_root(record)) - set(installed)
    if lost or len(installed) < len(record):
        example = min(lost) if lost else "a file of another scheme"
        raise IncompleteError(f"{wheel.name}: RECORD does not name {example}")
    for name in installed:
        if not os.path.lexists(site / name):
            raise IncompleteError(f"{wheel.name}: RECORD names {name}, which is not there")


def _check_byte_code(wheel: Path, site: Path, record: Iterable[str], *, compiled: bool) -> int:
    """Return the number of byte-code files of the wheel's modules."""
    count = 0
    caches: dict[str, list[str]] = {}
    for name in _in_root(record):
        if not name.endswith(".py"):
            continue
        directory, _, base = name.rpartition("/")
        if directory not in caches:
            path = site / directory / "__pycache__"
            caches[directory] = [*os.listdir(path)] if path.is_dir() else []  # noqa: PTH208
        stem = base[:-2]
        found = [c for c in caches[directory] if c.startswith(stem) and c.endswith(".pyc")]
        count += len(found)
        if compiled and not found and _can_be_compiled(site / name):
            raise IncompleteError(f"{wheel.name}: {name} has no byte-code")
        if found and not compiled:
            raise IncompleteError(f"{wheel.name}: {name} has byte-code")
    return count


def _can_be_compiled(path: Path) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(path.read_bytes(), path.name, "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            return False
    return True
