"""``sage -pip``: pip decides, one transaction of ours installs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.cli.pip_options import command_of, goes_elsewhere, split
from sage_pkginstall.operations.pip import choose_wheels
from tests.conftest import ROOT, START
from tests.sources import make_sdist, make_source, source_files
from tests.trees import plant, tree
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from subprocess import CompletedProcess

    from tests.conftest import RunCli

    Pip = Callable[..., CompletedProcess[str]]

# Takes half a second to clear away what it has done so far.
SLOW_PIP = """import os, signal, sys, time

def end(number, _frame):
    time.sleep(0.5)
    os.write(1, b"cleared away\\n")
    raise SystemExit(7)

for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    signal.signal(number, end)
os.write(1, b"at work\\n")
time.sleep(60)
"""

pytestmark = pytest.mark.slow  # each test starts pip several times


@pytest.fixture
def pip(venv: Path, run_cli: RunCli) -> Pip:
    def run(*words: str | Path, status: int = 0, **env: str) -> CompletedProcess[str]:
        return run_cli("pip", *words, env={"SAGE_VENV": str(venv), **env}, status=status)

    return run


@pytest.fixture
def index(tmp_path: Path) -> Path:
    directory = tmp_path / "index"
    directory.mkdir()
    make_wheel(directory, "app", "1", metadata=["Requires-Dist: lib>=2"])
    make_wheel(directory, "lib", "1")
    make_wheel(directory, "lib", "2")
    return directory


def metadata(venv: Path, name: str) -> dict[str, bytes]:
    (info,) = venv.glob(f"lib/python3*/site-packages/{name}-*.dist-info")
    return {p.name: p.read_bytes() for p in info.iterdir()}


def test_requirements_are_resolved_and_installed_together(
    venv: Path, index: Path, pip: Pip, run_cli: RunCli
) -> None:
    ended = pip("install", "--no-index", "--find-links", index, "app")
    assert ended.stdout.splitlines()[-2:] == ["installed lib 2", "installed app 1"]
    assert "REQUESTED" in metadata(venv, "app")
    assert "REQUESTED" not in metadata(venv, "lib")
    assert metadata(venv, "lib")["INSTALLER"] == b"sage-pkginstall\n"
    run_cli("verify", "--prefix", venv)


@pytest.mark.parametrize("words", [["a"], ["b", "a"], ["b", "c"], ["c", "b"]], ids=" ".join)
def test_of_two_contents_that_stays_which_stays_with_pip(
    venv: Path, tmp_path: Path, pip: Pip, words: list[str]
) -> None:
    """What needs another one is installed after it, whatever the report begins with."""
    for name, needed in (("a", "Requires-Dist: b"), ("b", ""), ("c", "")):
        make_wheel(tmp_path, name, "1", {"s/x.py": f"# {name}"}, metadata=[needed] * bool(needed))
    (path,) = [site / "s/x.py" for site in venv.glob("lib/python3*/site-packages")]
    words = ["install", "--no-index", "--find-links", str(tmp_path), "--force-reinstall", *words]
    by_pip = [sys.executable, "-m", "pip", "--python", str(venv / "bin/python3"), *words]
    subprocess.run(by_pip, check=True, capture_output=True)
    expected = path.read_text()
    path.write_text("neither")
    pip(*words)
    assert path.read_text() == expected


def test_older_version_goes_even_if_pip_is_to_ignore_it(venv: Path, index: Path, pip: Pip) -> None:
    find = ("--no-index", "--find-links", index)
    pip("install", *find, "lib==1")
    pip("install", *find, "--ignore-installed", "lib==2")
    assert [p.name for p in venv.glob("lib/python3*/site-packages/lib-*")] == ["lib-2.dist-info"]


def test_what_is_satisfied_is_left_alone(venv: Path, index: Path, pip: Pip) -> None:
    pip("install", "--no-index", "--find-links", index, "lib==2")
    before = tree(venv)
    pip("install", "--no-index", "--find-links", index, "lib")
    assert tree(venv) == before


def test_what_lists_no_files_is_replaced_by_pip(venv: Path, index: Path, pip: Pip) -> None:
    """As `setup.py install` leaves it, with --single-version-externally-managed."""
    (site,) = venv.glob("lib/python3*/site-packages")
    info = {"PKG-INFO": b"Name: lib\nVersion: 1\n", "top_level.txt": b"old_lib\n"}
    plant(site, {f"lib-1-py3.egg-info/{name}": text for name, text in info.items()})
    plant(site, {"old_lib.py": b""})
    pip("install", "--no-index", "--find-links", index, "lib>=2")
    assert metadata(venv, "lib")["INSTALLER"] == b"pip\n"
    assert not {"lib-1-py3.egg-info", "old_lib.py"} & {path.name for path in site.iterdir()}


def test_file_gets_a_direct_url(venv: Path, index: Path, pip: Pip) -> None:
    wheel = index / "lib-1-py3-none-any.whl"
    pip("install", wheel)
    document = json.loads(metadata(venv, "lib")["direct_url.json"])
    assert document["url"] == wheel.as_uri()
    assert document["archive_info"]["hashes"].keys() == {"sha256"}


def test_what_others_need_is_told(index: Path, pip: Pip) -> None:
    """What was asked for wins, with pip too, which says so."""
    make_wheel(index, "O.ther", "1", metadata=["Requires-Dist: Lib<2", "Requires-Dist: no"])
    find = ("--no-index", "--find-links", index)
    pip("install", "--no-deps", *find, "o-ther", "lib==1")
    ended = pip("install", *find, "lib==2")
    warnings = [line for line in ended.stderr.splitlines() if line.startswith("Warning")]
    assert len(warnings) == 1
    assert "O.ther needs Lib<2, but version 2 is installed" in warnings[0]
    assert ended.stdout.splitlines()[-1:] == ["installed lib 2"]


def test_failed_resolution_changes_nothing(venv: Path, index: Path, pip: Pip) -> None:
    before = tree(venv)
    ended = pip("install", "--no-index", "--find-links", index, "lib>3", status=1)
    assert "No matching distribution found for lib>3" in ended.stderr
    assert tree(venv, ignore=("var",)) == before


def test_uninstall_is_ours(venv: Path, index: Path, pip: Pip) -> None:
    before = tree(venv)
    pip("install", "--no-index", "--find-links", index, "app")
    pip("uninstall", "--yes", "app", "lib")
    assert tree(venv, ignore=("var",)) == before


@pytest.mark.parametrize("words", [["uninstall", "-y", "lib"], ["install", "lib"]], ids=" ".join)
def test_what_was_killed_is_finished_before_pip_looks(
    venv: Path, index: Path, pip: Pip, run_cli: RunCli, words: list[str]
) -> None:
    """A removal takes the metadata first: before it lib seems to be there, after it to be gone."""
    for step in range(5, 20):
        run_cli("install", "--prefix", venv, index / "lib-2-py3-none-any.whl")
        env = {"SAGE_PKGINSTALL_FAIL": f"kill@{step}"}
        run_cli("uninstall", "--prefix", venv, "lib", env=env, status=-signal.SIGKILL)
        gone = not list(venv.glob("lib/python3*/site-packages/lib-*"))
        if (venv / "var/tmp/sage/journal").exists() and gone == (words[0] == "uninstall"):
            break
    pip(*words, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(index))
    run_cli("recover", "--prefix", venv)
    found = {p.name for p in venv.glob("lib/python3*/site-packages/lib*")}
    assert found == (set() if words[0] == "uninstall" else {"lib.py", "lib-2.dist-info"})


def test_pip_that_was_killed_is_told_as_a_shell_does(venv: Path, pip: Pip) -> None:
    (site,) = venv.glob("lib/python3*/site-packages")
    kill = b"import os; os.kill(os.getpid(), 9)"
    plant(site, {"pip/__init__.py": b"", "pip/__main__.py": kill})
    pip("install", "lib", status=128 + signal.SIGKILL)


def test_uninstall_asks_and_no_answer_is_no(venv: Path, index: Path, pip: Pip) -> None:
    pip("install", "--no-index", "--find-links", index, "lib")
    ended = pip("uninstall", "lib")
    assert "Would uninstall: lib 2" in ended.stdout
    assert "lib-2.dist-info" in {p.name for p in venv.glob("lib/python3*/site-packages/*")}


@pytest.mark.parametrize(
    "words",
    [
        ["--no-input", "uninstall", "-y", "b-one"],
        ["--log", "LOG", "uninstall", "b-one", "-y"],
        ["uninstall", "-yq", "--isolated", "--prox=x", "--require-virtualenv", "--", "b-one"],
    ],
    ids=" ".join,
)
def test_uninstall_is_ours_whichever_general_options_it_has(
    venv: Path, tmp_path: Path, pip: Pip, run_cli: RunCli, words: list[str]
) -> None:
    for name in ("b.one", "b.two"):
        wheel = make_wheel(tmp_path, name, "1", {"b/__init__.py": ""})
        run_cli("install", "--prefix", venv, wheel)
    ended = pip(*(word.replace("LOG", f"{tmp_path}/log") for word in words))
    assert ended.stdout == ("" if "-yq" in words else "uninstalled b.one 1\n")
    run_cli("verify", "--prefix", venv)


@pytest.mark.parametrize(
    "words",
    [["--python", "x", "a"], ["--no-input", "a"], ["--nonsense", "a"], ["-y"], ["-yz", "a"]],
    ids=" ".join,
)
def test_uninstall_that_only_pip_can_do_is_left_to_it(words: list[str]) -> None:
    assert split("uninstall", ["uninstall", *words], {}) is None


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["--log", "x", "list"], "list"),
        (["--lo", "x", "-v", "--cert=y", "list", "z"], "list"),
        (["--no-color", "list"], "list"),
        (["--version"], None),
        (["--log", "x"], None),
    ],
)
def test_command_is_behind_the_general_options(words: list[str], command: str | None) -> None:
    assert command_of(words) == command


def test_what_cannot_be_taken_apart_is_left_to_pip(index: Path, tmp_path: Path, pip: Pip) -> None:
    target = tmp_path / "elsewhere"
    pip("install", "--no-index", "--find-links", index, "--target", target, "lib")
    assert (target / "lib.py").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["-t", "x"],
        ["-Ut", "x"],
        ["--targ=x"],
        ["--pyth", "x"],
        ["--editable", "x"],
        ["-qUex"],
        ["--dry"],
        ["--us"],
    ],
    ids=" ".join,
)
def test_what_goes_elsewhere_is_left_to_pip_however_it_is_written(words: list[str]) -> None:
    assert split("install", ["install", *words], {}) is None
    assert split("install", ["install", "-Ur", "x", "--upgrade-strategy=eager", "lib"], {})


@pytest.mark.parametrize("name", ["PIP_TARGET", "PIP_USER", "PIP_DRY_RUN", "PIP_PYTHON"])
def test_what_goes_elsewhere_by_a_variable_is_left_to_pip(name: str) -> None:
    assert split("install", ["install", "lib"], {name: "1"}) is None
    assert split("install", ["install", "lib"], {name: "0"}) is not None


def test_what_goes_elsewhere_changes_no_environment() -> None:
    assert goes_elsewhere("install", ["install", "--targ=x", "lib"], {})
    assert goes_elsewhere("install", ["install", "lib"], {"PIP_ROOT": "x"})
    assert not goes_elsewhere("install", ["install", "--user", "-e", "lib"], {})
    assert not goes_elsewhere("uninstall", ["uninstall", "lib"], {"PIP_ROOT": "x"})


@pytest.mark.parametrize(
    ("word", "is_left"),
    [
        ("lib @ https://u:p@example.org/lib-1-py3-none-any.whl", True),
        ("git+https://token@example.org/lib.git", True),
        ("git+ssh://git@example.org/lib.git@v1", False),
        ("https://example.org/@/lib-1-py3-none-any.whl", False),
        ("--find-links=https://u:p@example.org/", True),
        ("--index-url=https://u:p@example.org/", False),
    ],
)
def test_what_takes_a_password_is_left_to_pip(tmp_path: Path, word: str, is_left: bool) -> None:
    """The report does not have it; of an index, pip finds it again."""
    file = tmp_path / "r.txt"
    file.write_text(f"{word}\n")
    assert (split("install", ["install", word], {}) is None) == is_left
    assert (split("install", ["install", "-r", str(file)], {}) is None) == is_left


def test_passwords_of_other_options_are_left_to_pip_or_not() -> None:
    place = "https://u:p@example.org/"
    assert split("install", ["install", "--proxy", place, "lib"], {}) is not None
    assert split("install", ["install", "lib"], {"PIP_INDEX_URL": place}) is not None
    assert split("install", ["install", "lib"], {"PIP_FIND_LINKS": f"x {place}"}) is None


def test_repository_is_asked_for_by_its_url_alone(tmp_path: Path) -> None:
    """Before pip 24.1, ``NAME @ git+file:///…`` is no requirement."""
    vcs = {"vcs": "git", "commit_id": "c0ffee"}
    source = {"url": "file:///lib", "vcs_info": vcs, "subdirectory": "py"}
    chosen = {"metadata": {"name": "lib", "version": "1"}, "download_info": source}
    chosen = {**chosen, "is_direct": True, "requested": True}
    asked: list[str] = []

    def run(words: Sequence[str]) -> int:
        if words[0] == "install":
            report = Path(words[words.index("--report") + 1])
            report.write_text(json.dumps({"install": [chosen]}))
        else:
            asked.append(words[-1])
            make_wheel(Path(words[words.index("--wheel-dir") + 1]), "lib", "1")
        return 0

    (request,) = choose_wheels(["git+file:///lib"], [], run, tmp_path) or ()
    assert asked == ["git+file:///lib@c0ffee#subdirectory=py"]
    assert json.loads(request.direct_url or "") == source


