"""Who owns which path; that the index never changes an answer."""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.environment import Environment, target_environment
from sage_pkginstall.errors import RecordError
from sage_pkginstall.wheels.installed import find_installed, installed_distributions
from sage_pkginstall.wheels.ownership import (
    Survey,
    manifest,
    package_name,
    survey,
    unowned_files,
)
from sage_pkginstall.wheels.record_directory import STAMPS, changed_records
from tests.trees import EMPTY, Link, plant

if TYPE_CHECKING:
    from collections.abc import Callable

NOBODY: frozenset[str] = frozenset()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAGE_PKGINSTALL_CACHE", os.fspath(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    import venv  # noqa: PLC0415

    prefix = tmp_path_factory.mktemp("facts")
    venv.EnvBuilder(symlinks=True).create(prefix)
    return target_environment(prefix)


@pytest.fixture
def environment(facts: Environment, tmp_path: Path) -> Environment:
    """An environment with an empty site-packages of its own."""
    prefix = tmp_path / "prefix"
    (prefix / facts.schemes["purelib"]).mkdir(parents=True)
    return facts._replace(prefix=prefix)


def site(environment: Environment) -> str:
    return environment.schemes["purelib"]


def add(environment: Environment, name: str, version: str, *rows: str) -> str:
    """Install a distribution with these rows of RECORD, and return where its record is."""
    info = f"{name}-{version}.dist-info"
    lines = [*rows, f"{info}/RECORD"]
    text = "".join(f'"{line}",,\n' for line in lines)
    directory = environment.prefix / site(environment)
    plant(directory, {f"{info}/RECORD": text.encode("utf-8", "surrogateescape")})
    for row in rows:
        path = Path(os.path.normpath(directory / row))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return f"{site(environment)}/{info}"


def remove(environment: Environment, name: str, version: str) -> None:
    directory = environment.prefix / site(environment)
    shutil.rmtree(directory / f"{name}-{version}.dist-info")


def stamp(prefix: Path, name: str, content: object) -> None:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    plant(prefix, {f"{STAMPS}/{name}": data})


def look(environment: Environment) -> Survey:
    return survey(environment.prefix, environment)


def owners(environment: Environment, path: str) -> frozenset[str]:
    return look(environment).without((), ()).owners(path)


# Who owns what


def test_empty_prefix_has_no_owners(environment: Environment) -> None:
    everybody = look(environment).without((), ())
    assert everybody.owners("bin/x") == NOBODY
    assert not everybody.others_within("bin")
    assert not everybody.others_within("")


def test_prefix_that_does_not_exist_has_no_owners(tmp_path: Path) -> None:
    facts = survey(tmp_path / "nothing", None)
    assert facts.without((), ()).owners("x") == NOBODY
    assert facts.is_current()


def test_files_belong_to_their_distribution(environment: Environment) -> None:
    s = site(environment)
    add(environment, "Foo_Bar", "1.0", "foo/__init__.py", "foo/sub/a.py", "../../../bin/foo")
    add(environment, "other", "2", "other.py")
    foo = frozenset({"distribution Foo_Bar 1.0"})
    assert owners(environment, f"{s}/foo/__init__.py") == foo
    assert owners(environment, f"{s}/foo/sub/a.py") == foo
    assert owners(environment, "bin/foo") == foo
    assert owners(environment, f"{s}/Foo_Bar-1.0.dist-info/RECORD") == foo
    assert owners(environment, f"{s}/Foo_Bar-1.0.dist-info/anything") == foo
    assert owners(environment, f"{s}/other.py") == {"distribution other 2"}
    for path in (f"{s}/foo/b.py", f"{s}/foo", "bin/foo2", "bin", f"{s}/foo/sub/a.pyc", s):
        assert owners(environment, path) == NOBODY


