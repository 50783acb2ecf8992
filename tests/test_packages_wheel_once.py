"""The wheel of a package is built once: what of the package and its prefix counts."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.once import SCRIPT, TAKEN, make_quiet, package_files, world_with_cache
from tests.sageworld import BIN, ORDINARY_USER, SageWorld
from tests.sources import make_source
from tests.trees import tree

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path, venv: Path) -> SageWorld:
    return world_with_cache(tmp_path, venv)


def source_files(tmp_path: Path, name: str = "tiny", *, quiet: bool = True) -> dict[str, str]:
    source = make_source(tmp_path / "made" / name, name)
    if quiet:
        make_quiet(source)
    return {path: data.decode() for path, data in tree(source).items() if isinstance(data, bytes)}


def is_taken(ended: subprocess.CompletedProcess[str]) -> bool:
    return TAKEN in ended.stdout + ended.stderr


def test_package_built_again_takes_its_wheel(tmp_path: Path, world: SageWorld) -> None:
    world.package("tiny", "1.0", package_files(), source=source_files(tmp_path))
    assert not is_taken(world.spkg("tiny"))
    before = world.paths()
    world.clean("tiny")
    assert is_taken(world.spkg("tiny"))
    assert world.paths() == before


def test_cache_may_be_named_by_a_relative_path(
    tmp_path: Path, world: SageWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scripts run elsewhere: the cache of their wheels was made in the build directory."""
    monkeypatch.chdir(tmp_path)
    world.env["SAGE_PKGINSTALL_CACHE"] = "cache"
    world.package("tiny", "1.0", package_files(), source=source_files(tmp_path))
    assert not is_taken(world.spkg("tiny"))
    assert is_taken(world.spkg("tiny"))


def test_other_worktree_and_prefix_take_it(tmp_path: Path, world: SageWorld) -> None:
    files = source_files(tmp_path)
    world.package("tiny", "1.0", package_files(), source=files)
    world.spkg("tiny")
    other = tmp_path / "b"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", other / "local"], check=True)
    second = SageWorld.make(other, other / "local")
    second.env = world.env
    second.package("tiny", "1.0", package_files(), source=files)
    assert is_taken(second.spkg("tiny"))


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"spkg-install.in": f"touch src/more\n{SCRIPT}"}, "package: spkg-install.in"),
        ({"spkg-install.in": f"export A=1\n{SCRIPT}"}, "variables: A: new (1)"),
        ({"patches/a.patch": "--- a/x\n+++ b/x\n@@ -0,0 +1 @@\n+1\n"}, "source: x: new"),
        ({"patches/none.patch": ""}, "package: patches/none.patch"),
    ],
)  # fmt: skip
def test_patches_and_scripts_of_a_package_count(
    tmp_path: Path, world: SageWorld, files: dict[str, str], told: str
) -> None:
    world.package("tiny", "1.0", package_files(), source=source_files(tmp_path))
    world.spkg("tiny")
    world.package("tiny", "1.0", {**package_files(), **files}, source=source_files(tmp_path))
    assert not is_taken(world.spkg("tiny"))
    said = world.run("sage-pkginstall", "why-rebuilt", "tiny", "--all").stdout
    assert told in said


def test_upstream_counts_where_a_part_of_it_is_built(tmp_path: Path, world: SageWorld) -> None:
    """A binding is compiled with the headers of the library that it lies beside."""
    script = "cd src/python && sdh_pip_install .\n"
    taken = []
    for header in ("1", "1", "2"):
        files = {f"python/{path}": text for path, text in source_files(tmp_path).items()}
        files["library.h"] = header
        world.package("tiny", "1.0", package_files(**{"spkg-install.in": script}), source=files)
        taken.append(is_taken(world.spkg("tiny")))
    assert taken == [False, True, False]


def taken_with(world: SageWorld, name: str, texts: tuple[str, ...]) -> list[bool]:
    """Build with each text in a file that the script reads; tell which wheels were taken."""
    taken = []
    for text in texts:
        (world.root / name).write_text(text)
        taken.append(is_taken(world.spkg("tiny")))
    return taken


@pytest.mark.parametrize("spelt", ["$PWD/../native.ini", "../native.ini"])
def test_file_that_a_script_writes_beside_the_source_counts(
    tmp_path: Path, world: SageWorld, spelt: str
) -> None:
    script = (
        'cp "$SAGE_ROOT/settings" native.ini\ncd src\n'
        f'sdh_pip_install -C setup-args="--native-file={spelt}" .\n'
    )
    files = package_files(**{"spkg-install.in": script})
    world.package("tiny", "1.0", files, source=source_files(tmp_path))
    assert taken_with(world, "settings", ("1", "1", "2")) == [False, True, False]


@pytest.mark.parametrize("file", ["etc/settings", "lib/settings"])
def test_named_file_of_the_prefix_counts_unless_a_package_has_it(
    tmp_path: Path, world: SageWorld, file: str
) -> None:
    """A package counts if it is declared."""
    settings = world.prefix / file
    script = f'export DIST_EXTRA_CONFIG="$SAGE_LOCAL/{file}"\n{SCRIPT}'
    files = package_files(**{"spkg-install.in": script})
    world.package("tiny", "1.0", files, source=source_files(tmp_path))
    settings.parent.mkdir(exist_ok=True)
    taken = []
    for text in ("1", "1", "2"):
        settings.write_text(text)
        taken.append(is_taken(world.spkg("tiny")))
    assert taken == [False, True, False]
    settings.unlink()
    for text in ("3", "4"):
        staged = f'echo {text} > settings && sdh_install -T settings "$SAGE_LOCAL/{file}"\n'
        world.package("library", "1", {"spkg-install.in": staged})
        world.spkg("library")
        taken.append(is_taken(world.spkg("tiny")))
    assert taken[-1]


