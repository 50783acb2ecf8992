"""What is installed, and what its records say, as pip, uv and old tools leave them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import sysconfig
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from sage_pkginstall.environment import Environment, target_environment
from sage_pkginstall.errors import RecordError
from sage_pkginstall.wheels.records import (
    Installed,
    Problem,
    RecordRow,
    byte_code_of,
    canonical_name,
    check,
    find_installed,
    installed_at,
    installed_distributions,
    quick_name,
    read_metadata,
    read_rows,
    recorded_files,
)
from tests.trees import EMPTY, Entry, Link, plant
from tests.wheelmaker import make_wheel

SITE = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"


@pytest.fixture
def environment(venv: Path) -> Environment:
    return target_environment(venv)


def in_site(environment: Environment, entries: dict[str, Entry]) -> None:
    plant(environment.prefix / SITE, entries)


def digest(content: bytes) -> str:
    value = urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"sha256={value}"


def found(environment: Environment) -> list[tuple[str, str, str]]:
    return [(i.name, i.version, i.kind) for i in installed_distributions(environment)]


def the_one(environment: Environment, name: str) -> Installed:
    (installed,) = find_installed(environment, name)
    return installed


# What is installed


def test_empty_environment_has_nothing(environment: Environment) -> None:
    assert installed_distributions(environment) == ()


def test_environment_without_site_packages_has_nothing(environment: Environment) -> None:
    (environment.prefix / SITE).rmdir()
    assert installed_distributions(environment) == ()


def test_every_kind_is_found_and_sorted_by_name(environment: Environment) -> None:
    in_site(
        environment,
        {
            "Zebra-1.0.dist-info/RECORD": b"",
            "old-2.0-py3.9.egg-info/PKG-INFO": b"",
            "plain.egg-info/PKG-INFO": b"Name: Plain\nVersion: 3\n",
            "distutils_made-1.egg-info": b"Name: distutils-made\nVersion: 1\n",
            "egg-4.0-py3.9.egg/EGG-INFO/PKG-INFO": b"",
            "zipped-5.0-py3.9.egg": b"PK",
            "linked.egg-link": b"/nowhere\n.",
            "module.py": b"",
            "package/__init__.py": b"",
        },
    )
    assert found(environment) == [
        ("distutils_made", "1", "distutils"),
        ("egg", "4.0", "egg-info"),
        ("linked", "", "egg-link"),
        ("old", "2.0", "egg-info"),
        ("Plain", "3", "egg-info"),
        ("Zebra", "1.0", "dist-info"),
        ("zipped", "5.0", "egg-info"),
    ]


def test_what_pip_was_about_to_delete_is_not_installed(environment: Environment) -> None:
    in_site(
        environment,
        {"~oo-1.0.dist-info/RECORD": b"", "-oo-1.dist-info/RECORD": b"", ".egg-info/x": b""},
    )
    assert installed_distributions(environment) == ()


def test_dist_info_that_is_a_file_is_not_installed(environment: Environment) -> None:
    in_site(environment, {"foo-1.0.dist-info": b""})
    assert installed_distributions(environment) == ()


def test_directory_without_metadata_is_a_ghost(environment: Environment) -> None:
    in_site(environment, {"foo-1.0.dist-info": EMPTY, "foo-2.0.dist-info/RECORD": b""})
    ghosts = find_installed(environment, "foo")
    assert [(g.version, g.kind) for g in ghosts] == [("1.0", "dist-info"), ("2.0", "dist-info")]


def test_ambiguous_names_are_read_from_the_metadata(environment: Environment) -> None:
    in_site(
        environment,
        {
            "foo-bar-1.0.dist-info/METADATA": b"Name: foo-bar\nVersion: 1.0\n\nName: no\n",
            "local-1.0_cpu.dist-info/METADATA": b"Name: local\nVersion: 1.0+cpu\n",
            "lost-name-1.0.dist-info": EMPTY,
            "noversion.dist-info": EMPTY,
        },
    )
    assert found(environment) == [
        ("foo-bar", "1.0", "dist-info"),
        ("local", "1.0+cpu", "dist-info"),
        ("lost-name", "1.0", "dist-info"),
        ("noversion", "", "dist-info"),
    ]


def test_names_are_found_however_they_are_spelt(environment: Environment) -> None:
    in_site(environment, {"Foo.Bar_baz-1.0.dist-info/RECORD": b""})
    for name in ("foo-bar-baz", "FOO_BAR.BAZ", "foo.--_bar-baz"):
        assert [i.name for i in find_installed(environment, name)] == ["Foo.Bar_baz"]
    assert find_installed(environment, "foo") == ()
    assert find_installed(environment, "foo-bar") == ()


def test_unreadable_directory_is_an_error_not_empty(environment: Environment) -> None:
    site = environment.prefix / SITE
    site.rmdir()
    site.write_text("")
    with pytest.raises(RecordError, match="Not a directory"):
        installed_distributions(environment)


def test_directory_behind_lib64_is_read_once(environment: Environment) -> None:
    if not (environment.prefix / "lib64").exists():
        (environment.prefix / "lib64").symlink_to("lib")
    in_site(environment, {"foo-1.0.dist-info/RECORD": b""})
    assert len(installed_distributions(environment)) == 1


@pytest.mark.parametrize(
    "info",
    [
        "foo-1.0.dist-info",
        "Foo.Bar-1-py3.9.egg-info",
        "foo-bar-1.dist-info",
        "foo.egg-info",
        "x-1_0.dist-info",
    ],
)
def test_quick_name_says_the_same_or_nothing(environment: Environment, info: str) -> None:
    in_site(environment, {info: EMPTY})
    assert quick_name(f"{SITE}/{info}") in {
        installed_at(environment, f"{SITE}/{info}").canonical,
        None,
    }


def test_installed_at_knows_what_the_scan_knows(environment: Environment) -> None:
    in_site(
        environment,
        {
            "foo-1.0.dist-info/METADATA": b"",
            "bar.egg-info": b"Name: bar\nVersion: 2",
            "baz-1-py3.9.egg-info/PKG-INFO": b"",
        },
    )
    for installed in installed_distributions(environment):
        assert installed_at(environment, installed.info) == installed


def test_metadata_is_read_to_the_end_of_its_headers(environment: Environment) -> None:
    in_site(
        environment,
        {
            "foo-1.0.dist-info/METADATA": (
                b"Metadata-Version: 2.1\r\nName: Foo\r\nversion: 1.0\r\nSummary: a\r\n  b\r\n"
                b"Requires-Dist: bar (>=1)\r\nrequires-dist: baz;\r\n   python_version>'3'\r\n"
                b"\r\nRequires-Dist: body\r\n"
            )
        },
    )
    metadata = read_metadata(environment, the_one(environment, "foo"))
    assert (metadata.name, metadata.version) == ("Foo", "1.0")
    assert metadata.requires == ("bar (>=1)", "baz;   python_version>'3'")


def test_metadata_that_is_missing_is_an_error(environment: Environment) -> None:
    in_site(environment, {"foo-1.0.dist-info": EMPTY})
    with pytest.raises(RecordError, match="METADATA: there is no such file"):
        read_metadata(environment, the_one(environment, "foo"))


def test_egg_link_tells_the_version_of_its_source(environment: Environment, tmp_path: Path) -> None:
    source = plant(tmp_path / "src", {"foo_bar.egg-info/PKG-INFO": b"Name: foo-bar\nVersion: 7\n"})
    in_site(environment, {"foo-bar.egg-link": f"{source}\n../".encode()})
    assert found(environment) == [("foo-bar", "7", "egg-link")]


@pytest.mark.parametrize("name", ["Foo", "a.b_c", "A--b", "x_-.y"])
def test_canonical_name_is_that_of_pep_503(name: str) -> None:
    from packaging.utils import canonicalize_name  # noqa: PLC0415

    assert canonical_name(name) == canonicalize_name(name)


# The files of a distribution


def record(environment: Environment, text: str | bytes) -> Installed:
    data = text if isinstance(text, bytes) else text.encode()
    in_site(environment, {"foo-1.0.dist-info/RECORD": data})
    return the_one(environment, "foo")


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
        "../../../../secret,,\n/etc/passwd,,\n../../../../../../../../../../x,,\n"
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


def test_windows_line_ends_without_quotes(environment: Environment) -> None:
    installed = record(environment, b"a.py,,\r\n\r\nb.py,sha256=x,3\r\n")
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


def test_byte_code_of_listed_sources_of_any_interpreter(environment: Environment) -> None:
    in_site(
        environment,
        {
            "foo/__pycache__/a.cpython-311.pyc": b"",
            "foo/__pycache__/a.cpython-311.opt-2.pyc": b"",
            "foo/__pycache__/a.pypy39.pyc": b"",
            "foo/__pycache__/b.cpython-311.pyc": b"",
            "foo/__pycache__/a.txt": b"",
            "foo/a.pyc": b"",
            "__pycache__/top.cpython-311.pyc": b"",
        },
    )
    sources = {f"{SITE}/foo/a.py", f"{SITE}/top.py", f"{SITE}/nowhere/c.py", "bin/tool"}
    assert byte_code_of(environment, sources) == {
        f"{SITE}/foo/__pycache__/a.cpython-311.pyc",
        f"{SITE}/foo/__pycache__/a.cpython-311.opt-2.pyc",
        f"{SITE}/foo/__pycache__/a.pypy39.pyc",
        f"{SITE}/__pycache__/top.cpython-311.pyc",
    }


# Whether the disk agrees


def test_check_finds_every_difference(environment: Environment) -> None:
    in_site(
        environment,
        {
            "good.py": b"good",
            "short.py": b"x",
            "changed.py": b"new",
            "strange.py": b"",
            "old.py": b"old",
            "directory.py/x": b"",
            "foo-1.0.dist-info/extra": b"",
            "__pycache__/good.cpython-311.pyc": b"anything",
        },
    )
    md5 = urlsafe_b64encode(hashlib.md5(b"old").digest()).rstrip(b"=").decode()  # noqa: S324
    installed = record(
        environment,
        f"good.py,{digest(b'good')},4\nshort.py,{digest(b'xx')},2\n"
        f"changed.py,{digest(b'old')},3\nstrange.py,rot13=abc,0\ngone.py,{digest(b'')},0\n"
        f"directory.py,,\nold.py,md5={md5},3\n../../../../out,,\n"
        "__pycache__/good.cpython-311.pyc,,\n__pycache__/gone.cpython-311.pyc,,\n"
        "foo-1.0.dist-info/RECORD,,\n",
    )
    outside = f"{environment.prefix.parent}/out"
    assert check(environment, installed) == (
        Problem(f"{SITE}/short.py", "size", "1 bytes, 2 recorded"),
        Problem(f"{SITE}/changed.py", "hash", f"{digest(b'new')}, {digest(b'old')} recorded"),
        Problem(f"{SITE}/strange.py", "hash", "unknown algorithm 'rot13'"),
        Problem(f"{SITE}/gone.py", "missing", "not there"),
        Problem(f"{SITE}/directory.py", "type", "a directory"),
        Problem(outside, "outside", f"lies outside {environment.prefix}"),
        Problem(f"{SITE}/__pycache__/gone.cpython-311.pyc", "missing", "not there"),
        Problem(f"{SITE}/foo-1.0.dist-info/extra", "unlisted", "not in RECORD"),
    )


def test_check_of_a_ghost_names_its_record(environment: Environment) -> None:
    in_site(environment, {"foo-1.0.dist-info": EMPTY})
    (problem,) = check(environment, the_one(environment, "foo"))
    assert (problem.path, problem.kind) == (f"{SITE}/foo-1.0.dist-info/RECORD", "record")


def test_check_finds_nothing_where_nothing_is_listed(environment: Environment) -> None:
    in_site(
        environment,
        {"a-1.egg-info": b"", "b.egg-link": b"", "c-1-py3.9.egg-info/PKG-INFO": b""},
    )
    for installed in installed_distributions(environment):
        assert check(environment, installed) == ()


# Real installers


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
