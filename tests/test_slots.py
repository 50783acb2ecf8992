"""No more compilers run at once than make has job slots, and free slots are used."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sage_pkginstall.builds.slots import job_slots, provide
from tests.sources import make_source, make_wheel
from tests.trees import plant

ROOT = Path(__file__).parent.parent
NEW_NINJA = Path(sys.executable).parent / "ninja"
BUILD = (
    f'{sys.executable} -I -c \'import sys; sys.path.insert(0, "{ROOT}"); '
    "from sage_pkginstall.cli.main import main; sys.exit(main())' build"
)

# Runs the real compiler; how many run at once is told by the lines begin and end.  The first ones
# go on when as many as expected have begun, all of them a little later: there may be too many.
COMPILER = """#!/bin/sh
echo begin >>"$COMPILERS"
gcc "$@" || exit 1
for try in $(seq 600); do
    [ "$(grep -c begin "$COMPILERS")" -lt "$EXPECTED" ] || break
    sleep 0.05
done
sleep 0.2
echo end >>"$COMPILERS"
"""

# As meson-python does it: ninja, found on PATH, run by subprocess.
BY_NINJA = """
rule = 'rule cc\\n command = mycc -c $in -o $out\\n'
objects = [f'{number}.o' for number in range(8)]
for name in objects:
    Path(name[:-1] + 'c').write_text('int f(int x) { return x + 1; }')
Path('build.ninja').write_text(rule + ''.join(f'build {o}: cc {o[:-1]}c\\n' for o in objects))
import subprocess
subprocess.run(['ninja'], check=True)
"""
BY_MAKE = """
objects = [f'{number}.o' for number in range(8)]
for name in objects:
    Path(name[:-1] + 'c').write_text('int f(int x) { return x + 1; }')
