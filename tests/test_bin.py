from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipapp
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sage_pkginstall.spkg.search_paths import search_paths
from sage_pkginstall.spkg.variables import PackageVariables, read_variables
from tests.trees import EMPTY, plant

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / "build" / "bin"

SUBCOMMANDS = ["spkg", "spkg-uninstall", "logger", "pip-install", "pip-uninstall", "flock"]

# Stands in for the tool: it tells how it was started.
TOOL = b"""
import json, os, sys

def program():
    variables = {k: v for k, v in os.environ.items() if k.startswith(("PYTHON", "SAGE"))}
    print(json.dumps({
        "kind": KIND,
        "arguments": sys.argv[1:],
        "python": sys.executable,
        "isolated": sys.flags.isolated,
        "no_site": sys.flags.no_site,
        "path": sys.path,
        "variables": variables,
    }))
    sys.exit(7)
"""
STATUS = 7


@dataclass(frozen=True)
class Checkout:
    """A source tree with our scripts and a tool that tells how it was started."""

    root: Path

    @property
    def bin(self) -> Path:
        return self.root / "build" / "bin"

    def start(self, *command: str | Path, status: int = STATUS, **variables: str) -> Any:
        """Run a command; return what the tool told, or nothing if it was not started."""
        ended = _run(*command, variables={"SAGE_PKGINSTALL_PYTHON": sys.executable, **variables})
        assert ended.returncode == status, ended.stderr
        return json.loads(ended.stdout) if ended.stdout else {}


