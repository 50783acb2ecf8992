"""Byte-code of staged sources is what ``compileall`` makes of them in the prefix."""

from __future__ import annotations

import gc
import marshal
import os
import shutil
import signal
import subprocess
import sys
import venv
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.environment import Environment, target_environment
from sage_pkginstall.errors import EnvironmentFactsError
from sage_pkginstall.wheels.bytecode import compile_staged
from tests.trees import modes, plant, tree

if TYPE_CHECKING:
    from types import CodeType

SOURCES = {
    "lib/a/__init__.py": b"'''Doc.'''\nassert True\n\ndef f(x):\n    return lambda: x\n",
    "lib/a/b.c.py": b"class A:\n    x = ('a', 1.5, 2j, frozenset({1, 2}), None, ...)\n",
    "lib/a/.py": b"x = 1\n",
    "lib/a/latin.py": b"# coding: latin-1\nx = '\xe9'\n",
    "lib/a/warns.py": b"x = '\\d'\nx is 1\nassert (x, 1)\n",
    "lib/a/crlf.py": b"x = 1\r\nif x:\r\n    y = '''\r\n'''\r\n",
    "lib/empty.py": b"",
    "bin/tool.py": b"#!/bin/python\nprint(1)\n",
}
BROKEN = {
    "lib/broken/syntax.py": b"def\n",
    "lib/broken/null.py": b"x = 1\0\n",
    "lib/broken/coding.py": b"# coding: nonsense\n",
    "lib/broken/utf8.py": b"x = '\xe9'\n",
    "lib/broken/deep.py": b"x = " + b"-" * 100_000 + b"1\n",
}
TOO_LONG = {  # for a name with ``.cpython-311.pyc`` behind it
    f"lib/broken/{'good' * 62}.py": b"x = 1\n",
    f"lib/broken/{'evil' * 62}.py": b"def\n",
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment that no test changes: a staged tree is all that is written."""
    prefix = tmp_path_factory.mktemp("venv")
    venv.EnvBuilder(symlinks=True).create(prefix)
    return target_environment(prefix)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return plant(tmp_path / "staged", SOURCES)


def compiled(root: Path) -> dict[str, bytes]:
    found = {name: data for name, data in tree(root).items() if name.endswith(".pyc")}
    return {name: data for name, data in found.items() if isinstance(data, bytes)}


def file_names(code: CodeType) -> set[str]:
    inner = (c for c in code.co_consts if hasattr(c, "co_filename"))
    return {code.co_filename}.union(*map(file_names, inner))


def by_compileall(environment: Environment, root: Path, final: Path) -> dict[str, bytes]:
    """Copy the sources to where they will be, with their times, and compile them there."""
    shutil.copytree(root, final, ignore=shutil.ignore_patterns("__pycache__"))
    python = [str(environment.interpreter), "-W", "ignore", "-m", "compileall", "-q"]
    subprocess.run([*python, str(final)], check=False, capture_output=True)
    return compiled(final)


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("epoch", [None, "315532800"])
def test_result_is_that_of_compileall_on_the_final_path(
    root: Path,
    environment: Environment,
    monkeypatch: pytest.MonkeyPatch,
    ours: bool,
    epoch: str | None,
) -> None:
    if epoch:
        monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    final = root.parent / "final"
    there = environment._replace(prefix=final)
    if not ours:
        there = there._replace(magic=b"\0\0\0\0")
    plant(root, BROKEN)
    (root / "lib/a/b.c.py").chmod(0o400)
    (root / "bin/tool.py").chmod(0o755)
    written = compile_staged(root, [*SOURCES, *BROKEN], there)
    found = compiled(root)
    expected = by_compileall(environment, root, final)
    assert set(written) == found.keys() == expected.keys()
    assert len(found) == len(SOURCES)
    assert {name: data[:16] for name, data in found.items()} == {
        name: data[:16] for name, data in expected.items()
    }
    for name, data in found.items():
        code, right = (marshal.loads(pyc[16:]) for pyc in (data, expected[name]))  # noqa: S302 -- ours
        assert code == right
        assert file_names(code) == file_names(right)
        assert file_names(code) <= {str(final / source) for source in SOURCES}
    pyc_modes = {name: mode for name, mode in modes(root).items() if "__pycache__" in name}
    assert pyc_modes == {name: mode for name, mode in modes(final).items() if "__pycache__" in name}


def test_nothing_to_compile(root: Path, environment: Environment) -> None:
    assert compile_staged(root, [], environment) == ()


def test_what_does_not_compile_is_silent_and_leaves_nothing(
    tmp_path: Path, environment: Environment, capfd: pytest.CaptureFixture[str]
) -> None:
    bad = {**BROKEN, **TOO_LONG}
    root = plant(tmp_path / "bad", bad)
    tag = environment.cache_tag
    plant(root, {f"lib/broken/__pycache__/syntax.{tag}.pyc": b"of an older source"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compile_staged(root, sorted(bad), environment) == ()
    assert tree(root) == bad
    assert capfd.readouterr() == ("", "")


def many(tmp_path: Path, count: int = 36) -> tuple[Path, list[str]]:
    """Sources, enough to be shared out to several processes."""
    text = b"".join(b"def f%d(x):\n    return x + %d\n" % (i, i) for i in range(300))
    files = {f"lib/m{i}.py": text * (1 + i * 7 % 4) for i in range(count)}
    return plant(tmp_path / "many", files), sorted(files)


def test_several_processes_make_the_same(tmp_path: Path, environment: Environment) -> None:
    root, sources = many(tmp_path)
    frozen, collecting = gc.get_freeze_count(), gc.isenabled()
    one = compile_staged(root, sources, environment, jobs=1)
    alone = compiled(root)
    shutil.rmtree(root / "lib/__pycache__")
    assert compile_staged(root, sources, environment, jobs=3) == one
    assert compiled(root) == alone
    assert len(one) == len(sources)
    assert (gc.get_freeze_count(), gc.isenabled()) == (frozen, collecting)


@pytest.mark.parametrize("ours", [True, False])
def test_error_in_another_process_names_the_file(
    tmp_path: Path, environment: Environment, ours: bool
) -> None:
    """A directory where byte-code should go, in the share of each process in turn."""
    root, sources = many(tmp_path, 24)
    there = environment if ours else environment._replace(magic=b"\0\0\0\0")
    for source in sources[:2]:
        blocked = f"lib/__pycache__/{Path(source).stem}.{environment.cache_tag}.pyc"
        (root / blocked).mkdir(parents=True)
        with pytest.raises((OSError, EnvironmentFactsError), match=Path(blocked).name):
            compile_staged(root, sources, there, jobs=2)
        shutil.rmtree(root / "lib/__pycache__")


def test_killed_process_is_an_error_and_no_process_is_left(
    tmp_path: Path, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, sources = many(tmp_path)
    fork = os.fork

    def fork_and_kill() -> int:
        child = fork()
        if child:
            os.kill(child, signal.SIGKILL)
        return child

    monkeypatch.setattr(os, "fork", fork_and_kill)
    with pytest.raises(OSError, match="the process that worked on it and others died"):
        compile_staged(root, sources, environment, jobs=2)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_interrupt_leaves_no_process(tmp_path: Path, environment: Environment) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    root, sources = many(tmp_path)
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(KeyboardInterrupt):
            compile_staged(root, sources, environment, jobs=2)
    finally:
        signal.signal(signal.SIGALRM, before)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_another_run_s_settings_do_not_matter(
    root: Path, environment: Environment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path / "elsewhere"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    written = compile_staged(root, sorted(SOURCES), environment)
    assert set(written) == compiled(root).keys()
    assert len(written) == len(SOURCES)


def test_odd_names(tmp_path: Path, environment: Environment) -> None:
    names = ["new\nline.py", "blank name.py", "\udcff.py", "\u00e9.py"]
    root = plant(tmp_path / "odd", dict.fromkeys(names, b"x = 1\n"))
    for there in (environment, environment._replace(magic=b"\0\0\0\0")):
        written = compile_staged(root, names, there)
        assert len(written) == len(names)
        shutil.rmtree(root / "__pycache__")


def test_link_in_the_place_of_the_directory_is_refused(
    tmp_path: Path, root: Path, environment: Environment
) -> None:
    outside = plant(tmp_path / "outside", {"x": b""})
    (root / "lib/__pycache__").symlink_to(outside)
    with pytest.raises(NotADirectoryError):
        compile_staged(root, ["lib/empty.py"], environment)
    assert tree(outside) == {"x": b""}


def test_failing_target_is_told(root: Path, environment: Environment, tmp_path: Path) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho no way >&2\nexit 7\n", encoding="ascii")
    script.chmod(0o755)
    broken = environment._replace(magic=b"\0\0\0\0", interpreter=script)
    reason = rf"cannot use target interpreter {script}: it cannot compile: no way \(exit status 7\)"
    with pytest.raises(EnvironmentFactsError, match=reason):
        compile_staged(root, sorted(SOURCES), broken)
