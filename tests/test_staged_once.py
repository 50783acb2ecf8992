from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.sageworld import SageWorld
from tests.sources import make_source, make_wheel
from tests.trees import Link, modes, tree

if TYPE_CHECKING:
    import subprocess

TAKEN = "Taken from the cache: data-1.0.tar"
NOT_KEPT = "data-1.0 is not kept for the next time: "
SCRIPT = """cd src
to="$SAGE_DESTDIR_LOCAL"
mkdir -p "$to/bin" "$to/share/empty"
cat data >"$to/share/data"
echo "#!/bin/sh" >"$to/bin/run"
chmod 755 "$to/bin/run"
chmod 600 "$to/share/data"
ln "$to/share/data" "$to/share/twin"
ln -s "$SAGE_LOCAL/share/data" "$to/share/link"
ln -s empty "$to/share/folder"
"""
PATCH = "--- a/data\n+++ b/data\n@@ -1 +1 @@\n-1\n+2\n"


@pytest.fixture
def world(tmp_path: Path, venv: Path) -> SageWorld:
    return SageWorld.keeping(tmp_path, venv)


def package(world: SageWorld, data: str = "1\n", script: str = SCRIPT, **more: str) -> None:
    files = {"spkg-install.in": script, **more}
    world.package("data", "1.0", files, source={"data": data})


def is_taken(ended: subprocess.CompletedProcess[str]) -> bool:
    return TAKEN in ended.stdout + ended.stderr


def is_kept(world: SageWorld, **env: str) -> bool:
    world.run("sage-spkg", "data", status=0, **env)
    world.clean("data")
    return is_taken(world.spkg("data"))


def test_tree_that_is_taken_is_as_the_scripts_staged_it(world: SageWorld) -> None:
    package(world, **{"spkg-check.in": "true\n", "spkg-prerm.in": "true\n"})
    assert not is_taken(world.spkg("data"))
    before, rights = world.tree(), modes(world.prefix)
    times = {path: (world.prefix / path).lstat().st_mtime for path in ("bin/run", "share/data")}
    world.clean("data")
    assert "share/data" not in world.tree()
    assert is_taken(world.spkg("data"))
    after = world.tree()
    stamp = "var/lib/sage/installed/data-1.0"
    assert set(after) == set(before)
    assert {**after, stamp: b""} == {**before, stamp: b""}
    assert after["share/link"] == Link(f"{world.prefix}/share/data")
    assert modes(world.prefix) == rights
    for path, time in times.items():
        assert abs((world.prefix / path).lstat().st_mtime - time) < 1e-3
    assert (world.prefix / "share/data").samefile(world.prefix / "share/twin")


def test_nothing_is_left_of_the_build_directory(world: SageWorld) -> None:
    package(world)
    assert is_kept(world)
    assert not (world.prefix / "var/tmp/sage/build").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"data": "2\n"}, "sources: data-1.0.tar.gz"),
        ({"script": SCRIPT + "true\n"}, "package: spkg-install.in"),
        ({"patches/a.patch": PATCH}, "package: patches/a.patch"),
        ({"SPKG.rst": "A script may install this.\n"}, "package: SPKG.rst"),
    ],
)
def test_what_a_package_is_made_of_counts(
    world: SageWorld, change: dict[str, str], told: str
) -> None:
    package(world)
    world.spkg("data")
    package(world, **change)
    assert not is_taken(world.spkg("data"))
    assert told in world.run("sage-pkginstall", "why-rebuilt", "data", "--all").stdout


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"CFLAGS": "-O1"}, "variables: CFLAGS: new (-O1)"),
        ({"SAGE_SHARE": "/nowhere"}, "variables: SAGE_SHARE"),
        ({"SAGE_CHECK": "yes"}, "variables: SAGE_CHECK:"),
        ({"SAGE_WHEELS": "yes"}, "variables: SAGE_WHEELS:"),
        ({"PYTHONPATH": "/nowhere"}, "variables: PYTHONPATH:"),
        ({"SAGE_PKGINSTALL_TOOLCHAIN": "new"}, "toolchain: name: new (new)"),
    ],
)
def test_what_scripts_see_counts(world: SageWorld, variables: dict[str, str], told: str) -> None:
    package(world)
    world.spkg("data")
    world.env |= variables
    assert not is_taken(world.spkg("data"))
    assert told in world.run("sage-pkginstall", "why-rebuilt", "data", "--all").stdout
    assert is_taken(world.spkg("data"))


def test_environment_files_and_umask_count(world: SageWorld) -> None:
    package(world)
    world.spkg("data")
    config = world.root / "src" / "bin" / "sage-env-config"
    config.parent.mkdir(parents=True)
    config.write_text("export CFLAGS=-O1\n")
    assert not is_taken(world.spkg("data"))
    before = os.umask(0o077)
    try:
        assert not is_taken(world.spkg("data"))
    finally:
        os.umask(before)


