"""Real wheels lie as pip would have laid them, and go without a trace.

Two things are compared by what they mean: byte-code, since ``marshal`` writes what it
writes by how often an object is referred to at that moment; and the scripts of entry
points, whose text pip changes from release to release: the interpreter and the function
that they call are the same.  A file that several wheels bring is in all their RECORDs as
it lies there, after us; after pip, as each of them brought it: our rows are verified.

One thing pip does not do: a source whose encoding is one that Python has not loaded by then
(Big5, in joblib's tests) gets no byte-code from pip, as `compileall` gives it, and we.

They are fetched by pip, as ``real-wheels.txt`` and ``odd-wheels.txt`` pin them, or as the list
that REAL_WHEELS names; if that is a directory, the wheels in it are taken.  Both installers
work on one path, one after the other, because paths are written into scripts and byte-code.
"""

from __future__ import annotations

import csv
import io
import marshal
import os
import re
import shutil
import subprocess
import sys
import tokenize
import venv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.engine.paths import bytecode_source
from tests.conftest import ROOT, START
from tests.sitepackages import SITE
from tests.trees import modes, tree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.torture.conftest import TellFigures
    from tests.trees import Entry

pytestmark = [pytest.mark.torture, pytest.mark.network]

LISTS = [Path(__file__).with_name(name) for name in ("real-wheels.txt", "odd-wheels.txt")]
OLDER = Path(__file__).with_name("odd-wheels-older.txt")
OURS = ("var", "pyvenv.cfg")
SCRIPT = re.compile(
    r"#!(\S+)\n(?:# -\*-.*\n|import re\n)*import sys\n(?:import re\n)?"
    r"from (\S+) import (\S+)\n+if __name__ == .__main__.:\n.*\n +sys\.exit\((.+)\(\)\)\n*"
)


@dataclass(frozen=True, repr=False)  # pytest shows it when a test fails: gigabytes
class Installation:
    """What an installer left: content, permissions, and the rows of each RECORD."""

    files: dict[str, Entry]
    modes: dict[str, int]
    records: dict[str, list[list[str]]]

    @classmethod
    def of(cls, prefix: Path) -> Installation:
        entries = tree(prefix, ignore=OURS)
        records = {path: _rows(entry) for path, entry in entries.items() if _is_record(path)}
        files = {
            path: entry
            for path, entry in entries.items()
            if not _is_record(path) and not path.endswith(".dist-info/INSTALLER")
        }
        return cls(files, modes(prefix, ignore=OURS), records)


def _is_record(path: str) -> bool:
    return path.startswith(SITE) and path.endswith(".dist-info/RECORD")


def _rows(entry: Entry) -> list[list[str]]:
    """Return the rows in one order, without INSTALLER's, whose content is the difference."""
    assert isinstance(entry, bytes)
    rows = csv.reader(io.StringIO(entry.decode(), newline=""))
    return sorted(row for row in rows if not row[0].endswith(".dist-info/INSTALLER"))


def same(ours: Entry, theirs: Entry, path: str) -> bool:
    """Tell whether two files are the same, apart from times and what stands above."""
    if ours == theirs:
        return True
    if not isinstance(ours, bytes) or not isinstance(theirs, bytes):
        return False
    if path.endswith(".pyc"):
        return ours[:8] == theirs[:8] and _code(ours) == _code(theirs)
    return (
        path.startswith("bin/") and _called(ours) is not None and _called(ours) == _called(theirs)
    )


def _code(data: bytes) -> tuple[CodeType, set[str]]:
    """Return the code and the paths of sources in it, which do not count for equality."""
    code = marshal.loads(data[16:])  # noqa: S302 -- written by the installers just now
    pending, names = [code], set()
    while pending:
        one = pending.pop()
        names.add(os.path.normpath(one.co_filename))
        pending += [constant for constant in one.co_consts if isinstance(constant, CodeType)]
    return code, names


def _called(script: bytes) -> tuple[str, ...] | None:
    """Return the interpreter and the function of an entry point's script."""
    found = SCRIPT.fullmatch(script.decode(errors="replace"))
    return found and found.groups()


def run(words: Sequence[str]) -> None:
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{words[:8]}\n{ended.stdout[-2000:]}\n{ended.stderr[-4000:]}"


def ours(command: str, prefix: Path, *arguments: str) -> None:
    start = [sys.executable, "-I", "-c", START, str(ROOT)]
    run([*start, command, "--quiet", "--prefix", str(prefix), *arguments])


def fresh(prefix: Path) -> Path:
    if prefix.exists():
        shutil.rmtree(prefix)
    venv.EnvBuilder(symlinks=True, with_pip=False).create(prefix)
    return prefix


def fetched(given: Path, directory: Path) -> list[Path]:
    """Return the wheels of a list, or of a directory."""
    if not given.is_dir():
        words = ["download", "--quiet", "--no-deps", "--only-binary", ":all:", "-r", str(given)]
        run([sys.executable, "-m", "pip", *words, "--dest", str(directory)])
        given = directory
    return sorted(given.glob("*.whl"))


@pytest.mark.parametrize(
    "given",
    [Path(os.environ["REAL_WHEELS"])] if "REAL_WHEELS" in os.environ else LISTS,
    ids=lambda path: path.name,
)
def test_real_wheels_are_installed_as_by_pip_and_uninstalled_to_nothing(
    given: Path, tmp_path: Path, request: pytest.FixtureRequest, tell_figures: TellFigures
) -> None:
    if not given.is_dir():
        request.getfixturevalue("index")
    prove(fetched(given, tmp_path / "wheels"), tmp_path, tell_figures)


