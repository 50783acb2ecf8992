"""Installing, upgrading and uninstalling wheels: the prefix exactly as it should be."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.conftest import start_from
from tests.trees import plant, tree
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunCli

STATE = ("var/lock", "var/tmp")
OLD_RECORDS = {
    "foo.egg-info/PKG-INFO": "Name: foo\nVersion: 1\n",
    "bundled-1.0.egg-info/PKG-INFO": "Name: bundled\nVersion: 1.0\n",
    "bundled-1.0.egg-info/top_level.txt": "",
    "file-1.0.egg-info": "Name: file\n",
    "linked.egg-link": "/nowhere\n",
    "egg-1.0.egg/EGG-INFO/PKG-INFO": "Name: egg\n",
}


def files(venv: Path) -> dict[str, object]:
    return dict(tree(venv, ignore=STATE))


def python(venv: Path, code: str) -> str:
    command = [str(venv / "bin" / "python3"), "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def site(venv: Path) -> Path:
    (found,) = (venv / "lib").glob("python3*/site-packages")
    return found


def test_installed_wheel_is_imported_and_verified(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    wheel = make_wheel(tmp_path, "foo", "1.0", {"foo.py": "x = 1"}, scripts={"foo": "foo:main"})
    ended = run_cli("install", "--prefix", venv, wheel)
    assert ended.stdout == "installed foo 1.0\n"
    assert python(venv, "import foo; print(foo.x)") == "1"
    assert run_cli("verify", "--prefix", venv).stdout.startswith("1 verified")


def test_uninstall_leaves_the_prefix_as_it_was(venv: Path, tmp_path: Path, run_cli: RunCli) -> None:
    before = files(venv)
    data = {"data/share/foo/x": "data", "scripts/tool": "#!python\n", "headers/foo.h": "//"}
    wheel = make_wheel(tmp_path, "foo", "1.0", {"foo/__init__.py": "", "foo/a.py": ""}, data=data)
    run_cli("install", "--prefix", venv, wheel)
    assert files(venv) != before
    run_cli("uninstall", "--prefix", venv, "foo")
    assert files(venv) == before


def test_upgrade_leaves_what_a_fresh_install_leaves(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    old = make_wheel(tmp_path, "foo", "1.0", {"foo/__init__.py": "1", "foo/gone.py": ""})
    new = make_wheel(tmp_path, "foo", "2.0", {"foo/__init__.py": "22", "foo/more/b.py": ""})
    run_cli("install", "--no-compile", "--prefix", venv, new)
    fresh = files(venv)
    run_cli("uninstall", "--prefix", venv, "foo")
    run_cli("install", "--no-compile", "--prefix", venv, old)
    run_cli("install", "--no-compile", "--prefix", venv, new)
    assert files(venv) == fresh
    assert run_cli("list", "--prefix", venv).stdout == "foo  2.0\n"


@pytest.mark.parametrize("compiled", [True, False])
def test_no_byte_code_of_the_old_version_is_run(
    venv: Path, tmp_path: Path, run_cli: RunCli, *, compiled: bool
) -> None:
    """Some tells nothing of its source (PEP 552); and for -O there is none that comes anew."""
    options = [] if compiled else ["--no-compile"]
    wheels = [make_wheel(tmp_path, "foo", version) for version in ("1.0", "2.0")]
    run_cli("install", "--prefix", venv, *options, wheels[0])
    (site,) = venv.glob("lib/python3*/site-packages")
    plant(site, {"mine.py": b"x = 1\n"})
    python = [str(venv / "bin/python3"), "-I"]
    all_of_it = ["-m", "compileall", "-qf", "-o", "0", "-o", "1", "--invalidation-mode"]
    subprocess.run([*python, *all_of_it, "unchecked-hash", str(site)], check=True)
    run_cli("install", "--prefix", venv, *options, wheels[1])
    for option in ("-B", "-BO"):
        command = [*python, option, "-c", "import foo; print(foo.version)"]
        assert subprocess.check_output(command, text=True) == "2.0\n"
    assert list(site.glob("__pycache__/mine.*.opt-1.pyc"))


def test_directory_of_modules_on_another_disk_is_upgraded_and_cleared(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    """It is moved and a link put in its place; each environment has ``lib64 -> lib`` besides."""
    before = tree(site(venv))
    (venv / "lib").rename(tmp_path / "disk")
    (venv / "lib").symlink_to(tmp_path / "disk")
    for version in ("1.0", "2.0"):
        wheel = make_wheel(tmp_path, "foo", version)
        assert run_cli("install", "--prefix", venv, wheel).stderr == ""
    assert [path.name for path in site(venv).glob("foo*.dist-info")] == ["foo-2.0.dist-info"]
    run_cli("uninstall", "--prefix", venv, "foo")
    assert tree(site(venv)) == before


def test_namespace_is_shared_until_its_last_owner_goes(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    before = files(venv)
    init = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
    one = make_wheel(tmp_path, "b.one", "1", {"b/__init__.py": init, "b/one.py": "x = 1"})
    two = make_wheel(tmp_path, "b.two", "1", {"b/__init__.py": init, "b/two.py": "x = 2"})
    ended = run_cli("install", "--prefix", venv, one)
    ended = run_cli("install", "--prefix", venv, two)
    assert ended.stderr == ""  # the same content is no conflict
    run_cli("uninstall", "--prefix", venv, "b.one")
    assert python(venv, "import b.two; print(b.two.x)") == "2"
    run_cli("verify", "--prefix", venv)
    run_cli("uninstall", "--prefix", venv, "b-two")
    assert files(venv) == before


def test_conflicting_file_is_reported_with_both_names(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    one = make_wheel(tmp_path, "one", "1", {"shared.py": "x = 1"})
    two = make_wheel(tmp_path, "two", "1", {"shared.py": "x = 2"})
    run_cli("install", "--prefix", venv, one)
    ended = run_cli("install", "--prefix", venv, two)
    assert "shared.py is overwritten: it belongs to distribution one 1" in ended.stderr
    run_cli("uninstall", "--prefix", venv, "two")
    assert (site(venv) / "shared.py").read_text() == "x = 2"
    ended = run_cli("verify", "--prefix", venv, status=1)
    assert "shared.py: hash" in ended.stdout or "shared.py: size" in ended.stdout


def test_conflict_can_be_refused(venv: Path, tmp_path: Path, run_cli: RunCli) -> None:
    one = make_wheel(tmp_path, "one", "1", {"shared.py": "x = 1"})
    two = make_wheel(tmp_path, "two", "1", {"shared.py": "x = 2"})
    run_cli("install", "--prefix", venv, one)
    before = files(venv)
    ended = run_cli("install", "--conflicts", "error", "--prefix", venv, two, status=1)
    assert "distribution one 1 owns it with another content" in ended.stderr
    assert files(venv) == before


def test_wheels_of_one_call_that_conflict_are_reported(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    path = (site(venv) / "shared.py").relative_to(venv)
    wheels = [
        make_wheel(tmp_path, name, "1", {"shared.py": f"{name} = 1", "same.py": ""})
        for name in ("one", "two", "three")
    ]
    ended = run_cli("install", "--prefix", venv, *wheels)
    (warning,) = ended.stderr.splitlines()
    assert warning.endswith(
        f"{path} is in two of the wheels, with different contents: that of three is installed"
    )
    assert (venv / path).read_text() == "three = 1"


def test_conflict_of_wheels_of_one_call_can_be_refused(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    before = files(venv)
    path = (site(venv) / "shared.py").relative_to(venv)
    wheels = [
        make_wheel(tmp_path, name, "1", {"shared.py": f"{name} = 1"}) for name in ("one", "two")
    ]
    ended = run_cli("install", "--conflicts", "error", "--prefix", venv, *wheels, status=1)
    assert ended.stderr.endswith(
        f"cannot install {path}: the wheels of one and two have it with different contents;"
        " leave one of them out\n"
    )
    assert files(venv) == before


def test_several_wheels_are_one_transaction(venv: Path, tmp_path: Path, run_cli: RunCli) -> None:
    before = files(venv)
    good = make_wheel(tmp_path, "good", "1")
    bad = make_wheel(tmp_path, "bad", "1", record="")
    ended = run_cli("install", "--prefix", venv, good, bad, status=1)
    assert len(ended.stderr.splitlines()) == 1
    assert "cannot install bad-1-py3-none-any.whl: " in ended.stderr
    assert files(venv) == before


def test_two_versions_in_one_call_are_refused(venv: Path, tmp_path: Path, run_cli: RunCli) -> None:
    wheels = [make_wheel(tmp_path, "foo", version) for version in ("1", "2")]
    ended = run_cli("install", "--prefix", venv, *wheels, status=1)
    assert "foo-1-py3-none-any.whl is of the same distribution" in ended.stderr


def test_wheel_that_is_named_twice_is_installed_once(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    """As with pip; requirements files include each other's lines."""
    wheel = make_wheel(tmp_path, "foo", "1")
    ended = run_cli("install", "--prefix", venv, "--store", tmp_path, wheel, "foo>=1", wheel)
    assert ended.stdout == "installed foo 1\n"