def test_settings_that_configure_finds_in_its_prefix_count(world: SageWorld) -> None:
    package(world)
    world.spkg("data")
    taken = []
    for name in ("share", "etc"):
        settings = world.prefix / name / "config.site"
        settings.parent.mkdir(exist_ok=True)
        settings.write_text("CFLAGS=-O1\n")
        taken += [is_taken(world.spkg("data")), is_taken(world.spkg("data"))]
    assert taken == [False, True] * 2


def test_build_directory_and_prefix_count(tmp_path: Path, world: SageWorld) -> None:
    package(world)
    world.spkg("data")
    assert not is_taken(world.spkg("data", SAGE_BUILD_DIR=str(tmp_path / "area")))
    other = tmp_path / "other"
    other.mkdir()
    assert not is_taken(world.spkg("data", str(other), SAGE_LOCAL=str(other)))
    assert (other / "share/link").readlink() == other / "share/data"


@pytest.mark.parametrize("is_declared", [True, False])
def test_content_of_what_a_package_depends_on_counts(world: SageWorld, is_declared: bool) -> None:
    def library(content: str) -> None:
        text = f'echo {content} > lib.h && sdh_install lib.h "$SAGE_LOCAL/include"\n'
        world.package("library", "1", {"spkg-install.in": text})
        world.spkg("library")

    library("1")
    package(world, **({"dependencies": "library |\n"} if is_declared else {}))
    world.spkg("data")
    library("1")
    assert is_taken(world.spkg("data"))
    library("2")
    assert is_taken(world.spkg("data")) is not is_declared


@pytest.mark.parametrize("script", ["preinst", "pipinst", "postinst"])
def test_package_with_more_to_run_is_built_each_time(world: SageWorld, script: str) -> None:
    package(world, **{f"spkg-{script}.in": "true\n"})
    assert not is_kept(world)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('echo 1 >"$SAGE_LOCAL/share-of-mine"', "share-of-mine of the tree may have been written"),
        ('chmod u+s "$to/bin/run"', "bin/run has a set-id or sticky bit"),
        ('mkfifo "$to/share/pipe"', "share/pipe is neither file, directory nor link"),
        ('rm -r "$to"/*', "its scripts staged no file"),
        ('mkdir -p "$SAGE_DESTDIR/else" && echo >"$SAGE_DESTDIR/else/x"', "outside of the tree"),
        ('sdh_install data "$SAGE_SPKG_SCRIPTS/data"', "staged data among its scripts"),
        (
            'sdh_install -T data "$SAGE_SPKG_SCRIPTS/data/spkg-prerm"',
            "staged spkg-prerm among its scripts",
        ),
    ],
)
def test_scripts_that_do_more_than_stage_files_run_each_time(
    world: SageWorld, line: str, reason: str
) -> None:
    package(world, script=f"{SCRIPT}{line}\n")
    ended = world.spkg("data")
    assert NOT_KEPT in ended.stdout
    assert reason in ended.stdout
    assert not is_taken(world.spkg("data"))


def test_script_that_installs_into_the_virtual_environment_runs_each_time(
    tmp_path: Path, venv: Path, world: SageWorld
) -> None:
    """It may lie below SAGE_LOCAL, in var/."""
    inner = tmp_path / "local/var/lib/sage/venv-python3"
    inner.parent.mkdir(parents=True)
    venv.rename(inner)
    world.env |= {"SAGE_LOCAL": str(tmp_path / "local"), "SAGE_VENV": str(inner)}
    wheel = make_wheel(tmp_path, "other-1.0-py3-none-any.whl")
    package(world, script=f'sage-pip-install "{wheel}"\n{SCRIPT}')
    ended = world.spkg("data")
    assert "installed other 1.0" in ended.stdout
    assert NOT_KEPT in ended.stdout
    assert "of the tree may have been written" in ended.stdout
    assert not is_taken(world.spkg("data"))


def test_file_of_another_package_that_a_script_wrote_over_is_seen(world: SageWorld) -> None:
    world.package("other", "1", {"spkg-install.in": 'echo 1 >x\nsdh_install x "$SAGE_SHARE"\n'})
    world.spkg("other")
    package(world, script=f'{SCRIPT}echo 2 >"$SAGE_SHARE/x"\n')
    assert "share/x of the tree may have been written" in world.spkg("data").stdout


def test_package_of_a_wheel_is_no_staged_tree(tmp_path: Path, world: SageWorld) -> None:
    source = make_source(tmp_path / "made", "tiny")
    files = {path: data.decode() for path, data in tree(source).items() if isinstance(data, bytes)}
    script = "cd src && sdh_pip_install .\n"
    world.package("data", "1.0", {"spkg-install.in": script}, source=files)
    assert f"{NOT_KEPT}its scripts built wheels" in world.spkg("data").stdout