@pytest.mark.parametrize("option", ["-r", "-c"])
def test_pipe_is_left_to_pip(option: str) -> None:
    """A shell's ``-r <(…)`` can be read once."""
    source, sink = os.pipe()
    os.write(sink, b"lib\n")
    os.close(sink)
    assert split("install", ["install", option, f"/dev/fd/{source}"], {}) is None
    assert os.read(source, 9) == b"lib\n"
    os.close(source)


def test_answers_may_come_from_variables(tmp_path: Path) -> None:
    report = str(tmp_path / "report.json")
    taken = split("install", ["install", "lib"], {"PIP_REPORT": report, "PIP_QUIET": "1"})
    assert taken is not None
    assert (taken.report, taken.quiet) == (report, True)
    taken = split("uninstall", ["uninstall", "lib"], {"PIP_YES": "1", "PIP_NO_INPUT": "1"})
    assert taken is not None
    assert taken.yes
    assert split("uninstall", ["uninstall", "lib"], {"PIP_NO_INPUT": "1"}) is None
    assert split("uninstall", ["uninstall", "-y", "lib"], {"PIP_PYTHON": "x"}) is None


def test_configuration_counts_as_its_variables(
    venv: Path, index: Path, tmp_path: Path, pip: Pip
) -> None:
    config = tmp_path / "pip.conf"
    source = make_source(tmp_path / "source", requires=["lib"])
    config.write_text(
        f"[install]\nno-index = yes\nfind-links = {index}\nno-compile = no\n"
        "[uninstall]\nyes = 1\n[global]\nquiet = 1\n"
    )
    settings = {"PIP_CONFIG_FILE": str(config), "PIP_INDEX_URL": "http://127.0.0.1:1/"}
    assert pip("install", source, **settings).stdout == ""
    assert not list(venv.glob("lib/python3*/site-packages/__pycache__/tiny*"))
    assert pip("uninstall", "tiny", **settings).stdout == ""
    assert not list(venv.glob("lib/python3*/site-packages/tiny*"))
    config.write_text(f"[global]\ntarget = {tmp_path}/elsewhere\nbreak-system-packages = on\n")
    pip("install", "--no-index", "--find-links", index, "lib", **settings)
    assert (tmp_path / "elsewhere" / "lib.py").exists()
    assert not list(venv.glob("lib/python3*/site-packages/lib*"))