def test_dry_run_prints_the_plan_and_does_nothing(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    before = files(venv)
    wheel = make_wheel(tmp_path, "foo", "1.0", {"foo/__init__.py": ""})
    ended = run_cli("install", "--dry-run", "--prefix", venv, wheel)
    base = site(venv).relative_to(venv)
    assert ended.stdout.splitlines() == [
        f"place  {base}/foo",
        f"place  {base}/foo-1.0.dist-info",
    ]
    assert files(venv) == before


def test_result_as_json(venv: Path, tmp_path: Path, run_cli: RunCli) -> None:
    wheel = make_wheel(tmp_path, "foo", "1.0", metadata=["Requires-Dist: absent>=2"])
    ended = run_cli("install", "--json", "--prefix", venv, wheel)
    document = json.loads(ended.stdout)
    assert document["schema"] == 1
    assert document["installed"] == [{"name": "foo", "version": "1.0"}]
    assert "foo needs absent>=2, which is not installed" in ended.stderr


def test_what_is_named_twice_is_uninstalled_once(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "foo", "1.0"))
    ended = run_cli("uninstall", "--prefix", venv, "Foo", "foo", "FOO")
    assert ended.stdout == "uninstalled foo 1.0\n"


def test_uninstalling_what_is_not_there_fails_by_name(venv: Path, run_cli: RunCli) -> None:
    ended = run_cli("uninstall", "--prefix", venv, "nothing", status=1)
    assert ended.stderr.endswith(f"cannot find nothing in {venv}: it is not installed\n")


