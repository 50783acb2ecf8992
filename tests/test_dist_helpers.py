from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.sources import make_source, make_wheel, report_of
from tests.terminal import run_in_terminal
from tests.trees import EMPTY, Link, modes, plant, tree

BIN = Path(__file__).resolve().parent.parent / "build" / "bin"
HELPERS = BIN / "sage-dist-helpers"
REFERENCE = BIN.parent.parent / "docs" / "reference" / "helpers.md"

STARS = "*" * 80 + "\n"

# What SAGE's package scripts call.
NAMES = frozenset(
    [
        "sdh_die",
        "sdh_check_vars",
        "sdh_guard",
        "sdh_configure",
        "sdh_make",
        "sdh_make_check",
        "sdh_make_install",
        "sdh_cmake",
        "sdh_install",
        "sdh_build_wheel",
        "sdh_setup_bdist_wheel",
        "sdh_store_wheel",
        "sdh_store_and_pip_install_wheel",
        "sdh_build_and_store_wheel",
        "sdh_pip_install",
        "sdh_pip_editable_install",
        "sdh_pip_uninstall",
        "sdh_preload_lib",
        "sdh_generate_windows_lib_files",
    ]
)
PYTHON_NAMES = [name for name in sorted(NAMES) if re.search("wheel|pip", name)]

# Stands in for a program: writes its arguments, and what else it is told to, to a file.
RECORDER = """#!/bin/sh
printf '%s\\n' "${0##*/}" "$@" >>"$RECORD"
exit "${RECORDER_STATUS:-0}"
"""

# Stands in for sudo.
RUNNER = """#!/bin/sh
printf '%s\\n' "${0##*/}" "$@" >>"$RECORD"
exec "$@"
"""