@pytest.mark.parametrize(
    ("name", "value", "compiles"),
    [("COMPILE", "no", False), ("NO_COMPILE", "0", False), ("NO_COMPILE", "1", True)],
)
def test_variables_say_whether_to_compile(name: str, value: str, compiles: bool) -> None:
    """For pip, PIP_NO_COMPILE is a value of --compile."""
    taken = split("install", ["install", "lib"], {f"PIP_{name}": value})
    assert taken is not None
    assert taken.no_compile != compiles


def test_report_is_written_where_it_is_asked_for(index: Path, tmp_path: Path, pip: Pip) -> None:
    report = tmp_path / "out.json"
    find = ("--no-index", "--find-links", index)
    ended = pip("install", "--report", report, *find, "lib==2")
    assert ended.stdout.splitlines()[-1:] == ["installed lib 2"]
    assert [i["metadata"]["name"] for i in json.loads(report.read_bytes())["install"]] == ["lib"]
    ended = pip("install", "-q", "--report=-", *find, "--", "lib==1")
    assert '"version": "1"' in ended.stdout


def test_editable_one_of_an_included_file_is_left_to_pip(
    venv: Path, tmp_path: Path, pip: Pip
) -> None:
    source = make_source(tmp_path / "source", "edi")
    (tmp_path / "outer.txt").write_text("-r inner.txt\n")
    (tmp_path / "inner.txt").write_text(f"-e {source}\n")
    pip("install", "--no-index", "-r", tmp_path / "outer.txt")
    assert metadata(venv, "edi")["INSTALLER"] == b"pip\n"


