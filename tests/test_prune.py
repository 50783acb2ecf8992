"""What goes from the cache, and what stays."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.builds.cache import held, unpacked_wheels
from sage_pkginstall.builds.prune import kinds, prune
from sage_pkginstall.environment import Environment, target_environment
from tests.conftest import ROOT
from tests.sources import make_source, make_wheel
from tests.trees import plant, tree

if TYPE_CHECKING:
    from tests.conftest import RunCli

AGO = time.time() - 10 * 86400


@pytest.fixture
def environment(venv: Path) -> Environment:
    return target_environment(venv)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def entry_of(name: str, root: Path, environment: Environment, cache: Path) -> Path:
    wheel = make_wheel(root, f"{name}-1.0-py3-none-any.whl")
    (entry,) = unpacked_wheels([wheel], environment, cache)
    os.utime(entry, (AGO, AGO))
    return entry


def test_what_was_not_used_for_long_goes(
    tmp_path: Path, environment: Environment, cache: Path
) -> None:
    old = entry_of("old", tmp_path, environment, cache)
    new = entry_of("new", tmp_path, environment, cache)
    unpacked_wheels([tmp_path / "new-1.0-py3-none-any.whl"], environment, cache)  # used
    pruned = prune(cache, 9, time.time())
    assert (pruned.entries, pruned.held) == ((old,), ())
    assert pruned.bytes > 0
    assert [path.name for path in (cache / "wheels").iterdir()] == [new.name]
    assert list((cache / "var" / "tmp" / "sage").iterdir()) == []


def test_files_of_old_builds_go_too(cache: Path) -> None:
    names = ["asked/a.json", "last/a-1.json", "tools/1.json", "building/k", "built/k/about.json"]
    plant(cache, dict.fromkeys(names, b"{}"))
    for path in (*cache.glob("*/*"), *cache.glob("built/k/*")):
        os.utime(path, (AGO, AGO))
    (cache / "asked" / "b.json").write_text("{}")
    prune(cache, 9, time.time())
    assert {path for path in tree(cache) if not path.startswith("var/")} == {
        "asked/b.json", "building", "built", "last", "tools",
    }  # fmt: skip


def test_all_that_the_manual_names_is_told_and_pruned(cache: Path) -> None:
    manual = (ROOT / "docs/reference/files.md").read_text(encoding="utf-8")
    section = manual.partition("## In the user's cache")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?`) \|", section, re.MULTILINE)
    names = {name for row in rows for name in re.findall(r"`(\w[\w-]*)/", row)}
    assert "packs" in names
    names.remove("var")  # the staging area; see engine/workspace.py
    plant(cache, {f"{name}/one": b"1" for name in names})
    assert {kind.name for kind in kinds(cache)} == names
    assert prune(cache, 9, time.time()).entries == ()
    assert len(prune(cache, 9, time.time() + 10 * 86400).entries) == len(names)


def test_nothing_is_counted_or_deleted_through_a_link(tmp_path: Path, cache: Path) -> None:
    plant(tmp_path, {"somewhere/mine": b"1", "cache/packs/one": b"1"})
    (cache / "tools").symlink_to(tmp_path / "somewhere")
    assert [kind.name for kind in kinds(cache)] == ["packs"]
    assert prune(cache, 0, time.time() + 1).entries == (cache / "packs" / "one",)
    assert tree(tmp_path / "somewhere") == {"mine": b"1"}


def test_pipe_is_not_waited_for(cache: Path) -> None:
    (cache / "packs").mkdir(parents=True)
    os.mkfifo(cache / "packs" / "one")
    assert len(prune(cache, 9, time.time() + 10 * 86400).entries) == 1


def test_entry_in_use_stays(tmp_path: Path, environment: Environment, cache: Path) -> None:
    entry = entry_of("foo", tmp_path, environment, cache)
    before = tree(entry)
    with held([entry]):
        pruned = prune(cache, 0, time.time())
        assert entry in pruned.held
        assert tree(entry) == before
    assert entry in prune(cache, 0, time.time()).entries
    assert not entry.exists()


def test_entry_that_was_pruned_before_it_was_held_is_missed(
    tmp_path: Path, environment: Environment, cache: Path
) -> None:
    entry = entry_of("foo", tmp_path, environment, cache)
    prune(cache, 0, time.time())
    with pytest.raises(FileNotFoundError), held([entry]):
        pass


def test_running_build_keeps_what_it_uses(tmp_path: Path, venv: Path, run_cli: RunCli) -> None:
    store = tmp_path / "store"
    make_wheel(store, "needed-1.0-py3-none-any.whl")
    go, come = tmp_path / "go", tmp_path / "come"
    code = (
        "import os, time\n"
        f"open({str(come)!r}, 'w').close()\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
        "import needed"
    )
    source = make_source(tmp_path / "src", requires=["needed"], code=code)
    env = {**os.environ, "SAGE_PKGINSTALL_CACHE": str(tmp_path / "cache"),
           "PYTHONPATH": str(Path(__file__).parent.parent)}  # fmt: skip
    words = ["--prefix", venv, "--store", store, "--wheel-dir", tmp_path / "dist", source]
    command = [sys.executable, "-m", "sage_pkginstall", "build", *map(str, words)]
    with subprocess.Popen(command, env=env) as building:
        while not come.exists():
            assert building.poll() is None
            time.sleep(0.01)
        said = run_cli("cache", "prune", "--days", "0", "--json", env=env)
        go.touch()
    assert building.returncode == 0
    names = {Path(path).parent.name for path in json.loads(said.stdout)["held"]}
    assert names == {"wheels", "building"}


def test_nothing_of_no_cache_is_pruned(cache: Path) -> None:
    assert prune(cache, 0, 0).entries == ()
    assert not cache.exists()


def test_info_counts_entries_and_bytes(cache: Path) -> None:
    plant(cache, {"built/a/x.whl": b"12345", "built/b/x.whl": b"1", "asked/k.json": b"{}"})
    assert [(kind.name, kind.entries, kind.bytes) for kind in kinds(cache)] == [
        ("built", 2, 6),
        ("asked", 1, 2),
    ]


def test_command_line_tells_where_the_cache_is_and_what_is_in_it(
    cache: Path, run_cli: RunCli
) -> None:
    env = {"SAGE_PKGINSTALL_CACHE": str(cache)}
    plant(cache, {"built/a/x.whl": b"12345"})
    assert run_cli("cache", "dir", env=env).stdout == f"{cache}\n"
    assert run_cli("cache", "info", env=env).stdout.split() == [str(cache), "built", "1", "5", "B"]
    said = run_cli("cache", "prune", "--days", "1", env=env).stdout
    assert said == "deleted 0 entries, 0 B\n"
    assert "that is no time" in run_cli("cache", "prune", "--days=-1", env=env, status=2).stderr
