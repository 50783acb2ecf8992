from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.spkg.rules import make_rules
from tests.trees import plant

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parent.parent
STAMPS = "var/lib/sage/installed"

# Stand-ins for the commands that recipes call: a package is installed by its stamp alone.
PROGRAMS = {
    "sage-logger": """#!/bin/sh
[ "$1" = -p ] || exit 9
exec sh -c "$2"
""",
    "sage-spkg": """#!/bin/sh
echo "$@" >>"$RECORD"
case "$*" in *-only*) exit ;; esac
[ "${FAIL-}" != "$1" ] || exit 1
for try in $(seq "${TRIES:-0}"); do
    [ "$(grep -c local "$RECORD")" -lt 4 ] || break
    sleep 0.1
done
mkdir -p "$2/var/lib/sage/installed"
rm -f "$2/var/lib/sage/installed/${1%%-*}"-*
: >"$2/var/lib/sage/installed/$1"
echo "done $1" >>"$RECORD"
""",
    "sage-spkg-uninstall": """#!/bin/sh
[ -d "$2" ] || exit 2
echo "uninstall $@" >>"$RECORD"
rm -f "$2/var/lib/sage/installed/$1"-*
""",
}


# Stands in for a Python: it tells its version, and makes environments.
STAND_IN = """#!/bin/sh
case "$1 $2" in
    "-I -S") echo {version} ;;
    "-I -m") mkdir -p "$5/bin" && : >"$5/bin/python3" ;;
esac
"""