def test_shared_file_has_all_its_owners(environment: Environment) -> None:
    """The ticket's pair: both own ``backports/__init__.py``."""
    s = site(environment)
    add(environment, "backports.ssl", "1", "backports/__init__.py", "backports/ssl/__init__.py")
    add(environment, "backports.term", "2", "backports/__init__.py", "backports/term/__init__.py")
    facts = look(environment)
    shared = f"{s}/backports/__init__.py"
    both = {"distribution backports.ssl 1", "distribution backports.term 2"}
    assert facts.without((), ()).owners(shared) == both
    others = facts.without(["Backports_SSL"], ())
    assert others.owners(shared) == {"distribution backports.term 2"}
    assert others.owners(f"{s}/backports/ssl/__init__.py") == NOBODY
    assert others.others_within(f"{s}/backports")
    assert not others.others_within(f"{s}/backports/ssl")
    assert others.others_within(f"{s}/backports/term")
    assert not facts.without(["backports-ssl", "backports-term"], ()).others_within(s)


def test_namespace_packages_are_told_apart(environment: Environment) -> None:
    s = site(environment)
    add(environment, "zope.a", "1", "zope/a/__init__.py", "zope/loose.py")
    add(environment, "zope.b", "1", "zope/b/c/__init__.py", "zope/b/c/d/e/f/g.txt")
    others = look(environment).without(["zope.a"], ())
    assert others.others_within(f"{s}/zope")
    assert others.others_within(f"{s}/zope/b/c/d/e/f")
    assert not others.others_within(f"{s}/zope/a")
    assert not others.others_within(f"{s}/zope/b/c/d/e/f/g.txt")
    assert not others.others_within(f"{s}/zope/b/x")
    assert others.owners(f"{s}/zope/b/c/d/e/f/g.txt") == {"distribution zope.b 1"}
    assert others.owners(f"{s}/zope/loose.py") == NOBODY


def test_others_within_is_about_whole_names(environment: Environment) -> None:
    s = site(environment)
    add(environment, "foobar", "1", "foobar/__init__.py", "foo-extra.txt", "foo.py")
    everybody = look(environment).without((), ())
    assert not everybody.others_within(f"{s}/foo")
    assert not everybody.others_within(f"{s}/foobar/sub")
    assert everybody.others_within(f"{s}/foobar")
    assert everybody.others_within("")
    assert not everybody.others_within(f"{s}/foobar/__init__.py")
    assert everybody.others_within(f"{s}/foobar-1.dist-info")


def test_directory_within_a_claimed_one_is_looked_up_exactly(environment: Environment) -> None:
    s = site(environment)
    add(environment, "foo", "1", "foo/__init__.py", "foo/data/x.txt")
    everybody = look(environment).without((), ())
    assert everybody.others_within(f"{s}/foo/data")
    assert not everybody.others_within(f"{s}/foo/dat")
    assert not everybody.others_within(f"{s}/foo/plugins")


def test_all_ghosts_of_a_name_are_left_out_together(environment: Environment) -> None:
    s = site(environment)
    add(environment, "foo", "1", "foo.py")
    add(environment, "foo", "2", "foo.py")
    facts = look(environment)
    assert facts.without((), ()).owners(f"{s}/foo.py") == {
        "distribution foo 1",
        "distribution foo 2",
    }
    assert facts.without(["foo"], ()).owners(f"{s}/foo.py") == NOBODY


def test_paths_are_the_same_behind_links(environment: Environment) -> None:
    version = site(environment).split("/")[1]
    plant(environment.prefix, {"lib64": Link("lib"), "data": Link("lib/data"), "lib/data": EMPTY})
    row = f"../../../lib64/{version}/site-packages/foo/__init__.py"
    add(environment, "foo", "1", row, "../../../data/x")
    foo = {"distribution foo 1"}
    for path in (f"lib/{version}/site-packages/foo/__init__.py", "lib/data/x"):
        assert owners(environment, path) == foo
    for path in (f"lib64/{version}/site-packages/foo/__init__.py", "data/x"):
        assert owners(environment, path) == foo
    everybody = look(environment).without((), ())
    assert everybody.others_within("lib64/data")
    assert everybody.others_within("data")