def test_requirements_file_says_where_build_requirements_are(
    index: Path, tmp_path: Path, pip: Pip
) -> None:
    source = make_source(tmp_path / "source", requires=["lib"])
    (tmp_path / "outer.txt").write_text(f"-r inner.txt\n{source}\n")
    (tmp_path / "inner.txt").write_text(f"--no-index\n--find-links {index.name}\n")
    ended = pip("install", "-r", tmp_path / "outer.txt", PIP_INDEX_URL="http://127.0.0.1:1/")
    assert ended.stdout.splitlines()[-1:] == ["installed tiny 1.0"]


def test_build_requirements_are_as_old_as_what_is_installed() -> None:
    words = ["--uploaded-prior-to=P7D", "--only-final", "lib"]
    taken = split("install", ["install", *words, "lib"], {})
    assert taken is not None
    assert taken.for_wheel == ("--uploaded-prior-to", "P7D", "--only-final", "lib")


def test_settings_are_for_what_the_words_name(
    venv: Path, index: Path, tmp_path: Path, pip: Pip
) -> None:
    """Backends fail on settings that are not theirs."""
    (index / "lib-2-py3-none-any.whl").unlink()
    files = source_files("lib", "2.0")
    sdist = {f"lib-2.0/{path}": text.encode() for path, text in files.items()}
    make_sdist(index / "lib-2.0.tar.gz", sdist)
    source = make_source(tmp_path / "source")
    find = ("--no-index", "--find-links", index)
    ended = pip("install", *find, "-C", "key=a value", "app", source)
    installed = {f"installed {what}" for what in ("app 1", "lib 2.0", "tiny 1.0")}
    assert set(ended.stdout.splitlines()[-3:]) == installed
    assert settings(venv, "tiny") == {"key": "a value"}
    assert not settings(venv, "lib")