def test_users_file_in_a_package_directory_stays(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    wheel = make_wheel(tmp_path, "foo", "1.0", {"foo/__init__.py": ""})
    run_cli("install", "--prefix", venv, wheel)
    mine = site(venv) / "foo" / "mine.cfg"
    mine.write_text("user")
    run_cli("install", "--prefix", venv, wheel)
    run_cli("uninstall", "--prefix", venv, "foo")
    assert [p.name for p in mine.parent.iterdir()] == ["mine.cfg"]


def test_uninstall_keeps_the_environment_whatever_a_record_says(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "foo", "1.0"))
    before = tree(venv)
    state = {"var/lib/sage/installed/bar-1": b"", "var/lock/own": b""}
    plant(venv, state)
    listed = ("bin/python3", "bin/python", "pyvenv.cfg", "var/lock/pip3.lock", *state)
    (record,) = venv.glob("lib/python3*/site-packages/foo-1.0.dist-info/RECORD")
    with record.open("a") as file:
        file.writelines(f"../../../{path},,\n" for path in listed)
    said = run_cli("uninstall", "--prefix", venv, "foo").stderr
    after = tree(venv)
    assert {path: after.get(path) for path in listed} == {
        path: before.get(path, state.get(path)) for path in listed
    }
    assert said.count("belongs to the environment and stays") == len(listed)
    assert not any("foo" in path for path in after)


