"""What `merge` makes of a staged tree that already has Python packages in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.engine.holder import last_holder
from tests.trees import Link, plant, tree
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.conftest import RunCli


def image(directory: Path, venv: Path, run_cli: RunCli, wheel: Path) -> Path:
    """Return what ``install --root`` makes: an image of the prefix below ``directory``."""
    run_cli("install", "--prefix", venv, "--root", directory, wheel)
    return directory / venv.relative_to("/")


def test_image_of_an_install_is_merged_as_if_installed(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    wheel = make_wheel(tmp_path, "foo", "1")
    staged = image(tmp_path / "D", venv, run_cli, wheel)
    said = run_cli("merge", "--prefix", venv, staged)
    assert said.stderr == ""
    assert run_cli("verify", "--prefix", venv).stdout.startswith("1 verified")


def test_older_version_goes_when_an_image_of_the_newer_one_is_merged(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    run_cli(
        "install", "--prefix", venv, make_wheel(tmp_path, "foo", "1", {"old.py": "", "foo.py": ""})
    )
    newer = make_wheel(tmp_path, "foo", "2", {"foo.py": "new = 1\n"})
    said = run_cli("merge", "--prefix", venv, image(tmp_path / "D", venv, run_cli, newer))
    assert said.stderr == ""
    assert run_cli("list", "--prefix", venv).stdout.split() == ["foo", "2"]
    assert run_cli("verify", "--prefix", venv).stdout.startswith("1 verified")
    assert not [path for path in tree(venv) if path.endswith(("old.py", "foo-1.dist-info/RECORD"))]


def test_locks_and_staging_areas_of_an_image_stay_there(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "foo", "1"))
    lock = venv / "var/lock/pip3.lock"
    before = lock.stat().st_ino
    staged = plant(
        tmp_path / "staged",
        {"var/lock/pip3.lock": b"x", "var/tmp/sage/T-1/journal": b"", "share/data": b""},
    )
    run_cli("merge", "--prefix", venv, staged)
    assert (lock.stat().st_ino, lock.read_bytes()) == (before, b"")
    assert list((venv / "var/tmp/sage").iterdir()) == []
    assert (venv / "share/data").exists()


@pytest.mark.parametrize("link", ["var", "var/tmp", "var/lock"])
def test_state_that_a_link_of_a_staged_tree_leads_to_is_left_alone(
    venv: Path, tmp_path: Path, run_cli: RunCli, link: str
) -> None:
    """A copy of a prefix has its links: behind them, commands may be at work."""
    (venv / "var" / "lock").mkdir(parents=True)
    living = {"var/lock/pip3.lock": b"", "var/tmp/sage/T-1/journal": b""}
    elsewhere = plant(tmp_path / "elsewhere", living)
    staged = plant(tmp_path / "staged", {link: Link(str(elsewhere / link)), "share/x": b"x"})
    said = run_cli("merge", "--prefix", venv, "--dry-run", staged, status=1).stderr
    assert f"cannot install {link}: it is a directory of no known package" in said
    assert tree(elsewhere) == living


def test_state_within_a_staged_tree_is_left_out_by_a_link_too(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    for directory in (venv, tmp_path / "staged"):
        plant(directory, {"opt/kept": b"", "var": Link("opt")})
    staged = plant(tmp_path / "staged", {"opt/lock/pip3.lock": b"x", "opt/tmp/sage/T-1/a": b""})
    run_cli("merge", "--prefix", venv, staged)
    assert (venv / "var/lock/pip3.lock").read_bytes() == b""
    assert list((venv / "var/tmp/sage").iterdir()) == []


def test_staged_tree_is_moved_if_asked_for_and_copied_if_not(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    staged = plant(tmp_path / "staged", {"share/x/a": b"a", "share/x/b": b"b"})
    inode = (staged / "share/x").stat().st_ino
    run_cli("merge", "--prefix", venv, "--dry-run", "--move", staged)
    run_cli("merge", "--prefix", venv, staged)
    assert (venv / "share/x/a").read_bytes() == b"a"
    run_cli("merge", "--prefix", venv, "--move", staged)
    assert (venv / "share/x").stat().st_ino != inode  # b is new in neither: merged by file
    assert tree(staged) == {}
    staged = plant(tmp_path / "staged", {"share/y/a": b"a"})
    inode = (staged / "share/y").stat().st_ino
    run_cli("merge", "--prefix", venv, "--move", staged)
    assert (venv / "share/y").stat().st_ino == inode


@pytest.mark.parametrize("option", [(), ("--move",), ("--dry-run",)])
@pytest.mark.parametrize("place", [".", "..", "var", "link", "var/tmp/sage"])
def test_prefix_does_not_go_into_itself(
    venv: Path, run_cli: RunCli, place: str, option: Sequence[str]
) -> None:
    (venv / "var" / "tmp" / "sage").mkdir(parents=True)
    (venv / "link").symlink_to(venv)
    before = tree(venv)
    said = run_cli("merge", "--prefix", venv, *option, venv / place, status=2).stderr
    assert said.startswith(f"sage-pkginstall merge: cannot merge {venv / place}: it holds")
    assert tree(venv) == before


def test_staged_tree_may_lie_in_the_prefix(venv: Path, run_cli: RunCli) -> None:
    staged = plant(venv / "var" / "tmp" / "staged", {"share/x": b"x"})
    run_cli("merge", "--prefix", venv, staged)
    assert (venv / "share" / "x").read_bytes() == b"x"


@pytest.mark.parametrize("var", ["var", "opt"])
def test_changed_stamp_is_told_to_who_planned_before(
    tmp_path: Path, run_cli: RunCli, var: str
) -> None:
    """By its file name, also where ``var`` is a link; nobody would read it again otherwise."""
    prefix = tmp_path / "prefix"
    plant(prefix, {f"{var}/lib/sage/installed/bar-1": b""})
    if var != "var":
        (prefix / "var").symlink_to(var)
    for version in ("1", "2"):
        stamp = {f"var/lib/sage/installed/foo-{version}": b"", "share/a": version.encode()}
        staged = plant(tmp_path / version, stamp)
        run_cli("merge", "--prefix", prefix, "--package", "foo", staged)
    holder = last_holder(prefix / "var" / "lock" / "pip3.lock")
    assert holder is not None
    assert holder.changes[-1][1] == frozenset({"foo-1", "foo-2"})


@pytest.mark.parametrize("name", ["two-words", "../../../../share", ".", "", "a/b", "é"])
def test_name_under_which_no_record_could_be_found_is_refused(
    venv: Path, tmp_path: Path, run_cli: RunCli, name: str
) -> None:
    plant(venv, {"share/of-others": b"", "var/lib/sage/scripts/other/spkg-prerm": b""})
    (venv / "var" / "tmp" / "sage").mkdir(parents=True)
    staged = plant(tmp_path / "staged", {"share/x": b"x"})
    before = tree(venv)
    said = run_cli("merge", "--prefix", venv, "--package", name, staged, status=2).stderr
    assert f"cannot merge {staged} as {name!r}: letters" in said
    assert tree(venv) == before


def test_merge_says_how_much_it_did(venv: Path, tmp_path: Path, run_cli: RunCli) -> None:
    staged = plant(tmp_path / "staged", {"a": b"", "b": b""})
    assert run_cli("merge", "--prefix", venv, staged).stdout == f"merged {staged}: 2 operations\n"
    (staged / "a").unlink()
    assert run_cli("merge", "--prefix", venv, staged).stdout == f"merged {staged}: 1 operation\n"