def _run(
    *command: str | Path, cwd: Path | None = None, variables: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    root = tmp_path / "a b"
    shutil.copytree(BIN, root / "build/bin", symlinks=True)
    plant(
        root,
        {
            "sage_pkginstall/__init__.py": b"",
            "sage_pkginstall/cli/__init__.py": b"",
            "sage_pkginstall/cli/main.py": b"KIND = 'package'" + TOOL,
        },
    )
    return Checkout(root)


def make_pyz(checkout: Checkout) -> None:
    main = b"KIND = 'pyz'" + TOOL + b"\nprogram()\n"
    source = plant(checkout.root.parent / "pyz", {"__main__.py": main})
    (checkout.root / "dist").mkdir()
    zipapp.create_archive(source, checkout.root / "dist/sage-pkginstall.pyz")


def python_named(path: Path, real: str = sys.executable) -> Path:
    """Put a link to a Python, or a script in its place, at ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(real)
    return path


# ------------------------------------------------------------------------ finding the tool


def test_every_script_but_sage_is_a_link_to_the_launcher() -> None:
    found = {path.name: path.readlink().name for path in BIN.iterdir() if path.is_symlink()}
    assert found == {f"sage-{name}": "sage-pkginstall" for name in SUBCOMMANDS}


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_script_runs_its_subcommand(checkout: Checkout, name: str) -> None:
    told = checkout.start(checkout.bin / f"sage-{name}", "-x", "a  b", "", "$c")
    assert told["arguments"] == [name, "-x", "a  b", "", "$c"]
    assert told["path"][0] == str(checkout.root)


def test_launcher_takes_the_subcommand_as_argument(checkout: Checkout) -> None:
    assert checkout.start(checkout.bin / "sage-pkginstall", "build", ".")["arguments"] == [
        "build",
        ".",
    ]


@pytest.mark.parametrize("link", ["absolute", "relative", "chain", "directory", "other name"])
def test_script_is_found_through_links(checkout: Checkout, link: str, tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    path = elsewhere / "sage-pip-install"
    if link == "absolute":
        path.symlink_to(checkout.bin / "sage-pip-install")
    elif link == "relative":
        path.symlink_to("../a b/build/bin/sage-pip-install")
    elif link == "chain":
        (elsewhere / "first").symlink_to("../a b/build/bin/sage-pip-install")
        path.symlink_to("first")
    elif link == "directory":
        (elsewhere / "bin").symlink_to(checkout.bin)
        path = elsewhere / "bin" / "sage-pip-install"
    else:
        path = elsewhere / "pip-of-sage"
        path.symlink_to(checkout.bin / "sage-pip-install")
    assert checkout.start(path, "x")["arguments"] == ["pip-install", "x"]


def test_script_is_found_through_path_and_relative_to_anywhere(checkout: Checkout) -> None:
    path = f"{checkout.bin}:{os.environ['PATH']}"
    assert checkout.start("sh", "-c", "sage-flock x", PATH=path)["arguments"] == ["flock", "x"]
    command = "cd build && CDPATH=/tmp exec ./bin/sage-flock x"
    told = checkout.start("sh", "-c", f"cd '{checkout.root}' && {command}", CDPATH="/")
    assert told["arguments"] == ["flock", "x"]


def test_tool_reads_nothing_of_the_python_outside_but_hands_it_on(
    checkout: Checkout, tmp_path: Path
) -> None:
    plant(tmp_path / "foreign", {"json.py": b"raise SystemExit('foreign')"})
    foreign = str(tmp_path / "foreign")
    for kind in ("package", "pyz"):
        if kind == "pyz":
            make_pyz(checkout)
        command = f"cd '{tmp_path}/foreign' && exec '{checkout.bin}/sage-flock'"
        told = checkout.start("sh", "-c", command, PYTHONPATH=foreign, PYTHONHOME="/nowhere")
        assert told["isolated"] == 1
        assert told["kind"] == kind
        assert told["variables"]["PYTHONPATH"] == foreign
        assert told["variables"]["PYTHONHOME"] == "/nowhere"
        assert not any("foreign" in entry for entry in told["path"])


def test_pyz_goes_first_and_sees_no_site_packages(checkout: Checkout) -> None:
    make_pyz(checkout)
    told = checkout.start(checkout.bin / "sage-flock", "x")
    assert (told["kind"], told["arguments"], told["no_site"]) == ("pyz", ["flock", "x"], 1)


def test_python_of_the_tool_environment_goes_first(checkout: Checkout) -> None:
    python = python_named(checkout.root / ".tool/venv/bin/python")
    for kind in ("package", "pyz"):
        if kind == "pyz":
            make_pyz(checkout)
        told = checkout.start(checkout.bin / "sage-flock", SAGE_PKGINSTALL_PYTHON="/nowhere")
        assert (told["kind"], told["python"]) == (kind, str(python))


def test_first_good_python_of_path_is_taken_and_handed_on(
    checkout: Checkout, tmp_path: Path
) -> None:
    make_pyz(checkout)
    old = tmp_path / "old/python3"
    plant(tmp_path, {"old/python3": b"#!/bin/sh\nexit 1\n"})
    old.chmod(0o755)
    good = python_named(tmp_path / "go od/python3")
    later = python_named(tmp_path / "later/python3.11")
    told = checkout.start(
        checkout.bin / "sage-flock",
        SAGE_PKGINSTALL_PYTHON="",
        PATH=f"{old.parent}:{later.parent}:{good.parent}:/usr/bin:/bin",
    )
    assert told["python"] == str(good)
    assert told["variables"]["SAGE_PKGINSTALL_PYTHON"] == str(good)


def test_python_of_the_target_is_passed_over(checkout: Checkout, tmp_path: Path) -> None:
    make_pyz(checkout)
    pythons = [python_named(tmp_path / name / "bin/python3") for name in ("v", "l", "good")]
    (tmp_path / "link").symlink_to("l")
    told = checkout.start(
        checkout.bin / "sage-flock",
        SAGE_PKGINSTALL_PYTHON="",
        SAGE_VENV=f"{tmp_path}/./v/",
        SAGE_LOCAL=str(tmp_path / "link"),
        PATH=":".join([*(str(python.parent) for python in pythons), "/usr/bin", "/bin"]),
    )
    assert told["python"] == str(pythons[2])


@pytest.mark.parametrize("python", ["", "/nowhere/python3"])
@pytest.mark.parametrize(("name", "status"), [("sage-pip-install", 3), ("sage-spkg", 1)])
def test_without_a_python_there_is_one_clear_line(
    checkout: Checkout, tmp_path: Path, name: str, status: int, python: str
) -> None:
    for program in ("sh", "dirname", "readlink"):
        python_named(tmp_path / "bin" / program, shutil.which(program) or "")
    ended = _run(
        "/bin/sh",
        checkout.bin / name,
        variables={"PATH": str(tmp_path / "bin"), "SAGE_PKGINSTALL_PYTHON": python},
    )
    assert (ended.returncode, ended.stdout) == (status, "")
    assert re.fullmatch(
        r"sage-pkginstall: cannot find a Python .* run 'make' in .*\n", ended.stderr
    )


def test_launcher_looks_for_what_the_package_depends_on() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    table = re.search(r"^dependencies = \[(.*?)^\]", text, re.DOTALL | re.MULTILINE)
    assert table is not None
    launcher = (BIN / "sage-pkginstall").read_text()
    for variable, marker in ("needed", ""), ("needed_by_old", "; python_version < '3.11'"):
        found = re.findall(r"^ +\"([\w-]+)([^\";]*)(;[^\"]*)?\"", table[1], re.MULTILINE)
        names = {name for name, _, its_marker in found if its_marker == marker}
        needed = re.search(rf"^{variable}='(.*)'", launcher, re.MULTILINE)
        assert needed is not None
        assert set(needed[1].replace("_", "-").split()) == names


# A Python 3.10, with or without a module, as far as the launcher can tell: $3 is its code.
OLD_PYTHON = """#!/bin/sh
exec '{python}' -I -c 'import sys, importlib.util as util
sys.version_info, found = (3, 10, 0, "final", 0), util.find_spec
util.find_spec = lambda name: {has_tomli} if name == "tomli" else found(name)
exec(sys.argv.pop(1))' "$3" "$4"
"""


@pytest.mark.parametrize("has_tomli", [True, False])
def test_python_3_10_is_taken_only_if_it_has_tomli(
    checkout: Checkout, tmp_path: Path, *, has_tomli: bool
) -> None:
    text = OLD_PYTHON.format(python=sys.executable, has_tomli=has_tomli)
    plant(tmp_path, {"bin/python3": text.encode()})
    (tmp_path / "bin/python3").chmod(0o755)
    for program in ("sh", "dirname", "readlink"):
        python_named(tmp_path / "bin" / program, shutil.which(program) or "")
    variables = {"PATH": str(tmp_path / "bin"), "SAGE_PKGINSTALL_PYTHON": ""}
    ended = _run("/bin/sh", checkout.bin / "sage-flock", variables=variables)
    assert ended.returncode == (STATUS if has_tomli else 1)
    assert ("tomli" in ended.stderr) == (not has_tomli)


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_script_reaches_the_real_tool(name: str) -> None:
    ended = _run(
        BIN / f"sage-{name}", "--help", variables={"SAGE_PKGINSTALL_PYTHON": sys.executable}
    )
    assert ended.returncode == 0, ended.stderr
    assert f"usage: sage-{name}" in ended.stdout


def test_program_ends_at_once_when_all_is_said() -> None:
    code = "import atexit; atexit.register(print, 'late'); import runpy; runpy.run_module({!r})"
    command = [sys.executable, "-c", code.format("sage_pkginstall.__main__")]
    said = subprocess.run(
        [*command, "--help"], cwd=ROOT, capture_output=True, check=False, text=True
    )
    assert said.returncode == 0
    assert said.stdout.startswith("usage: ")
    assert said.stdout.endswith("sage-pkginstall COMMAND --help tells more.\n")
    assert said.stderr == ""


def test_program_without_standard_error_has_the_status() -> None:
    closed = [
        "sh",
        "-c",
        'exec "$@" 2>&-',
        "sh",
        sys.executable,
        "-m",
        "sage_pkginstall",
        "x",
    ]
    assert subprocess.run(closed, cwd=ROOT, check=False).returncode == 2


# ------------------------------------------------------------------------------------ sage


@pytest.fixture
def make_recorder(checkout: Checkout) -> Path:
    """A make that writes its arguments, and SAGE_SPKG, to the file returned."""
    text = b'#!/bin/sh\necho "$SAGE_SPKG" "$@" >>"${0%/*}/record"\nexit ${STATUS:-0}\n'
    plant(checkout.root, {"Makefile": b"", "gmake": text})
    (checkout.root / "gmake").chmod(0o755)
    return checkout.root / "record"


@pytest.mark.parametrize("option", ["-pip", "--pip", "--pip3"])
def test_sage_pip_is_the_subcommand_pip(checkout: Checkout, option: str) -> None:
    told = checkout.start(checkout.bin / "sage", option, "install", "a b>1", "-v")
    assert told["arguments"] == ["pip", "install", "a b>1", "-v"]
    assert told["variables"]["SAGE_ROOT"] == str(checkout.root)
    assert told["variables"]["SAGE_LOCAL"] == f"{checkout.root}/local"


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ((), None),
        (("bin",), "local"),
        (
            ("bin", "var/lib/sage/venv-python3.9/bin", "var/lib/sage/venv-python3.11/bin"),
            "local/var/lib/sage/venv-python3.11",
        ),
    ],
)
def test_sage_finds_the_target(
    checkout: Checkout, there: tuple[str, ...], expected: str | None
) -> None:
    plant(checkout.root / "local", {f"{name}/python3": b"" for name in there})
    told = checkout.start(checkout.bin / "sage", "-pip")
    found = told["variables"].get("SAGE_VENV")
    assert found == (expected and f"{checkout.root}/{expected}")
    told = checkout.start(checkout.bin / "sage", "-pip", SAGE_VENV="/given")
    assert told["variables"]["SAGE_VENV"] == "/given"


@pytest.mark.parametrize(
    ("arguments", "calls"),
    [
        (["-i", "foo", "bar-1.2"], [("", "foo bar")]),
        (["-i", "-c", "-s", "foo"], [(" -c -s", "foo")]),
        (["-p", "-d", "foo"], [(" -d", "foo-no-deps")]),
        (
            ["-f", "foo", "bar"],
            [("", "foo-build-deps bar-build-deps"), ("", "foo-no-deps bar-no-deps")],
        ),
        (["-i", "-f", "-c", "foo"], [(" -c", "foo-build-deps"), (" -c", "foo-no-deps")]),
    ],
)
def test_sage_installs_with_make(
    checkout: Checkout, make_recorder: Path, arguments: list[str], calls: list[tuple[str, str]]
) -> None:
    checkout.start(
        checkout.bin / "sage",
        *arguments,
        status=0,
        MAKE="gmake -j2",
        PATH=f"{checkout.root}:{os.environ['PATH']}",
    )
    spkg, root = f"{checkout.bin}/sage-spkg", checkout.root
    assert make_recorder.read_text().splitlines() == [
        f"{spkg}{options} -j2 -C {root} {goals}" for options, goals in calls
    ]


def test_sage_install_has_the_status_of_make(checkout: Checkout, make_recorder: Path) -> None:
    path = f"{checkout.root}:{os.environ['PATH']}"
    checkout.start(
        *(checkout.bin / "sage", "-f", "foo"), status=2, MAKE="gmake", PATH=path, STATUS="2"
    )
    assert len(make_recorder.read_text().splitlines()) == 1


def test_sage_lists_what_is_installed(checkout: Checkout) -> None:
    stamps = "var/lib/sage/installed"
    plant(checkout.root / "local", {f"{stamps}/zlib-1.3": b"", f"{stamps}/.hidden": b""})
    venv = plant(checkout.root / "v", {f"{stamps}/six-1": b"", f"{stamps}/six_more-2-1": b""})
    variables = {"SAGE_VENV": str(venv)}
    for arguments, expected in (
        (["--installed"], "six-1\nsix_more-2-1\nzlib-1.3\n"),
        (["-i"], "six-1\nsix_more-2-1\nzlib-1.3\n"),
        (["--installed", "six", "none"], "six-1\n"),
    ):
        ended = _run(checkout.bin / "sage", *arguments, variables=variables)
        assert (ended.returncode, ended.stdout) == (0, expected)


def test_sage_buildsh_is_a_shell_with_the_helpers(checkout: Checkout) -> None:
    plant(checkout.root / "local", {"bin/python3": b"", "file": EMPTY})
    text = 'sdh_guard && sdh_check_vars SAGE_SPKG_WHEELS && bash -c "type -t sdh_die" && exit 5'
    ended = _run(checkout.bin / "sage", "--buildsh", "-c", text, variables={})
    assert (ended.returncode, ended.stdout) == (5, "function\n")
    ended = _run(checkout.bin / "sage", "--buildsh", "-c", "type -P sage-flock", variables={})
    assert ended.stdout == f"{checkout.bin}/sage-flock\n"


def test_sage_buildsh_finds_what_scripts_of_packages_find(checkout: Checkout) -> None:
    venv, local = checkout.root / "venv", checkout.root / "local"
    given = {"SAGE_ROOT": str(checkout.root), "SAGE_VENV": str(venv), "CPATH": "/mine"}
    common = read_variables(given)
    found = search_paths(PackageVariables(common, venv, "foo", "1"), checkout.bin)
    assert found.pop("PATH").split(":") == [str(checkout.bin), f"{venv}/bin", f"{local}/bin"]
    names = " ".join(found)
    text = f'for name in {names}; do echo "$name=${{!name}}"; done; echo "$UNAME $SAGE_DISTFILES"'
    text += "; export -p | grep -c -E ' (CPATH|MAKE|UNAME|SAGE_DISTFILES)='"
    ended = _run(checkout.bin / "sage", "--buildsh", "-c", text, variables=given)
    assert ended.stdout.splitlines() == [
        *(f"{name}={value}" for name, value in found.items()),
        f"{os.uname().sysname} {checkout.root}/upstream",
        "4",
    ]


@pytest.mark.parametrize("arguments", [["-h"], ["--help"], ["-?"], []])
def test_sage_tells_its_usage(checkout: Checkout, arguments: list[str]) -> None:
    ended = _run(checkout.bin / "sage", *arguments, variables={})
    assert ended.returncode == 0
    assert ended.stdout.startswith("usage: sage COMMAND")
    for option in ("-pip", "-i", "-f", "-p", "--installed", "--buildsh", "-h"):
        assert f"  {option}" in ended.stdout


def test_sage_hands_other_commands_to_the_sage_of_the_distribution(checkout: Checkout) -> None:
    ended = _run(checkout.bin / "sage", "-python", variables={})
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "cannot run '-python'" in ended.stderr
    plant(checkout.root, {"sage": b'#!/bin/sh\necho "other $@"\n'})
    (checkout.root / "sage").chmod(0o755)
    ended = _run(checkout.bin / "sage", "-python", "x", variables={})
    assert (ended.returncode, ended.stdout) == (0, "other -python x\n")
