"""Files that prefixes share: the same files as without, and never those that were edited."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import tempfile
import time
import venv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.builds.prune import prune
from sage_pkginstall.engine.tree import Tree, TreeSettings
from sage_pkginstall.environment import target_environment
from sage_pkginstall.errors import UsageError
from sage_pkginstall.operations.install import InstallOptions, install
from sage_pkginstall.operations.uninstall import uninstall
from sage_pkginstall.wheels.linked_files import linked_files
from sage_pkginstall.wheels.room import make_room
from sage_pkginstall.wheels.staging import WheelRequest
from tests.trees import tree
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from sage_pkginstall.environment import Environment
    from tests.conftest import RunCli

FILES: dict[str, str | bytes] = {
    "foo/__init__.py": "VALUE = 1\n",
    "foo/module.py": "def function():\n    return 1\n",
    "foo/data.bin": b"\0\1" * 1_000_000,
}
DATA = {"scripts/own": "#!python\nprint(1)\n", "scripts/shell": "#!/bin/sh\n"}
SETTINGS = TreeSettings(durable=False)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "cache"
    monkeypatch.setenv("SAGE_PKGINSTALL_CACHE", str(directory))
    monkeypatch.delenv("SAGE_PKGINSTALL_LINK_MODE", raising=False)
    return directory


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return make_wheel(tmp_path, "foo", "1.0", FILES, scripts={"foo": "foo:main"}, data=DATA)


class Prefixes:
    """Virtual environments, made when they are asked for."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(self, name: str) -> Environment:
        prefix = self.directory / name
        if not prefix.is_dir():
            venv.EnvBuilder(symlinks=True).create(prefix)
        return target_environment(prefix)


@pytest.fixture
def prefixes(tmp_path: Path) -> Prefixes:
    return Prefixes(tmp_path)


def put(wheel: Path, environment: Environment, mode: str | None = "hardlink") -> None:
    how = InstallOptions(link_mode=mode)  # type: ignore[arg-type]  # one is to be refused
    install(Tree(environment.prefix, SETTINGS), environment, [WheelRequest(wheel)], how)


def module(environment: Environment, name: str = "foo/module.py") -> Path:
    return environment.prefix / environment.schemes["purelib"] / name


def inode(path: Path) -> int:
    return path.stat().st_ino


def output_of(environment: Environment, code: str) -> str:
    words = [str(environment.interpreter), "-I", "-c", code]
    ended = subprocess.run(words, capture_output=True, text=True, check=True)
    return str(ended.stdout).strip()


def test_prefixes_share_the_files_of_a_wheel_and_nothing_else(
    wheel: Path, prefixes: Prefixes, cache: Path
) -> None:
    one, two, copied = prefixes("one"), prefixes("two"), prefixes("copied")
    for environment in (one, two):
        put(wheel, environment)
    put(wheel, copied, "copy")
    for name in FILES:
        assert inode(module(one, name)) == inode(module(two, name))
        assert inode(module(one, name)) != inode(module(copied, name))
    for name in (
        "bin/foo",
        "bin/own",
        str(Path(one.schemes["purelib"], "foo-1.0.dist-info/RECORD")),
    ):
        assert (one.prefix / name).stat().st_nlink == 1
    shared = {path.stat().st_ino for path in (cache / "files").iterdir()}
    assert inode(one.prefix / "bin" / "shell") in shared


def test_shared_files_are_read_only_and_otherwise_as_if_copied(
    wheel: Path, prefixes: Prefixes
) -> None:
    shared, copied = prefixes("aaa"), prefixes("bbb")
    put(wheel, prefixes("before"))
    put(wheel, shared)
    put(wheel, copied, "copy")
    assert stat.S_IMODE(module(shared).stat().st_mode) == 0o444
    assert stat.S_IMODE((shared.prefix / "bin" / "own").stat().st_mode) & 0o700 == 0o700
    found = [
        {
            path: entry
            for path, entry in tree(module(environment, "foo")).items()
            if ".pyc" not in path
        }
        for environment in (shared, copied)
    ]
    assert found[0] == found[1]
    assert output_of(shared, "import foo.module as m; print(m.__cached__, m.function())")


def test_byte_code_of_a_shared_source_is_used(wheel: Path, prefixes: Prefixes) -> None:
    put(wheel, prefixes("one"))
    two = prefixes("two")
    put(wheel, two)
    words = [str(two.interpreter), "-I", "-v", "-c", "import foo.module"]
    traced = subprocess.run(words, capture_output=True, text=True, check=True).stderr
    assert f"{two.cache_tag}.pyc matches {module(two)}" in traced
    code = "import foo.module as m; print(m.function.__code__.co_filename)"
    assert output_of(two, code) == str(module(two))