@dataclass(frozen=True)
class Distribution:
    """A source tree with package directories, our make rules, and what they installed."""

    root: Path

    @property
    def packages(self) -> Path:
        return self.root / "build" / "pkgs"

    @property
    def local(self) -> Path:
        return self.root / "local"

    @property
    def venv(self) -> Path:
        return self.root / "venv"

    def add(self, name: str, version: str | None = "1.0", **files: str) -> None:
        """Make a package directory, of a script package unless ``files`` say otherwise.

        ``type`` is ``standard`` unless given; ``_`` in a key is what makes it a file name:
        ``dependencies_build``, ``requirements_txt``.
        """
        texts = {"type": "standard", **files}
        if version is not None:
            texts["package_version_txt"] = version
        plant(
            self.packages / name,
            {_file_name(key): f"{text}\n".encode() for key, text in texts.items()},
        )

    def script(self, name: str, dependencies: str = "", **files: str) -> None:
        """Add a script package that is no Python package."""
        self.add(name, spkg_install_in=":", dependencies=dependencies, **files)

    def make(self, *arguments: str, status: int = 0, **variables: str) -> list[str]:
        """Run make; return what it ran of PROGRAMS, trees by their names."""
        record = self.root / "record"
        record.unlink(missing_ok=True)
        ended = self.run(*arguments, **variables)
        assert ended.returncode == status, ended.stdout + ended.stderr
        lines = record.read_text() if record.exists() else ""
        return lines.replace(f"{self.root}/", "").splitlines()

    def run(
        self, *arguments: str, under: Sequence[str] = (), program: str = "make", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*under, program, "-f", f"{self.root}/build/make/Makefile", *arguments],
            cwd=self.root,
            env={
                **os.environ,
                "RECORD": f"{self.root}/record",
                "SAGE_VENV": str(self.venv),
                "SAGE_PKGINSTALL_PYTHON": sys.executable,
                **variables,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def calls(self) -> list[str]:
        """Run make, which has nothing to do; return its system calls about files and programs."""
        log = self.root / "calls"
        trace = ["strace", "-f", "-qq", "-e", "trace=%file", "-o", str(log)]
        assert self.run(under=trace).returncode == 0
        return log.read_text().splitlines()

    def stamps(self) -> set[str]:
        return {path.name for tree in (self.local, self.venv) for path in tree.glob(f"{STAMPS}/*")}


def _file_name(key: str) -> str:
    exceptions = {
        "package_version_txt": "package-version.txt",
        "spkg_install_in": "spkg-install.in",
        "version_requirements_txt": "version_requirements.txt",
    }
    return exceptions.get(key, re.sub("_(txt|ini)$", r".\1", key))


@pytest.fixture
def distribution(tmp_path: Path) -> Distribution:
    root = tmp_path / "root"
    (root / "build/pkgs").mkdir(parents=True)
    (root / "build/make").mkdir()
    shutil.copy(ROOT / "build/make/Makefile", root / "build/make")
    plant(root / "build/bin", {name: text.encode() for name, text in PROGRAMS.items()})
    shutil.copy(ROOT / "build/bin/sage-pkginstall", root / "build/bin")
    for path in (root / "build/bin").iterdir():
        path.chmod(0o755)
    (root / "sage_pkginstall").symlink_to(ROOT / "sage_pkginstall")
    plant(root / "venv", {"bin/python3": b""})
    return Distribution(root)


def installed(*names: str) -> list[str]:
    """What `Distribution.make` returns when these are installed into local/ one by one."""
    return [line for name in names for line in (f"{name} local", f"done {name}")]


# --------------------------------------------------------------------------------- targets


def test_package_comes_after_what_it_needs(distribution: Distribution) -> None:
    distribution.script("a", "b | c")
    distribution.script("b", "d # not e")
    for name in "cde":
        distribution.script(name)
    assert distribution.make("a") == installed("d-1.0", "b-1.0", "c-1.0", "a-1.0")
    assert distribution.make("a") == []


def test_all_are_the_base_and_standard_packages(distribution: Distribution) -> None:
    for kind in ("base", "standard", "optional", "experimental"):
        distribution.script(f"a_{kind}", type=kind)
    assert distribution.make() == installed("a_base-1.0", "a_standard-1.0")
    ended = distribution.run()
    assert (ended.returncode, ended.stdout) == (0, "make: Nothing to be done for 'all'.\n")


def test_list_names_all_packages(distribution: Distribution) -> None:
    for name in ("b", "a", "c"):
        distribution.script(name, type="optional")
    assert distribution.run("list").stdout.split() == ["a", "b", "c"]


def test_reinstalling_rebuilds_what_names_it_before_the_bar(distribution: Distribution) -> None:
    distribution.script("base")
    distribution.script("linked", "base")
    distribution.script("above", "linked")
    distribution.script("user", "| base")
    distribution.make()
    assert distribution.make("base-no-deps") == installed("base-1.0")
    assert distribution.make() == installed("linked-1.0", "above-1.0")


def test_clean_removes_one_package_and_rebuilds_nothing(distribution: Distribution) -> None:
    distribution.script("base")
    distribution.script("linked", "base")
    distribution.make()
    for goal in ("base-clean", "base-uninstall", "base-SAGE_LOCAL-uninstall"):
        assert distribution.make(goal) == ["uninstall base local"]
    assert distribution.stamps() == {"linked-1.0"}


def test_clean_of_a_package_that_is_not_installed_says_nothing(distribution: Distribution) -> None:
    distribution.script("a")
    ended = distribution.run("a-clean")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_older_version_does_not_satisfy(distribution: Distribution) -> None:
    distribution.script("base")
    distribution.script("linked", "base")
    distribution.make()
    distribution.add("base", "1.0.p1")
    assert distribution.make() == installed("base-1.0.p1", "linked-1.0")


def test_no_deps_installs_one_package_though_it_is_there(distribution: Distribution) -> None:
    distribution.script("a", "b")
    distribution.script("b")
    for goal in ("a-no-deps", "a-no-deps", "a-SAGE_LOCAL-no-deps"):
        assert distribution.make(goal) == installed("a-1.0")


def test_deps_are_what_is_named_and_build_deps_more(distribution: Distribution) -> None:
    more = {"dependencies_order_only": "d", "dependencies_build": "e", "dependencies_check": "f"}
    distribution.script("a", "b | c", **more)
    for name in "bcdef":
        distribution.script(name)
    assert distribution.make("a-deps") == installed("b-1.0", "c-1.0", "d-1.0")
    assert distribution.make("a-build-deps") == installed("e-1.0")
    assert distribution.make("a") == installed("a-1.0")
    assert distribution.make("a-check") == [*installed("f-1.0"), "--check-only a-1.0 local"]


def test_check_dependencies_come_first_where_checks_run(distribution: Distribution) -> None:
    distribution.script("a", dependencies_check="b")
    distribution.script("b")
    assert distribution.make("a", SAGE_CHECK="no") == installed("a-1.0")
    assert distribution.make("a", SAGE_CHECK="warn") == installed("b-1.0")
    assert distribution.make("a-clean", "a", SAGE_CHECK="yes")[1:] == installed("a-1.0")


def test_optional_dependencies_count_if_asked_for_or_installed(distribution: Distribution) -> None:
    distribution.script("a", dependencies_optional="b c d")
    for name in "bcd":
        distribution.script(name, type="optional")
    plant(distribution.local, {f"{STAMPS}/c-0.9": b"", f"{STAMPS}/dd-1": b""})
    assert distribution.make("a", "OPTIONAL_PACKAGES=b") == installed("b-1.0", "c-1.0", "a-1.0")


def test_ensure_leaves_an_installed_package_alone(distribution: Distribution) -> None:
    distribution.script("base")
    distribution.script("linked", "base")
    assert distribution.make("linked-ensure") == installed("base-1.0", "linked-1.0")
    distribution.make("base-no-deps")
    assert distribution.make("linked-ensure") == []


def test_package_may_go_to_several_trees(distribution: Distribution) -> None:
    distribution.script("a", trees_txt="SAGE_LOCAL SAGE_VENV")
    distribution.script("b", "a")
    assert sorted(distribution.make("b")[:-2]) == sorted(
        ["a-1.0 local", "a-1.0 venv", "done a-1.0", "done a-1.0"]
    )
    assert distribution.make("a-SAGE_VENV-no-deps")[0] == "a-1.0 venv"
    assert sorted(distribution.make("a-clean")) == ["uninstall a local", "uninstall a venv"]


def test_what_a_package_left_in_the_tree_that_it_went_to_once_goes_with_it(
    distribution: Distribution,
) -> None:
    distribution.script("a")
    distribution.script("b")
    distribution.make("a", "b")
    distribution.script("a", version_requirements_txt="a")
    assert distribution.make("a")[0] == "a-1.0 venv"
    assert sorted(distribution.make("a-clean")) == ["uninstall a local", "uninstall a venv"]
    assert distribution.make("b-clean") == ["uninstall b local"]
    distribution.make("a-no-deps")
    assert distribution.make("a-clean") == ["uninstall a venv"]


def test_two_variables_may_name_the_same_tree(distribution: Distribution) -> None:
    distribution.script("a", trees_txt="SAGE_LOCAL SAGE_VENV")
    local = f"{distribution.root}/local"
    ended = distribution.run("a", SAGE_VENV=local)
    assert (ended.returncode, ended.stderr) == (0, "")  # no warning of a recipe that is overridden
    assert distribution.make("a", SAGE_VENV=local) == []
    assert distribution.make("a-no-deps", SAGE_VENV=local) == ["a-1.0 local", "done a-1.0"]
    assert distribution.make("a-clean", SAGE_VENV=local) == ["uninstall a local"]


@pytest.mark.parametrize("venv", ["local/", "venv/../local", "./local"])
def test_tree_is_the_same_however_it_is_written(distribution: Distribution, venv: str) -> None:
    distribution.script("a", trees_txt="SAGE_LOCAL SAGE_VENV")
    plant(distribution.local, {"bin/python3": b""})
    local, same = str(distribution.local), f"{distribution.root}/{venv}"
    made = distribution.make("a", SAGE_LOCAL=local, SAGE_VENV=same)
    assert made == installed("a-1.0")
    assert distribution.make("a", f"SAGE_LOCAL={local}", f"SAGE_VENV={same}") == []
    cleaned = distribution.make("a-clean", SAGE_LOCAL=local, SAGE_VENV=same)
    assert cleaned == ["uninstall a local"]


# ------------------------------------------------------------------------------- the kinds


def test_python_packages_need_toolchain_and_environment(distribution: Distribution) -> None:
    source = {"version_requirements_txt": "x", "checksums_ini": "tarball=x-VERSION.tar.gz"}
    wheel = {**source, "checksums_ini": "tarball=x-VERSION-py3-none-any.whl"}
    distribution.add("setuptools", dependencies="| $(PYTHON_TOOLCHAIN) $(PYTHON) needed", **source)
    distribution.add("needed", dependencies="| $(PYTHON_TOOLCHAIN)", **source)
    distribution.add("flit_core", **wheel)
    distribution.add("built", dependencies="$(PYTHON)", **source)
    distribution.add("unpacked", **wheel)
    shutil.rmtree(distribution.venv)
    assert distribution.make("unpacked")[0] == "unpacked-1.0 venv"
    assert (distribution.venv / "bin/python3").exists()
    order = [line for line in distribution.make("built") if line.startswith("done")]
    assert set(order[:-1]) == {"done needed-1.0", "done setuptools-1.0", "done flit_core-1.0"}
    assert order.index("done needed-1.0") < order.index("done setuptools-1.0")
    assert order[-1] == "done built-1.0"


def test_python_package_that_is_a_script_needs_the_toolchain_too(
    distribution: Distribution,
) -> None:
    wheel = {"version_requirements_txt": "x", "checksums_ini": "tarball=x-VERSION-py3-none-any.whl"}
    distribution.add("flit_core", **wheel)
    distribution.script("a", version_requirements_txt="a")
    done = [line for line in distribution.make("a") if line.startswith("done")]
    assert done == ["done flit_core-1.0", "done a-1.0"]


@pytest.mark.parametrize(
    "files",
    [
        {"spkg_install_in": ":", "version_requirements_txt": "x", "trees_txt": "SAGE_LOCAL"},
        {"requirements_txt": "x"},
        {"requirements_txt": "x", "trees_txt": "SAGE_LOCAL"},
    ],
)
def test_environment_is_made_for_every_python_package(
    distribution: Distribution, files: dict[str, str]
) -> None:
    shutil.rmtree(distribution.venv)
    distribution.add("a", **files)
    assert distribution.make("a", PYTHON=sys.executable)
    assert (distribution.venv / "bin/python3").exists()


@pytest.mark.parametrize(
    ("there", "asked", "version"),
    [
        (["3.9", "3.98"], {}, "3.98"),
        (["3.9", "3.98"], {"PYTHON": "python3"}, "3.98"),  # as the Makefile above says it
        (["3.9", "3.98"], {"PYTHON": "./python3.9"}, "3.9"),
        (["3.9", "3.98"], {"PYTHON": "./python3.97"}, "3.97"),
        ([], {"PYTHON": "./python3.9"}, "3.9"),
        ([], {}, f"{sys.version_info[0]}.{sys.version_info[1]}"),
    ],
)
def test_target_is_the_newest_environment_or_that_of_a_python_that_is_asked_for(
    distribution: Distribution, there: list[str], asked: dict[str, str], version: str
) -> None:
    above = "local/var/lib/sage/venv-python"
    for name in ("3.9", "3.97", "3.98"):
        text = STAND_IN.format(version=name)
        places = [f"{above}{name}/bin/python3"] if name in there else []
        for place in (f"python{name}", *places):
            plant(distribution.root, {place: text.encode()})
            (distribution.root / place).chmod(0o755)
    plant(distribution.root, {f"{above}3.99/bin/python": b"", f"{above}3.99-old/bin/python3": b""})
    distribution.script("a", version_requirements_txt="a")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    variables = {"SAGE_VENV": "", "PATH": path, **asked}
    assert distribution.make("a", status=0, **variables)[0] == f"a-1.0 {above}{version}"


def test_target_is_made_by_python_itself_wherever_its_variables_lead(
    distribution: Distribution, tmp_path: Path
) -> None:
    """PYTHONHOME is of another Python, and PYTHONPATH leads to a module that is called venv."""
    distribution.script("a", version_requirements_txt="a")
    plant(tmp_path, {"foreign/venv.py": b"raise SystemExit('foreign')\n"})
    variables = {"PYTHONHOME": "/nowhere", "PYTHONPATH": f"{tmp_path}/foreign"}
    ended = distribution.run("a", SAGE_VENV="", PYTHON=sys.executable, **variables)
    assert (ended.returncode, ended.stderr) == (0, "")
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert (distribution.local / f"var/lib/sage/venv-python{version}/bin/python3").exists()


def test_environment_whose_python_became_another_one_is_not_taken(
    distribution: Distribution,
) -> None:
    """As an upgrade of the system does it: what is installed there is not found any more."""
    above = distribution.root / "local/var/lib/sage"
    plant(above, {"venv-python3.98/bin/python3": STAND_IN.format(version="3.99").encode()})
    (above / "venv-python3.98/bin/python3").chmod(0o755)
    distribution.script("a", version_requirements_txt="a")
    (call, _) = distribution.make("a", SAGE_VENV="")
    assert call == "a-1.0 local/var/lib/sage/venv-python3.99"


@pytest.mark.parametrize("file", ["build/pkgs/a/type", "build/pkgs"])
def test_file_of_the_future_does_not_keep_make_busy_for_ever(
    distribution: Distribution, file: str
) -> None:
    """As clocks that differ leave them: rules that are made now are older than it."""
    distribution.script("a")
    distribution.make("list")
    soon = time.time() + 3600
    os.utime(distribution.root / file, (soon, soon))
    for _ in range(2):
        ended = distribution.run("list", under=("timeout", "30"))
        assert (ended.returncode, ended.stdout) == (0, "a\n")
    distribution.script("b")
    os.utime(distribution.root / file, (soon, soon))
    assert distribution.run("list").stdout == "a\nb\n"


def test_environment_whose_python_does_not_run_is_the_target_all_the_same(
    distribution: Distribution,
) -> None:
    """Packages can be uninstalled from it, and one of them may be what mends it."""
    above = distribution.root / "local/var/lib/sage"
    plant(above, {"venv-python3.98/bin/python3": b"#!/bin/sh\nexit 1\n"})
    (above / "venv-python3.98/bin/python3").chmod(0o755)
    distribution.script("a", version_requirements_txt="a")
    (call, _) = distribution.make("a", SAGE_VENV="")
    assert call == "a-1.0 local/var/lib/sage/venv-python3.98"


def test_python_that_does_not_run_is_refused(distribution: Distribution) -> None:
    """It led to another tree: a-clean removed nothing there, and said nothing."""
    distribution.script("a", version_requirements_txt="a")
    for goal in ("a", "a-clean"):
        ended = distribution.run(goal, SAGE_VENV="", PYTHON="no-such-python")
        assert ended.returncode == 2
        assert "no-such-python does not run" in ended.stderr


def test_sage_local_may_be_the_environment_itself(distribution: Distribution) -> None:
    plant(distribution.local, {"bin/python3": b"", "pyvenv.cfg": b""})
    distribution.script("a", version_requirements_txt="a")
    assert distribution.make("a", SAGE_VENV="") == installed("a-1.0")


def test_newer_interpreter_rebuilds_nothing(distribution: Distribution) -> None:
    distribution.script("a", "$(PYTHON)", version_requirements_txt="a")
    distribution.make("a")
    ahead = time.time() + 100
    os.utime(distribution.venv / "bin/python3", (ahead, ahead))
    assert distribution.make("a") == []


def test_pip_package_is_asked_for_each_time_and_rebuilds_nothing(
    distribution: Distribution,
) -> None:
    distribution.add("p", None, requirements_txt="p>1", type="optional")
    distribution.script("a", "p")
    assert distribution.make("p") == ["p-none venv", "done p-none"]
    assert distribution.make("a") == ["p-none venv", "done p-none", *installed("a-1.0")]
    assert distribution.make("a") == ["p-none venv", "done p-none"]
    assert distribution.make("p-clean") == ["uninstall p venv"]


def test_package_of_no_kind_stands_for_what_it_needs(distribution: Distribution) -> None:
    distribution.add("virtual", None, dependencies="b")
    distribution.script("a", "virtual")
    distribution.script("b")
    assert distribution.make("virtual-no-deps") == []
    assert distribution.make("a") == installed("b-1.0", "a-1.0")
    assert distribution.make() == []


def test_package_that_is_of_no_kind_any_more_can_still_be_removed(
    distribution: Distribution,
) -> None:
    distribution.script("a")
    distribution.make()
    (distribution.packages / "a/spkg-install.in").unlink()
    assert distribution.make("a-clean") == ["uninstall a local"]
    assert distribution.stamps() == set()


def test_dependencies_may_hold_variables_files_and_functions(distribution: Distribution) -> None:
    text = "$(BLAS) $(SAGE_ROOT)/VERSION FORCED/../VERSION | $(if $(X),$(X) c, b)"
    distribution.script("a", text)
    for name in "bcd":
        distribution.script(name)
    version = plant(distribution.root, {"VERSION": b"", "FORCED/x": b""}) / "VERSION"
    assert distribution.make("a", "BLAS=d") == installed("d-1.0", "b-1.0", "a-1.0")
    ahead = time.time() + 100
    os.utime(version, (ahead, ahead))
    assert distribution.make("a", "BLAS=d", "X=b") == installed("c-1.0", "a-1.0")


# ----------------------------------------------------------------------------------- faults


@pytest.mark.parametrize("chosen", ["gmp", "mpir"])
def test_library_of_several_is_the_one_that_make_is_told(
    distribution: Distribution, chosen: str
) -> None:
    distribution.script("gmp")
    distribution.script("mpir")
    distribution.script("a", "$(MP_LIBRARY) $(BLAS)")
    distribution.script("b", "$(and $(MP_LIBRARY), a) $(and $(BLAS), no-such-package)")
    given = [] if chosen == "gmp" else ["MP_LIBRARY=mpir"]
    assert distribution.make("b", *given) == installed(f"{chosen}-1.0", "a-1.0", "b-1.0")


def test_unknown_dependency_is_a_warning_and_fails_what_needs_it(
    distribution: Distribution,
) -> None:
    distribution.script("a", "missing")
    distribution.script("b")
    ended = distribution.run("b")
    warning = "Warning: cannot handle package a: its dependencies name 'missing', which is no"
    assert ended.returncode == 0
    assert warning in ended.stderr
    ended = distribution.run("a")
    assert ended.returncode == 2
    assert "No rule to make target 'missing'" in ended.stderr


def test_broken_package_directory_fails_only_what_needs_it(distribution: Distribution) -> None:
    distribution.script("a", "broken")
    distribution.script("b")
    distribution.add("broken", type="it's $(wrong) #1")
    assert distribution.make("b", "broken-clean")[:2] == installed("b-1.0")
    ended = distribution.run("a")
    assert ended.returncode == 2
    assert "cannot handle package broken: its type \"it's $(wrong)" in ended.stderr


@pytest.mark.parametrize("name", ["a copy", "a (copy)", "old b", "50%", "a:b", "a-old", "a#"])
def test_directory_with_a_name_for_no_package_is_a_warning_and_no_more(
    distribution: Distribution, name: str
) -> None:
    """As `cp -r six 'six copy'` makes it."""
    distribution.script("a")
    distribution.script("b", "a")
    distribution.script(name)
    ended = distribution.run("b")
    assert ended.returncode == 0
    assert f"Warning: cannot handle package {name}: a package's name is of" in ended.stderr
    assert distribution.run("b").stderr == ""
    assert distribution.run("list").stdout.split() == ["a", "b"]
    distribution.add("a", "2.0", spkg_install_in=":")
    assert distribution.make("b") == installed("a-2.0", "b-1.0")


def test_package_without_directory_can_still_be_removed(distribution: Distribution) -> None:
    distribution.script("a")
    distribution.script("gone")
    distribution.make()
    shutil.rmtree(distribution.packages / "gone")
    assert distribution.make("gone-clean") == ["uninstall gone local", "uninstall gone venv"]
    assert distribution.stamps() == {"a-1.0"}


def test_failing_package_stops_what_needs_it_and_with_k_nothing_else(
    distribution: Distribution,
) -> None:
    distribution.script("a")
    distribution.script("above", "a")
    distribution.script("z")
    assert distribution.make(status=2, FAIL="a-1.0") == ["a-1.0 local"]
    done = distribution.make("-k", "-j4", status=2, FAIL="a-1.0")
    assert sorted(done) == ["a-1.0 local", "done z-1.0", "z-1.0 local"]


def test_paths_with_blanks_are_refused(distribution: Distribution) -> None:
    ended = distribution.run(SAGE_LOCAL="/a b")
    assert ended.returncode == 2
    assert "make cannot handle paths with blanks" in ended.stderr


# ------------------------------------------------------------------------------ make's ways


def test_jobs_run_at_once_after_what_they_need(distribution: Distribution) -> None:
    distribution.script("base")
    for number in range(4):
        distribution.script(f"a{number}", "base")
    assert distribution.make("base") == installed("base-1.0")
    record = distribution.make("-j4", TRIES="100")  # each waits until four have begun
    assert sorted(record[:4]) == [f"a{number}-1.0 local" for number in range(4)]


def test_job_slots_are_handed_on(distribution: Distribution) -> None:
    meet = "@touch $@.begun; for i in `seq 100`; do [ -e a.begun -a -e b.begun ] && exit;"
    makefile = f"all: a b\na b: ; {meet} sleep 0.1; done; exit 1\n"
    plant(distribution.root, {"Makefile": makefile.encode()})
    program = distribution.root / "build/bin/sage-spkg"
    program.write_text('#!/bin/sh\nexec make -C "$SAGE_ROOT" --no-print-directory\n')
    distribution.script("x")
    ended = distribution.run("-j3", "x-no-deps")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_scripts_are_told_which_make_runs(distribution: Distribution) -> None:
    """Make 4.3, or 3.81, does not know the jobserver of a gmake that is 4.4."""
    gmake = distribution.root / "gmake"
    gmake.symlink_to(shutil.which("make") or "make")
    script = distribution.root / "build/bin/sage-spkg"
    script.write_text('#!/bin/sh\necho "make is $MAKE"\n')
    distribution.script("a")
    assert f"make is {gmake}\n" in distribution.run("a", program=str(gmake)).stdout


@pytest.mark.parametrize(("option", "status"), [("-n", 0), ("-q", 1)])
def test_asking_starts_nothing(distribution: Distribution, option: str, status: int) -> None:
    distribution.script("a", "b")
    distribution.script("b")
    for goals in (["a"], ["a-no-deps"], ["a-clean"], ["a-clean", "a"], ["a-check"]):
        assert distribution.make(option, *goals, status=status) == []
    distribution.make("a")
    assert distribution.make(option, "a") == []
    assert distribution.stamps() == {"a-1.0", "b-1.0"}


def test_dry_run_tells_the_commands(distribution: Distribution) -> None:
    distribution.script("a")
    root = distribution.root
    told = distribution.run("-n", "a", "SAGE_SPKG=sage-spkg -s").stdout
    assert f"sage-logger' -p 'sage-spkg -s a-1.0 {root}/local' '{root}/logs/pkgs/a-1.0.log'" in told


def test_touch_makes_what_is_installed_current_and_installs_nothing(
    distribution: Distribution,
) -> None:
    distribution.script("base")
    distribution.script("linked", "base")
    distribution.script("absent", "base")
    distribution.make("linked")
    distribution.make("base-no-deps")
    assert distribution.make("-t") == []
    assert distribution.stamps() == {"base-1.0", "linked-1.0"}
    assert distribution.make("linked") == []
    assert distribution.make() == installed("absent-1.0")


@pytest.mark.parametrize("jobs", ["-j1", "-j8"])
def test_goals_that_contradict_each_other_are_done_in_their_turn(
    distribution: Distribution, jobs: str
) -> None:
    distribution.script("a")
    distribution.script("b")
    distribution.make()
    again = ["uninstall a local", *installed("a-1.0")]
    assert distribution.make(jobs, "a-clean", "a") == again
    assert distribution.make(jobs, "a-no-deps", "a", "a-clean", "a") == [
        *installed("a-1.0"),
        *again,
    ]
    assert distribution.make(jobs, "b", "a", "a-clean") == ["uninstall a local"]
    assert distribution.make(jobs, "a-clean", "b", "a", status=2, FAIL="a-1.0")[:2] == [
        "uninstall a local",
        "a-1.0 local",
    ]


def test_name_of_a_package_says_nothing_of_what_is_done_with_it(distribution: Distribution) -> None:
    distribution.script("remove_a")
    distribution.make()
    again = ["uninstall remove_a local", *installed("remove_a-1.0")]
    assert distribution.make("-j8", "remove_a-clean", "remove_a") == again


def test_goal_may_stand_twice(distribution: Distribution) -> None:
    distribution.script("a")
    distribution.make("a")
    assert distribution.make("a-clean", "a-clean", "a", "a") == [
        "uninstall a local",
        *installed("a-1.0"),
    ]
    assert distribution.run("a", "a-clean", "a").stderr == ""


# ----------------------------------------------------------------------------- remaking it


def test_rules_are_remade_when_package_directories_change(distribution: Distribution) -> None:
    distribution.script("a")
    distribution.make("a")
    distribution.script("b")
    (distribution.packages / "a/dependencies").write_text("| b\n")
    assert distribution.make("a") == installed("b-1.0")
    (distribution.packages / "a/dependencies_build").write_text("c\n")
    distribution.script("c")
    assert distribution.make("a") == installed("c-1.0")
    shutil.rmtree(distribution.packages / "c")
    assert distribution.run("c").returncode == 2


def test_rules_are_not_remade_for_nothing(distribution: Distribution) -> None:
    distribution.script("a")
    distribution.make("a")
    rules = distribution.root / "build/make/packages.mk"
    before = rules.stat()
    distribution.make("a")
    distribution.make("a-clean")
    assert rules.stat() == before


@pytest.mark.needs("strace")
def test_nothing_to_do_starts_no_process_and_looks_at_few_files_for_each_package(
    distribution: Distribution,
) -> None:
    processes, looks = [], []
    for first, end in ((0, 50), (50, 100)):
        for number in range(first, end):
            needs = " ".join(f"p{n}" for n in range(max(0, number - 12), number, 2))
            distribution.script(f"p{number}", f"{needs} | $(PYTHON)")
        plant(distribution.local, {f"{STAMPS}/p{n}-1.0": b"" for n in range(first, end)})
        assert distribution.make("-t") == []
        calls = distribution.calls()
        processes.append(sum("execve(" in call for call in calls))
        looks.append(len(calls))
    assert processes[0] == processes[1]
    assert looks[1] - looks[0] < 50 * 20


def test_rules_do_not_depend_on_where_the_trees_are(distribution: Distribution) -> None:
    distribution.script("a", "b c;rm: |", version_requirements_txt="a")
    distribution.script("b")
    made = make_rules(distribution.packages)
    assert str(distribution.root) not in made.text
    assert "inst_a := $(SAGE_VENV)/var/lib/sage/installed/a-1.0\n" in made.text
    assert "c;rm" not in made.text
    assert made.warnings == (
        "cannot handle package a: its dependencies name 'c;rm:', which is no package",
    )


# ------------------------------------------------------------------- with the real commands


@pytest.fixture
def real(distribution: Distribution) -> Distribution:
    """A distribution whose programs are the real ones."""
    shutil.rmtree(distribution.root / "build/bin")
    shutil.rmtree(distribution.venv)
    shutil.copytree(ROOT / "build/bin", distribution.root / "build/bin", symlinks=True)
    return distribution


@pytest.mark.slow
def test_packages_are_installed_and_removed_with_the_job_slots_of_make(real: Distribution) -> None:
    makefile = "all: a b\\na b: ; @sleep 0.5; echo $@ is made\\n"
    for name in ("linked", "base"):
        script = f"printf '{makefile}' >Makefile && sdh_make && echo 1 >{name} &&"
        script += f' sdh_install {name} "$SAGE_INST_LOCAL/share/x"'
        real.add(name, spkg_install_in=script, dependencies="base" if name == "linked" else "")
    ended = real.run("-j3", "linked")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "jobserver" not in ended.stdout
    made = re.findall(r"^\[(.*)\] (?:a|b) is made$", ended.stdout, re.MULTILINE)
    assert made == ["base-1.0", "base-1.0", "linked-1.0", "linked-1.0"]
    assert sorted(path.name for path in real.local.glob("share/x/*")) == ["base", "linked"]
    log = (real.root / "logs/pkgs/linked-1.0.log").read_text()
    assert "[linked-1.0] a is made\n" in log
    assert real.run("base-clean", "linked-clean").returncode == 0
    assert not (real.local / "share").exists()
    assert real.run("linked-clean").stdout == ""


def test_dry_run_of_the_real_commands_writes_nothing(real: Distribution) -> None:
    real.script("a")
    for option, status in (("-n", 0), ("-q", 1), ("-t", 0)):
        assert real.run(option, "a", "a-clean").returncode == status
        assert real.run(option, "a").returncode == status
    assert not real.local.exists()
    assert not (real.root / "logs").exists()


@pytest.mark.needs("make")
def test_record_of_what_is_installed_stays_though_a_later_script_fails(real: Distribution) -> None:
    real.add("a", spkg_install_in=":", **{"spkg-postinst.in": "exit 1"})
    ended = real.run("a")
    assert ended.returncode == 2
    assert "it is installed" in ended.stdout
    assert "a-1.0" in real.stamps()


@pytest.mark.needs("make")
def test_what_runs_once_a_package_is_installed_is_run_until_it_succeeds(real: Distribution) -> None:
    flag = real.root / "flag"
    real.add("a", spkg_install_in=":", **{"spkg-postinst.in": f"[ -e '{flag}' ]"})
    assert real.run("a").returncode == 2
    assert real.run("-q", "a").returncode == 1
    assert real.run("a-ensure").returncode == 2
    flag.touch()
    assert "installed a-1.0" in real.run("a-ensure").stdout
    assert real.run("-q", "a").returncode == 0


@pytest.mark.needs("make")
def test_build_directories_may_lie_in_a_path_with_blanks(real: Distribution) -> None:
    """Of which a part may be there, too."""
    area, flag = real.root / "to build", real.root / "flag"
    (real.root / "to").mkdir()
    real.add("a", spkg_install_in=":", **{"spkg-postinst.in": f"[ -e '{flag}' ]"})
    assert real.run("a", SAGE_BUILD_DIR=str(area)).returncode == 2
    assert real.run("-q", "a", SAGE_BUILD_DIR=str(area)).returncode == 1
    flag.touch()
    assert real.run("a", SAGE_BUILD_DIR=str(area)).returncode == 0
    assert real.run("-q", "a", SAGE_BUILD_DIR=str(area)).returncode == 0


@pytest.mark.needs("make")
def test_what_is_unfinished_stays_so_when_it_is_built_again_or_erased(real: Distribution) -> None:
    broken = real.root / "broken"
    real.add("a", spkg_install_in=f"[ ! -e '{broken}' ]", **{"spkg-postinst.in": "exit 1"})
    assert real.run("a").returncode == 2
    broken.touch()
    assert real.run("a").returncode == 2
    assert real.run("-q", "a").returncode == 1
    variables = {"SAGE_ROOT": str(real.root), "SAGE_PKGINSTALL_PYTHON": sys.executable}
    erase = [f"{real.root}/build/bin/sage-spkg", "--erase-build-directory-only", "a"]
    subprocess.run(erase, check=True, env={**os.environ, **variables})
    assert real.run("-q", "a").returncode == 1


def wheel_packages(distribution: Distribution, names: str) -> None:
    for name in names.split():
        distribution.add(name, spkg_install_in=":", version_requirements_txt=name)


def test_wheels_are_built_after_what_they_need_and_not_installed(
    distribution: Distribution,
) -> None:
    distribution.script("library")
    wheel_packages(distribution, "a b")
    plant(distribution.packages / "b", {"dependencies": b"library | a\n"})
    record = distribution.make("b-wheel")
    assert sorted(record[:-2]) == [
        "a-1.0 venv", "done a-1.0", "done library-1.0", "library-1.0 local",
    ]  # fmt: skip
    assert record[-2:] == [
        "--build-and-stage-only b-1.0 venv", "--erase-build-directory-only b-1.0 venv",
    ]  # fmt: skip
    assert distribution.stamps() == {"a-1.0", "library-1.0"}


def test_slices_are_all_packages_and_none_twice(distribution: Distribution) -> None:
    names = "a b c d e f g"
    wheel_packages(distribution, names)
    distribution.script("library")
    built = []
    for number in (1, 2, 3):
        record = distribution.make("-n", "wheels", f"SHARD={number}/3")
        said = distribution.run("-n", "wheels", f"SHARD={number}/3").stdout
        built += re.findall(r"build-and-stage-only (\w+)-", said)
        assert record == []
    assert sorted(built) == names.split()
    whole = distribution.run("-n", "wheels").stdout
    assert sorted(re.findall(r"build-and-stage-only (\w+)-", whole)) == names.split()


@pytest.mark.parametrize("shard", ["0/3", "4/3", "1", "a/b", "1/0"])
def test_slice_that_cannot_be_is_refused(distribution: Distribution, shard: str) -> None:
    wheel_packages(distribution, "a")
    ended = distribution.run("wheels", f"SHARD={shard}")
    assert ended.returncode == 2
    assert f"cannot build wheels of SHARD={shard}" in ended.stderr