@dataclass
class Script:
    """The world of an install script: its directory, its trees, its variables."""

    top: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def cwd(self) -> Path:
        return self.top / "build dir"

    @property
    def prefix(self) -> Path:
        return self.top / "pre fix"

    @property
    def staged(self) -> Path:
        """The prefix in the staged tree."""
        return Path(f"{self.top}/inst{self.prefix}")

    @property
    def record(self) -> list[str]:
        """The words that programs made by `program` were run with."""
        path = self.top / "record"
        return path.read_text().splitlines() if path.exists() else []

    def program(self, name: str, text: str = RECORDER) -> None:
        """Put a program before those of the machine and ours."""
        path = self.top / "programs" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def run(
        self, text: str, *, status: int = 0, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run ``text`` as a wrapped script."""
        ended = subprocess.run(
            ["bash", "-c", f". sage-dist-helpers || exit 99\n{text}"],
            cwd=self.cwd,
            env={**os.environ, **self.variables, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == status, ended.stdout + ended.stderr
        return ended


@pytest.fixture
def script(tmp_path: Path) -> Script:
    script = Script(tmp_path / "a b")
    script.cwd.mkdir(parents=True)
    prefix = str(script.prefix)
    script.variables = {
        "PATH": f"{script.top}/programs:{BIN}:{os.environ['PATH']}",
        "RECORD": f"{script.top}/record",
        "COLUMNS": "80",
        "SAGE_ROOT": f"{script.top}/root",
        "SAGE_LOCAL": prefix,
        "SAGE_INST_LOCAL": prefix,
        "SAGE_SHARE": f"{prefix}/share",
        "SAGE_DESTDIR": f"{script.top}/inst",
        "SAGE_SPKG_WHEELS": f"{prefix}/var/lib/sage/wheels",
        "SAGE_SPKG_SCRIPTS": f"{prefix}/var/lib/sage/scripts",
        "SAGE_PKGINSTALL_PYTHON": sys.executable,
        "PKG_BASE": "foo",
        "PKG_VER": "1.2.p3",
        "PKG_NAME": "foo-1.2.p3",
    }
    return script


@pytest.fixture
def inside(script: Script) -> Script:
    """A script that sage-spkg runs, with a recorder in place of the tool."""
    script.variables["SAGE_PKGINSTALL_PACKAGE_DIR"] = str(script.top / "private")
    script.program("sage-pkginstall")
    script.program("sage-pip-install")
    script.program("sage-pip-uninstall")
    return script


# ------------------------------------------------------------------------------- the file


def test_every_function_is_there_documented_and_for_child_scripts(script: Script) -> None:
    shown = script.run("bash -c 'compgen -A function'").stdout.split()
    head = HELPERS.read_text().split("\n\n", 1)[0]
    documented = set(re.findall(r"^#   (sdh_\w+)", head, re.MULTILINE))
    assert {name for name in shown if name.startswith("sdh_")} == NAMES
    assert documented == NAMES


def test_the_reference_names_every_function() -> None:
    assert set(re.findall(r"^\| `(sdh_\w+)", REFERENCE.read_text(), re.MULTILINE)) == NAMES


def test_sourcing_changes_no_shell_option(script: Script) -> None:
    ended = script.run('[ "$-" = "$before" ] && echo same', before="hBc")
    assert ended.stdout == "same\n"


def test_commands_are_found_beside_the_file_though_path_lacks_them(script: Script) -> None:
    moved = script.top / "moved here"
    shutil.copytree(BIN, moved, symlinks=True)
    text = f". '{moved}/sage-dist-helpers'; bash -c 'type -P sage-pip-install'"
    ended = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=True)
    assert ended.stdout == f"{moved}/sage-pip-install\n"


@pytest.mark.parametrize("shell", ["bash", "bash -e", "bash -eu", "bash -o posix"])
def test_functions_work_under_any_shell_option(script: Script, shell: str) -> None:
    plant(script.cwd, {"data file": b"x"})
    text = f"""{shell} -c 'sdh_guard; sdh_install "data file" "$SAGE_SHARE/foo"; echo done'"""
    assert script.run(text).stdout.endswith("done\n")
    assert tree(script.staged) == {"share/foo/data file": b"x"}


@pytest.mark.parametrize("separators", ["", ",", "\n"])
def test_commands_of_several_words_are_taken_apart_with_any_ifs(
    inside: Script, separators: str
) -> None:
    make_wheel(inside.cwd / "dist", "p-1-py3-none-any.whl")
    inside.program("quiet-make")
    inside.run(
        "IFS=$separators; sdh_make && sdh_make_install && sdh_store_and_pip_install_wheel .",
        separators=separators,
        MAKE="quiet-make -j4",
        SAGE_PIP_INSTALL_FLAGS="--no-deps --no-compile",
    )
    assert inside.record == [
        *("quiet-make", "-j4"),
        *("quiet-make", "-j4", "install", f"DESTDIR={inside.top}/inst"),
        *("sage-pkginstall", "stage-wheel", "--no-deps", "--no-compile"),
        f"{inside.staged}/var/lib/sage/wheels/p-1-py3-none-any.whl",
    ]


# ------------------------------------------------------------------------------ in general


@pytest.mark.parametrize(("before", "status"), [("true", 1), ("(exit 7)", 7)])
def test_die_ends_with_the_last_status_and_the_message(
    script: Script, before: str, status: int
) -> None:
    ended = script.run(f"{before}; sdh_die no 'such  thing'; echo alive", status=status)
    assert (ended.stdout, ended.stderr) == ("", f"{STARS}no such  thing\n{STARS}")


@pytest.mark.parametrize("options", ["-e", "-eu", "-eo pipefail"])
def test_die_says_why_and_has_the_status_under_any_shell_option(
    script: Script, options: str
) -> None:
    """Without a terminal, as in CI, its width cannot be had."""
    script.program("stty", "#!/bin/sh\nexit 1\n")
    ended = script.run(f"set {options}; (exit 7) || sdh_die no such thing", status=7, COLUMNS="")
    assert ended.stderr == f"{STARS}no such thing\n{STARS}"


def test_die_reads_its_message_from_standard_input(script: Script) -> None:
    ended = script.run("(exit 3) || sdh_die <<EOF\none\n$PKG_NAME\nEOF", status=3)
    assert ended.stderr == f"{STARS}one\nfoo-1.2.p3\n{STARS}"


def test_die_waits_for_no_message_that_somebody_might_type(script: Script) -> None:
    text = f". '{HELPERS}'; (exit 3) || sdh_die; echo alive"
    ended = run_in_terminal(["timeout", "20", "bash", "-c", text], os.environ)
    assert (ended.status, set(ended.text)) == (3, {"*", "\n"})


def test_die_wraps_to_the_terminal(script: Script) -> None:
    ended = script.run("sdh_die aaa bbb ccc ddd", status=1, COLUMNS="10")
    assert [line.rstrip() for line in ended.stderr.splitlines()] == [
        "*" * 10,
        "aaa bbb",
        "ccc ddd",
        "*" * 10,
    ]


def test_check_vars_dies_for_the_undefined_and_the_empty(script: Script) -> None:
    assert script.run("sdh_check_vars PATH FULL; echo fine", FULL="1").stdout == "fine\n"
    for text in ("sdh_check_vars PATH EMPTY MORE", "unset EMPTY; sdh_check_vars EMPTY"):
        ended = script.run(f"{text}; echo alive", status=1, EMPTY="")
        assert ended.stdout == ""
        assert "EMPTY undefined ... exiting\nMaybe run 'sage --buildsh'?\n" in ended.stderr


@pytest.mark.parametrize("name", ["SAGE_ROOT", "SAGE_LOCAL", "SAGE_INST_LOCAL", "SAGE_SHARE"])
def test_guard_needs_the_trees(script: Script, name: str) -> None:
    script.run("sdh_guard")
    assert f"{name} undefined ... exiting" in script.run("sdh_guard", status=1, **{name: ""}).stderr


# ------------------------------------------------------------------ programs and libraries


def configure(script: Script, text: str) -> None:
    plant(script.cwd, {"configure": f"#!/bin/sh\n{text}\n".encode()})
    (script.cwd / "configure").chmod(0o755)


RECORD_ARGUMENTS = """printf '%s\\n' -- "$@" >>args"""


def test_configure_gets_prefix_and_options(script: Script) -> None:
    configure(script, RECORD_ARGUMENTS)
    script.run("sdh_configure --with-x='a  b' CFLAGS='-O1 -g'")
    assert (script.cwd / "args").read_text().splitlines() == [
        "--",
        f"--prefix={script.prefix}",
        f"--libdir={script.prefix}/lib",
        "--disable-static",
        "--disable-maintainer-mode",
        "--disable-dependency-tracking",
        "--with-x=a  b",
        "CFLAGS=-O1 -g",
    ]


def test_configure_that_rejects_options_of_automake_is_run_without(script: Script) -> None:
    configure(script, 'case "$*" in *tracking*) exit 1;; esac\n' + RECORD_ARGUMENTS)
    script.run("sdh_configure --fast")
    assert (script.cwd / "args").read_text().splitlines() == [
        "--",
        f"--prefix={script.prefix}",
        f"--libdir={script.prefix}/lib",
        "--disable-static",
        "--fast",
    ]


def test_configure_of_autoconf_that_fails_is_run_once_and_names_its_log(script: Script) -> None:
    configure(script, f"# Generated by GNU Autoconf 2.71\n{RECORD_ARGUMENTS}\nexit 77")
    ended = script.run("sdh_configure; echo alive", status=77, COLUMNS="300")
    assert f"{script.cwd}/config.log\n" in ended.stderr
    assert (script.cwd / "args").read_text().count("--prefix") == 1
    assert "alive" not in ended.stdout


MAKEFILE = b"""all: ; printf '%s\\n' "$(X)" >built
check: ; @echo checked "$(X)"
install: ; mkdir -p "$(DESTDIR)$$SAGE_LOCAL/bin" && cp built "$(DESTDIR)$$SAGE_LOCAL/bin/prog"
broken: ; exit 3
"""


def test_make_check_and_install_stage(script: Script) -> None:
    plant(script.cwd, {"Makefile": MAKEFILE})
    ended = script.run("sdh_make X='a  b' && sdh_make_check X=y && sdh_make_install")
    assert "checked y\n" in ended.stdout
    assert tree(script.staged) == {"bin/prog": b"a  b\n"}
    assert not script.prefix.exists()


def test_make_may_be_a_command_with_options(script: Script) -> None:
    plant(script.cwd, {"Makefile": MAKEFILE})
    script.program("gmake")
    script.run("sdh_make all", MAKE="gmake -j 3")
    assert script.record == ["gmake", "-j", "3", "all"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("sdh_make broken", "Error building foo-1.2.p3"),
        ("sdh_make_check broken", "Error checking foo-1.2.p3"),
        ("sdh_make_install broken", "Error installing foo-1.2.p3"),
    ],
)
def test_failing_make_ends_the_script(script: Script, call: str, message: str) -> None:
    plant(script.cwd, {"Makefile": MAKEFILE})
    ended = script.run(f"{call} SAGE_LOCAL=/x; echo alive", status=2)
    assert message in ended.stderr
    assert "alive" not in ended.stdout


def test_make_install_uses_sudo_only_without_destdir(script: Script) -> None:
    plant(script.cwd, {"Makefile": MAKEFILE})
    script.program("as_root", RUNNER.replace("exec", "shift; exec"))
    script.run("sdh_make && sdh_make_install", SAGE_SUDO="as_root -E")
    assert script.record == []
    script.run("sdh_make_install X=1", SAGE_SUDO="as_root -E", SAGE_DESTDIR="")
    assert script.record == ["as_root", "-E", "make", "install", "X=1"]


CMAKE = b"""cmake_minimum_required(VERSION 3.10)
project(tiny LANGUAGES NONE)
include(GNUInstallDirs)
install(FILES "${CMAKE_SOURCE_DIR}/data" DESTINATION "${CMAKE_INSTALL_LIBDIR}")
file(WRITE "${CMAKE_BINARY_DIR}/seen" "${X}")
if(FAIL)
  message(FATAL_ERROR "so be it")
endif()
"""


@pytest.mark.needs("cmake")
@pytest.mark.parametrize(
    ("where", "arguments"),
    [
        (".", "-DX='a b'"),
        ("sub", "-DX='a b' .."),
        ("sub", "-S .. -D X='a b'"),
        (".", "-B sub -DX='a b'"),
        ("sub", "-DX='a b' -B . -S.."),
    ],
)
def test_cmake_finds_its_source(script: Script, where: str, arguments: str) -> None:
    plant(script.cwd, {"CMakeLists.txt": CMAKE, "data": b"1", "sub": EMPTY})
    build = "sub" if "sub" in (where, arguments.split()[1]) else "."
    script.run(
        f'(cd {where} && sdh_cmake {arguments}) && DESTDIR="$SAGE_DESTDIR" cmake --install {build}'
    )
    assert tree(script.staged) == {"lib/data": b"1"}
    assert (script.cwd / build / "seen").read_text() == "a b"


@pytest.mark.needs("cmake")
def test_failing_cmake_names_its_log(script: Script) -> None:
    plant(script.cwd, {"CMakeLists.txt": CMAKE, "data": b"1"})
    ended = script.run("sdh_cmake -DFAIL=1; echo alive", status=1, COLUMNS="300")
    assert f"{script.cwd}/CMakeFiles/CMakeOutput.log\n" in ended.stderr
    assert "alive" not in ended.stdout


def test_install_copies_whole_trees_with_modes_below_destdir(script: Script) -> None:
    plant(script.cwd, {"src/a b": b"1", "src/l": Link("a b"), "src/d/x": b"2", "one": b"3"})
    (script.cwd / "src/a b").chmod(0o751)
    (script.cwd / "one").chmod(0o600)
    ended = script.run('sdh_install src one "$SAGE_SHARE/f o"')
    share = f"{script.staged}/share/f o"
    assert ended.stdout == f"src -> {share}\none -> {share}\n"
    assert tree(script.staged) == {
        "share/f o/src/a b": b"1",
        "share/f o/src/l": Link("a b"),
        "share/f o/src/d/x": b"2",
        "share/f o/one": b"3",
    }
    found = modes(script.staged)
    assert (found["share/f o/src/a b"], found["share/f o/one"]) == (0o751, 0o600)


def test_install_of_a_directory_with_a_slash_copies_the_directory(script: Script) -> None:
    plant(script.cwd, {"src/a": b"1"})
    script.run('sdh_install src/ "$SAGE_SHARE"')
    assert tree(script.staged) == {"share/src/a": b"1"}


def test_install_as_gives_a_name(script: Script) -> None:
    plant(script.cwd, {"a": b"1", "d/x": b"2", "new": b"3", "e/y": b"4"})
    script.run(
        'sdh_install -T a "$SAGE_LOCAL/deep/er/b" && sdh_install -T new "$SAGE_LOCAL/deep/er/b" &&'
        'sdh_install -T d "$SAGE_LOCAL/dd" && sdh_install -T e "$SAGE_LOCAL/dd"'
    )
    assert tree(script.staged) == {"deep/er/b": b"3", "dd/x": b"2", "dd/y": b"4"}


@pytest.mark.parametrize(
    "arguments",
    [
        'missing "$SAGE_SHARE"',
        'a missing "$SAGE_SHARE"',
        'a "$SAGE_LOCAL/file"',
        'a "$SAGE_LOCAL/file/below"',
        '-T a b "$SAGE_LOCAL/x"',
        '-T a "$SAGE_LOCAL/directory"',
        '-T d "$SAGE_LOCAL/file"',
        '"$SAGE_SHARE"',
        "",
    ],
)
def test_install_dies_of_what_cannot_be(script: Script, arguments: str) -> None:
    plant(script.cwd, {"a": b"1", "b": b"1", "d/x": b"1"})
    plant(script.staged, {"file": b"mine", "directory": EMPTY})
    ended = script.run(f"sdh_install {arguments}; echo alive", status=1)
    assert "alive" not in ended.stdout
    assert ended.stderr.startswith(STARS) or "cannot create directory" in ended.stderr
    assert (script.staged / "file").read_bytes() == b"mine"


def test_install_uses_sudo_without_destdir(script: Script) -> None:
    plant(script.cwd, {"a": b"1"})
    script.program("as_root", RUNNER)
    script.run('sdh_install a "$SAGE_SHARE"', SAGE_SUDO="as_root", SAGE_DESTDIR="")
    assert script.record[:2] == ["as_root", "mkdir"]


@pytest.mark.needs("ldd")
@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
def test_preload_lib_passes_over_what_is_linked_with_nothing(script: Script) -> None:
    script.program("ldd", "#!/bin/sh\necho 'not a dynamic executable' >&2\nexit 1\n")
    text = 'set -euo pipefail; sdh_preload_lib static libc.so; echo "<${LD_PRELOAD-}>"'
    assert script.run(text).stdout == "<>\n"


def test_preload_lib_appends_the_library_that_is_linked(script: Script) -> None:
    text = 'for i in libc.so libnothing; do sdh_preload_lib "$(type -P bash)" $i; done'
    ended = script.run(f"{text}; echo $LD_PRELOAD", LD_PRELOAD="")
    assert ended.stdout == "libc.so.6\n"


def test_windows_lib_files_are_for_windows(script: Script) -> None:
    script.program("gendef", "#!/bin/sh\necho EXPORTS\n")
    script.program("dlltool", '#!/bin/sh\nwhile [ $# -gt 1 ]; do shift; done; : >"$1"\n')
    plant(script.staged, {"bin/libfoo-2.dll": b"", "lib": EMPTY})
    before = tree(script.staged)
    script.run("sdh_generate_windows_lib_files foo")
    assert tree(script.staged) == before
    script.run("OSTYPE=msys; sdh_generate_windows_lib_files foo")
    assert tree(script.staged).keys() == {"bin/libfoo-2.dll", "lib/foo.def", "lib/foo.lib"}


# ------------------------------------------------------------------------- Python packages


@pytest.mark.parametrize("name", PYTHON_NAMES)
def test_python_helpers_do_nothing_without_python_packages(inside: Script, name: str) -> None:
    make_wheel(inside.cwd / "dist", "p-1-py3-none-any.whl")
    before = tree(inside.cwd)
    inside.run(f"{name} .", SAGE_VENV_FLAGS="DISABLED")
    assert (inside.record, tree(inside.cwd)) == ([], before)
    assert not (inside.top / "inst").exists()


def test_build_wheel_leaves_one_wheel_and_keeps_blanks_in_values(
    script: Script, venv: Path
) -> None:
    make_source(script.cwd, "tiny")
    plant(script.cwd, {"dist/old.whl": b""})
    script.run(
        "sdh_build_wheel --no-deps -C setup-args=\"-Da='b c'\" --config-settings 'k=x  y' .",
        SAGE_VENV=str(venv),
    )
    (wheel,) = (script.cwd / "dist").iterdir()
    assert report_of(wheel)["settings"] == {"setup-args": "-Da='b c'", "k": "x  y"}


def test_options_survive_an_eval(inside: Script) -> None:
    make_wheel(inside.cwd / "dist", "p-1-py3-none-any.whl")
    inside.run('eval sdh_pip_install "$FLAGS" .', FLAGS="-C 'a=b c' --no-build-isolation")
    assert inside.record[:6] == [
        "sage-pkginstall",
        "build",
        "-C",
        "a=b c",
        "--no-build-isolation",
        ".",
    ]


@pytest.mark.parametrize(
    "name", ["sdh_build_wheel", "sdh_pip_install", "sdh_build_and_store_wheel"]
)
def test_failing_build_ends_the_script(inside: Script, name: str) -> None:
    ended = inside.run(f"{name} .; echo alive", status=5, RECORDER_STATUS="5")
    assert "Error building a wheel for foo-1.2.p3" in ended.stderr
    assert "alive" not in ended.stdout
    assert inside.record == ["sage-pkginstall", "build", "."]


def test_setup_bdist_wheel_is_the_old_way(script: Script) -> None:
    setup = b"import sys, pathlib; pathlib.Path('dist').mkdir()\n"
    setup += b"pathlib.Path('dist/w').write_text(' '.join(sys.argv[1:]))\n"
    plant(script.cwd, {"setup.py": setup, "dist/old.whl": b""})
    script.run("sdh_setup_bdist_wheel --universal")
    assert tree(script.cwd / "dist") == {"w": b"bdist_wheel --universal"}


WHEEL = "backports.Foo_Bar-1.0+x-py3-none-any.whl"


def test_store_wheel_stages_it_with_one_requirements_line(script: Script) -> None:
    stored = script.staged / "var/lib/sage/wheels" / WHEEL
    for _ in range(2):
        data = make_wheel(script.cwd / "dist", WHEEL).read_bytes()
        ended = script.run('sdh_store_wheel . && bash -c "echo $PKG_BASE" && echo "$wheel"')
        assert ended.stdout == f"foo\n{stored}\n"
        url = f"file://{script.prefix}/var/lib/sage/wheels/{WHEEL}".replace(" ", "%20")
        assert tree(script.staged) == {
            f"var/lib/sage/wheels/{WHEEL}": data,
            "var/lib/sage/scripts/foo/spkg-requirements.txt": (
                f"backports.Foo_Bar @ {url}\n".encode()
            ),
        }
        assert tree(script.cwd) == {"dist": EMPTY}


def test_store_wheel_keeps_the_lines_of_other_distributions(script: Script) -> None:
    for name in ("a-1", "b-1", "a-2"):
        make_wheel(script.cwd / "dist", f"{name}-py3-none-any.whl")
        script.run("sdh_store_wheel .")
    file = script.staged / "var/lib/sage/scripts/foo/spkg-requirements.txt"
    lines = [line.rpartition("/")[2] for line in file.read_text().splitlines()]
    assert lines == ["b-1-py3-none-any.whl", "a-2-py3-none-any.whl"]


@pytest.mark.parametrize(
    ("wheels", "message"),
    [
        ([], "no wheel found after building"),
        (["a-1-py3-none-any.whl", "b-1-py3-none-any.whl"], "more than one wheel found"),
    ],
)
def test_store_wheel_wants_exactly_one(script: Script, wheels: list[str], message: str) -> None:
    for name in wheels:
        make_wheel(script.cwd / "dist", name)
    ended = script.run("sdh_store_wheel .; echo alive", status=1)
    assert message in ended.stderr
    assert ended.stdout == ""
    assert not (script.top / "inst").exists()


def test_under_sage_spkg_the_wheel_joins_the_transaction(inside: Script) -> None:
    make_wheel(inside.cwd / "dist", WHEEL)
    inside.run(
        "sdh_store_and_pip_install_wheel --no-deps .", SAGE_PIP_INSTALL_FLAGS="--ignore-installed"
    )
    stored = f"{inside.staged}/var/lib/sage/wheels/{WHEEL}"
    assert inside.record == [
        "sage-pkginstall",
        "stage-wheel",
        "--ignore-installed",
        "--no-deps",
        stored,
    ]


def test_elsewhere_the_wheel_is_stored_and_installed_now(inside: Script) -> None:
    make_wheel(inside.cwd / "dist", WHEEL)
    inside.run(
        'sdh_store_and_pip_install_wheel --no-deps . && echo "$wheel"',
        SAGE_PKGINSTALL_PACKAGE_DIR="",
        SAGE_DESTDIR="",
    )
    stored = f"{inside.prefix}/var/lib/sage/wheels/{WHEEL}"
    assert inside.record == ["sage-pip-install", "--no-deps", stored]
    assert Path(stored).is_file()


def test_elsewhere_sudo_writes_the_store(inside: Script) -> None:
    make_wheel(inside.cwd / "dist", WHEEL)
    inside.program("as_root", """#!/bin/sh\necho "$1" >>"$RECORD"\nexec "$@"\n""")
    inside.run("sdh_store_wheel .", SAGE_DESTDIR="", SAGE_SUDO="as_root")
    assert inside.record == ["mkdir", "mv", "mkdir", "tee"]


def test_elsewhere_sudo_installs_and_uninstalls(inside: Script) -> None:
    """It keeps no variables, nor PATH."""
    make_wheel(inside.cwd / "dist", WHEEL)
    inside.program("as_root", '#!/bin/sh\nexec env -i PATH=/usr/bin:/bin "$@"\n')
    for name in ("sage-pip-install", "sage-pip-uninstall"):
        words = f'{name} "$SAGE_VENV" "${{PKG_BASE-clean}}" "$@"'
        told = f"printf '%s\\n' {words} >>'{inside.top}/record'"
        inside.program(name, f"#!/bin/sh\n{told}\n")
    inside.variables |= {"SAGE_PKGINSTALL_PACKAGE_DIR": "", "SAGE_DESTDIR": ""}
    script = "IFS=,; sdh_store_and_pip_install_wheel --no-deps . && sdh_pip_uninstall 'a b'"
    inside.run(script, SAGE_SUDO="as_root", SAGE_VENV="/a venv")
    stored = f"{inside.prefix}/var/lib/sage/wheels/{WHEEL}"
    assert inside.record == [
        *("sage-pip-install", "/a venv", "clean", "--no-deps", stored),
        *("sage-pip-uninstall", "/a venv", "clean", "a b"),
    ]


def test_pip_install_builds_stores_and_installs(inside: Script) -> None:
    make_wheel(inside.cwd / "dist", WHEEL)
    inside.run("sdh_pip_install --no-deps --ignore-installed --sdist-then-wheel .")
    stored = f"{inside.staged}/var/lib/sage/wheels/{WHEEL}"
    assert inside.record == [
        *("sage-pkginstall", "build", "--no-deps", "--sdist-then-wheel", "."),
        *("sage-pkginstall", "stage-wheel", "--no-deps", "--ignore-installed", stored),
    ]


def test_failing_installation_ends_the_script(inside: Script) -> None:
    make_wheel(inside.cwd / "dist", WHEEL)
    ended = inside.run(
        "sdh_store_and_pip_install_wheel .; echo alive", status=3, RECORDER_STATUS="3"
    )
    assert f"Error installing {WHEEL}" in ended.stderr
    assert "alive" not in ended.stdout


def test_editable_installation_is_required_by_its_source(inside: Script) -> None:
    make_wheel(inside.cwd / "dist", "p-1-py3-none-any.whl")
    plant(inside.cwd, {"s r c": EMPTY})
    inside.run("sdh_pip_editable_install --no-build-isolation 's r c'; echo ${wheel-unset}")
    source = f"{inside.cwd}/s r c"
    wheel = f"{inside.cwd}/dist/p-1-py3-none-any.whl"
    assert inside.record == [
        *("sage-pkginstall", "build", "--editable", "--no-build-isolation", "s r c"),
        *("sage-pkginstall", "stage-wheel", "--editable", source, wheel),
    ]
    url = f"file://{source}".replace(" ", "%20")
    assert tree(inside.staged) == {
        "var/lib/sage/scripts/foo/spkg-requirements.txt": f"p @ {url}\n".encode()
    }


@pytest.mark.parametrize(
    "call",
    [
        "sdh_pip_editable_install . --no-deps",
        "sdh_pip_editable_install . -C a=b",
        "sdh_pip_editable_install --force-reinstall --ignore-installed .",
        "sdh_pip_install --no-deps -e .",
        "sdh_pip_install --editable . -v",
        "sdh_pip_editable_install '.[tests]'",
        "sdh_pip_editable_install '.[tests]' --no-deps",
    ],
)
def test_editable_installation_may_be_asked_for_as_of_pip(inside: Script, call: str) -> None:
    make_wheel(inside.cwd / "dist", WHEEL)
    inside.run(call)
    assert inside.record[:3] == ["sage-pkginstall", "build", "--editable"]
    wheel = f"{inside.cwd}/dist/{WHEEL}"
    assert inside.record[-5:] == [
        *("sage-pkginstall", "stage-wheel", "--editable", f"{inside.cwd}", wheel)
    ]


def test_editable_installation_by_hand_installs_an_editable_wheel(
    script: Script, venv: Path
) -> None:
    make_source(script.cwd / "src", "tiny")
    variables = {"SAGE_VENV": str(venv), "SAGE_INST_LOCAL": str(venv), "SAGE_DESTDIR": ""}
    script.variables |= variables | {"SAGE_SPKG_SCRIPTS": f"{venv}/var/lib/sage/scripts"}
    script.run('sdh_pip_editable_install src && test ! -e "$SAGE_SPKG_WHEELS"')
    (record,) = venv.glob("lib/python3*/site-packages/tiny-1.0.dist-info/RECORD")
    report = json.loads((record.parent.parent / "tiny.json").read_text())
    assert report["kind"] == "editable"


def test_pip_uninstall_has_a_true_status_and_warns(inside: Script) -> None:
    ended = inside.run("sdh_pip_uninstall -r 'a b' c")
    assert (inside.record, ended.stderr) == (["sage-pip-uninstall", "-r", "a b", "c"], "")
    ended = inside.run("sdh_pip_uninstall c; echo status $?", RECORDER_STATUS="4")
    assert ended.stdout == "status 4\n"
    assert ended.stderr == "Warning: could not uninstall c (status 4)\n"


@pytest.mark.slow
def test_build_store_install_and_uninstall_by_hand(script: Script, venv: Path) -> None:
    """The whole way with the real commands, as in a shell of `sage --buildsh`."""
    make_source(script.cwd, "tiny")
    before = tree(venv)
    script.variables |= {
        "SAGE_VENV": str(venv),
        "SAGE_INST_LOCAL": str(venv),
        "SAGE_DESTDIR": "",
        "SAGE_SPKG_WHEELS": f"{venv}/var/lib/sage/wheels",
        "SAGE_SPKG_SCRIPTS": f"{venv}/var/lib/sage/scripts",
    }
    script.run("sdh_pip_install .")
    asked = [
        f"{venv}/bin/python3",
        "-c",
        "import importlib.metadata as m; print(m.version('tiny'))",
    ]
    assert subprocess.check_output(asked, text=True) == "1.0\n"
    script.run(
        'rm "$SAGE_SPKG_WHEELS"/*; file="$SAGE_SPKG_SCRIPTS/foo/spkg-requirements.txt"\n'
        'sdh_pip_uninstall -r "$file" && sdh_pip_uninstall -r "$file" && rm "$file"',
    )
    assert tree(venv, ignore=["var"]) == before


def test_staged_wheels_are_lines_of_json(script: Script) -> None:
    private = script.top / "private"
    private.mkdir()
    make_wheel(script.cwd / "dist", WHEEL)
    script.run(
        "sdh_store_and_pip_install_wheel --no-deps .", SAGE_PKGINSTALL_PACKAGE_DIR=str(private)
    )
    (line,) = (private / "wheels.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        "wheel": f"{script.staged}/var/lib/sage/wheels/{WHEEL}",
        "options": ["--no-deps"],
    }
