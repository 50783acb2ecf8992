"""The files of distributions, as pip, uv and old tools record them."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from sage_pkginstall.environment import Environment, target_environment
from sage_pkginstall.errors import RecordError
from sage_pkginstall.wheels.checking import check
from sage_pkginstall.wheels.installed import find_installed, installed_distributions, read_metadata
from sage_pkginstall.wheels.records import RecordRow, read_rows, recorded_files
from tests.sitepackages import SITE, in_site, record, the_one
from tests.trees import EMPTY, Link, plant
from tests.wheelmaker import make_wheel


@pytest.fixture
def environment(venv: Path) -> Environment:
    return target_environment(venv)


def test_rows_become_paths_of_the_prefix(environment: Environment) -> None:
    prefix = environment.prefix
    installed = record(
        environment,
        "foo/__init__.py,sha256=abc,12\n"
        "foo/a.py,,\n"
        "./foo//b.py,,\n"
        "../../../bin/foo,sha256=abc,x\n"
        "foo/../bar.py,,\n"
        f"{prefix}/share/foo.txt,,5\n"
        "foo/,,\n"
        ",,\n"
        "foo-1.0.dist-info/RECORD,,\n",
    )
    assert read_rows(environment, installed) == (
        RecordRow(f"{SITE}/foo/__init__.py", "sha256=abc", 12),
        RecordRow(f"{SITE}/foo/a.py", None, None),
        RecordRow(f"{SITE}/foo/b.py", None, None),
        RecordRow("bin/foo", "sha256=abc", None),
        RecordRow(f"{SITE}/bar.py", None, None),
        RecordRow("share/foo.txt", None, 5),
        RecordRow(f"{SITE}/foo-1.0.dist-info/RECORD", None, None),
    )


def test_rows_that_leave_the_prefix_are_told_apart(environment: Environment) -> None:
    outside = environment.prefix.parent
    installed = record(
        environment,
        f"../../../../secret,,\n/etc/passwd,,\n{'../' * 99}x,,\n"
        f"{environment.prefix}-other/y,,\n{environment.prefix}/../z,,\n/w,,\n",
    )
    files = recorded_files(environment, installed)
    assert files.paths == {f"{SITE}/foo-1.0.dist-info/RECORD"}
    assert files.outside == (
        f"{outside}/secret",
        "/etc/passwd",
        "/x",
        f"{environment.prefix}-other/y",
        f"{outside}/z",
        "/w",
    )


def test_absolute_rows_of_a_linked_prefix_are_inside(environment: Environment) -> None:
    link = environment.prefix.parent / "link"
    link.symlink_to(environment.prefix.name)
    there = target_environment(link)
    installed = record(there, f"{environment.prefix}/bin/a,,\n{link}/bin/b,,\n")
    assert recorded_files(there, installed).outside == ()
    assert {"bin/a", "bin/b"} < recorded_files(there, installed).paths


def test_quotes_commas_blanks_and_line_ends(environment: Environment) -> None:
    installed = record(
        environment,
        b'"a,b ""c"".py",sha256=x,1\r\n"new\nline.py",,\r\n blank .py,,\r\nlast,,',
    )
    assert [row.path for row in read_rows(environment, installed)] == [
        f'{SITE}/a,b "c".py',
        f"{SITE}/new\nline.py",
        f"{SITE}/ blank .py",
        f"{SITE}/last",
    ]


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
def test_other_line_ends_without_quotes(environment: Environment, end: bytes) -> None:
    installed = record(environment, b"a.py,,\n\nb.py,sha256=x,3\n".replace(b"\n", end))
    assert [(row.path, row.size) for row in read_rows(environment, installed)] == [
        (f"{SITE}/a.py", None),
        (f"{SITE}/b.py", 3),
    ]


def test_bytes_that_are_no_utf8_are_kept(environment: Environment) -> None:
    name = os.fsdecode(b"\xff\xe9.py")
    in_site(environment, {name: b""})
    installed = record(environment, b"\xff\xe9.py,,\n")
    (row,) = read_rows(environment, installed)
    assert (environment.prefix / row.path).exists()
    assert row.path == f"{SITE}/{name}"


def test_links_among_the_parents_are_resolved(environment: Environment) -> None:
    if not (environment.prefix / "lib64").exists():
        (environment.prefix / "lib64").symlink_to("lib")
    plant(environment.prefix, {"share": Link("lib/data"), "lib/data/x": b"", "way": Link("..")})
    version = SITE.split("/")[1]
    installed = record(
        environment,
        f"../../../lib64/{version}/site-packages/foo/a.py,,\n../../../share/x,,\n"
        "../../../way/y,,\n../../../share,,\n",
    )
    assert [row.path for row in read_rows(environment, installed)] == [
        f"{SITE}/foo/a.py",
        "lib/data/x",
        "way/y",
        "share",
    ]


def test_everything_in_the_own_directory_belongs_to_it(environment: Environment) -> None:
    installed = record(environment, "foo.py,,\n")
    in_site(
        environment,
        {
            "foo-1.0.dist-info/INSTALLER": b"x",
            "foo-1.0.dist-info/licenses/a/LICENSE": b"",
            "foo-1.0.dist-info/link": Link("/etc"),
            "foo-1.0.dist-info/empty": EMPTY,
        },
    )
    info = f"{SITE}/foo-1.0.dist-info"
    assert recorded_files(environment, installed).paths == {
        f"{SITE}/foo.py",
        f"{info}/RECORD",
        f"{info}/INSTALLER",
        f"{info}/licenses/a/LICENSE",
        f"{info}/link",
    }


def test_no_record_is_an_error(environment: Environment) -> None:
    in_site(
        environment,
        {
            "a-1.dist-info": EMPTY,
            "b-1-py3.9.egg-info/PKG-INFO": b"",
            "c-1.egg-info": b"",
            "d.egg-link": b"",
        },
    )
    for installed in installed_distributions(environment):
        with pytest.raises(RecordError, match="cannot read record"):
            recorded_files(environment, installed)


@pytest.mark.parametrize("text", [b"a\0b,,\n", b'"' + b"x" * 200_000 + b'",,\n'])
def test_damaged_record_is_an_error(environment: Environment, text: bytes) -> None:
    with pytest.raises(RecordError):
        recorded_files(environment, record(environment, text))


def test_old_lists_are_relative_to_their_directory(environment: Environment) -> None:
    info = "old-1.0-py3.9.egg-info"
    listed = b"../old/__init__.py\n../old.py\nPKG-INFO\n../../../../bin/old\n../../../../../out\n"
    in_site(environment, {f"{info}/installed-files.txt": listed, f"{info}/top_level.txt": b"old\n"})
    files = recorded_files(environment, the_one(environment, "old"))
    assert files.paths == {
        f"{SITE}/old/__init__.py",
        f"{SITE}/old.py",
        f"{SITE}/{info}/PKG-INFO",
        f"{SITE}/{info}/installed-files.txt",
        f"{SITE}/{info}/top_level.txt",
        "bin/old",
    }
    assert files.outside == (f"{environment.prefix.parent}/out",)


def demo_wheel(directory: Path) -> Path:
    return make_wheel(
        directory,
        "Demo.Dist",
        "1.0",
        {"demo/__init__.py": "x = 1\n", "demo/sub/mod.py": "y = 2\n"},
        scripts={"demo-entry": "demo:x"},
        metadata=["Requires-Dist: six"],
        data={
            "scripts/demo-script": "#!python\nprint('hello')\n",
            "data/share/demo/a,b.txt": "data",
            "headers/demo.h": "",
        },
    )


def install_with_pip(environment: Environment, wheel: Path) -> None:
    pip = ["pip", "--python", os.fspath(environment.interpreter), "install", "--no-deps"]
    subprocess.run(
        [sys.executable, "-m", *pip, "--no-index", "--quiet", os.fspath(wheel)], check=True
    )


def install_with_uv(environment: Environment, wheel: Path) -> None:
    uv = Path(sysconfig.get_path("scripts")) / "uv"
    if not uv.exists():
        pytest.skip("needs uv")
    target = ["--python", os.fspath(environment.interpreter), "--offline", "--no-cache"]
    command = [os.fspath(uv), "pip", "install", *target, "--no-deps", "--quiet"]
    subprocess.run([*command, os.fspath(wheel)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("install", [install_with_pip, install_with_uv])
def test_records_of_real_installers(
    environment: Environment, tmp_path: Path, install: object
) -> None:
    before = set(all_files(environment.prefix))
    assert callable(install)
    install(environment, demo_wheel(tmp_path))
    installed = the_one(environment, "demo-dist")
    files = recorded_files(environment, installed)
    assert files.outside == ()
    assert files.paths == set(all_files(environment.prefix)) - before
    assert check(environment, installed) == ()
    assert read_metadata(environment, installed).requires == ("six",)
    assert find_installed(environment, "Demo_dist") == (installed,)


def all_files(root: Path) -> list[str]:
    return [
        os.path.relpath(Path(directory) / name, root)
        for directory, _, names in os.walk(root)
        for name in names
        if name != ".lock"
    ]