def test_old_kinds_own_what_they_list(environment: Environment) -> None:
    s = site(environment)
    plant(
        environment.prefix / s,
        {
            "old-1-py3.9.egg-info/installed-files.txt": b"../old.py\n",
            "made-1.egg-info": b"Name: made\n",
            "linked.egg-link": b"/x",
        },
    )
    assert owners(environment, f"{s}/old.py") == {"distribution old 1"}
    assert owners(environment, f"{s}/old-1-py3.9.egg-info/x") == {"distribution old 1"}
    assert owners(environment, f"{s}/made-1.egg-info") == {"distribution made 1"}
    assert owners(environment, f"{s}/linked.egg-link") == {"distribution linked"}


def test_damaged_record_owns_only_its_directory(environment: Environment) -> None:
    s = site(environment)
    plant(
        environment.prefix / s,
        {
            "bad-1.dist-info/RECORD": b"a\0b,,\n",
            "worse-1.dist-info/RECORD": EMPTY,
            "ghost-1.dist-info": EMPTY,
            "f-1.dist-info": b"",
        },
    )
    add(environment, "foo", "1", "foo.py")
    assert owners(environment, f"{s}/foo.py") == {"distribution foo 1"}
    assert owners(environment, f"{s}/bad-1.dist-info/RECORD") == {"distribution bad 1"}
    assert owners(environment, f"{s}/worse-1.dist-info/RECORD") == {"distribution worse 1"}
    assert owners(environment, f"{s}/ghost-1.dist-info/x") == {"distribution ghost 1"}
    assert owners(environment, f"{s}/f-1.dist-info") == NOBODY


def test_record_that_cannot_be_read_is_an_error(environment: Environment) -> None:
    """Else its files would be nobody's."""
    directory = environment.prefix / site(environment) / "foo-1.dist-info"
    directory.mkdir()
    (directory / "RECORD").symlink_to("RECORD")
    with pytest.raises(RecordError, match=r"foo-1\.dist-info/RECORD: Too many levels"):
        look(environment)


def test_directory_that_cannot_be_read_is_an_error(environment: Environment) -> None:
    (environment.prefix / site(environment)).rmdir()
    (environment.prefix / site(environment)).touch()
    with pytest.raises(RecordError, match="Not a directory"):
        look(environment)


def test_odd_names_are_found_again(environment: Environment) -> None:
    s = site(environment)
    odd = os.fsdecode(b"a\nb %0A %\xff\xc3\xa9.py")
    add(environment, "odd", "1", odd, f"{odd}.d/__init__.py")
    for _ in range(2):
        assert owners(environment, f"{s}/{odd}") == {"distribution odd 1"}
        assert owners(environment, f"{s}/{odd}.d/__init__.py") == {"distribution odd 1"}
        time.sleep(0.05)


def test_environment_of_another_prefix_is_our_own_mistake(environment: Environment) -> None:
    with pytest.raises(ValueError, match="is not"):
        survey(environment.prefix / "other", environment)


# Packages


def test_packages_own_what_their_stamps_list(tmp_path: Path) -> None:
    stamp(tmp_path, "foo-1.0", {"files": ["bin/foo", "./share//foo/x", "/etc/passwd", "../up", 7]})
    stamp(tmp_path, "old-2.0.p1", b"PACKAGE NAME: old\n")
    stamp(tmp_path, "empty-1", b"")
    stamp(tmp_path, "list-1", ["bin/foo"])
    stamp(tmp_path, "strange-1", {"files": "bin/foo"})
    stamp(tmp_path, "nothing-1", {"files": None})
    stamp(tmp_path, ".dummy", {"files": ["bin/foo"]})
    plant(tmp_path, {f"{STAMPS}/directory-1": EMPTY})
    facts = survey(tmp_path, None)
    everybody = facts.without((), ())
    assert everybody.owners("bin/foo") == {"package foo-1.0"}
    assert everybody.owners("share/foo/x") == {"package foo-1.0"}
    assert everybody.owners(f"{STAMPS}/old-2.0.p1") == {"package old-2.0.p1"}
    assert everybody.owners("up") == NOBODY
    assert everybody.others_within("share")
    others = facts.without((), ["foo"])
    assert others.owners("bin/foo") == NOBODY
    assert not others.others_within("share")
    assert others.others_within(STAMPS)