Path('Makefile').write_text(f'all: {" ".join(objects)}\\n%.o: %.c\\n\\tmycc -c $< -o $@\\n')
import subprocess
subprocess.run(['make'], check=True)
"""


class Yard:
    """Sources that compile, and a Makefile that builds their wheels."""

    def __init__(self, root: Path, venv: Path) -> None:
        self.root = root
        self.venv = venv
        self.record = root / "record"
        programs = plant(root / "bin", {"mycc": COMPILER.encode()})
        (programs / "mycc").chmod(0o755)
        self.env = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "COMPILERS": str(self.record),
            "EXPECTED": "1",
            "SAGE_PKGINSTALL_BUILT": "no",
        }

    def use(self, ninja: Path) -> None:
        (self.root / "bin" / "ninja").symlink_to(ninja)

    def makefile(self, names: str, code: str, *, recipe: str = "+") -> None:
        for name in names.split():
            make_source(self.root / name, name, code=code)
        build = f"{recipe}@{BUILD} --prefix {self.venv} --wheel-dir dist-$@ --store . -q $@"
        text = f"all: {names}\n.PHONY: {names}\n{names}:\n\t{build}\n"
        (self.root / "Makefile").write_text(text)

    def make(self, *options: str) -> list[int]:
        """Run make; return how many compilers ran after each that began or ended."""
        subprocess.run(
            ["make", *options], cwd=self.root, env=self.env, check=True, capture_output=True
        )
        return self.running()

    def running(self) -> list[int]:
        now, found = 0, []
        for line in self.record.read_text().split():
            now += 1 if line == "begin" else -1
            found.append(now)
        return found


@pytest.fixture
def yard(tmp_path: Path, venv: Path) -> Yard:
    return Yard(tmp_path, venv)


@pytest.mark.slow
@pytest.mark.needs("make", "gcc")
@pytest.mark.parametrize("code", [BY_NINJA, BY_MAKE], ids=["ninja", "make"])
def test_one_build_uses_all_free_slots_and_no_more(yard: Yard, code: str) -> None:
    yard.use(NEW_NINJA)
    yard.makefile("a", code)
    yard.env["EXPECTED"] = "3"
    running = yard.make("-j3")
    assert len(running) == 16
    assert max(running) == 3


@pytest.mark.slow
@pytest.mark.needs("make", "gcc")
@pytest.mark.parametrize("code", [BY_NINJA, BY_MAKE], ids=["ninja", "make"])
def test_several_builds_share_the_slots(yard: Yard, code: str) -> None:
    yard.use(NEW_NINJA)
    yard.makefile("a b c", code)
    yard.env["EXPECTED"] = "3"
    running = yard.make("-j3")
    assert len(running) == 48
    assert max(running) == 3


@pytest.mark.slow
@pytest.mark.needs("make", "gcc", "ninja")
def test_ninja_that_knows_no_slots_runs_one_compiler(yard: Yard) -> None:
    old = shutil.which("ninja", path="/usr/bin:/usr/local/bin")
    version = subprocess.run(
        [old or "ninja", "--version"], capture_output=True, text=True, check=True
    )
    if tuple(map(int, version.stdout.split(".")[:2])) >= (1, 13):
        pytest.skip("the system's ninja knows job slots")
    yard.use(Path(old or ""))
    yard.makefile("a", BY_NINJA)
    assert max(yard.make("-j3")) == 1


@pytest.mark.slow
@pytest.mark.needs("make", "gcc")
@pytest.mark.parametrize("options", [[], ["-j3"]], ids=["no -j", "no slots for this recipe"])
def test_make_without_slots_means_one_compiler(yard: Yard, options: list[str]) -> None:
    yard.use(NEW_NINJA)
    yard.makefile("a", BY_NINJA, recipe="")
    assert max(yard.make(*options)) == 1


@pytest.mark.slow
@pytest.mark.needs("gcc")
@pytest.mark.parametrize("tokens", [0, 2])
def test_slots_in_a_fifo_are_used(yard: Yard, tokens: int) -> None:
    """GNU make 4.4 has a fifo with a byte for each free slot but the one that we run in."""
    yard.use(NEW_NINJA)
    source = make_source(yard.root / "a", "a", code=BY_NINJA)
    fifo = yard.root / "fifo"
    os.mkfifo(fifo)
    end = os.open(fifo, os.O_RDWR)
    os.write(end, b"+" * tokens)
    flags = f" -j3 --jobserver-auth=fifo:{fifo}"
    command = f"{BUILD} --prefix {yard.venv} --wheel-dir dist --store . -q {source}"
    env = {**yard.env, "MAKEFLAGS": flags, "MAKELEVEL": "1", "EXPECTED": str(tokens + 1)}
    subprocess.run(["sh", "-c", command], cwd=yard.root, env=env, check=True, capture_output=True)
    assert max(yard.running()) == tokens + 1
    assert len(os.read(end, 100) if tokens else b"") == tokens  # all were given back
    os.close(end)


def test_program_of_a_build_requirement_gets_the_slots_too(tmp_path: Path) -> None:
    entry = plant(tmp_path / "entry", {"ninja": b"#!/bin/sh\necho 1.13.0 $MAKEFLAGS $@\n"})
    (entry / "ninja").chmod(0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ninja").symlink_to(entry / "ninja")
    slots = job_slots({"MAKEFLAGS": "-j2 --jobserver-auth=fifo:/f"})
    assert slots is not None
    variables = provide(slots, tmp_path / "bin", {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"})
    said = subprocess.run(
        ["ninja", "all"], env=variables, capture_output=True, text=True, check=True
    ).stdout
    assert said == "1.13.0 -j2 --jobserver-auth=fifo:/f all\n"
    said = subprocess.run(
        ["ninja", "-j7"], env=variables, capture_output=True, text=True, check=True
    ).stdout
    assert said.endswith("-j7\n")  # who asks for a number gets it


@pytest.mark.parametrize(
    ("environ", "flags"),
    [
        ({}, None),
        ({"MAKEFLAGS": "-j", "MAKELEVEL": "1"}, None),
        ({"MAKEFLAGS": "kj", "MAKELEVEL": "1"}, None),
        ({"MAKEFLAGS": "", "MAKELEVEL": "1"}, ""),
        ({"MAKEFLAGS": "-j2 --jobserver-auth=901,902", "MAKELEVEL": "1"}, ""),
        ({"MAKEFLAGS": "-j2 --jobserver-auth=-2,-2", "MAKELEVEL": "1"}, ""),
        ({"MAKEFLAGS": f"-j2 --jobserver-auth={2**64},4", "MAKELEVEL": "1"}, ""),
        ({"MAKEFLAGS": "-j2 --jobserver-auth=fifo:/x"}, "-j2 --jobserver-auth=fifo:/x"),
        (
            {"MAKEFLAGS": "--jobserver-auth=901,902 -j2 --jobserver-auth=fifo:/x"},
            "--jobserver-auth=901,902 -j2 --jobserver-auth=fifo:/x",
        ),
    ],
)
def test_what_make_says_of_its_slots(environ: dict[str, str], flags: str | None) -> None:
    slots = job_slots(environ)
    assert (None if slots is None else slots.flags) == flags


def test_directories_of_path_may_be_called_anything(tmp_path: Path) -> None:
    directory = tmp_path / os.fsdecode(b"caf\xe9")
    directory.mkdir()
    (directory / "ninja").write_text("#!/bin/sh\necho ninja runs\n")
    (directory / "ninja").chmod(0o755)
    slots = job_slots({"MAKELEVEL": "1"})
    assert slots is not None
    variables = provide(slots, tmp_path / "bin", {"PATH": f"{directory}:/usr/bin:/bin"})
    ninja = tmp_path / "bin" / "ninja"
    said = subprocess.run([ninja], env=variables, stdout=subprocess.PIPE, check=True).stdout
    assert said == b"ninja runs\n"


def test_numbers_that_the_user_gave_stay(tmp_path: Path) -> None:
    slots = job_slots({"MAKELEVEL": "1"})
    assert slots is not None
    variables = provide(slots, tmp_path, {"PATH": "/usr/bin", "MAX_JOBS": "7"})
    assert variables["MAX_JOBS"] == "7"
    assert variables["CMAKE_BUILD_PARALLEL_LEVEL"] == "1"


def test_job_slots_are_no_input_of_a_wheel(tmp_path: Path, venv: Path) -> None:
    """A wheel that was built with -j8 is taken with -j1."""
    make_wheel(tmp_path / "store", "x-1.0-py3-none-any.whl")
    source = make_source(tmp_path / "src")
    (source / "backend.py").write_text(
        (source / "backend.py")
        .read_text()
        .replace('"variables": dict(os.environ)', '"variables": {}')
    )
    words = f"--prefix {venv} --wheel-dir dist --store store {source}"
    said = [
        subprocess.run(
            ["sh", "-c", f"{BUILD} {words}"], cwd=tmp_path, capture_output=True, text=True,
            env={**os.environ, "SAGE_PKGINSTALL_CACHE": str(tmp_path / "cache"), **more},
            check=True,
        ).stderr
        for more in ({}, {"MAKELEVEL": "1", "MAKEFLAGS": "-j8"})
    ]  # fmt: skip
    assert ["Taken from the cache" in text for text in said] == [False, True]


def provided(directory: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setenv("MAKELEVEL", "1")
    monkeypatch.setenv("MAKEFLAGS", "")
    slots = job_slots(os.environ)
    assert slots is not None
    variables = provide(slots, directory, {"PATH": path})
    said = subprocess.run(
        ["ninja", "--version"],
        env=variables,
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    assert said.stdout == "1.10 of python\n"


def test_ninja_that_is_a_script_of_a_wheel_is_what_ours_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lies where ours is put, and is no link."""
    directory = plant(tmp_path / "bin", {"ninja": b"#!/bin/sh\necho 1.10 of python\n"})
    (directory / "ninja").chmod(0o755)
    provided(directory, monkeypatch, f"{directory}:/usr/bin:/bin")
    assert "job slots of make" in (directory / "ninja").read_text()


def test_ours_never_runs_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = plant(tmp_path / "real", {"ninja": b"#!/bin/sh\necho 1.10 of python\n"})
    (directory / "ninja").chmod(0o755)
    for _ in range(2):
        provided(tmp_path / "slots", monkeypatch, f"{directory}:/usr/bin:/bin")
