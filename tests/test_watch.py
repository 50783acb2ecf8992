"""Watching a parallel make in a terminal: what is shown, and what is left to logs."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, START, RunCli
from tests.patience import wait_until
from tests.sageworld import BIN, SageWorld
from tests.terminal import CTRL_C, Ended, Typed, run_in_terminal
from tests.trees import plant
from tests.wheelmaker import make_wheel

pytestmark = pytest.mark.needs("make", "ps")

MAKEFILE = ROOT / "build" / "make" / "Makefile"
TOOL = (sys.executable, "-I", "-c", START, str(ROOT))  # which has rich
COLOUR = re.compile(r"\x1b\[(?:[0-9]+;)*(?:3[0-7]|9[0-7])(?:;[0-9]+)*m")


@pytest.fixture
def world(tmp_path: Path, venv: Path) -> SageWorld:
    """Packages of which one needs the other, in paths without blanks."""
    root = tmp_path / "sage"
    for directory in ("build/pkgs", "build/make", "upstream"):
        (root / directory).mkdir(parents=True)
    world = SageWorld(root, venv)
    add(world, "low", "echo said by low\nsleep 0.5")
    add(world, "high", "echo said by high", "low")
    return world


def add(world: SageWorld, name: str, script: str, dependencies: str = "") -> None:
    files = {"spkg-install.in": script, "dependencies": dependencies, "trees.txt": "SAGE_LOCAL"}
    world.package(name, "1.0", files, source={"x": ""})


def variables(world: SageWorld, **more: str) -> dict[str, str]:
    trees = dict.fromkeys(("SAGE_LOCAL", "SAGE_VENV"), str(world.prefix))
    return {
        **os.environ,
        **trees,
        "SAGE_ROOT": str(world.root),
        "SAGE_PKGINSTALL_PYTHON": sys.executable,
        **more,
    }


def watch(
    world: SageWorld,
    *arguments: str,
    typed: dict[str, Typed] | None = None,
    env: dict[str, str] | None = None,
) -> Ended:
    command = (*TOOL, "watch", "make", "-f", str(MAKEFILE), *arguments)
    return run_in_terminal(command, variables(world, **(env or {})), typed)


def stamps(world: SageWorld) -> set[str]:
    return {path.name for path in (world.prefix / "var/lib/sage/installed").glob("*")}


# ------------------------------------------------------------------------------- terminal


def test_each_running_job_has_a_line_above_a_status_line(world: SageWorld) -> None:
    # Each package ends as soon as it was seen to run: neither is too fast to be drawn.
    seen = {name: world.root / f"seen-{name}" for name in ("low", "high")}
    for name, dependency in (("low", ""), ("high", "low")):
        add(world, name, f"until [ -e {seen[name]} ]; do sleep 0.05; done", dependency)
    line = r"^ {0}-1\.0 +build +\d+ s\n{1}/2 done · 1 running · \d+ s$"
    patterns = {f"(?m){line.format('low', 0)}": "low", f"(?m){line.format('high', 1)}": "high"}
    ended = watch(
        world, "-j2", "high", typed={shown: seen[name].touch for shown, name in patterns.items()}
    )
    assert ended.status == 0  # run_in_terminal() insists on both
    assert stamps(world) == {"low-1.0", "high-1.0"}


def test_each_finished_package_leaves_a_line_and_the_end_says_how_it_went(
    world: SageWorld,
) -> None:
    ended = watch(world, "-j2", "high")
    for name in ("low", "high"):
        assert re.search(rf"{name} 1\.0 installed: 0 files, built [\d.]+ m?s, staged ", ended.text)
    assert re.search(r"done after \d+ s: 2 of 2 packages are done$", ended.text, re.MULTILINE)


def test_what_packages_say_goes_to_their_logs_only(world: SageWorld) -> None:
    ended = watch(world, "high")
    assert "said by" not in ended.raw
    logs = world.root / "logs" / "pkgs"
    assert "[low-1.0] said by low\n" in (logs / "low-1.0.log").read_text()
    assert "high 1.0 installed: " in (logs / "high-1.0.log").read_text()


def test_failure_shows_the_end_of_the_log_and_where_it_lies(world: SageWorld) -> None:
    add(world, "bad", "echo it is broken; exit 3", "low")
    ended = watch(world, "-k", "bad", "high")
    assert ended.status == 2
    log = world.root / "logs/pkgs/bad-1.0.log"
    assert (
        f"[bad-1.0] failed (status 1); the end of {log}:" in ended.text.replace("\n", "")[: 10**6]
    )
    assert "  [bad-1.0] it is broken" in ended.lines
    assert any(line.startswith("bad-1.0 failed after ") for line in map(str.strip, ended.lines))
    assert re.search(r"failed after \d+ s: 2 of 3 packages are done", ended.text)
    assert stamps(world) == {"low-1.0", "high-1.0"}


def test_what_make_says_itself_is_shown(world: SageWorld) -> None:
    ended = watch(world, "nothing")
    assert ended.status == 2
    assert "No rule to make target 'nothing'" in ended.text
    watch(world, "high")
    assert "Nothing to be done for 'high'" in watch(world, "high").text


def test_faults_of_package_directories_are_told(world: SageWorld) -> None:
    add(world, "odd", "true", "low nonsense")
    ended = watch(world, "low")
    assert "its dependencies name 'nonsense', which is no package" in ended.text.replace("\n", " ")


def test_command_that_is_not_there_is_told(run_cli: RunCli) -> None:
    told = run_cli("watch", "no-such-command", status=2).stderr
    assert told.endswith("cannot run no-such-command: there is no such command\n")


def test_waiting_for_the_lock_is_shown(world: SageWorld) -> None:
    lock = world.prefix / "var/lock/pip3.lock"
    with subprocess.Popen(
        [BIN / "sage-flock", lock, "sh", "-c", "echo held; read line"],
        env=variables(world),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == b"held\n"
        ended = watch(world, "low", typed={"1 waiting for the lock": holder.stdin.close})
    assert ended.status == 0
    assert re.search(r"^ low-1\.0 +waits for the lock +\d+ s$", ended.text, re.MULTILINE)


@pytest.mark.parametrize("colours", [True, False])
def test_colours_are_for_those_who_want_them(world: SageWorld, *, colours: bool) -> None:
    ended = watch(world, "low", env={} if colours else {"NO_COLOR": "1"})
    assert bool(COLOUR.search(ended.raw)) is colours


# ----------------------------------------------------------------------------------- Ctrl-C


def test_ctrl_c_ends_everything_and_says_what_is_left_and_how_to_go_on(world: SageWorld) -> None:
    mark = world.root / "first"
    add(world, "slow", f"[ -e {mark} ] || {{ touch {mark}; sleep 1000; }}", "low")
    add(world, "last", "true", "slow")
    ended = watch(
        world, "-j2", "high", "last", typed={r" slow-1\.0 +build +\d+ s\n2/4 done": CTRL_C}
    )
    assert ended.status == 130
    assert "interrupted after " in ended.text
    assert (
        "2 of 4 packages are done\ncut off: slow-1.0 (build)\nnot begun: last-1.0\n" in ended.text
    )
    assert "nothing is half installed; the same command goes on from here" in ended.text
    assert stamps(world) == {"low-1.0", "high-1.0"}
    assert watch(world, "-j2", "high", "last").status == 0
    assert stamps(world) == {"low-1.0", "high-1.0", "slow-1.0", "last-1.0"}


def test_termination_ends_everything_too(world: SageWorld, tmp_path: Path) -> None:
    add(world, "slow", "sleep 1000; sleep 1000")
    own = tmp_path / "pid"
    command = ("sh", "-c", f'echo $$ >{own}; exec "$@"', "sh", *TOOL, "watch", "make")
    ended = run_in_terminal(
        (*command, "-f", str(MAKEFILE), "slow"),
        variables(world),
        {r" slow-1\.0 +build": lambda: os.kill(int(own.read_text()), signal.SIGTERM)},
    )
    assert ended.status == 130
    assert "0 of 1 packages are done\ncut off: slow-1.0 (build)\n" in ended.text
    assert "interrupted" in (world.root / "logs/pkgs/slow-1.0.log").read_text()
    wait_until(lambda: f"{world.prefix}/var/tmp/sage/build/slow-1.0" not in processes())


def test_ctrl_c_leaves_no_process_behind(world: SageWorld, tmp_path: Path) -> None:
    """Nor one that ignores it, as background jobs of scripts do, where the shell goes on."""
    name, begun, after = f"1000.{os.getpid()}", tmp_path / "begun", tmp_path / "after"
    add(world, "slow", f"sleep {name} & touch {begun}; sleep {name}")

    def interrupt() -> bytes:
        wait_until(begun.exists)
        return CTRL_C

    shell = ("sh", "-c", f'trap : INT; "$@"; ps -eo args >{after}', "sh")
    command = (*shell, *TOOL, "watch", "make", "-f", str(MAKEFILE), "slow")
    run_in_terminal(command, variables(world), {r" slow-1\.0 +build": interrupt})
    assert f"sleep {name}" not in after.read_text().splitlines()


def processes() -> str:
    """The command lines of all processes."""
    command = ("ps", "-eo", "args")
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


# ------------------------------------------------------------------------- without all that


def plain(world: SageWorld, *command: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=variables(world, **env), capture_output=True, text=True, check=True
    )


def without_times(text: str) -> list[str]:
    return sorted(re.sub(r"\d[\d.]* m?s\b", "N s", line) for line in text.splitlines())


def test_without_a_terminal_everything_is_as_without_watch(world: SageWorld) -> None:
    make = ("make", "-f", str(MAKEFILE), "-j2", "high")
    watched = plain(world, *TOOL, "watch", *make, TERM="xterm")
    plain(world, "make", "-f", str(MAKEFILE), "high-clean", "low-clean")
    alone = plain(world, *make)
    assert without_times(watched.stdout) == without_times(alone.stdout)
    assert watched.stderr == alone.stderr
    assert "[low-1.0] said by low\n" in watched.stdout
    assert "\x1b" not in watched.stdout


@pytest.mark.parametrize("env", [{"V": "1"}, {"TERM": "dumb"}])
def test_what_packages_say_is_shown_to_those_who_want_it(
    world: SageWorld, env: dict[str, str]
) -> None:
    ended = watch(world, "high", env=env)
    assert "[low-1.0] said by low" in ended.lines
    assert "\x1b[" not in ended.raw


def test_what_packages_say_is_shown_if_make_is_told_so(world: SageWorld) -> None:
    assert "[low-1.0] said by low" in watch(world, "V=1", "high").lines


@pytest.mark.parametrize(("flag", "status"), [("-n", 0), ("-q", 1), ("-t", 0)])
def test_make_that_only_tells_is_not_watched(world: SageWorld, flag: str, status: int) -> None:
    ended = watch(world, flag, "high")
    assert "running" not in ended.text
    assert stamps(world) == set()
    assert (ended.status == 0) == (status == 0)


def test_without_rich_there_are_plain_lines(world: SageWorld) -> None:
    code = START.replace("import sys\n", "import sys\nsys.modules['rich'] = None\n", 1)
    command = (*TOOL[:3], code, str(ROOT), "watch", "make", "-f", str(MAKEFILE), "low")
    ended = run_in_terminal(command, variables(world))
    assert ended.status == 0
    assert "[low-1.0] said by low" in ended.lines


def test_rich_and_events_are_loaded_by_those_only_who_need_them(venv: Path, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "foo", "1.0")
    code = START.replace("sys.exit(main())", "main(); print(*sys.modules)")
    command = (*TOOL[:3], code, str(ROOT), "install", "--prefix", venv, wheel)
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = set(ended.stdout.split())
    assert "sage_pkginstall.operations.install" in loaded
    assert loaded.isdisjoint(
        {"rich", "sage_pkginstall.operations.events", "sage_pkginstall.spkg.progress"}
    )


def test_command_that_is_missing_is_named(run_cli: RunCli) -> None:
    ended = run_cli("watch", status=2)
    assert "COMMAND" in ended.stderr


# ------------------------------------------------------------------------------------- bars


def wheels(directory: Path) -> list[str]:
    return [str(make_wheel(directory, name, "1.0")) for name in ("one", "two", "three")]


@pytest.mark.parametrize(
    "command",
    [
        ("install",),
        ("pip-install",),
        pytest.param(("pip", "install", "--no-index", "--no-deps"), marks=pytest.mark.slow),
    ],
)
def test_staging_many_wheels_shows_a_bar(
    venv: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    env = {**os.environ, "SAGE_VENV": str(venv)}
    ended = run_in_terminal((*TOOL, *command, *wheels(tmp_path)), env)
    assert ended.status == 0
    drawn = re.findall(r"staging wheels \S+ +(\d)/3 *(\S*)", ended.text)
    names = [Path(one).name for one in wheels(tmp_path)]
    counts, shown = zip(*dict.fromkeys(drawn), strict=True)
    assert counts == ("0", "1", "2", "3")
    assert sorted(shown) == sorted(["", *names])
    assert sorted(ended.lines[-3:]) == [f"installed {name} 1.0" for name in ("one", "three", "two")]


@pytest.mark.parametrize("options", [["--quiet"], ["--json"], []])
def test_who_wants_no_bar_gets_none(venv: Path, tmp_path: Path, options: list[str]) -> None:
    env = {**os.environ, "SAGE_VENV": str(venv)}
    given = wheels(tmp_path) if options else wheels(tmp_path)[:1]
    ended = run_in_terminal((*TOOL, "install", *options, *given), env)
    assert ended.status == 0
    assert "staging" not in ended.raw
    assert "\x1b" not in ended.raw


def test_bar_is_for_terminals(venv: Path, tmp_path: Path, run_cli: RunCli) -> None:
    ended = run_cli("install", "--prefix", venv, *wheels(tmp_path), env={"TERM": "xterm"})
    assert ended.stderr == ""


# ----------------------------------------------------------------------------- top Makefile


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The top Makefile, and stand-ins for what it calls."""
    root = tmp_path / "checkout"
    programs = {
        "build/make/Makefile": b"all foo: ; @echo made $@\n",
        "build/setup/environment": b"#!/bin/sh\nmkdir -p $1/bin; : >$1/bin/python; pwd >$1/ready\n",
        "build/bin/sage-pkginstall": b'#!/bin/sh\necho "told to $1"; shift; exec "$@"\n',
    }
    plant(root, {**programs, "pyproject.toml": b""})
    for name in programs:
        (root / name).chmod(0o755)
    shutil.copy(ROOT / "Makefile", root)
    return root


def test_make_is_watched_on_terminals_only(checkout: Path) -> None:
    make = ("make", "-C", str(checkout), "foo")
    run = subprocess.run(make, capture_output=True, text=True, check=True)
    assert "told to" not in run.stdout
    ended = run_in_terminal(make, os.environ)
    assert ended.status == 0
    assert ended.lines.index("told to watch") < ended.lines.index("made foo")