def test_package_and_distribution_may_share_a_file(environment: Environment) -> None:
    """A record of the old staged copy lists the Python files, too."""
    s = site(environment)
    add(environment, "foo", "1", "foo.py")
    stamp(environment.prefix, "foo-1", {"files": [f"{s}/foo.py", "bin/tool"]})
    facts = look(environment)
    both = {"distribution foo 1", "package foo-1"}
    assert facts.without((), ()).owners(f"{s}/foo.py") == both
    assert facts.without(["foo"], ()).owners(f"{s}/foo.py") == {"package foo-1"}
    assert facts.without(["foo"], ["foo"]).owners(f"{s}/foo.py") == NOBODY


def test_manifest_names_each_file_once(tmp_path: Path) -> None:
    plant(tmp_path, {"lib64": Link("lib"), "lib": EMPTY})
    stamp(
        tmp_path,
        "foo-1",
        {"files": ["lib64/x", "lib/x", "lib/../bin/y", f"{tmp_path}/z", "\ud800", "\0"]},
    )
    assert manifest(tmp_path, "foo-1") == {"lib/x", "bin/y", "z"}
    assert manifest(tmp_path, "none-1") == frozenset()


def test_package_name_is_what_precedes_the_version() -> None:
    assert package_name("foo_bar-1.2.p3") == "foo_bar"


# What is named, what is unowned


def test_named_is_what_find_installed_finds(environment: Environment) -> None:
    s = site(environment)
    add(environment, "Foo.Bar", "1")
    add(environment, "foo_bar", "2")
    plant(environment.prefix / s, {"foo-baz.egg-link": b"", "foo-1.dist-info": b""})
    facts = look(environment)
    for name in ("foo-bar", "FOO.BAR", "foo-baz", "foo", "missing"):
        assert facts.named(name) == find_installed(environment, name)


def test_unowned_files_are_those_of_no_record(environment: Environment) -> None:
    s = site(environment)
    add(environment, "foo", "1", "foo/__init__.py", "top.py", "foo/data")
    stamp(environment.prefix, "pkg-1", {"files": [f"{s}/pkg/x.py"]})
    plant(
        environment.prefix / s,
        {
            "foo/__pycache__/__init__.cpython-311.pyc": b"",
            "foo/__pycache__/gone.cpython-311.pyc": b"",
            "__pycache__/top.cpython-311.opt-1.pyc": b"",
            "foo/mine.txt": b"",
            "foo-1.dist-info/INSTALLER": b"",
            "pkg/x.py": b"",
            "pkg/link": Link("/etc"),
            "~oo-1.dist-info/RECORD": b"",
            "easy-install.pth": b"",
        },
    )
    plant(environment.prefix, {"bin/mine": b""})
    assert unowned_files(environment, look(environment)) == (
        f"{s}/easy-install.pth",
        f"{s}/foo/__pycache__/gone.cpython-311.pyc",
        f"{s}/foo/mine.txt",
        f"{s}/pkg/link",
        f"{s}/~oo-1.dist-info/RECORD",
    )


# How current it is


def settle() -> None:
    """Let the file system's clock go on."""
    time.sleep(0.03)