def test_edited_file_reaches_no_prefix_that_is_filled_later(
    wheel: Path, prefixes: Prefixes
) -> None:
    one = prefixes("one")
    put(wheel, one)
    module(one).chmod(0o644)
    module(one).write_text("edited", encoding="utf-8")
    module(one).chmod(0o444)
    two, three = prefixes("two"), prefixes("three")
    for environment in (two, three):
        put(wheel, environment)
        assert module(environment).read_text(encoding="utf-8") == FILES["foo/module.py"]
    assert inode(module(two)) == inode(module(three)) != inode(module(one))
    assert module(one).read_text(encoding="utf-8") == "edited"


def test_file_that_was_made_writable_is_shared_no_more(wheel: Path, prefixes: Prefixes) -> None:
    one, two = prefixes("one"), prefixes("two")
    put(wheel, one)
    module(one).chmod(0o644)
    put(wheel, two)
    assert inode(module(two)) != inode(module(one))
    assert stat.S_IMODE(module(two).stat().st_mode) == 0o444


def test_damaged_pack_behind_shared_files_does_not_matter(
    wheel: Path, prefixes: Prefixes, cache: Path
) -> None:
    put(wheel, prefixes("one"))
    (pack,) = (cache / "packs").glob("*.files")
    data = pack.read_bytes()
    pack.write_bytes(data[:200] + bytes(100) + data[300:])
    two, three = prefixes("two"), prefixes("three")
    put(wheel, two)
    assert inode(module(two)) == inode(module(prefixes("one")))
    next((cache / "files").iterdir()).unlink()  # now the pack is needed, and found damaged
    put(wheel, three)
    assert (three.prefix / "bin" / "foo").is_file()
    for name, content in FILES.items():
        data = content.encode() if isinstance(content, str) else content
        assert module(three, name).read_bytes() == data


@pytest.mark.parametrize("renameat2", ["1", "0"])
def test_old_and_new_file_of_one_inode_are_no_trouble(
    wheel: Path, tmp_path: Path, prefixes: Prefixes, run_cli: RunCli, renameat2: str
) -> None:
    """rename(2) does nothing if both names are the same file's."""
    newer = make_wheel(tmp_path, "foo", "1.1", {**FILES, "foo/module.py": "NEW = 1\n"})
    one = prefixes("one")
    said = {"SAGE_PKGINSTALL_RENAMEAT2": renameat2, "SAGE_PKGINSTALL_LINK_MODE": "hardlink"}

    def command(*words: str | Path) -> None:
        run_cli(*words, "--prefix", one.prefix, env=said)

    command("install", wheel)
    before = tree(one.prefix)
    for again in (wheel, newer, wheel):
        command("install", again)
        command("verify")
    assert tree(one.prefix).keys() == before.keys()
    command("uninstall", "foo")
    assert not module(one, "foo").exists()


def test_nothing_that_one_prefix_does_is_seen_in_another(
    wheel: Path, tmp_path: Path, prefixes: Prefixes
) -> None:
    """Not even a time: byte-code goes by that."""
    shared = {"ns/a.py": "A = 1\n", "ns/data": "1", "ns/__init__.py": "# one\n"}
    old = make_wheel(tmp_path, "bar", "1.0", shared)
    same_sizes = make_wheel(
        tmp_path, "bar", "1.1", {"ns/a.py": "A = 2\n", "ns/data": "2", "ns/__init__.py": "# one\n"}
    )
    beside = make_wheel(tmp_path, "baz", "1.0", {"ns/b.py": "", "ns/__init__.py": "# two\n"})
    one, two = prefixes("one"), prefixes("two")
    for known in (wheel, old, same_sizes, old):
        put(known, one)

    def seen() -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        for path in module(one, "").rglob("*"):
            status = path.stat()
            found[str(path)] = (status.st_ino, status.st_mode, status.st_mtime_ns, status.st_size)
        return found

    before, contents = seen(), tree(one.prefix)
    put(beside, two)  # whose __init__.py the others adopt
    for known in (wheel, wheel, old, old, same_sizes, old, same_sizes, beside, old):
        put(known, two)
    assert (seen(), tree(one.prefix)) == (before, contents)
    assert output_of(two, "import ns.a; print(ns.a.A)") == "1"


@pytest.mark.parametrize("move", [["--move"], []])
def test_image_of_shared_files_is_merged_and_they_stay_shared(
    wheel: Path, tmp_path: Path, prefixes: Prefixes, run_cli: RunCli, move: list[str]
) -> None:
    one, two, three = prefixes("one"), prefixes("two"), prefixes("three")
    said = {"SAGE_PKGINSTALL_LINK_MODE": "hardlink"}
    run_cli("install", "--prefix", one.prefix, wheel, env=said)
    image = tmp_path / "image"
    run_cli("install", "--root", image, "--prefix", two.prefix, wheel, env=said)
    before = {path: path.lstat().st_mode for path in module(one, "").rglob("*")}
    run_cli("merge", *move, "--prefix", two.prefix, f"{image}{two.prefix}")
    assert {path: path.lstat().st_mode for path in module(one, "").rglob("*")} == before
    assert (inode(module(two)) == inode(module(one))) is bool(move)
    run_cli("install", "--prefix", three.prefix, wheel, env=said)
    assert inode(module(three)) == inode(module(one))


