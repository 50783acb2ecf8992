"""The command line of ``build``."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.cli.build import _source, _with_settings
from tests.sources import make_source

if TYPE_CHECKING:
    from tests.conftest import RunCli

ROOT = Path(__file__).parent.parent
PATIENCE = 30.0
COMPILER = ["sh", "-c", "printf x; exec sleep 60"]


@pytest.mark.parametrize(
    ("given", "joined"),
    [
        (["-C", "--global-option=--quiet", "."], ["-C--global-option=--quiet", "."]),
        (["--config-settings", "a=b c", "."], ["--config-settings", "a=b c", "."]),
        (["--build-option", "-q", "."], ["--config-settings=--build-option=-q", "."]),
        (
            ["--global-option=x", "-C", "a=b", "--global-option", "y"],
            [
                "--config-settings=--global-option=x",
                "-C",
                "a=b",
                "--config-settings=--global-option=y",
            ],
        ),
        (["--global-option"], ["--global-option"]),
        (["-Ca=b", "."], ["-Ca=b", "."]),
        (["-C"], ["-C"]),
    ],
)
def test_settings_may_start_with_dashes(given: list[str], joined: list[str]) -> None:
    assert _with_settings(given) == joined


@pytest.mark.parametrize(
    ("said", "meant"),
    [(".[tests]", "."), ("src[a,b]", "src"), ("odd[name]", "odd[name]"), ("[a]", "[a]")],
)
def test_extras_behind_a_source_are_no_part_of_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, meant: str
) -> None:
    (tmp_path / "odd[name]").mkdir()
    monkeypatch.chdir(tmp_path)
    assert _source(said) == tmp_path / meant


def test_wheel_is_that_of_its_source_without_the_extras(
    tmp_path: Path, venv: Path, run_cli: RunCli
) -> None:
    source = make_source(tmp_path / "src")
    built = run_cli("build", "--prefix", venv, "-w", tmp_path / "dist", f"{source}[tests]")
    assert built.stdout == f"{tmp_path}/dist/tiny-1.0-py3-none-any.whl\n"


@pytest.mark.parametrize("front_end", ["", "pip"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_build_that_is_ended_ends_its_backend_and_compiler_and_leaves_nothing(
    tmp_path: Path, venv: Path, number: signal.Signals, front_end: str
) -> None:
    alive = tmp_path / "alive"  # as long as somebody can write there
    os.mkfifo(alive)
    code = f"import subprocess; subprocess.run({COMPILER}, stdout=open({str(alive)!r}, 'w'))"
    source = make_source(tmp_path / "src", code=code)
    (tmp_path / "tmp").mkdir()
    places = {
        "--prefix": venv,
        "--store": tmp_path,
        "-w": tmp_path / "dist",
        "--log": tmp_path / "log",
    }
    options = [str(word) for pair in places.items() for word in pair]
    with (
        subprocess.Popen(
            [sys.executable, "-m", "sage_pkginstall", "build", *options, source],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(tmp_path / "tmp"), "SAGE_BUILD_FRONTEND": front_end},
        ) as process,
        alive.open("rb", buffering=0) as running,
    ):
        assert running.read(1) == b"x"
        process.send_signal(number)
        assert process.wait(PATIENCE) == 128 + number
        assert select.select([running], [], [], PATIENCE)[0] == [running]
        assert running.read(1) == b""
    left = [path.name for path in (tmp_path / "tmp").iterdir()]
    assert [name for name in left if not front_end or name.startswith("sage-")] == []  # or pip's


@pytest.mark.parametrize("code", ["", "raise SystemExit('no such luck')"])
@pytest.mark.parametrize("options", [[], ["--json"], ["--quiet"]], ids=str)
def test_log_stays_only_where_it_is_named(
    code: str, options: list[str], tmp_path: Path, venv: Path, run_cli: RunCli
) -> None:
    source = make_source(tmp_path / "src", code=code)
    (tmp_path / "tmp").mkdir()
    words: list[str | Path] = ["build", "--prefix", venv, "-w", tmp_path / "dist", *options]
    variables = {"TMPDIR": str(tmp_path / "tmp")}
    said = run_cli(*words, source, status=1 if code else 0, env=variables)
    logs = list((tmp_path / "tmp").iterdir())
    assert len(logs) == bool(code or "--json" in options)
    assert all(str(log) in said.stdout + said.stderr for log in logs)


def test_build_that_never_began_leaves_no_log(tmp_path: Path, venv: Path, run_cli: RunCli) -> None:
    (tmp_path / "tmp").mkdir()
    variables = {"TMPDIR": str(tmp_path / "tmp")}
    words = ("build", "--prefix", venv, "-w", tmp_path / "dist")
    run_cli(*words, tmp_path / "none", status=1, env=variables)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_failure_shows_what_this_build_said_and_nothing_of_the_one_before(
    tmp_path: Path, venv: Path, run_cli: RunCli
) -> None:
    log = tmp_path / "log"
    words = ("build", "--prefix", venv, "-w", tmp_path / "dist", "--log", log, tmp_path / "src")
    for said in ("first", "second"):
        make_source(tmp_path / "src", code=f"raise SystemExit('the {said} one')")
        shown = run_cli(*words, status=1).stderr.partition("which ends:")[2]
        assert re.findall("the (.*) one", shown) == [said]
    assert set(re.findall("the (.*) one", log.read_text())) == {"first", "second"}


def test_pipe_is_no_source_and_not_waited_for(tmp_path: Path, venv: Path, run_cli: RunCli) -> None:
    os.mkfifo(tmp_path / "pipe")
    words = ("build", "--prefix", venv, "-w", tmp_path / "dist")
    said = run_cli(*words, tmp_path / "pipe", status=1).stderr
    assert "it is neither a directory nor an sdist (it is no regular file)" in said
    said = run_cli(*words, tmp_path / "none", status=1).stderr
    assert "it is neither a directory nor an sdist (there is no such file)" in said


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")  # noqa: PTH110
def test_build_goes_on_where_nobody_hears_it(tmp_path: Path, venv: Path) -> None:
    source = make_source(tmp_path / "src", requires=["not-there"], code="print('x' * 100_000)")
    words = ["build", "--prefix", venv, "-w", tmp_path / "dist", source]
    command = [sys.executable, "-m", "sage_pkginstall", *map(str, words)]
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=full, check=False)
    assert ended.returncode == 0
    assert Path(ended.stdout.decode().strip()).exists()