def test_settings_of_a_line_are_for_what_it_names(venv: Path, tmp_path: Path, pip: Pip) -> None:
    source = make_source(tmp_path / "source")
    (tmp_path / "outer.txt").write_text("-r inner.txt\n")
    (tmp_path / "inner.txt").write_text(f"{source} --config-settings=key=value\n")
    pip("install", "--no-index", "-r", tmp_path / "outer.txt")
    assert settings(venv, "tiny") == {"key": "value"}


def test_settings_beside_a_list_are_left_to_pip() -> None:
    words = ["install", "-C", "a=b", "lib"]
    assert split("install", words, {}) is not None
    assert split("install", [*words, "-c", "x"], {}) is not None
    for option in ("-r", "--group"):
        assert split("install", [*words, option, "x"], {}) is None
        assert split("install", ["install", option, "x"], {"PIP_CONFIG_SETTINGS": "a=b"}) is None


def settings(venv: Path, name: str) -> dict[str, str] | None:
    """What the backend of ``name`` was told; see `tests.sources`."""
    (report,) = venv.glob(f"lib/python3*/site-packages/{name}.json")
    told: dict[str, str] | None = json.loads(report.read_bytes())["settings"]
    return told


def test_commands_that_only_read_are_pips_own(venv: Path, index: Path, pip: Pip) -> None:
    pip("install", "--no-index", "--find-links", index, "lib")
    assert pip("list", "--format=freeze").stdout == "lib==2\n"


def test_help_is_shown_however_it_is_asked_for(venv: Path, pip: Pip) -> None:
    assert pip("install", "-qh", "lib").stdout == pip("install", "--help").stdout
    assert not list(venv.glob("lib/python3*/site-packages/lib*"))


@pytest.mark.parametrize("what", [["-e", "x"], ["x"]], ids=["under the lock", "without"])
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_interrupted_pip_is_waited_for(venv: Path, number: signal.Signals, what: list[str]) -> None:
    (site,) = venv.glob("lib/python3*/site-packages")
    plant(site, {"pip/__init__.py": b"", "pip/__main__.py": SLOW_PIP.encode()})
    words = [sys.executable, "-I", "-c", START, str(ROOT), "pip", "install", *what]
    environment = {**os.environ, "SAGE_VENV": str(venv)}
    with subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does it
        else:
            process.send_signal(number)
        assert process.stdout.readline() == "cleared away\n"
        assert process.wait() == 7