@pytest.mark.usefixtures("index")
def test_versions_are_changed_over_those_of_pip(tmp_path: Path) -> None:
    """Whoever installed what was there before: what comes is as in a fresh environment."""
    old = [str(wheel) for wheel in fetched(OLDER, tmp_path / "old")]
    names = {Path(wheel).name.partition("-")[0].replace(".", "_").lower() for wheel in old}
    fetched(LISTS[1], tmp_path / "all")
    new = [
        str(wheel)
        for wheel in sorted((tmp_path / "all").glob("*.whl"))
        if wheel.name.partition("-")[0].replace(".", "_").lower() in names
    ]
    assert len(new) == len(old)
    prefix = fresh(tmp_path / "environment")
    pip = [sys.executable, "-m", "pip", "--python", str(prefix / "bin" / "python3")]
    by_pip = [*pip, "install", "--no-index", "--no-deps", "--compile"]
    empty = Installation.of(prefix)
    ours("install", prefix, *old)
    of_old = Installation.of(prefix)
    ours("install", fresh(prefix), *new)
    of_new = Installation.of(prefix)
    for before in ([], [old], [old, new]):
        for wheels in before:
            run([*by_pip, *wheels])
        for wheels, expected in ((old, of_old), (new, of_new)):
            ours("install", prefix, *wheels)
            compare(Installation.of(prefix), expected)
    run([*by_pip, *old])
    ours("uninstall", prefix, *sorted(names))
    assert Installation.of(prefix) == empty


def prove(wheels: list[Path], tmp_path: Path, tell_figures: TellFigures) -> None:
    """Install the wheels by pip and by us, compare, and uninstall them."""
    assert wheels
    names = [str(wheel) for wheel in wheels]
    prefix = fresh(tmp_path / "environment")
    pip = [sys.executable, "-m", "pip", "--python", str(prefix / "bin" / "python3")]
    run([*pip, "install", "--no-index", "--no-deps", "--compile", *names])
    by_pip = Installation.of(prefix)
    before = Installation.of(fresh(prefix))
    ours("install", prefix, *names)
    by_us = Installation.of(prefix)
    tell_figures(
        f"{len(wheels)} wheels, {len(by_us.files)} files, "
        f"{sum(map(len, by_us.records.values()))} rows of RECORD"
    )
    compare(by_us, by_pip)
    ours("verify", prefix)
    ours("uninstall", prefix, *(wheel.name.partition("-")[0] for wheel in wheels))
    after = Installation.of(prefix)
    assert sorted(after.files.keys() ^ before.files.keys()) == []
    assert after == before


def compare(by_us: Installation, by_pip: Installation) -> None:
    """Fail with the differences alone: the trees have tens of thousands of files."""
    by_us = _without(by_us, _not_compiled_by_pip(by_us, by_pip))
    differences = {
        "only by one": by_us.files.keys() ^ by_pip.files.keys(),
        "contents": {
            path
            for path in by_us.files.keys() & by_pip.files.keys()
            if not same(by_us.files[path], by_pip.files[path], path)
        },
        "modes": {path for path, _ in by_us.modes.items() ^ by_pip.modes.items()},
        "records": by_us.records.keys() ^ by_pip.records.keys(),
    }
    found = {what: sorted(paths)[:20] for what, paths in differences.items() if paths}
    assert found == {}
    unequal = {path for path in by_us.files if by_us.files[path] != by_pip.files[path]}
    loose = {path for path in unequal if path.startswith("bin/")} | _shared(by_us.records)
    for path, rows in by_us.records.items():
        mine, theirs = (_without_hashes(r, loose) for r in (rows, by_pip.records[path]))
        assert (path, mine) == (path, theirs)


def _not_compiled_by_pip(by_us: Installation, by_pip: Installation) -> set[str]:
    """Return the byte-code that pip did not make for the encoding of its source."""
    return {
        path
        for path in by_us.files.keys() - by_pip.files.keys()
        if (source := bytecode_source(path)) in by_us.files
        and _encoding(by_us.files[source]) != "utf-8"
    }


def _encoding(source: Entry) -> str:
    assert isinstance(source, bytes)
    return tokenize.detect_encoding(io.BytesIO(source).readline)[0].removesuffix("-sig")


def _without(installation: Installation, paths: set[str]) -> Installation:
    """Return an installation as if ``paths`` were not there."""
    return Installation(
        {path: entry for path, entry in installation.files.items() if path not in paths},
        {path: mode for path, mode in installation.modes.items() if path not in paths},
        {
            record: [row for row in rows if _path(row) not in paths]
            for record, rows in installation.records.items()
        },
    )


def _shared(records: Mapping[str, list[list[str]]]) -> set[str]:
    """Return the paths that several distributions have: pip's RECORDs do not all fit the disk."""
    counts = Counter(_path(row) for rows in records.values() for row in rows)
    return {path for path, count in counts.items() if count > 1}


def _without_hashes(rows: list[list[str]], loose: set[str]) -> list[list[str]]:
    """Return the rows, those of ``loose`` paths without hash and size."""
    return [row[:1] if _path(row) in loose else row for row in rows]


def _path(row: list[str]) -> str:
    """Return the path of a row, relative to the environment."""
    return os.path.normpath(f"{SITE}/{row[0]}")