@pytest.mark.parametrize("name", ["foo.txt", "absent-1-py3-none-any.whl"])
def test_what_is_no_wheel_is_refused_in_one_line(
    venv: Path, tmp_path: Path, run_cli: RunCli, name: str
) -> None:
    if name == "foo.txt":
        (tmp_path / name).write_text("text")
    ended = run_cli("install", "--prefix", venv, tmp_path / name, status=1)
    assert len(ended.stderr.splitlines()) == 1
    assert f"cannot install {name}" in ended.stderr


def test_old_records_within_a_wheel_come_and_go_with_it(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    """Some wheels hold an egg-info, their own or that of something bundled."""
    before = files(venv)
    for version in "12":
        wheel = make_wheel(tmp_path, "foo", version, {**OLD_RECORDS, "foo.py": version})
        assert run_cli("install", "--prefix", venv, wheel).stderr == ""
        run_cli("verify", "--prefix", venv)
    run_cli("uninstall", "--prefix", venv, "foo")
    assert files(venv) == before


def test_old_records_within_a_wheel_are_told_by_nobody(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "foo", "2", OLD_RECORDS))
    assert run_cli("list", "--prefix", venv).stdout.split() == ["foo", "2"]
    assert "records       every record lists" in run_cli("doctor", "--prefix", venv).stdout
    assert run_cli("status", "--prefix", venv).stdout == "nothing changed behind our back\n"
    assert "foo 2" in run_cli("show", "--prefix", venv, "foo").stdout
    for command in ("show", "uninstall", "verify"):
        ended = run_cli(command, "--prefix", venv, "bundled", status=1)
        assert "it is not installed" in ended.stderr


@pytest.mark.parametrize("requirement", ["bundled", "foo>=2"])
def test_old_record_within_a_wheel_meets_no_requirement(
    venv: Path, tmp_path: Path, run_cli: RunCli, requirement: str
) -> None:
    """Nor does it hide the version that is really there."""
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "foo", "2", OLD_RECORDS))
    bar = make_wheel(tmp_path, "bar", "1", metadata=[f"Requires-Dist: {requirement}"])
    told = run_cli("install", "--prefix", venv, bar).stderr
    assert ("bar needs bundled, which is not installed" in told) is (requirement == "bundled")
    assert "version" not in told


def test_old_record_within_a_merged_wheel_leaves_that_distribution_alone(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "bundled", "3"))
    image = tmp_path / "image"
    wheel = make_wheel(tmp_path, "foo", "2", OLD_RECORDS)
    run_cli("install", "--prefix", venv, "--root", image, wheel)
    run_cli("merge", "--prefix", venv, f"{image}{venv}")
    assert run_cli("list", "--prefix", venv).stdout.split() == ["bundled", "3", "foo", "2"]


@pytest.mark.parametrize(
    "record",
    [
        "other.egg-info/PKG-INFO",
        "other-1.egg-info",
        "other.egg-link",
        "other.egg/EGG-INFO/PKG-INFO",
    ],
)
def test_old_record_of_another_distribution_within_a_wheel_is_not_in_its_way(
    venv: Path, tmp_path: Path, run_cli: RunCli, record: str
) -> None:
    before = files(venv)
    holder = make_wheel(tmp_path, "foo", "1", {record: "Name: other\nVersion: 1\n"})
    run_cli("install", "--prefix", venv, holder)
    held = files(venv)
    for version in "12":
        run_cli("install", "--prefix", venv, make_wheel(tmp_path, "other", version))
        run_cli("verify", "--prefix", venv)
    run_cli("uninstall", "--prefix", venv, "other")
    assert files(venv) == held
    run_cli("uninstall", "--prefix", venv, "foo")
    assert files(venv) == before


