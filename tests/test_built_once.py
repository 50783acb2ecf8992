"""A wheel is built once: what is kept, and when it is taken.

What counts for that: test_build_inputs.py; wheels of packages: test_packages_wheel_once.py.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.builds.inputs import Inputs
from sage_pkginstall.builds.last_builds import Subject
from sage_pkginstall.builds.once import Once
from sage_pkginstall.builds.shelf import Shelf
from sage_pkginstall.builds.surroundings import Surroundings
from sage_pkginstall.environment import target_environment
from sage_pkginstall.operations.events import EventFile
from tests.once import Builds, make_quiet
from tests.sources import make_source, make_wheel, report_of
from tests.trees import plant

if TYPE_CHECKING:
    from tests.conftest import RunCli


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


def test_why_rebuilt_tells_of_builds_that_looked_into_no_cache(
    tmp_path: Path, builds: Builds
) -> None:
    source = make_source(tmp_path / "src")
    builds(source)
    (source / "out").symlink_to(tmp_path)
    for _ in range(4):
        builds(source)
    verdict, *changes = builds.why("src")
    assert "without looking into the cache: out leads out of it" in verdict
    assert changes == []
    (source / "out").unlink()
    plant(source, {"new.py": b""})
    builds(source)
    assert [line for line in builds.why("src") if "source: " in line] != []
    assert len(builds.why("src")) == 2
    plant(make_source(source, requires=["lacking"]), {})
    builds(source)
    assert "without looking into the cache: cannot " in builds.why("src")[0]


def test_why_rebuilt_tells_sources_of_one_name_apart_by_their_paths(
    tmp_path: Path, builds: Builds
) -> None:
    once, twice = (make_source(tmp_path / name / "src") for name in ("a", "b"))
    builds(once)
    builds(twice)
    builds(twice)
    assert "no build before that is known" in builds.why(str(once))[0]
    assert "was taken from the cache" in builds.why(os.path.relpath(twice))[0]


def test_why_rebuilt_prints_no_control_characters(tmp_path: Path, builds: Builds) -> None:
    source = make_source(tmp_path / "src")
    builds(source)
    builds(source, X="\x1b[31mred\nline")
    assert builds.why("src")[1:] == ["variables: X: new (\\x1b[31mred\\nline)"]


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


LEAVES = """
Path("build/lib").mkdir(parents=True, exist_ok=True)
Path("src/tiny.egg-info").mkdir(exist_ok=True)
Path("src/tiny.egg-info/SOURCES.txt").write_text("setup.py")
Path("tiny.egg-info").mkdir(exist_ok=True)
Path("tiny.egg-info/PKG-INFO").write_text("Name: tiny")
left = Path("build/lib/left.txt")
left.write_text((left.read_text() if left.exists() else "") + Path("module.py").read_text())
name = SPECIFICATION["name"]
"""


def test_what_changes_with_each_build_is_no_source_where_it_lies_in_it(
    tmp_path: Path, builds: Builds
) -> None:
    """A checkout often has its environment in it, and its cache where a service builds it."""
    source = make_source(tmp_path / "src")
    make_quiet(source)
    builds.venv = builds.venv.rename(source / ".venv")
    (source / "tmp").mkdir()
    inside = {"SAGE_PKGINSTALL_CACHE": f"{source}/.cache", "TMPDIR": f"{source}/tmp"}
    assert not builds(source, **inside)[1]
    plant(builds.venv, {"lib/new.py": b""})
    assert builds(source, **inside)[1]


def test_what_a_build_left_in_its_source_is_no_new_source(tmp_path: Path, builds: Builds) -> None:
    source = plant(
        make_source(tmp_path / "src", code=LEAVES), {"src/a.py": b"", "module.py": b"x = 1\n"}
    )
    builds(source)
    assert (source / "build" / "lib" / "left.txt").exists()
    run = tmp_path / "run.jsonl"
    assert builds(source, SAGE_PKGINSTALL_EVENTS=str(run), SAGE_PKGINSTALL_JOB="1")[1]
    told = [event.facts for event in EventFile(run).new_events() if event.name == "wheel"]
    assert told == [{"taken": True}]


def test_what_a_build_left_is_no_reason_to_build_again(tmp_path: Path, builds: Builds) -> None:
    source = plant(make_source(tmp_path / "src", code=LEAVES), {"src/a.py": b"", "module.py": b"1"})
    builds(source)
    assert not builds(source, X="1")[1]
    assert builds.why("src")[1:] == ["variables: X: new (1)"]
    (source / "tiny.egg-info" / "PKG-INFO").write_text("Name: other")
    assert not builds(source, X="2")[1]
    told = [line[:34] for line in builds.why("src")]
    assert "source: tiny.egg-info/PKG-INFO: ne" in told


def test_what_a_build_left_is_known_by_any_name_of_the_source(
    tmp_path: Path, builds: Builds
) -> None:
    """A package may build a source that stays, and call it by a link."""
    source = plant(
        make_source(tmp_path / "real", code=LEAVES), {"src/a.py": b"", "module.py": b"x = 1\n"}
    )
    (tmp_path / "src").symlink_to(source)
    plant(tmp_path, {"build/pkgs/tiny/type": b"standard\n"})
    tree = str(builds.venv)
    env = {"SAGE_ROOT": str(tmp_path), "SAGE_LOCAL": tree, "SAGE_VENV": tree, "PKG_BASE": "tiny"}
    builds(tmp_path / "src", **env)
    assert builds(tmp_path / "src", **env)[1]


def test_what_a_build_left_counts_if_the_source_or_it_has_changed(
    tmp_path: Path, builds: Builds
) -> None:
    source = plant(
        make_source(tmp_path / "src", code=LEAVES), {"src/a.py": b"", "module.py": b"x = 1\n"}
    )
    builds(source)
    (source / "module.py").write_text("x = 2\n")
    assert not builds(source)[1]  # what is in build/ went into this wheel
    fresh = plant(
        make_source(tmp_path / "fresh", code=LEAVES), {"src/a.py": b"", "module.py": b"x = 2\n"}
    )
    assert not builds(fresh)[1]
    (fresh / "tiny.egg-info" / "PKG-INFO").write_text("Name: other")
    assert not builds(fresh)[1]


def test_source_that_changes_while_it_is_built_is_not_kept(tmp_path: Path, builds: Builds) -> None:
    source = make_source(tmp_path / "src", code='Path("extra.py").write_text("x = 2")')
    plant(source, {"extra.py": b"x = 1"})
    assert not builds(source)[1]
    assert "is not kept: extra.py changed while it was built" in builds.said
    plant(source, {"extra.py": b"x = 1"})
    assert not builds(source)[1]


def test_what_others_remove_meanwhile_fails_no_build(tmp_path: Path, venv: Path) -> None:
    def removed() -> Surroundings:
        raise FileNotFoundError(2, "it was removed", str(tmp_path))

    around = Surroundings(Subject("tiny", "here"))
    once = Once(Shelf(tmp_path, None, print), around, {}, surroundings_now=removed)
    assert "it was removed" in once.changed_meanwhile(Inputs({}), target_environment(venv))