def test_survey_is_current_until_a_record_comes_or_goes(environment: Environment) -> None:
    add(environment, "foo", "1", "foo.py")
    stamp(environment.prefix, "pkg-1", {})
    changes: list[Callable[[], object]] = [
        lambda: add(environment, "bar", "1", "bar.py"),
        lambda: remove(environment, "foo", "1"),
        lambda: stamp(environment.prefix, "pkg-2", {}),
        (environment.prefix / STAMPS / "pkg-1").unlink,
    ]
    for change in changes:
        settle()
        facts = look(environment)
        assert facts.is_current()
        (environment.prefix / "bin").mkdir(exist_ok=True)
        assert facts.is_current()
        change()
        assert not facts.is_current()


def test_survey_is_outdated_by_the_first_stamp(tmp_path: Path) -> None:
    facts = survey(tmp_path, None)
    assert facts.is_current()
    stamp(tmp_path, "foo-1", {})
    assert not facts.is_current()


def test_change_within_the_same_tick_is_never_missed(environment: Environment) -> None:
    for number in range(100):
        facts = look(environment)
        add(environment, f"d{number}", "1")
        assert not facts.is_current()
        assert owners(environment, f"{site(environment)}/d{number}-1.dist-info/RECORD")


def test_record_written_after_its_directory_is_seen(environment: Environment) -> None:
    """As pip does it: the directory of distributions does not change any more then."""
    s = site(environment)
    directory = environment.prefix / s / "foo-1.dist-info"
    directory.mkdir()
    settle()
    assert owners(environment, f"{s}/foo.py") == NOBODY
    (directory / "RECORD").write_text("foo.py,,\n")
    assert owners(environment, f"{s}/foo.py") == {"distribution foo 1"}


def test_record_changed_in_place_is_seen(environment: Environment) -> None:
    s = site(environment)
    info = add(environment, "foo", "1", "aaa.py")
    for name in ("bbb.py", "ccc.py", "ddd.py"):
        look(environment)
        (environment.prefix / info / "RECORD").write_text(f'"{name}",,\n')
        assert owners(environment, f"{s}/{name}") == {"distribution foo 1"}
        assert owners(environment, f"{s}/aaa.py") == NOBODY


def test_reinstall_of_the_same_version_is_seen(environment: Environment) -> None:
    """File systems give freed inodes out again; names and inodes are not enough."""
    s = site(environment)
    for number in range(20):
        add(environment, "foo", "1", f"m{number % 10}.py")
        if number % 3:
            look(environment)
        assert owners(environment, f"{s}/m{number % 10}.py") == {"distribution foo 1"}
        assert owners(environment, f"{s}/m{(number + 1) % 10}.py") == NOBODY
        remove(environment, "foo", "1")


# The index


def index_file(cache: Path) -> Path:
    (path,) = (cache / "owners").iterdir()
    return path


def test_survey_that_is_told_what_changed_looks_at_nothing_else(environment: Environment) -> None:
    """What came, went, or was being written when it was first looked at is seen all the same."""
    s = site(environment)
    for name in ("told", "untold", "gone"):
        add(environment, name, "1", f"{name}.py")
    plant(environment.prefix / s, {"half-1.dist-info/METADATA": b""})  # no RECORD yet
    stamp(environment.prefix, "box-1", {"files": ["share/old"]})
    settle()
    before = look(environment)
    for name in ("told", "untold", "half"):
        add(environment, name, "1", f"{name}.py", f"{name}/new.py")
    add(environment, "come", "1", "come/new.py")
    remove(environment, "gone", "1")
    stamp(environment.prefix, "box-1", {"files": ["share/new"]})
    changed = changed_records([f"{s}/told-1.dist-info/RECORD", f"{STAMPS}/box-1"])
    now = survey(environment.prefix, environment, before, changed).without((), ())
    for name in ("told", "half", "come"):
        assert now.owners(f"{s}/{name}/new.py") == {f"distribution {name} 1"}
    assert now.owners(f"{s}/untold/new.py") == NOBODY
    assert now.owners(f"{s}/gone.py") == NOBODY
    assert now.owners("share/new") == {"package box-1"}
    assert now.owners("share/old") == NOBODY


