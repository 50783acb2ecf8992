"""Which distributions are found, as pip, uv and old tools leave them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.environment import Environment, target_environment
from sage_pkginstall.errors import RecordError
from sage_pkginstall.wheels.installed import (
    find_installed,
    installed_at,
    installed_distributions,
    parse_headers,
    quick_name,
    read_metadata,
)
from tests.sitepackages import SITE, in_site, the_one
from tests.trees import EMPTY, plant

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def environment(venv: Path) -> Environment:
    return target_environment(venv)


def found(environment: Environment) -> list[tuple[str, str, str]]:
    return [(i.name, i.version, i.kind) for i in installed_distributions(environment)]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_headers_go_on_behind_a_text_of_several_paragraphs(end: str) -> None:
    paragraphs = ["License: One", "        ", "        \f", "        Two"]
    lines = ["Name: foo", *paragraphs, "Requires-Dist: bar", "", "Requires-Dist: of the text", ""]
    headers = parse_headers(end.join(lines))
    assert headers["name"] == ["foo"]
    assert headers["requires-dist"] == ["bar"]


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


def test_what_is_no_name_or_cannot_be_shown_is_taken_from_the_file_name(
    environment: Environment,
) -> None:
    in_site(
        environment,
        {
            "foo-1.0_1.dist-info/METADATA": b"Name: \x1b[2Jfoo\nVersion: 1\x1b[2J\n",
            "bar.egg-info/PKG-INFO": b"Name: ../bar\nVersion: 2\n",
        },
    )
    assert found(environment) == [("bar", "2", "egg-info"), ("foo", "1.0_1", "dist-info")]


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


def test_egg_link_of_zeros_tells_no_version(environment: Environment) -> None:
    in_site(environment, {"foo.egg-link": bytes(20)})
    assert found(environment) == [("foo", "", "egg-link")]


def test_egg_link_tells_the_version_of_its_source(environment: Environment, tmp_path: Path) -> None:
    source = plant(tmp_path / "src", {"foo_bar.egg-info/PKG-INFO": b"Name: foo-bar\nVersion: 7\n"})
    in_site(environment, {"foo-bar.egg-link": f"{source}\n../".encode()})
    assert found(environment) == [("foo-bar", "7", "egg-link")]