def test_dry_run_tells_what_is_left_to_pip_and_does_nothing(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "foo", "1"))
    plant(site(venv), {"linked.egg-link": f"{tmp_path}\n.".encode()})
    before = files(venv)
    words = ("uninstall", "--dry-run", "--prefix", venv)
    assert run_cli(*words, "linked").stdout == "pip uninstall linked\n"
    first, *rest = run_cli(*words, "foo", "linked").stdout.splitlines()
    assert first == "pip uninstall linked"
    assert f"remove {site(venv).relative_to(venv)}/foo.py" in rest
    assert files(venv) == before


@pytest.mark.parametrize("listing", ["other.egg-info", "other-0-py3.9.egg-info/deep", "o.egg"])
def test_list_of_files_within_a_wheel_removes_nothing(
    venv: Path, tmp_path: Path, run_cli: RunCli, listing: str
) -> None:
    """It could name any file of the prefix, and pass for an older version of a distribution."""
    info = listing.partition("/")[0]
    held = {f"{listing}/x": "", f"{info}/installed-files.txt": "../../../../mine\n"}
    before = files(venv)
    (venv / "mine").touch()
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "foo", "1", held))
    for name in ("other", "o"):
        run_cli("uninstall", "--prefix", venv, name, status=1)
        run_cli("install", "--prefix", venv, make_wheel(tmp_path, name, "1"))
        run_cli("uninstall", "--prefix", venv, name)
    run_cli("uninstall", "--prefix", venv, "foo")
    assert files(venv).keys() - before.keys() == {"mine"}


@pytest.mark.parametrize("command", ["uninstall", "upgrade"])
def test_old_record_beside_the_wheel_is_a_distribution_of_its_own(
    venv: Path, tmp_path: Path, run_cli: RunCli, command: str
) -> None:
    before = files(venv)
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "foo", "1"))
    info = site(venv) / "foo-0.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Name: foo\nVersion: 0\n")
    (info / "installed-files.txt").write_text("PKG-INFO\ninstalled-files.txt\n../old.py\n")
    (site(venv) / "old.py").write_text("")
    if command == "upgrade":
        run_cli("install", "--prefix", venv, make_wheel(tmp_path, "foo", "2"))
        assert not info.exists()
    run_cli("uninstall", "--prefix", venv, "foo")
    assert files(venv) == before