def test_survey_begins_anew_in_another_directory(environment: Environment) -> None:
    s = site(environment)
    add(environment, "foo", "1", "foo.py")
    settle()
    before = look(environment)
    (environment.prefix / s).rename(environment.prefix / "aside")
    add(environment, "foo", "1", "bar.py")
    now = survey(environment.prefix, environment, before, frozenset()).without((), ())
    assert now.owners(f"{s}/bar.py") == {"distribution foo 1"}
    assert now.owners(f"{s}/foo.py") == NOBODY


def test_prefix_stays_free_of_the_index(environment: Environment, cache: Path) -> None:
    add(environment, "foo", "1", "foo.py")
    before = sorted(environment.prefix.rglob("*"))
    look(environment)
    assert sorted(environment.prefix.rglob("*")) == before
    assert index_file(cache).stat().st_mode & 0o777 == 0o600


opened: list[str] = []
"""Every file opened while `watch` is set."""
watch = threading.Event()


def note_opened(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and watch.is_set():
        opened.append(os.path.basename(os.path.dirname(str(arguments[0]))))  # noqa: PTH119, PTH120


sys.addaudithook(note_opened)


def test_only_changed_records_are_read(environment: Environment) -> None:
    for name in ("foo", "bar"):
        add(environment, name, "1", f"{name}.py", f"{name}/__init__.py")
    settle()
    look(environment)
    add(environment, "baz", "1", "baz.py")
    settle()
    opened.clear()
    watch.set()
    everybody = look(environment).without((), ())
    assert [name for name in opened if "dist-info" in name] == ["baz-1.dist-info"]
    opened.clear()
    everybody = look(environment).without((), ())
    everybody.owners(f"{site(environment)}/nothing.py")
    everybody.owners(f"{site(environment)}/foo/x.py")
    everybody.others_within(f"{site(environment)}/bar")
    watch.clear()
    assert [name for name in opened if "dist-info" in name] == ["foo-1.dist-info"]


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "version", "foreign", "writable"])
def test_damaged_index_is_made_anew(environment: Environment, cache: Path, damage: str) -> None:
    s = site(environment)
    add(environment, "foo", "1", "foo.py", "foo/__init__.py")
    settle()
    look(environment)
    path = index_file(cache)
    good = path.read_bytes()
    if damage == "foreign":
        other = environment._replace(prefix=environment.prefix.parent / "other")
        add(other, "else", "1")
        look(other)
        (foreign,) = set((cache / "owners").iterdir()) - {path}
        foreign.replace(path)
    elif damage == "writable":
        path.write_bytes(good.replace(b"foo.py", b"bar.py"))
        path.chmod(0o622)
    else:
        bad = {
            "cut": good[: len(good) // 2],
            "flip": good.replace(b"foo.py", b"bar.py"),
            "empty": b"",
            "version": good.replace(b"owner index ", b"owner index 1"),
        }
        assert bad[damage] != good
        path.write_bytes(bad[damage])
    assert owners(environment, f"{s}/foo.py") == {"distribution foo 1"}
    assert path.read_bytes() == good
    assert path.stat().st_mode & 0o777 == 0o600


def test_index_is_made_anew_once_a_directory_is_a_link(environment: Environment) -> None:
    """``lib64``, say: what a record lists there has another name then, but is as much its own."""
    prefix = environment.prefix
    plant(prefix, {"lib64/x": b"", f"{STAMPS}/box-1": b'{"files": ["lib64/x"]}'})
    settle()
    assert owners(environment, "lib64/x") == {"package box-1"}
    shutil.move(prefix / "lib64" / "x", prefix / "lib" / "x")
    (prefix / "lib64").rmdir()
    (prefix / "lib64").symlink_to("lib")
    assert owners(environment, "lib/x") == {"package box-1"}


def test_unwritable_cache_does_no_harm(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SAGE_PKGINSTALL_CACHE", os.fspath(tmp_path / "file"))
    add(environment, "foo", "1", "foo.py")
    assert owners(environment, f"{site(environment)}/foo.py") == {"distribution foo 1"}


def test_few_changes_do_not_rewrite_a_large_index(environment: Environment, cache: Path) -> None:
    s = site(environment)
    for number in range(1100):
        add(environment, f"d{number}", "1")
    settle()
    look(environment)
    before = index_file(cache).stat().st_ino
    remove(environment, "d5", "1")
    add(environment, "d5", "1", "new.py")
    settle()
    assert owners(environment, f"{s}/new.py") == {"distribution d5 1"}
    assert index_file(cache).stat().st_ino == before
    for number in range(11):
        add(environment, f"e{number}", "1", "new.py")
    assert len(owners(environment, f"{s}/new.py")) == 12
    assert index_file(cache).stat().st_ino != before


def test_concurrent_surveys_and_changes_agree_with_the_disk(environment: Environment) -> None:
    s = site(environment)
    failures: list[str] = []

    def work(worker: int) -> None:
        for number in range(15):
            name = f"w{worker}n{number}"
            add(environment, name, "1", f"{name}/__init__.py")
            if owners(environment, f"{s}/{name}/__init__.py") != {f"distribution {name} 1"}:
                failures.append(name)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(installed_distributions(environment)) == 60


def test_answers_are_those_of_reading_everything(environment: Environment) -> None:
    """Random owners and questions, with an index that is sometimes warm and sometimes old.

    And with a survey that is told now and then what was changed since.
    """
    chance = random.Random(7)  # noqa: S311
    s = site(environment)
    parts = ["a", "b", "a.py", "__init__.py", "c d"]
    truth: dict[str, set[str]] = {}
    told = look(environment)
    changed: set[str] = set()

    def some_path() -> str:
        depth = chance.randint(1, 6)
        middle = "/".join(f"{chance.choice('abc')}d" for _ in range(depth - 1))
        name = chance.choice(parts)
        return f"{middle}/{name}" if middle else name

    for round_number in range(30):
        name = f"d{chance.randint(0, 8)}"
        if name in truth:
            remove(environment, name, "1")
        rows = {some_path() for _ in range(chance.choice([1, 5, 60]))}
        beside = {f"../../../share/{some_path()}" for _ in range(3)}
        info = f"{name}-1.dist-info"
        listed = sorted(rows | beside)
        text = "".join(f"{row},,\n" for row in listed)
        plant(environment.prefix / s, {f"{info}/RECORD": text.encode()})
        truth[name] = {os.path.normpath(f"{s}/{row}") for row in listed}
        changed.add(info)
        if round_number % 4 == 0:
            settle()
        check_answers(look(environment), environment, truth, chance)
        if chance.random() < 0.6:
            told = survey(environment.prefix, environment, told, frozenset(changed))
            changed.clear()
            check_answers(told, environment, truth, chance)
            assert set(told.records) == set(look(environment).records)


def check_answers(
    facts: Survey, environment: Environment, truth: dict[str, set[str]], chance: random.Random
) -> None:
    out = chance.choice([*truth, "nobody"])
    others = facts.without([out], ())
    known = sorted(set().union(*truth.values()))
    for path in chance.sample(known, min(len(known), 25)):
        having = {f"distribution {n} 1" for n, p in truth.items() if path in p and n != out}
        assert others.owners(path) == having
        directory = path
        while directory:
            directory = directory.rpartition("/")[0]
            below = f"{directory}/" if directory else ""
            expected = any(p.startswith(below) for n, ps in truth.items() if n != out for p in ps)
            if directory not in environment.schemes["purelib"]:  # records are below these
                assert others.others_within(directory) == expected, directory
