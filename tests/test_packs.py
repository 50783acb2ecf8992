"""A wheel staged from a pack is the wheel staged from its archive; a bad pack is none."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import venv
import zipfile
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.environment import Environment, target_environment
from sage_pkginstall.errors import WheelError
from sage_pkginstall.wheels import packed_wheel, packs, staging
from sage_pkginstall.wheels.archive import WheelArchive
from sage_pkginstall.wheels.bytecode import staged_compiler
from sage_pkginstall.wheels.packed_wheel import WheelPacks
from sage_pkginstall.wheels.packs import PackedFile, PackWriter, Piece, open_pack
from sage_pkginstall.wheels.staging import (
    StagedDistribution,
    WheelRequest,
    stage_wheel,
    stage_wheels,
)
from tests.sitepackages import SITE
from tests.trees import Entry, modes, plant, tree
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from sage_pkginstall.wheels.bytecode import SourceCompiler

FILES: dict[str, str | bytes] = {
    "foo/__init__.py": "VALUE = 1\n",
    "foo/module.py": "def function():\n    return lambda: 1\n",
    "foo/no_python.py": "def :\n",
    "foo/empty.txt": "",
    "foo/data.bin": b"\0" * 3_000_000,
}
DATA = {
    "scripts/own": "#!python\nprint(1)\n",
    "scripts/shell": "#!/bin/sh\n",
    "data/share/foo": "data",
    "headers/foo.h": "int foo;",
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    prefix = tmp_path_factory.mktemp("venv")
    venv.EnvBuilder(symlinks=True).create(prefix)
    return target_environment(prefix)


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return make_wheel(
        tmp_path,
        "foo",
        "1.0",
        FILES,
        scripts={"foo": "foo:main", "pip": "foo:main"},
        data=DATA,
        metadata=["Requires-Python: >=3.8", "Requires-Dist: bar"],
    )


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


NO_PYTHON = f"{SITE}/foo/no_python.py"
"""It is tried each time: that it cannot be compiled is not remembered."""


class Noting:
    """Compiles, and notes what."""

    def __init__(self, compiler: SourceCompiler, noted: list[str]) -> None:
        self.compiler = compiler
        self.noted = noted

    def add(self, source: str) -> None:
        self.noted.append(source)
        self.compiler.add(source)

    def settle(self, source: str) -> None:
        self.compiler.settle(source)

    def finish(self) -> tuple[str, ...]:
        return self.compiler.finish()


class Unable:
    """Compiles nothing, as one that lacks memory."""

    def add(self, source: str) -> None:
        pass

    def settle(self, source: str) -> None:
        pass

    def finish(self) -> tuple[str, ...]:
        return ()


class Refusing:
    """Compiles nothing."""

    def add(self, source: str) -> None:
        raise OSError(0, f"asked to compile {source}")

    def settle(self, source: str) -> None:
        pass

    def finish(self) -> tuple[str, ...]:
        return ()


class Staging:
    """Stages one wheel again and again, each time into a new tree."""

    def __init__(self, wheel: Path, directory: Path) -> None:
        self.request = WheelRequest(wheel, direct_url='{"url": "x"}')
        self.directory = directory
        self.compiled: list[str] = []
        self.number = 0

    def __call__(
        self, environment: Environment, cache: Path | None
    ) -> tuple[dict[str, Entry], StagedDistribution]:
        self.number += 1
        root = self.directory / f"staged{self.number}"
        root.mkdir()
        self.compiled = []
        staged = stage_wheel(self.request, environment, root, compiler=self._compiler, cache=cache)
        found = tree(root)
        for path in (path for path in staged.paths if path.endswith(".pyc")):
            data = (root / path).read_bytes()
            found[path] = data[:8] + data[12:]  # between them stands the time of the source
        assert modes(root) == modes(self.directory / "staged1")
        return found, staged

    @contextlib.contextmanager
    def _compiler(self, root: Path, environment: Environment) -> Iterator[SourceCompiler]:
        with staged_compiler(root, environment) as compiler:
            yield Noting(compiler, self.compiled)


@pytest.fixture
def stage(wheel: Path, tmp_path: Path) -> Staging:
    return Staging(wheel, tmp_path)


def test_packed_wheel_is_staged_like_its_archive(
    stage: Staging, environment: Environment, cache: Path
) -> None:
    plain = stage(environment, None)
    kept = stage(environment, cache)
    assert min(stage.compiled).endswith("foo/__init__.py")
    packed = stage(environment, cache)
    assert plain == kept == packed
    assert stage.compiled == [NO_PYTHON]
    assert len(list((cache / "packs").iterdir())) == 2


def test_python_script_has_byte_code_in_any_case(
    tmp_path: Path, environment: Environment, cache: Path
) -> None:
    """Its first line names the interpreter, so its byte-code is of this prefix only."""
    wheel = make_wheel(tmp_path, "foo", "1.0", data={"scripts/own.py": "#!python\nprint(1)\n"})
    stage = Staging(wheel, tmp_path)
    plain = stage(environment, None)
    assert f"bin/__pycache__/own.{environment.cache_tag}.pyc" in plain[1].paths
    assert plain == stage(environment, cache) == stage(environment, cache)
    assert stage.compiled == ["bin/own.py"]


def test_source_that_was_not_compiled_for_lack_of_memory_is_compiled_the_next_time(
    stage: Staging, environment: Environment, cache: Path
) -> None:
    root = stage.directory / "unable"
    root.mkdir()
    unable = contextlib.nullcontext(Unable())
    stage_wheel(stage.request, environment, root, compiler=lambda *_: unable, cache=cache)
    assert stage(environment, cache) == stage(environment, None)


class Forking:
    """Forks, and counts or kills the processes."""

    def __init__(self, *, kills: bool = False) -> None:
        self.fork = os.fork
        self.kills = kills
        self.processes = 0

    def __call__(self) -> int:
        process = self.fork()
        if process:
            self.processes += 1
            if self.kills:
                os.kill(process, signal.SIGKILL)
        return process


@pytest.fixture
def many(tmp_path: Path) -> Staging:
    """Stages a wheel of which other processes write byte-code, too."""
    modules = {f"foo/p{n % 7}/m{n}.py": f"def function():\n    return {n}\n" for n in range(1500)}
    return Staging(make_wheel(tmp_path, "foo", "1.0", {**modules, **FILES}), tmp_path)


def test_packed_byte_code_is_written_by_several_processes(
    many: Staging, environment: Environment, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = many(environment, cache)
    forking = Forking()
    monkeypatch.setattr(os, "fork", forking)
    for processors in (1, 2, 5):
        monkeypatch.setattr(staging, "processors", lambda: processors)  # noqa: B023 - used at once
        assert many(environment, cache) == plain
    assert many.compiled == [NO_PYTHON]
    assert forking.processes == 0 + 1 + 4


def test_killed_process_that_writes_byte_code_is_an_error_and_none_is_left(
    many: Staging, environment: Environment, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(environment, cache)
    monkeypatch.setattr(staging, "processors", lambda: 2)
    monkeypatch.setattr(os, "fork", Forking(kills=True))
    with pytest.raises(OSError, match=r"others died .* '.*/staged2/.*/foo/p\d/m\d+.py'"):
        many(environment, cache)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_packed_wheel_fits_another_prefix(
    stage: Staging, environment: Environment, cache: Path
) -> None:
    stage(environment, cache)
    prefix = environment.prefix / ("ünusual " * 40)
    elsewhere = environment._replace(prefix=prefix, interpreter=prefix / "bin/python3")
    packed = stage(elsewhere, cache)
    assert stage.compiled == [NO_PYTHON]
    assert packed == stage(elsewhere, None)
    assert any(str(prefix).encode() in data for data in packed[0].values() if data)  # type: ignore[operator]


def test_files_are_kept_for_every_python_and_byte_code_for_one(
    stage: Staging, environment: Environment, cache: Path
) -> None:
    stage(environment, cache)
    other = environment._replace(cache_tag="cpython-399", magic=b"\1\2\r\n")
    with pytest.raises(OSError, match="compile"):
        stage_other(stage, other, cache)
    assert {path.suffix for path in (cache / "packs").iterdir()} == {".files", ".code"}


def stage_other(stage: Staging, environment: Environment, cache: Path) -> None:
    root = stage.directory / "other"
    root.mkdir()
    stage_wheel(
        stage.request,
        environment,
        root,
        compiler=lambda _root, _environment: contextlib.nullcontext(Refusing()),
        cache=cache,
    )


def test_packed_wheel_must_fit_the_environment(
    stage: Staging, environment: Environment, cache: Path
) -> None:
    stage(environment, cache)
    with pytest.raises(WheelError, match="requires Python"):
        stage(environment._replace(version="3.7.0"), cache)


def test_pack_of_another_version_counts_as_missing(
    stage: Staging, environment: Environment, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That may have taken what this one refuses."""
    with monkeypatch.context() as patch:
        patch.setattr(packed_wheel, "__version__", "0.0.1")
        stage(environment, cache)
    stage(environment, cache)
    assert len(stage.compiled) > 1
    stage(environment, cache)
    assert stage.compiled == [NO_PYTHON]


