"""A wheel is built once: what finds it again, and what must not.

Those of packages: test_packages_wheel_once.py.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.builds.once import identity_of_wheel
from sage_pkginstall.builds.shelf import Shelf
from sage_pkginstall.builds.source_files import UnknownInputError
from sage_pkginstall.operations.events import EventFile
from tests.once import TAKEN, learn_tools, make_quiet
from tests.sources import make_source, make_wheel, report_of
from tests.trees import plant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conftest import RunCli


class Builds:
    """Builds of a source by the command line, with a cache of their own."""

    def __init__(self, root: Path, venv: Path, run: RunCli) -> None:
        self.root = root
        self.venv = venv
        self.run = run
        self.cache = root / "cache"
        self.store = root / "store"
        self.env = {"SAGE_PKGINSTALL_CACHE": str(self.cache)}
        self.store.mkdir()
        learn_tools(self.cache)

    def __call__(self, source: Path, *options: str, **env: str) -> tuple[Path, bool]:
        """Build; return the wheel, and whether it was taken."""
        dist = self.root / "dist"
        words = ("--store", self.store, "--wheel-dir", dist, "--log", self.root / "log")
        target = ("--prefix", self.venv)
        ended = self.run("build", *target, *words, *options, source, env={**self.env, **env})
        self.said = ended.stderr
        return Path(ended.stdout.strip()), TAKEN in ended.stderr

    def why(self, name: str) -> list[str]:
        ended = self.run("why-rebuilt", "--all", name, env=self.env)
        return [line.strip() for line in ended.stdout.splitlines()]


@pytest.fixture
def builds(tmp_path: Path, venv: Path, run_cli: RunCli) -> Builds:
    return Builds(tmp_path, venv, run_cli)


def test_second_build_takes_the_wheel_of_the_first(tmp_path: Path, builds: Builds) -> None:
    source = make_source(tmp_path / "src")
    first, was_taken = builds(source)
    assert not was_taken
    content = first.read_bytes()
    second, was_taken = builds(source)
    assert was_taken
    assert second.read_bytes() == content
    assert "the backend speaks" not in builds.said


def test_same_source_elsewhere_takes_it(tmp_path: Path, builds: Builds) -> None:
    first, second = make_source(tmp_path / "src"), make_source(tmp_path / "other" / "place")
    make_quiet(first)
    make_quiet(second)
    builds(first)
    assert builds(second)[1]


def test_sdist_of_the_same_source_takes_it(tmp_path: Path, builds: Builds) -> None:
    source = make_source(tmp_path / "tiny-1.0")
    make_quiet(source)
    builds(source)
    subprocess.run(["tar", "-czf", "tiny-1.0.tar.gz", source.name], cwd=tmp_path, check=True)
    assert builds(tmp_path / "tiny-1.0.tar.gz")[1]


def test_other_prefix_takes_it(tmp_path: Path, builds: Builds) -> None:
    source = make_source(tmp_path / "src", code="report_of = 1")
    make_quiet(source)
    builds(source)
    other = tmp_path / "other"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", other], check=True)
    builds.venv = other
    assert builds(source)[1]


def test_wheel_that_names_the_prefix_stays_in_it(tmp_path: Path, builds: Builds) -> None:
    source = make_source(tmp_path / "src")
    make_quiet(source)
    backend = source / "backend.py"
    backend.write_text(backend.read_text().replace('"kind": kind', f'"kind": {str(builds.venv)!r}'))
    builds(source)
    assert builds(source)[1]
    other = tmp_path / "other"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", other], check=True)
    builds.venv = other
    assert not builds(source)[1]


def change_source(source: Path) -> Mapping[str, str]:
    plant(source, {"new.py": b""})
    return {}


def remove_file(source: Path) -> Mapping[str, str]:
    (source / "extra.py").unlink()
    return {}


def make_executable(source: Path) -> Mapping[str, str]:
    (source / "extra.py").chmod(0o755)
    return {}


def add_directory(source: Path) -> Mapping[str, str]:
    (source / "empty").mkdir()
    return {}


def set_variable(_: Path) -> Mapping[str, str]:
    return {"CFLAGS": "-O0"}


def set_unknown_variable(_: Path) -> Mapping[str, str]:
    return {"WHATEVER_A_SETUP_LOOKS_AT": "1"}


def other_compiler(source: Path) -> Mapping[str, str]:
    compiler = plant(source.parent / "bin", {"cc": b"#!/bin/sh\necho mine 2.0\n"}) / "cc"
    compiler.chmod(0o755)
    return {"PATH": f"{compiler.parent}:{os.environ['PATH']}"}


def name_compiler(source: Path) -> Mapping[str, str]:
    compiler = plant(source.parent / "bin", {"my cc": b"", "mycc": b"#!/bin/sh\n"}) / "mycc"
    compiler.chmod(0o755)
    return {"CC": str(compiler)}


def name_toolchain(_: Path) -> Mapping[str, str]:
    return {"SAGE_PKGINSTALL_TOOLCHAIN": "farm-1"}


def other_front_end(_: Path) -> Mapping[str, str]:
    return {"SAGE_BUILD_FRONTEND": "pip"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (change_source, "source: new.py: new"),
        (remove_file, "source: extra.py: gone"),
        (make_executable, "source: extra.py: - "),
        (add_directory, "source: empty/: new (directory)"),
        (set_variable, "variables: CFLAGS: new (-O0)"),
        (set_unknown_variable, "variables: WHATEVER_A_SETUP_LOOKS_AT: new (1)"),
        (other_compiler, "compilers: cc: "),
        (name_compiler, "compilers: CC: mycc: new"),
        (name_toolchain, "toolchain: name: new (farm-1)"),
        (other_front_end, "build: front end: '' → pip"),
    ],
)
def test_what_changes_the_wheel_builds_it_again_and_is_named(
    tmp_path: Path, builds: Builds, change: object, told: str
) -> None:
    source = plant(make_source(tmp_path / "src"), {"extra.py": b"x = 1\n"})
    builds(source)
    assert callable(change)
    assert not builds(source, **change(source))[1]
    assert [line for line in builds.why("src") if line.startswith(told)] != []


def test_config_settings_and_isolation_count(tmp_path: Path, builds: Builds) -> None:
    source = make_source(tmp_path / "src")
    builds(source)
    for options in (("-Ca=1",), ("-Ca=2",), ("-Ca=1", "-Cb=2"), ("--no-build-isolation",)):
        assert not builds(source, *options)[1], options
        assert builds(source, *options)[1], options


def test_compiler_that_changes_at_its_path_builds_it_again(tmp_path: Path, builds: Builds) -> None:
    source = make_source(tmp_path / "src")
    env = other_compiler(source)
    builds(source, **env)
    assert builds(source, **env)[1]
    (tmp_path / "bin" / "cc").write_text("#!/bin/sh\necho mine 2.1\n")
    assert not builds(source, **env)[1]


def test_build_requirement_of_other_content_builds_it_again(tmp_path: Path, builds: Builds) -> None:
    make_wheel(builds.store, "needed-1.0-py3-none-any.whl", {"needed.py": "x = 1\n"})
    make_wheel(builds.store, "asked-1.0-py3-none-any.whl", {"asked.py": "x = 1\n"})
    source = make_source(tmp_path / "src", requires=["needed"], more=["asked"])
    builds(source)
    assert builds(source)[1]
    assert "hook" not in builds.said
    for name in ("needed", "asked"):
        make_wheel(builds.store, f"{name}-1.0-py3-none-any.whl", {f"{name}.py": "x = 2\n"})
        assert not builds(source)[1], name
        assert f"requirements: {name}-1.0-py3-none-any.whl: " in "".join(builds.why("src"))


def test_build_requirement_packed_again_does_not_count(tmp_path: Path, builds: Builds) -> None:
    wheel = make_wheel(builds.store, "needed-1.0-py3-none-any.whl")
    source = make_source(tmp_path / "src", requires=["needed"])
    builds(source)
    before = wheel.read_bytes()
    with zipfile.ZipFile(wheel) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_STORED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    assert wheel.read_bytes() != before
    assert builds(source)[1]


def test_build_without_isolation_depends_on_what_the_target_holds(
    tmp_path: Path, builds: Builds, run_cli: RunCli
) -> None:
    source = make_source(tmp_path / "src")
    wheel = make_wheel(tmp_path, "other-1.0-py3-none-any.whl")
    builds(source, "--no-build-isolation")
    run_cli("install", "--prefix", builds.venv, wheel)
    assert not builds(source, "--no-build-isolation")[1]
    assert builds(source, "--no-build-isolation")[1]


def test_nothing_is_kept_of_a_build_that_lacks_a_requirement(
    tmp_path: Path, builds: Builds
) -> None:
    source = make_source(tmp_path / "src", requires=["not-there"])
    builds(source)
    assert not builds(source)[1]


def test_editable_builds_are_not_kept(tmp_path: Path, builds: Builds) -> None:
    source = make_source(tmp_path / "src")
    builds(source, "--editable")
    assert not builds(source, "--editable")[1]
    assert not builds(source)[1]


def test_source_that_leads_out_of_itself_is_built_each_time(tmp_path: Path, builds: Builds) -> None:
    source = make_source(tmp_path / "src")
    (source / "out").symlink_to(tmp_path)
    builds(source)
    assert not builds(source)[1]
    assert "Built without looking into the cache: out leads out of it" in builds.said


def test_wheel_without_a_record_has_no_identity(tmp_path: Path) -> None:
    (tmp_path / "damaged.whl").write_bytes(b"PK")
    (tmp_path / "link.whl").symlink_to("gone.whl")
    for name in ("damaged.whl", "link.whl", "none.whl"):
        with pytest.raises(UnknownInputError, match="it has no RECORD that could be read"):
            identity_of_wheel(tmp_path / name)


def test_rebuild_takes_nothing_and_replaces_what_is_kept(tmp_path: Path, builds: Builds) -> None:
    source = make_source(tmp_path / "src")
    builds(source)
    assert not builds(source, "--rebuild")[1]
    assert not builds(source, SAGE_REBUILD="yes")[1]
    assert builds(source)[1]
    builds(source, "--rebuild")
    assert "because that was asked for: --rebuild" in builds.why("src")[0]


def test_why_rebuilt_tells_of_first_and_taken_builds(tmp_path: Path, builds: Builds) -> None:
    source = make_source(tmp_path / "src")
    ended = builds.run("why-rebuilt", "src", env=builds.env, status=2)
    assert "knows of no build of it" in ended.stderr
    builds(source)
    assert "no build before that is known" in builds.why("src")[0]
    builds(source)
    assert "was taken from the cache" in builds.why("src")[0]
    shutil.rmtree(builds.cache / "built")
    builds(source)
    assert "its entry in the cache was pruned" in builds.why("src")[0]


def test_why_rebuilt_tells_sources_of_one_name_apart_by_their_paths(
    tmp_path: Path, builds: Builds
) -> None:
    once, twice = (make_source(tmp_path / name / "src") for name in ("a", "b"))
    builds(once)
    builds(twice)
    builds(twice)
    assert "no build before that is known" in builds.why(str(once))[0]
    assert "was taken from the cache" in builds.why(os.path.relpath(twice))[0]


@pytest.mark.parametrize("damage", ["wheel", "about", "half"])
def test_damaged_entry_is_reported_and_built_anew(
    tmp_path: Path, builds: Builds, damage: str
) -> None:
    source = make_source(tmp_path / "src")
    good = builds(source)[0].name
    (entry,) = (builds.cache / "built").iterdir()
    if damage == "wheel":
        (entry / good).chmod(0o644)
        (entry / good).write_bytes((entry / good).read_bytes()[:-1] + b"x")
    elif damage == "about":
        (entry / "about.json").write_text('{"wheel": "../../tiny.whl"}')
    else:
        (entry / good).unlink()
    wheel, was_taken = builds(source)
    assert not was_taken
    assert f"{entry} is damaged" in builds.said
    assert report_of(wheel)["kind"] == "wheel"
    assert builds(source)[1]


def test_builds_of_the_same_at_once_build_it_once(tmp_path: Path, builds: Builds) -> None:
    code = f"open({str(tmp_path / 'count')!r}, 'a').write('x'); __import__('time').sleep(1)"
    source = make_source(tmp_path / "src", code=code)
    command = [
        sys.executable, "-c", "from sage_pkginstall.cli.main import main; raise SystemExit(main())",
        "build", "--prefix", builds.venv, "--store", builds.store, "--wheel-dir",
    ]  # fmt: skip
    root = Path(__file__).parent.parent
    env = {**os.environ, **builds.env, "PYTHONPATH": str(root)}
    running = [
        subprocess.Popen(
            [*map(str, command), str(tmp_path / str(n)), str(source)],
            env=env,
            stderr=subprocess.PIPE,
        )
        for n in range(3)
    ]
    said = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "x"
    assert sum(b"Waiting for another process" in text for text in said) == 2
    assert (
        len({(tmp_path / str(n) / "tiny-1.0-py3-none-any.whl").read_bytes() for n in range(3)}) == 1
    )


KEEPER = """
import sys
from pathlib import Path
from sage_pkginstall.builds.shelf import About, Shelf
from sage_pkginstall.builds.source_files import hash_file
cache, wheel = map(Path, sys.argv[1:])
about = About(wheel.name, hash_file(wheel), wheel.stat().st_size, "now", {})
Shelf(cache, None, print).keep("0" * 64, wheel, about)
"""


def test_killed_build_leaves_a_whole_entry_or_none(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "foo-1.0-py3-none-any.whl")
    root = Path(__file__).parent.parent
    found = set()
    for step in itertools.count(1):
        cache = tmp_path / str(step)
        env = {"PYTHONPATH": str(root), "SAGE_PKGINSTALL_FAIL": f"kill@{step}"}
        words = [sys.executable, "-c", KEEPER, str(cache), str(wheel)]
        ended = subprocess.run(words, env={**os.environ, **env}, check=False)
        said: list[str] = []
        taken = Shelf(cache, None, said.append).take("0" * 64, {}, tmp_path)
        assert said == []
        found.add((taken is not None, ended.returncode))
        if ended.returncode == 0:
            break
    assert found >= {(False, -signal.SIGKILL), (True, 0)}


def test_token_of_the_server_does_not_reach_the_build(tmp_path: Path, builds: Builds) -> None:
    secret = {"SAGE_PKGINSTALL_REMOTE_TOKEN": "x"}
    wheel, _ = builds(make_source(tmp_path / "src"), **secret)
    variables = report_of(wheel)["variables"]
    assert isinstance(variables, dict)
    assert "SAGE_PKGINSTALL_CACHE" in variables
    assert "SAGE_PKGINSTALL_REMOTE_TOKEN" not in variables


def test_cache_that_cannot_be_written_is_no_failure(tmp_path: Path, builds: Builds) -> None:
    shutil.rmtree(builds.cache)
    builds.cache.write_text("no directory")
    source = make_source(tmp_path / "src")
    assert not builds(source)[1]
    assert "is not kept in" in builds.said


def test_variables_that_change_with_each_run_can_be_left_out(
    tmp_path: Path, builds: Builds
) -> None:
    source = make_source(tmp_path / "src")
    builds(source, RUN_ID="1", SAGE_PKGINSTALL_IGNORE="RUN_* OTHER")
    assert builds(source, RUN_ID="2", SAGE_PKGINSTALL_IGNORE="RUN_* OTHER")[1]
    assert not builds(source, RUN_ID="2")[1]


def test_file_of_settings_counts_with_its_content(tmp_path: Path, builds: Builds) -> None:
    source = make_source(tmp_path / "src")
    settings = plant(tmp_path, {"extra.cfg": b"[build_ext]\ndefine=A\n"}) / "extra.cfg"
    builds(source, DIST_EXTRA_CONFIG=str(settings))
    _, was_taken = builds(source, DIST_EXTRA_CONFIG=str(settings))
    assert was_taken
    settings.write_text("[build_ext]\ndefine=B\n")
    _, was_taken = builds(source, DIST_EXTRA_CONFIG=str(settings))
    assert not was_taken
    assert builds.why("src")[1].startswith("variables: DIST_EXTRA_CONFIG: ")


def test_machines_of_one_toolchain_need_no_compiler(tmp_path: Path, builds: Builds) -> None:
    source = make_source(tmp_path / "src")
    make_quiet(source)
    builds(source, SAGE_PKGINSTALL_TOOLCHAIN="farm")
    bare = {"SAGE_PKGINSTALL_TOOLCHAIN": "farm", "PATH": str(tmp_path)}
    assert builds(source, **bare)[1]


def test_checkout_counts_with_its_commit_and_changes(tmp_path: Path, builds: Builds) -> None:
    source = make_source(tmp_path / "top" / "src")
    outside = tmp_path / "top" / "VERSION"
    outside.write_text("1")
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}

    def git(*words: str) -> None:
        identity = ["-c", "user.name=x", "-c", "user.email=x"]
        command = ["git", "-C", str(tmp_path / "top"), *identity, *words]
        subprocess.run(command, check=True, env=env, capture_output=True)

    git("init")
    git("add", ".")
    git("commit", "-m", "1")
    builds(source)
    assert builds(source)[1]
    outside.write_text("2")
    assert not builds(source)[1]
    git("commit", "-am", "2")
    assert not builds(source)[1]
    git("tag", "v2")
    assert not builds(source)[1]
    assert builds(source)[1]


LEAVES = """
Path("build/lib").mkdir(parents=True, exist_ok=True)
Path("tiny.egg-info").mkdir(exist_ok=True)
Path("tiny.egg-info/PKG-INFO").write_text("Name: tiny")
left = Path("build/lib/left.txt")
left.write_text((left.read_text() if left.exists() else "") + Path("module.py").read_text())
name = SPECIFICATION["name"]
"""


def test_what_a_build_left_in_its_source_is_no_new_source(tmp_path: Path, builds: Builds) -> None:
    source = plant(make_source(tmp_path / "src", code=LEAVES), {"module.py": b"x = 1\n"})
    builds(source)
    assert (source / "build" / "lib" / "left.txt").exists()
    run = tmp_path / "run.jsonl"
    assert builds(source, SAGE_PKGINSTALL_EVENTS=str(run), SAGE_PKGINSTALL_JOB="1")[1]
    told = [event.facts for event in EventFile(run).new_events() if event.name == "wheel"]
    assert told == [{"taken": True}]


def test_what_a_build_left_counts_if_the_source_or_it_has_changed(
    tmp_path: Path, builds: Builds
) -> None:
    source = plant(make_source(tmp_path / "src", code=LEAVES), {"module.py": b"x = 1\n"})
    builds(source)
    (source / "module.py").write_text("x = 2\n")
    assert not builds(source)[1]  # what is in build/ went into this wheel
    fresh = plant(make_source(tmp_path / "fresh", code=LEAVES), {"module.py": b"x = 2\n"})
    assert not builds(fresh)[1]
    (fresh / "tiny.egg-info" / "PKG-INFO").write_text("Name: other")
    assert not builds(fresh)[1]


# ------------------------------------------------------------------------------- packages


def make_venv(path: Path, *options: str) -> Path:
    command = [sys.executable, "-m", "venv", "--without-pip", *options]
    subprocess.run([*command, path], check=True)
    return path


@pytest.mark.parametrize("way", ["variable", "setting"])
def test_prefix_that_the_build_is_told_of_counts(tmp_path: Path, builds: Builds, way: str) -> None:
    """Its headers may be others: outside of Sage their content does not count."""
    source = make_source(tmp_path / "src", code="report_of = 1")
    make_quiet(source)

    def build() -> bool:
        flags = f"-I{builds.venv}/include"
        if way == "variable":
            return builds(source, CFLAGS=flags)[1]
        return builds(source, f"-Cflags={flags}")[1]

    assert not build()
    assert build()
    builds.venv = make_venv(tmp_path / "other")
    assert not build()


def test_program_of_an_activated_prefix_counts(tmp_path: Path, builds: Builds) -> None:
    source = make_source(tmp_path / "src")
    builds.venv = make_venv(tmp_path / "own")
    path = f"{builds.venv}/bin:{os.environ['PATH']}"
    builds(source, PATH=path)
    assert builds(source, PATH=path)[1]
    plant(builds.venv / "bin", {"protoc": b"#!/bin/sh\n"}).joinpath("protoc").chmod(0o755)
    assert not builds(source, PATH=path)[1]


def test_source_that_changes_while_it_is_built_is_not_kept(tmp_path: Path, builds: Builds) -> None:
    source = make_source(tmp_path / "src", code='Path("extra.py").write_text("x = 2")')
    plant(source, {"extra.py": b"x = 1"})
    assert not builds(source)[1]
    assert "is not kept: extra.py changed while it was built" in builds.said
    plant(source, {"extra.py": b"x = 1"})
    assert not builds(source)[1]


@pytest.mark.parametrize("way", ["editable", "path", "base"])
def test_what_lies_elsewhere_makes_a_build_without_isolation_unknown(
    tmp_path: Path, builds: Builds, way: str
) -> None:
    source = make_source(tmp_path / "src")
    builds.venv = make_venv(tmp_path / "own", *(["--system-site-packages"] * (way == "base")))
    site = next(builds.venv.glob("lib/python*/site-packages"))
    (tmp_path / "elsewhere").mkdir()
    if way == "editable":
        info = {
            "RECORD": b"",
            "direct_url.json": b'{"url": "file:///x", "dir_info": {"editable": true}}',
        }
        plant(site / "tools-1.0.dist-info", info)
    elif way == "path":
        plant(site, {"tools.pth": f"# a path\nimport sys\n{tmp_path}/elsewhere\n".encode()})
    for _ in range(2):
        assert not builds(source, "--no-build-isolation")[1]
        assert "without looking into the cache" in builds.said
    assert not builds(source)[1]  # isolated, it sees nothing of that
    assert builds(source)[1]
