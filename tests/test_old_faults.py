"""The faults of the ways that this project replaces: each as it was, and as it is.

They are those of section "why" of docs/explanation/why-not-destdir.md.  Every test first
carries out the old way, with the same programs, and sees it fail.  Two more need many
rounds: the race for a shared ``__init__.py`` (`make race`, tests/torture/test_pair.py) and
the time that a reinstall leaves a package absent (tests/torture/test_readers.py).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.patience import read_until, wait_until
from tests.sageworld import BIN, SageWorld
from tests.sources import make_source
from tests.trees import plant, tree
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

SHARED = {"backports/__init__.py": "# shared\n"}
OLD_FLOCK = """import fcntl, os, sys
lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(lock, fcntl.LOCK_EX)
os.execvp(sys.argv[2], sys.argv[2:])
"""
ALONE = 'mkdir "$0" || exit 7; read line; rmdir "$0"'  # until it is told; fails beside another one


@pytest.fixture
def world(tmp_path: Path, venv: Path) -> SageWorld:
    return SageWorld.make(tmp_path, venv, "sage")


def pip(world: SageWorld, *arguments: str, status: int = 0) -> str:
    """Run the pip of the tests on the target, as Sage's helpers run it."""
    python = str(world.prefix / "bin" / "python3")
    ended = subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == status, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def at_work(world: SageWorld, *command: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        env={**os.environ, "SAGE_LOCAL": str(world.prefix)},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_lock_outlives_the_start_of_the_command(world: SageWorld, tmp_path: Path) -> None:
    busy = tmp_path / "busy"
    alone = ("sh", "-c", ALONE, busy)
    old = (sys.executable, "-c", OLD_FLOCK, tmp_path / "lock", *alone)
    with at_work(world, *old) as first:
        wait_until(busy.exists)
        with at_work(world, *old) as second:
            assert second.wait() == 7
        first.communicate("go on\n")
    assert first.returncode == 0

    new = (BIN / "sage-flock", "-x", world.prefix / "var/lock/pip3.lock", *alone)
    (world.prefix / "var/lock").mkdir(parents=True)
    with at_work(world, *new) as first:
        wait_until(busy.exists)
        with at_work(world, *new) as second:
            assert second.stderr is not None
            read_until(second.stderr, "waiting for the lock")
            first.communicate("go on\n")
            second.communicate("go on\n")
    assert (first.returncode, second.returncode) == (0, 0)


def test_whatever_changes_the_prefix_takes_the_lock(world: SageWorld, tmp_path: Path) -> None:
    with held_lock(world):
        see_who_waits(world, tmp_path)


@contextlib.contextmanager
def held_lock(world: SageWorld) -> Iterator[None]:
    lock = world.prefix / "var/lock/pip3.lock"
    lock.parent.mkdir(parents=True)
    with subprocess.Popen(
        [BIN / "sage-flock", "-x", lock, "sh", "-c", "echo; cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "SAGE_LOCAL": str(world.prefix)},
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdout.readline()
        yield
        holder.stdin.close()


def see_who_waits(world: SageWorld, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "foo", "1.0")
    source = make_source(tmp_path / "tiny", "tiny")
    staged = plant(tmp_path / "staged", {"share/x": b"x"})
    pip(world, "install", "--no-index", "--no-deps", str(wheel))  # the old way: it looks at none
    before = world.tree()
    commands: list[tuple[str | Path, ...]] = [
        ("sage-pip-install", wheel),
        ("sage-pip-uninstall", "foo"),
        ("sage", "-pip", "install", "--no-index", "--force-reinstall", wheel),
        ("sage", "-pip", "install", "--no-build-isolation", "-e", source),
        ("sage", "-pip", "uninstall", "-y", "foo"),
        ("sage-pkginstall", "merge", "--prefix", world.prefix, staged),
    ]
    for command, *arguments in commands:
        status = 3 if command == "sage-pip-install" else 1
        ended = world.run(command, *arguments, status=status, SAGE_LOCK_TIMEOUT="0.1")
        assert "lock" in ended.stderr
    assert world.tree() == before


def test_shared_file_stays_until_its_last_owner_goes(world: SageWorld, tmp_path: Path) -> None:
    wheels = [
        make_wheel(tmp_path, name, "1.0", {**SHARED, f"backports/{name}.py": ""})
        for name in ("one", "two")
    ]
    pip(world, "install", "--no-index", *map(str, wheels))
    pip(world, "uninstall", "-y", "one")
    assert not shared_files(world)  # pip #4689
    pip(world, "uninstall", "-y", "two")

    world.run("sage-pip-install", *wheels)
    world.run("sage-pip-uninstall", "one")
    assert shared_files(world)
    world.run("sage-pkginstall", "verify", "--prefix", world.prefix)
    world.run("sage-pip-uninstall", "two")
    assert not shared_files(world)


def shared_files(world: SageWorld) -> list[str]:
    return [path for path in world.tree() if path.endswith("backports/__init__.py")]


def test_what_a_killed_install_left_is_replaced(world: SageWorld, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "foo", "1.0")
    pip(world, "install", "--no-index", str(wheel))
    (record,) = world.prefix.glob("lib/python3*/site-packages/foo-*/RECORD")
    record.unlink()  # pip writes it last
    (record.parent.parent / "foo.py").unlink()
    assert "no RECORD" in pip(world, "uninstall", "-y", "foo", status=1).replace(
        "RECORD file was not found", "no RECORD"
    )
    assert "already" in pip(world, "install", "--no-index", str(wheel))
    assert not (record.parent.parent / "foo.py").exists()

    world.package("foo", "1.0", {}, wheel=wheel)
    world.spkg("foo")
    world.run("sage-pkginstall", "verify", "--prefix", world.prefix)
    assert (record.parent.parent / "foo.py").exists()


def test_old_version_is_there_until_the_new_one_is_built(world: SageWorld, tmp_path: Path) -> None:
    first, second = (make_wheel(tmp_path, "foo", version) for version in ("1.0", "2.0"))
    failing = "cd src && false"
    pip(world, "install", "--no-index", str(first))
    pip(world, "uninstall", "-y", "foo")  # what the old way does before it builds
    assert not any(path.endswith("/foo.py") for path in world.tree())

    world.package("foo", "1.0", {}, wheel=first)
    world.spkg("foo")
    before = world.tree()
    world.package("foo", "2.0", {"spkg-install.in": failing}, wheel=second)
    world.spkg("foo", status=1)
    assert world.tree() == before


def test_status_of_uninstalling_is_not_lost(world: SageWorld, tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("no requirement at all !!!\n")
    helper = f'. "{BIN}/sage-dist-helpers"; sdh_pip_uninstall -r "{tmp_path}/bad.txt"'
    old = "false 2>&1 | sed 's/^/  /'"
    assert subprocess.run(["bash", "-c", old], check=False).returncode == 0
    environment = {**os.environ, "SAGE_LOCAL": str(world.prefix), "SAGE_VENV": str(world.prefix)}
    ended = subprocess.run(
        ["bash", "-c", helper],
        env={**environment, "SAGE_ROOT": str(world.root), "PKG_NAME": "foo", "PKG_BASE": "foo"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode != 0
    assert "Warning" in ended.stdout + ended.stderr


def test_names_with_blanks_and_empty_directories_are_removed(world: SageWorld) -> None:
    old = plant(world.root / "old", {"a b'c": b"", "d/e": b""})
    script = 'cd "$0"; for file in $(find . -type f); do rm -f "$file"; done'
    subprocess.run(["bash", "-c", script, old], check=True)
    assert tree(old).keys() == {"a b'c", "d"}

    before = world.tree()
    install = (
        """to="$SAGE_DESTDIR$SAGE_LOCAL/share/x"; mkdir -p "$to/empty" && echo >"$to/a b'c" """
    )
    world.package("foo", "1.0", {"spkg-install.in": install})
    world.spkg("foo")
    assert "share/x/a b'c" in world.tree()
    world.clean("foo")
    assert world.tree() == before


def test_link_to_a_directory_stays_one(world: SageWorld, tmp_path: Path) -> None:
    staged = plant(tmp_path / "staged", {"lib64/x": b""})
    old = plant(tmp_path / "old", {"lib/y": b""})
    (old / "lib64").symlink_to("lib")
    subprocess.run(
        ["sh", "-c", '(cd "$0" && tar cf - .) | (cd "$1" && tar xf -)', staged, old], check=True
    )
    assert not (old / "lib64").is_symlink()

    (world.prefix / "lib64").unlink(missing_ok=True)
    (world.prefix / "lib64").symlink_to("lib")
    install = 'mkdir -p "$SAGE_DESTDIR$SAGE_LOCAL/lib64"; echo >"$SAGE_DESTDIR$SAGE_LOCAL/lib64/x"'
    world.package("foo", "1.0", {"spkg-install.in": install})
    world.spkg("foo")
    assert (world.prefix / "lib64").is_symlink()
    assert (world.prefix / "lib" / "x").exists()


@pytest.mark.needs("strace")
def test_reinstalling_starts_no_pip(world: SageWorld, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "foo", "1.0")
    world.package("foo", "1.0", {}, wheel=wheel)
    world.spkg("foo")
    trace = tmp_path / "trace"
    strace = ["strace", "-f", "-qq", "-e", "trace=execve", "-o", str(trace)]
    program = shutil.which("env")
    assert program is not None
    world.run(program, *strace, BIN / "sage-spkg", "foo")
    started = re.findall(r"execve\(.*", trace.read_text())
    assert started
    assert not [line for line in started if re.search(r'"(-m", "pip|[^"]*/pip3?)"', line)]


def test_absence_is_not_felt(world: SageWorld, tmp_path: Path) -> None:
    """The old way has a moment without foo, whatever is done; here there is none to be seen."""
    wheel = make_wheel(tmp_path, "foo", "1.0")
    world.run("sage-pip-install", wheel)
    (module,) = world.prefix.glob("lib/python3*/site-packages/foo.py")
    job = subprocess.Popen(
        [BIN / "sage-pip-install", wheel],
        env={**os.environ, "SAGE_VENV": str(world.prefix), "SAGE_LOCAL": str(world.prefix)},
    )
    while job.poll() is None:
        assert module.exists()
        time.sleep(0.0005)
    assert job.returncode == 0