def test_tree_linked_with_what_is_not_declared_is_not_kept(world: SageWorld) -> None:
    text = 'echo > libx.so.1 && sdh_install libx.so.1 "$SAGE_LOCAL/lib"\n'
    world.package("library", "1", {"spkg-install.in": text})
    world.spkg("library")
    elf = 'printf "\\177ELF libc\\0libx.so.1\\0" >"$to/bin/run"\n'
    package(world, script=SCRIPT + elf)
    ended = world.spkg("data")
    assert "data-1.0.tar is linked with libx.so.1 of library" in ended.stderr + ended.stdout
    assert not is_taken(world.spkg("data"))
    package(world, script=SCRIPT + elf, dependencies="library |\n")
    assert is_kept(world)


def test_own_library_of_the_installed_version_is_no_foreign_one(world: SageWorld) -> None:
    elf = 'mkdir -p "$to/lib"; for f in lib/libme.so bin/run; do '
    elf += 'printf "\\177ELF libc\\0libme.so\\0" >"$to/$f"; done\n'
    package(world, script=SCRIPT + elf)
    world.spkg("data", SAGE_PKGINSTALL_BUILT="no")
    assert is_kept(world)


def test_check_and_kept_build_directory_want_a_build(world: SageWorld) -> None:
    package(world, **{"spkg-check.in": "test -f src/data\n"})
    assert is_kept(world)
    assert not is_taken(world.spkg("data", "-c"))
    assert not is_taken(world.spkg("data", "-s"))


def test_scripts_run_each_time_unless_asked(world: SageWorld) -> None:
    package(world)
    assert is_kept(world)
    del world.env["SAGE_PKGINSTALL_BUILT"]
    assert not is_taken(world.spkg("data"))


def test_variables_turn_it_off(world: SageWorld) -> None:
    package(world)
    assert not is_kept(world, SAGE_PKGINSTALL_BUILT="wheels")
    assert not is_taken(world.spkg("data", SAGE_PKGINSTALL_BUILT="no"))
    assert not is_taken(world.spkg("data", SAGE_REBUILD="data"))
    assert is_taken(world.spkg("data", SAGE_REBUILD="other"))


def test_what_came_while_it_was_built_is_no_part_of_the_key(world: SageWorld) -> None:
    header = 'cp data "$SAGE_DESTDIR_LOCAL"\n'
    world.package("more", "1.0", {"spkg-install.in": f"cd src; {header}"}, source={"data": "1\n"})
    finds_more = f"sage-spkg more\n{SCRIPT}cp '{world.prefix}/data' \"$to/share/more\"\n"
    package(world, script=finds_more, dependencies="| more\n")
    first = world.spkg("data")
    assert f"{NOT_KEPT}prefix: more-1.0: new (" in first.stdout
    world.clean("more")
    assert not is_taken(world.spkg("data"))
    assert is_kept(world)  # now it was there


def test_package_that_was_edited_while_it_was_built_is_not_kept(world: SageWorld) -> None:
    package(world, script=f"{SCRIPT}echo >>'{world.packages}/data/SPKG.rst'\n")
    assert f"{NOT_KEPT}package: SPKG.rst: new (" in world.spkg("data").stdout


def test_file_of_the_build_directory_that_a_variable_names_does_not_count(
    world: SageWorld,
) -> None:
    package(world, script=f"touch flags\n{SCRIPT}")
    world.env["MY_FLAGS"] = f"@{world.prefix}/var/tmp/sage/build/data-1.0/flags"
    assert is_kept(world)


@pytest.mark.parametrize(
    ("needs", "counts"), [("tool", True), ("$(PYTHON)", True), ("| other", False)]
)
def test_python_counts_for_who_needs_one_or_something_that_does(
    world: SageWorld, needs: str, *, counts: bool
) -> None:
    world.package("tool", "1.0", {"version_requirements.txt": "tool\n"}, source={"x": ""})
    world.package("other", "1.0", {"spkg-install.in": SCRIPT}, source={"data": "x"})
    package(world, dependencies=f"{needs}\n")
    world.spkg("data")
    (last,) = Path(world.env["SAGE_PKGINSTALL_CACHE"]).glob("last/data-*.json")
    known = json.loads(last.read_bytes())["builds"][0]["inputs"]["groups"]
    assert bool(known["interpreter"]) == counts


def test_failed_build_keeps_nothing(tmp_path: Path, world: SageWorld) -> None:
    package(world, script=f"{SCRIPT}exit 3\n")
    world.spkg("data", status=1)
    assert not (tmp_path / "cache" / "built").exists()


def test_damaged_entry_is_reported_and_built_anew(tmp_path: Path, world: SageWorld) -> None:
    package(world)
    world.spkg("data")
    (kept,) = (tmp_path / "cache" / "built").glob("*/data-1.0.tar")
    kept.chmod(0o644)
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    ended = world.spkg("data")
    assert "is damaged (data-1.0.tar is not what was put there)" in ended.stderr + ended.stdout
    assert not is_taken(ended)
    assert is_taken(world.spkg("data"))


def test_neither_sources_nor_build_directory_are_needed(world: SageWorld) -> None:
    package(world)
    world.spkg("data")
    shutil.rmtree(world.root / "upstream")
    assert is_taken(world.spkg("data"))