def test_what_a_killed_writer_left_is_in_nobodys_way(
    stage: Staging, environment: Environment, cache: Path
) -> None:
    """Processes of containers have few numbers, and the same ones."""
    stage(environment, cache)
    for path in (cache / "packs").iterdir():
        path.rename(path.with_name(f"{path.name}.{os.getpid()}.new"))
    stage(environment, cache)
    stage(environment, cache)
    assert stage.compiled == [NO_PYTHON]


def test_wheel_with_another_name_is_another_wheel(
    stage: Staging, environment: Environment, cache: Path, wheel: Path
) -> None:
    stage(environment, cache)
    stage.request = WheelRequest(wheel.rename(wheel.with_name("foo-1.0-py2-none-any.whl")))
    with pytest.raises(WheelError):
        stage(environment, cache)


def test_hash_of_the_source_is_kept_up_to_date(
    stage: Staging, environment: Environment, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(environment, cache)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    assert stage(environment, cache) == stage(environment, None)


def test_nothing_is_kept_if_nobody_wants_it(
    stage: Staging, environment: Environment, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAGE_PKGINSTALL_PACKS", "no")
    stage(environment, cache)
    assert not cache.exists()


def test_cache_that_cannot_be_written_is_done_without(
    stage: Staging, environment: Environment, cache: Path
) -> None:
    cache.write_text("no directory")
    assert stage(environment, cache) == stage(environment, None)


def write_pack(path: Path, index: object, pieces: Sequence[bytes]) -> None:
    with PackWriter(path) as writer:
        for piece in pieces:
            writer.add(piece)
        writer.finish(index)


def _flip(path: Path, where: int) -> None:
    data = bytearray(path.read_bytes())
    data[where] ^= 1
    path.write_bytes(data)


def _other_pack(path: Path) -> bytes:
    """A good pack that tells it has another name."""
    write_pack(path.with_name("other"), {"format": 1, "name": "other"}, [])
    return path.with_name("other").read_bytes()


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.symlink_to(path.rename(f"{path}~"))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: os.truncate(path, path.stat().st_size - 1),
    "empty": lambda path: path.write_bytes(b""),
    "another index": lambda path: _flip(path, -60),
    "another content": lambda path: _flip(path, 60),
    "another length": lambda path: _flip(path, -1),
    "writable for others": lambda path: path.chmod(0o666),
    "of another wheel": lambda path: path.write_bytes(_other_pack(path)),
    "a directory": _directory,
    "a pipe": _pipe,
    "a link": _link,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_pack_counts_as_missing(
    stage: Staging, environment: Environment, cache: Path, damage: str
) -> None:
    stage(environment, cache)
    for path in list((cache / "packs").iterdir()):
        DAMAGES[damage](path)
    assert stage(environment, cache) == stage(environment, None)
    assert stage.compiled


def test_pieces_are_read_and_copied(tmp_path: Path) -> None:
    path = tmp_path / "packs" / "0"
    large = os.urandom(3 << 20)
    write_pack(path, {"any": ["thing"]}, [b"first", large])
    pack = open_pack(path)
    assert pack is not None
    assert pack.index == {"any": ["thing"]}
    assert pack.read(Piece(0, 5)) == b"first"
    stream = PackedFile(pack, Piece(5, len(large)), "sha256=x")
    assert stream.read(3) + stream.read() + stream.read(1) == large
    with (tmp_path / "copy").open("wb") as copy:
        assert PackedFile(pack, Piece(5, len(large)), "x").copy_to(copy.fileno()) == len(large)
    assert (tmp_path / "copy").read_bytes() == large
    pack.close()


def test_piece_is_copied_where_the_kernel_copies_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "copy_file_range", lambda *_, **__: 0, raising=False)
    large = os.urandom(3 << 20)
    write_pack(tmp_path / "packs" / "0", {}, [large])
    pack = open_pack(tmp_path / "packs" / "0")
    assert pack is not None
    with contextlib.closing(pack), (tmp_path / "copy").open("wb") as copy:
        pack.copy(Piece(0, len(large)), copy.fileno())
    assert (tmp_path / "copy").read_bytes() == large


def test_pack_of_a_cache_that_is_mounted_for_reading_is_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    path = tmp_path / "packs" / "0"
    write_pack(path, {}, [b"piece"])
    monkeypatch.setattr("os.utime", fails)
    pack = open_pack(path)
    assert pack is not None
    with contextlib.closing(pack):
        assert pack.read(Piece(0, 5)) == b"piece"


def test_pack_that_is_cut_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "packs" / "0"
    write_pack(path, {}, [bytes(3 << 20)])
    pack = open_pack(path)
    assert pack is not None
    os.truncate(path, 2 << 20)
    with contextlib.closing(pack), (tmp_path / "copy").open("wb") as copy:
        with pytest.raises(OSError, match="cut"):
            pack.copy(Piece(0, 3 << 20), copy.fileno())
        with pytest.raises(OSError, match="cut"):
            pack.read(Piece(0, 3 << 20))


def test_a_wheel_that_is_refused_half_way_is_not_kept(
    stage: Staging, environment: Environment, cache: Path, wheel: Path
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content["foo/module.py"] = content["foo/module.py"].replace(b"1", b"2")
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    with pytest.raises(WheelError, match="does not have the sha256 hash"):
        stage(environment, cache)
    assert list((cache / "packs").iterdir()) == []


@pytest.mark.parametrize("size", [0, 5 << 20])
def test_full_disk_is_done_without(tmp_path: Path, size: int) -> None:
    """A limit on the size of files, which fails like a full disk, reached early or at the end."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        write_pack(tmp_path / "0", ["index" * 300_000], [bytes(size), b"second"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_least_used_packs_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "LIMIT", 2000)
    first, second, third, last = (tmp_path / f"{letter * 64}.files" for letter in "abc0")
    code = tmp_path / f"{'a' * 64}-cpython-311-a70d0d0a.code"
    for number, path in enumerate([first, second, third, code]):
        write_pack(path, {}, [bytes(1000)])
        os.utime(path, (number, number))
    pack = open_pack(first)
    assert pack is not None  # and used now
    pack.close()
    for name in (f"{first.name}.123.new", f"{code.name}.0123456789abcdef.new"):
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (1, 1))
    write_pack(last, {}, [bytes(100)])
    assert set(tmp_path.iterdir()) == {first, last}


def test_what_is_no_pack_makes_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache may have been put where somebody has a directory of that name, or a link."""
    monkeypatch.setattr(packs, "LIMIT", 1)
    others = {"thesis.tar": bytes(1000), "draft.new": b"", f"{'a' * 64}.tar": b"", "a.files": b""}
    plant(tmp_path, others)
    for name in others:
        os.utime(tmp_path / name, (1, 1))
    write_pack(tmp_path / f"{'0' * 64}.files", {}, [])
    assert tree(tmp_path) == others


def test_wheel_that_took_the_place_of_the_one_looked_up_is_not_kept_as_that(
    wheel: Path, tmp_path: Path
) -> None:
    """As a build beside us does, between the look into the cache and opening the wheel."""
    looked_up = WheelPacks(tmp_path / "cache", wheel)
    with WheelArchive.open(wheel) as archive:
        assert looked_up.is_of(archive)
    (tmp_path / "other").mkdir()
    make_wheel(tmp_path / "other", "foo", "1.0", {"foo.py": ""}).replace(wheel)
    with WheelArchive.open(wheel) as archive:
        assert not looked_up.is_of(archive)


def test_byte_code_of_a_file_that_another_wheel_replaced_is_not_kept(
    tmp_path: Path, environment: Environment, cache: Path
) -> None:
    """All wheels of a call are compiled together, and the cache must not mix them up."""
    files = {name: {"shared/part.py": f"name = {name!r}\n"} for name in ("one", "two")}
    wheels = [make_wheel(tmp_path, name, "1.0", content) for name, content in files.items()]
    requests = [WheelRequest(wheel) for wheel in wheels]
    root = tmp_path / "both"
    root.mkdir()
    stage_wheels(requests, environment, root, compiler=staged_compiler, cache=cache)
    for request, name in zip(requests, files, strict=True):
        for attempt in ("first", "again"):
            alone = tmp_path / f"{name}-{attempt}"
            alone.mkdir()
            staged = stage_wheel(request, environment, alone, compiler=staged_compiler, cache=cache)
            (code,) = (path for path in staged.paths if path.endswith(".pyc"))
            assert name.encode() in (alone / code).read_bytes()


@pytest.mark.parametrize("packed", [{"one"}, {"two"}, {"one", "two"}])
@pytest.mark.parametrize("compiled", [{"one"}, {"two"}, {"one", "two"}])
def test_byte_code_of_shared_sources_is_of_what_is_there_in_the_end(
    tmp_path: Path, environment: Environment, cache: Path, packed: set[str], compiled: set[str]
) -> None:
    """Whichever wheels are in the cache, and whichever want byte-code; RECORDs list just that."""
    common = {"shared/__init__.py": "# text\n", "shared/same.py": "a = 1\n"}
    ours = {**common, "shared/part.py": "a = '1st'\n", "shared/broken.py": "a = 3\n", "one.py": ""}
    theirs = {**common, "shared/part.py": "a = '2nd'\n", "shared/broken.py": "a =\n", "two.py": ""}
    requests = {}
    for name, content in (("one", ours), ("two", theirs)):
        wheel = make_wheel(tmp_path, name, "1.0", content)
        requests[name] = WheelRequest(wheel, compile=name in compiled)
        if name in packed:
            alone = tmp_path / f"{name} alone"
            alone.mkdir()
            request = WheelRequest(wheel)
            stage_wheel(request, environment, alone, compiler=staged_compiler, cache=cache)
    root = tmp_path / "both"
    root.mkdir()
    both = stage_wheels(requests.values(), environment, root, compiler=staged_compiler, cache=cache)
    found = {path.name.partition(".")[0]: path for path in root.rglob("*.pyc")}
    assert set(found) == {"__init__", "same", "part", *compiled}
    for one in both:
        listed = {root / path for path in one.paths if path.endswith(".pyc")}
        expected = {*(found.keys() - {"one", "two"}), one.name} if one.name in compiled else set()
        assert listed == {found[name] for name in expected}
    for path in found.values():
        status = (path.parent.parent / f"{path.name.partition('.')[0]}.py").stat()
        header = path.read_bytes()[8:16]
        assert int.from_bytes(header[:4], "little") == int(status.st_mtime)
        assert int.from_bytes(header[4:], "little") == status.st_size
    assert b"2nd" in found["part"].read_bytes()
