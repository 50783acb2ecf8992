"""The event log of a run: what its jobs do, told by them, and put together again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.cli.summary import summary_line
from sage_pkginstall.operations.events import (
    EVENTS,
    JOB,
    Event,
    EventFile,
    begin_job,
    event_files,
    tell,
)
from sage_pkginstall.reports.run import JobRun, Run
from sage_pkginstall.spkg.progress import Installed
from tests.sageworld import BIN, ENGINE, SageWorld
from tests.sources import source_files
from tests.trees import tree
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

DATA = 'cd src\nsdh_install data.txt "$SAGE_SHARE/foo"\n'


@pytest.fixture
def world(tmp_path: Path, venv: Path) -> SageWorld:
    world = SageWorld.make(tmp_path, venv)
    world.env[EVENTS] = str(tmp_path / "logs" / "builds" / "run.jsonl")
    return world


def run_of(world: SageWorld) -> Run:
    return Run(EventFile(world.root.parent / "logs" / "builds" / "run.jsonl").new_events())


def only_job(world: SageWorld) -> JobRun:
    (job,) = run_of(world).jobs.values()
    return job


# ------------------------------------------------------------------------------- sage-spkg


def test_package_ends_with_a_line_that_says_what_came_and_how_long_it_took(
    world: SageWorld, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path, "foo", "1.0", {"foo.py": "", "bar.py": ""})
    world.package("foo", "1.0", {}, wheel=wheel)
    before = set(tree(world.prefix, ignore=ENGINE))
    said = world.spkg("foo").stdout.splitlines()
    came = tree(world.prefix, ignore=ENGINE).keys() - before
    (line,) = (line for line in said if " installed: " in line)
    number = len(came - {"var/lib/sage/installed/foo-1.0"})
    seconds = r"[\d.]+ m?s"
    pattern = f"built {seconds}, staged {seconds}, lock {seconds}"
    assert re.fullmatch(rf"\[foo-1.0\] foo 1.0 installed: 1 wheel, {number} files, {pattern}", line)
    assert line in (world.root / "logs/pkgs/foo-1.0.log").read_text().splitlines()


def test_job_tells_its_phases_in_order_and_what_it_installed(world: SageWorld) -> None:
    scripts = {"spkg-install.in": DATA, "spkg-check.in": "true", "dependencies": "a b | c"}
    world.package("foo", "1.0", scripts, source={"data.txt": ""})
    world.spkg("foo", "-c", MAKEFLAGS=" -j7 --jobserver-auth=3,4")
    job = only_job(world)
    assert (job.package, job.version, job.tree) == ("foo", "1.0", str(world.prefix))
    assert (job.kind, job.mode, job.slots) == ("normal", "all", 7)
    assert job.needs == {"a", "b", "c"}
    assert job.result == "done"
    names = ["fetch", "unpack", "build", "check", "install", "finish"]
    assert [phase.name for phase in job.phases] == names
    times = [moment for phase in job.phases for moment in (phase.began, phase.ended)]
    assert times == sorted(times, key=lambda moment: moment or 0)
    (lock,) = job.locks
    assert lock.ended is not None
    assert 0 < lock.ended - lock.began < 60
    assert job.installed is not None
    assert (job.installed.wheels, job.installed.files) == (0, 2)


def test_job_that_fails_tells_why_and_in_which_phase(world: SageWorld) -> None:
    world.package("foo", "1.0", {"spkg-install.in": "exit 3"}, source={"x": ""})
    world.spkg("foo", status=1)
    job = only_job(world)
    assert (job.result, job.phase, job.installed) == ("failed", "build", None)
    assert "its script spkg-install failed (exit status 3)" in job.error


def test_interrupted_job_tells_that_it_was(world: SageWorld, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    world.package("foo", "1.0", {"spkg-install.in": f"touch {begun}; sleep 60"}, source={"x": ""})
    trees = dict.fromkeys(("SAGE_LOCAL", "SAGE_VENV"), str(world.prefix))
    variables = {**os.environ, **world.env, **trees, "SAGE_ROOT": str(world.root)}
    process = subprocess.Popen(
        [BIN / "sage-spkg", "foo"], env=variables, start_new_session=True, stdout=subprocess.DEVNULL
    )
    while not begun.exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) == 130
    assert (only_job(world).result, only_job(world).phase) == ("interrupted", "build")


def test_build_requirements_in_the_cache_are_counted(world: SageWorld, tmp_path: Path) -> None:
    store = world.prefix / "var/lib/sage/wheels"
    store.mkdir(parents=True)
    for name in ("needed", "other"):
        make_wheel(store, name, "1.0")
    files = source_files("foo", requires=("needed", "other"))
    for version in ("1.0", "1.0.p1"):
        world.package(
            "foo", version, {"spkg-install.in": "cd src\nsdh_pip_install ."}, source=files
        )
        world.spkg("foo", SAGE_PKGINSTALL_CACHE=str(tmp_path / "cache"), SAGE_REBUILD="yes")
    assert [(job.hits, job.misses) for job in run_of(world).jobs.values()] == [(0, 2), (2, 0)]


def test_nothing_is_told_without_a_run(world: SageWorld) -> None:
    del world.env[EVENTS]
    world.package("foo", "1.0", {"spkg-install.in": "true"}, source={"x": ""})
    world.spkg("foo")
    assert not (world.root.parent / "logs").exists()


def test_event_log_that_cannot_be_written_fails_no_job(world: SageWorld, tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("in the way")
    world.package("foo", "1.0", {"spkg-install.in": "true"}, source={"x": ""})
    assert world.spkg("foo").stderr == ""


def test_waiting_for_the_lock_is_told_while_it_lasts(world: SageWorld, tmp_path: Path) -> None:
    world.package("foo", "1.0", {"spkg-install.in": DATA}, source={"data.txt": ""})
    lock = world.prefix / "var/lock/pip3.lock"
    ready = tmp_path / "ready"
    with subprocess.Popen(
        [BIN / "sage-flock", lock, "sh", "-c", f"touch {ready}; read line"], stdin=subprocess.PIPE
    ) as holder:
        while not ready.exists():
            assert holder.poll() is None
            time.sleep(0.01)
        with ThreadPoolExecutor() as pool:
            done = pool.submit(world.spkg, "foo")
            while not any(job.is_waiting for job in run_of(world).jobs.values()):
                assert not done.done()
                time.sleep(0.02)
            holder.communicate(b"go\n")
            done.result()
    job = only_job(world)
    assert not job.is_waiting
    assert (len(job.waits), len(job.locks)) == (1, 1)
    assert job.waits[0].ended == job.locks[0].began


# ---------------------------------------------------------------------------------- the file


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "logs" / "builds" / "run.jsonl"
    monkeypatch.setenv(EVENTS, str(path))
    monkeypatch.setenv(JOB, "")
    begin_job()
    return path


def test_lines_of_many_writers_never_mix(file: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: tell("phase", name=f"{n} " * 100), range(200)))
    assert len([json.loads(line) for line in file.read_text().splitlines()]) == 200


def test_growing_file_is_read_by_whole_lines(file: Path) -> None:
    events = EventFile(file)
    assert list(events.new_events()) == []
    tell("phase", name="build")
    assert [event.facts["name"] for event in events.new_events()] == ["build"]
    with file.open("ab") as out:
        out.write(b'{"format": 1, "time": 1, "job": "x", ')
        out.flush()
        assert list(events.new_events()) == []
        out.write(b'"event": "waits"}\n')
    assert [event.name for event in events.new_events()] == ["waits"]


def test_damaged_lines_are_passed_over(file: Path) -> None:
    tell("waits")
    with file.open("ab") as out:
        out.write(b'\xff\n[]\n3\n{"format": 1}\n{"format": 2, "time": 1, "job": "", "event": ""}\n')
        out.write(b'{"format": 1, "time": 1%b, "job": "", "event": "waits"}\n' % (b"0" * 400))
    assert [event.name for event in EventFile(file).new_events()] == ["waits"]


def test_events_without_sense_change_nothing() -> None:
    begins = {"package": "a", "version": "1", "tree": "/", "kind": "normal", "mode": "all"}
    begins |= {"needs": [], "slots": 1, "log": "/x", "pid": 1}  # type: ignore[dict-item]
    run = Run([Event(1.0, "a", "begins", begins)])
    for name, facts in (
        ("phase", {}),
        ("locked", {"waited": None}),
        ("ends", {"result": "done", "error": "", "wheels": "many"}),
        ("cached", {"hits": float("inf"), "misses": 1}),
        ("locked", {"waited": 1, "held": 10**400}),
        ("begins", {}),
        ("unheard-of", {}),
    ):
        run.take(Event(2.0, "a", name, facts))
        run.take(Event(2.0, "nobody", name, facts))
    assert [(job.result, job.phases) for job in run.jobs.values()] == [("running", ())]
    run.close()
    assert [(job.result, job.ended) for job in run.jobs.values()] == [("interrupted", 2.0)]


def test_only_the_latest_runs_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(JOB, "1")
    for n in range(30):
        monkeypatch.setenv(EVENTS, str(tmp_path / "builds" / f"{n:02}.jsonl"))
        tell("waits")
        tell("waits")
    assert [path.stem for path in event_files(tmp_path)] == [f"{n:02}" for n in range(10, 30)]


# ---------------------------------------------------------------------------------- the line


@pytest.mark.parametrize(
    ("installed", "line"),
    [
        (
            Installed(wheels=1, built=4.12, files=3001, staged=1.9, waited=0.0, held=0.006),
            "a 1 installed: 1 wheel, 3,001 files, built 4.1 s, staged 1.9 s, lock 6 ms",
        ),
        (
            Installed(wheels=2, built=1.0, files=1, staged=2.0, waited=1.25, held=0.006),
            "a 1 installed: 2 wheels, 1 file, built 1.0 s, staged 2.0 s, lock 6 ms, waited 1.2 s",
        ),
        (Installed(wheels=0, built=2.0), "a 1 installed: built 2.0 s"),
    ],
)
def test_line_of_a_package(installed: Installed, line: str) -> None:
    assert summary_line("a 1", installed) == line
