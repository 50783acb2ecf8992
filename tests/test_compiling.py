"""Sources are compiled while others are still to come, and no process outlives its work."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.wheels.compiling import Compilation, code_of
from tests.patience import PATIENCE, wait_until
from tests.trees import plant, tree

if TYPE_CHECKING:
    from pathlib import Path

TEXT = b"".join(b"def f%d(x):\n    return x + %d\n" % (i, i) for i in range(2000))


def planted(root: Path, count: int) -> list[str]:
    files = {f"p{n % 3}/m{n}.py": TEXT for n in range(count)}
    plant(root, files)
    return sorted(files)


def has_byte_code(root: Path) -> bool:
    return bool(list(root.rglob("*.pyc")))


def add_all(root: Path, sources: list[str]) -> None:
    """Add all sources, and do not ask for a result."""
    with Compilation(str(root), "/final", 2) as compilation:
        for source in sources:
            compilation.add(source)


def test_byte_code_is_there_before_all_sources_are(tmp_path: Path) -> None:
    sources = planted(tmp_path / "root", 30)
    with Compilation(str(tmp_path / "root"), "/final", 2) as compilation:
        for source in sources[:-1]:
            compilation.add(source)
        wait_until(lambda: has_byte_code(tmp_path / "root"))
        compilation.add(sources[-1])
        written = compilation.finish()
    assert len(written) == len(sources)
    assert {path for path in tree(tmp_path / "root") if path.endswith(".pyc")} == set(written)


def test_little_is_compiled_without_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("forked"))
    sources = planted(tmp_path, 2)
    with Compilation(str(tmp_path), "/final", 8) as compilation:
        for source in sources:
            compilation.add(source)
        assert len(compilation.finish()) == len(sources)


def test_processes_are_ended_if_it_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        add_all(tmp_path, [*planted(tmp_path, 30), "missing.py"])
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    planted(tmp_path, 40)
    program = """
import os, sys
from sage_pkginstall.wheels.compiling import Compilation, code_of
with Compilation(sys.argv[1], "/final", 3) as compilation:
    for source in sorted(os.listdir(sys.argv[1] + "/p0")):
        compilation.add(f"p0/{source}")
    print("added", flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"added\n"
        wait_until(lambda: has_byte_code(tmp_path))
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        # Its end of the pipe is closed when the last process that has it is gone.
        assert parent.stdout.read() == b""


def test_signal_that_comes_while_a_process_is_forked_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is raised in Python's own hooks around a fork is only printed."""
    fork = os.fork

    def interrupted() -> int:
        signal.raise_signal(signal.SIGINT)
        with contextlib.suppress(KeyboardInterrupt):  # as those hooks do
            return fork()
        pytest.fail("the signal was delivered")

    monkeypatch.setattr(os, "fork", interrupted)
    with pytest.raises(KeyboardInterrupt):
        add_all(tmp_path, planted(tmp_path, 30))
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_interrupted_at_its_birth_a_process_ends_without_doing_what_its_parent_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its parent would clean up, and say that it was interrupted."""
    fork, sources = os.fork, planted(tmp_path, 30)

    def interrupted() -> int:
        process = fork()
        if not process:
            signal.raise_signal(signal.SIGINT)
        return process

    monkeypatch.setattr(os, "fork", interrupted)
    us = os.getpid()
    try:
        add_all(tmp_path, sources)
    finally:
        if os.getpid() != us:
            (tmp_path / "unwound").touch()
            os._exit(0)
    assert not (tmp_path / "unwound").exists()


def test_an_error_is_told_while_sources_are_still_to_come(tmp_path: Path) -> None:
    sources = planted(tmp_path, 60)
    tag = sys.implementation.cache_tag
    for source in sources:
        directory, _, name = source.rpartition("/")
        (tmp_path / directory / "__pycache__" / f"{name[:-3]}.{tag}.pyc").mkdir(parents=True)
    with pytest.raises(IsADirectoryError, match=r"\.pyc"):
        add_again_and_again(tmp_path, sources)


def add_again_and_again(root: Path, sources: list[str]) -> None:
    end = time.monotonic() + PATIENCE
    with Compilation(str(root), "/final", 2) as compilation:
        while time.monotonic() < end:
            for source in sources:
                compilation.add(source)
                time.sleep(0.01)


@pytest.mark.parametrize("jobs", [1, 2])
def test_source_that_is_replaced_is_compiled_as_it_is_in_the_end(tmp_path: Path, jobs: int) -> None:
    sources = planted(tmp_path, 30)
    with Compilation(str(tmp_path), "/final", jobs) as compilation:
        for source in sources:
            compilation.add(source)
        for source, text in ((sources[0], b"new = 1\n"), (sources[-1], b"no python\n")):
            compilation.settle(source)
            (tmp_path / source).unlink()
            (tmp_path / source).write_bytes(text)
            compilation.add(source)
        written = compilation.finish()
    assert len(written) == len(set(written)) == len(sources) - 1
    assert b"new" in (tmp_path / code_of(sources[0])).read_bytes()
    assert not (tmp_path / code_of(sources[-1])).exists()


def test_settled_source_that_is_not_added_again_has_no_byte_code_of_ours(tmp_path: Path) -> None:
    sources = planted(tmp_path, 3)
    with Compilation(str(tmp_path), "/final", 2) as compilation:
        for source in sources:
            compilation.add(source)
        compilation.settle("no/such/source.py")
        compilation.settle(sources[1])
        assert set(compilation.finish()) == {code_of(sources[0]), code_of(sources[2])}
