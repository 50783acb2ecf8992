"""Names that differ in upper and lower case only, where the file system takes them for one.

So does macOS by default.  Elsewhere the calls of the engine are led to the name that is there.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from sage_pkginstall.engine import failpoints, files
from sage_pkginstall.engine.plan import PlanRequest
from sage_pkginstall.engine.tree import Tree
from sage_pkginstall.errors import TransactionError
from tests.engine_tree import STATE, write
from tests.planning import Owned, bring
from tests.trees import tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.trees import Entry

OLD = {
    "lib/Foo/Mod.py": b"1",
    "lib/Foo/a.py": b"1",
    "lib/Foo-1.dist-info/RECORD": b"1",
    "lib/ns/One.py": b"1",
    "lib/ns/__pycache__/One.cpython-311.opt-1.pyc": b"made by python -O",
    "lib/ns/other.py": b"theirs",
    "bin/Tool": b"1",
}
NEW = {
    "lib/foo/mod.py": b"22",
    "lib/foo/a.py": b"22",
    "lib/foo-1.dist-info/RECORD": b"22",
    "lib/NS/one.py": b"22",
    "bin/tool": b"22",
}
AFTER = {
    "lib/foo/mod.py": b"22",
    "lib/foo/a.py": b"22",
    "lib/foo-1.dist-info/RECORD": b"22",
    "lib/ns/one.py": b"22",
    "lib/ns/other.py": b"theirs",
    "bin/tool": b"22",
}
REPLACED = PlanRequest(
    frozenset(path for path in OLD if "other" not in path and "__pycache__" not in path)
)


class Folding:
    """Leads calls to the names that are there, below one directory."""

    def __init__(self, root: Path) -> None:
        self.root = os.fspath(root)
        self.listdir = os.listdir

    def __call__(self, path: Any) -> Any:
        name = os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else ""
        if not name.startswith(f"{self.root}/"):
            return path
        at = self.root
        for part in name[len(self.root) + 1 :].split("/"):
            try:
                there = self.listdir(at)
            except OSError:
                there = []
            alike = (one for one in there if one.casefold() == part.casefold())
            at = f"{at}/{part if part in there else next(alike, part)}"
        return os.fsencode(at) if isinstance(path, bytes) else at

    def led(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a call whose paths are led to what is there."""
        return lambda *words, **named: call(*map(self, words), **named)


def renamed_new(rename: Callable[..., None]) -> Callable[[bytes, bytes, int], int]:
    """Rename as ``RENAME_NOREPLACE`` does, and exchange nothing."""

    def call(old: bytes, new: bytes, flags: int) -> int:
        if flags == files._EXCHANGE:
            return errno.EINVAL
        if os.path.lexists(new):
            return errno.EEXIST
        try:
            rename(old, new)
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    return call


@pytest.fixture(params=["exchange", "rename"])
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """A directory that takes upper and lower case for one."""
    (tmp_path / "Case").touch()
    if (tmp_path / "cASE").exists():
        return tmp_path / "prefix"
    prefix = tmp_path / "prefix"
    prefix.mkdir()
    folding = Folding(prefix)
    exchange = files._renamer()
    names = "lstat stat scandir listdir rename unlink rmdir mkdir link readlink chmod utime access"
    for name in names.split():
        monkeypatch.setattr(os, name, folding.led(getattr(os, name)))
    if request.param == "rename" or exchange is None:
        rename = renamed_new(os.rename)
    else:
        rename = folding.led(exchange)
    monkeypatch.setattr(files, "_rename_with_flags", rename)
    return prefix


def contents(prefix: Path) -> dict[str, Entry]:
    return tree(prefix, ignore=STATE)


def test_new_version_brings_its_own_spelling(prefix: Path) -> None:
    write(prefix, OLD)
    bring(prefix, NEW, REPLACED)
    assert contents(prefix) == AFTER
    bring(prefix, {}, PlanRequest(frozenset(NEW)))
    assert contents(prefix) == {"lib/ns/other.py": b"theirs"}


def test_directory_that_holds_nothing_keeps_no_package_from_its_spelling(prefix: Path) -> None:
    """Python finds no package by another spelling of its directory."""
    write(prefix, OLD)
    (prefix / "lib/Foo/cache").mkdir()
    (prefix / "Share").mkdir()
    bring(prefix, {**NEW, "share/foo.txt": b"22"}, REPLACED)
    assert contents(prefix) == {**AFTER, "Share/foo.txt": b"22"}


def test_file_of_somebody_else_keeps_its_spelling_and_is_known_by_it(prefix: Path) -> None:
    write(prefix, {"bin/Tool": b"theirs", "bin/mine": b"mine"})
    done = bring(prefix, {"bin/tool": b"ours"}, PlanRequest(ownership=Owned()("bin/Tool", "q")))
    assert [n.message for n in done.plan.notices] == ["bin/Tool is overwritten: it belongs to q"]
    assert contents(prefix) == {"bin/Tool": b"ours", "bin/mine": b"mine"}


def test_change_of_spelling_that_fails_is_undone(
    prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [0]

    def fail(path: str) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    write(prefix, OLD)
    monkeypatch.setattr(failpoints, "_fail_point", fail)
    done = None
    for step in range(1, 100):
        left[0] = step
        try:
            done = bring(prefix, NEW, REPLACED)
            break
        except (TransactionError, OSError):
            assert contents(prefix) == OLD
    assert done is not None
    if done.warning is not None:
        Tree(prefix).recover()
    assert contents(prefix) == AFTER