@pytest.mark.needs("git")
def test_checkout_in_the_build_directory_counts(tmp_path: Path, world: SageWorld) -> None:
    git = "git -C src -c user.name=x -c user.email=x"
    script = (
        "export GIT_AUTHOR_DATE=2020-01-01T00:00:00Z GIT_COMMITTER_DATE=2020-01-01T00:00:00Z\n"
        f"git init -q src && {git} add . && {git} commit -qm 1\n"
        f'{git} tag "$(cat "$SAGE_ROOT/tag")"\n'
    )
    files = package_files(**{"spkg-install.in": script + SCRIPT})
    world.package("tiny", "1.0", files, source=source_files(tmp_path))
    assert taken_with(world, "tag", ("v1", "v1", "v2")) == [False, True, False]


def test_text_about_a_package_does_not_count(tmp_path: Path, world: SageWorld) -> None:
    world.package("tiny", "1.0", package_files(), source=source_files(tmp_path))
    world.spkg("tiny")
    more = {"SPKG.rst": "It is tiny.\n", "distros/debian.txt": "tiny\n"}
    world.package("tiny", "1.0", package_files(**more), source=source_files(tmp_path))
    assert is_taken(world.spkg("tiny"))


def library(world: SageWorld, content: str) -> None:
    text = f'echo {content} > lib.h && sdh_install lib.h "$SAGE_LOCAL/include"\n'
    world.package("library", "1", {"spkg-install.in": text})
    world.spkg("library")


@pytest.mark.parametrize("is_declared", [True, False])
def test_only_what_a_package_depends_on_counts(
    tmp_path: Path, world: SageWorld, is_declared: bool
) -> None:
    library(world, "1")
    more = {"dependencies": "library | \n"} if is_declared else {}
    world.package("tiny", "1.0", package_files(**more), source=source_files(tmp_path))
    world.spkg("tiny")
    library(world, "1")
    assert is_taken(world.spkg("tiny"))
    library(world, "2")
    assert is_taken(world.spkg("tiny")) is not is_declared


@pytest.mark.parametrize("place", ["$SAGE_DESTDIR_LOCAL/opt", "$SAGE_LOCAL/include"])
def test_all_that_a_declared_package_brings_counts(
    tmp_path: Path, world: SageWorld, place: str
) -> None:
    """Wherever it lies, and also if its script puts it into the tree itself."""
    files = package_files(dependencies="settings\n")
    world.package("tiny", "1.0", files, source=source_files(tmp_path))
    for number in (1, 2):
        script = f'mkdir -p "{place}" && echo {number} >"{place}/settings"'
        world.package("settings", "1.0", {"spkg-install.in": script})
        world.spkg("settings")
        assert not is_taken(world.spkg("tiny"))
        world.spkg("settings")
        assert is_taken(world.spkg("tiny"))


def test_file_that_the_builder_may_not_read_fails_no_build(
    tmp_path: Path, world: SageWorld
) -> None:
    script = 'echo 1 >key; sdh_install key "$SAGE_LOCAL/etc"'
    world.package("secret", "1.0", {"spkg-install.in": script})
    world.spkg("secret")
    (world.prefix / "etc/key").chmod(0)
    files = package_files(dependencies="secret\n")
    world.package("tiny", "1.0", files, source=source_files(tmp_path))
    ended = subprocess.run(
        [*ORDINARY_USER, BIN / "sage-spkg", "tiny"],
        env=world.variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    assert f"Built without looking into the cache: {world.prefix}/etc/key: Perm" in ended.stdout


def test_wheel_linked_with_what_is_not_declared_is_not_kept(
    tmp_path: Path, world: SageWorld
) -> None:
    text = 'echo > libx.so.1 && sdh_install libx.so.1 "$SAGE_LOCAL/lib"\n'
    world.package("library", "1", {"spkg-install.in": text})
    world.spkg("library")
    files = source_files(tmp_path)
    files["backend.py"] = files["backend.py"].replace(
        'f"{name}.json": json.dumps(report)', 'f"{name}.so": "\\x7fELF libc\\0libx.so.1\\0"'
    )
    world.package("tiny", "1.0", package_files(), source=files)
    said = world.spkg("tiny")
    assert "linked with libx.so.1 of library" in said.stdout + said.stderr
    assert not is_taken(world.spkg("tiny"))


def test_what_came_while_a_wheel_was_built_is_no_part_of_its_key(
    tmp_path: Path, world: SageWorld
) -> None:
    world.package("more", "1.0", {"spkg-install.in": 'touch "$SAGE_DESTDIR_LOCAL/more"'}, source={})
    source = make_source(tmp_path / "made", code='__import__("os").system("sage-spkg more")')
    make_quiet(source)
    files = {path: data.decode() for path, data in tree(source).items() if isinstance(data, bytes)}
    world.package("tiny", "1.0", package_files(dependencies="| more\n"), source=files)
    first = world.spkg("tiny")
    assert "is not kept: prefix: more-1.0: new (" in first.stdout + first.stderr
    world.clean("more")
    world.clean("tiny")
    assert not is_taken(world.spkg("tiny"))
    assert not is_taken(world.spkg("tiny"))  # now it is there from the beginning
    assert is_taken(world.spkg("tiny"))


def test_sage_rebuild_names_packages(tmp_path: Path, world: SageWorld) -> None:
    world.package("tiny", "1.0", package_files(), source=source_files(tmp_path))
    world.spkg("tiny")
    assert not is_taken(world.spkg("tiny", SAGE_REBUILD="other tiny"))
    assert is_taken(world.spkg("tiny", SAGE_REBUILD="other"))