def test_same_files_again_stay_those_of_the_cache(tmp_path: Path, prefixes: Prefixes) -> None:
    old = make_wheel(tmp_path, "bar", "1.0", {"ns/a.py": "A = 1\n", "ns/data": "1"})
    beside = make_wheel(tmp_path, "baz", "1.0", {"ns/b.py": ""})
    one = prefixes("one")
    for known in (beside, old):  # so that files, not their directory, are exchanged
        put(known, one)
    before = inode(module(one, "ns/a.py")), inode(module(one, "ns/data"))
    put(old, one)
    assert (inode(module(one, "ns/a.py")), inode(module(one, "ns/data"))) == before


def test_nothing_is_shared_across_file_systems(
    wheel: Path, prefixes: Prefixes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _elsewhere() as other:
        monkeypatch.setenv("SAGE_PKGINSTALL_CACHE", str(other))
        for name in ("one", "two"):
            environment = prefixes(name)
            put(wheel, environment)
            assert module(environment).stat().st_nlink == 1
            assert stat.S_IMODE(module(environment).stat().st_mode) & 0o600 == 0o600
            assert module(environment).read_text(encoding="utf-8") == FILES["foo/module.py"]


def _elsewhere() -> tempfile.TemporaryDirectory[str]:
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == Path(tempfile.gettempdir()).stat().st_dev:
        pytest.skip("there is no second file system")
    return tempfile.TemporaryDirectory(dir=memory)


def test_what_the_umask_keeps_from_others_is_not_shared(wheel: Path, prefixes: Prefixes) -> None:
    one = prefixes("one")
    before = os.umask(0o077)
    try:
        put(wheel, one)
    finally:
        os.umask(before)
    assert module(one).stat().st_nlink == 1
    assert stat.S_IMODE(module(one).stat().st_mode) == 0o600


def test_files_are_shared_by_the_variable_too(
    wheel: Path, prefixes: Prefixes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAGE_PKGINSTALL_LINK_MODE", "hardlink")
    put(wheel, prefixes("one"), None)
    assert module(prefixes("one")).stat().st_nlink == 2
    put(wheel, prefixes("two"), "copy")
    assert module(prefixes("two")).stat().st_nlink == 1


def test_other_modes_are_refused(wheel: Path, prefixes: Prefixes) -> None:
    with pytest.raises(UsageError, match="'symlink': it is one of copy, hardlink"):
        put(wheel, prefixes("one"), "symlink")
    assert not module(prefixes("one"), "foo").exists()


def test_file_of_another_user_is_not_taken(wheel: Path, prefixes: Prefixes, cache: Path) -> None:
    if os.geteuid():
        pytest.skip("needs root, to give a file away")
    one, two = prefixes("one"), prefixes("two")
    put(wheel, one)
    os.chown(module(one), 65534, 65534)
    put(wheel, two)
    assert module(two).stat().st_uid == 0
    assert all(path.stat().st_uid == 0 for path in (cache / "files").iterdir())


def test_file_that_a_prefix_has_is_not_pruned(wheel: Path, prefixes: Prefixes, cache: Path) -> None:
    one = prefixes("one")
    put(wheel, one)
    later = time.time() + 10 * 86400
    prune(cache, 1, later)
    assert len(list((cache / "files").iterdir())) > len(FILES)
    uninstall(Tree(one.prefix, SETTINGS), one, ["foo"], lambda *_: None)  # type: ignore[arg-type]
    prune(cache, 20, later)
    assert list((cache / "files").iterdir())
    prune(cache, 1, later)
    assert not list((cache / "files").iterdir())


def test_room_is_made_for_what_is_not_used(tmp_path: Path) -> None:
    for number, name in enumerate(("oldest", "older", "new")):
        (tmp_path / name).write_bytes(bytes(10))
        os.utime(tmp_path / name, (number, number))
    (tmp_path / "used").write_bytes(bytes(10))

    def last_use(status: os.stat_result) -> float:
        return status.st_mtime if status.st_mtime < 10 else float("inf")

    (tmp_path / "others").write_bytes(bytes(10))
    make_room(tmp_path, re.compile("old.*|new|used"), 25, last_use)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "older", "others", "used"]


def test_hash_that_is_no_sha256_is_not_shared(tmp_path: Path) -> None:
    links = linked_files(tmp_path, "hardlink", 0o022)
    assert links is not None
    assert links.find("sha512=abc", 3, executable=False) is None
    assert links.place("sha512=abc", executable=False) is None