def test_what_is_not_meant_for_the_target_is_passed_over(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    wheel = make_wheel(tmp_path, "foo", "1")
    other = f'bar @ {wheel.as_uri()} ; sys_platform == "win32"'
    words = ("install", "--prefix", venv, "--store", tmp_path, 'gone; python_version < "3"', other)
    assert run_cli(*words).stdout == ""
    assert run_cli(*words, "foo; python_version >= '3'").stdout == "installed foo 1\n"


def test_directory_without_a_name_is_told(venv: Path, run_cli: RunCli) -> None:
    ended = run_cli("install", "--prefix", venv, ".", status=1)
    assert "cannot install .: it is not a wheel" in ended.stderr


@pytest.mark.parametrize("has_python", [False, True])
def test_sage_pip_install_takes_the_target_that_sage_spkg_takes(
    venv: Path, tmp_path: Path, run_cli: RunCli, *, has_python: bool
) -> None:
    """Without a SAGE_VENV that is the virtual environment in SAGE_LOCAL, if there is one."""
    local = tmp_path / "local"
    target = local / "var/lib/sage/venv-python3.99"
    target.parent.mkdir(parents=True)
    target.symlink_to(venv)
    if has_python:
        (local / "bin").mkdir()
        (local / "bin/python3").symlink_to(venv / "bin/python3")
    wheel = make_wheel(tmp_path, "foo", "1.0", {"foo.py": ""})
    env = {"SAGE_LOCAL": str(local), "SAGE_VENV": ""}
    assert run_cli("pip-install", wheel, env=env).stdout == "installed foo 1.0\n"
    assert (site(venv) / "foo.py").exists()
    run_cli("pip-uninstall", "foo", env=env)
    assert not (site(venv) / "foo.py").exists()


def test_prefix_with_the_python_of_another_one_takes_no_wheels(
    venv: Path, borrower: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    wheel = make_wheel(tmp_path, "foo", "1.0", {"foo.py": ""})
    before = tree(venv), tree(borrower)
    fault = f"cannot install wheels into {borrower}: its bin/python3 is that of {venv}"
    assert fault in run_cli("install", "--prefix", borrower, wheel, status=2).stderr
    assert fault in run_cli("uninstall", "--prefix", borrower, "foo", status=2).stderr
    for variable in ("SAGE_VENV", "SAGE_LOCAL"):
        ended = run_cli("pip-install", wheel, env={variable: str(borrower)}, status=3)
        assert fault in ended.stderr
    assert (tree(venv), tree(borrower)) == before


def test_what_needs_no_python_does_without_its_own(
    venv: Path, borrower: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    staged = tmp_path / "staged"
    plant(staged, {"share/a": b"a"})
    before = tree(venv)
    run_cli("merge", "--prefix", borrower, staged)
    for command in ("verify", "status", "list"):
        run_cli(command, "--prefix", borrower)
    assert "share/a" in run_cli("owner", "--prefix", borrower, "share/a", status=1).stdout
    assert (borrower / "share/a").read_bytes() == b"a"
    assert tree(venv) == before


def test_prefix_is_known_by_another_name_than_its_python_gives(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    (venv / "bin/python3").rename(venv / "bin/own")
    start_from(venv, venv / "bin/own")
    link = tmp_path / "link"
    link.symlink_to(venv)
    run_cli("install", "--prefix", link, make_wheel(tmp_path, "foo", "1.0", {"foo.py": ""}))
    assert (site(venv) / "foo.py").exists()
    assert run_cli("verify", "--prefix", link).stdout.startswith("1 verified")
    run_cli("uninstall", "--prefix", link, "foo")
    assert not (site(venv) / "foo.py").exists()


@pytest.mark.parametrize("command", ["install", "pip-install"])
def test_empty_root_is_none(
    command: str, venv: Path, tmp_path: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel(tmp_path, "foo", "1.0", {"foo.py": ""})
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    run_cli(command, "--root", "", wheel, env={"SAGE_VENV": str(venv)})
    assert (site(venv) / "foo.py").exists()
    assert tree(tmp_path / "here") == {}


def test_operations_are_named_to_who_wants_to_hear_more(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    wheel = make_wheel(tmp_path, "foo", "1.0", {"foo.py": ""})
    plant(tmp_path, {"staged/share/x": b""})
    sage = {"SAGE_VENV": str(venv)}
    for words, operation in (
        (("install", "-v", wheel), r"place  lib/.*/foo\.py"),
        (("uninstall", "--verbose", "foo"), r"remove lib/.*/foo\.py"),
        (("pip-install", "-v", wheel), r"place  lib/.*/foo\.py"),
        (("pip-uninstall", "-v", "foo"), r"remove lib/.*/foo\.py"),
        (("merge", "-v", tmp_path / "staged"), "place  share"),
    ):
        said = run_cli(*words, env=sage).stderr
        assert re.search(rf"^{operation}$", said, re.MULTILINE)
        assert re.search(r"^waited \d+ ms for the lock, held it for \d+ ms$", said, re.MULTILINE)
    assert run_cli("merge", tmp_path / "staged", env=sage).stderr == ""


def test_dry_run_leaves_no_directory_below_the_root(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    wheel = make_wheel(tmp_path, "foo", "1.0", {"foo.py": ""})
    root = tmp_path / "root"
    words = ("install", "--dry-run", "--prefix", venv, "--root", root)
    assert run_cli(*words, wheel).stdout == "place  lib\n"
    run_cli(*words, make_wheel(tmp_path, "bad", "1", record=""), status=1)
    assert not root.exists()
    root.mkdir()
    run_cli(*words, wheel)
    assert list(root.iterdir()) == []
