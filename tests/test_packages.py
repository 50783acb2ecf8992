"""The package directories at hand: each is well-formed, and together they can be built."""

from __future__ import annotations

import os
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from sage_pkginstall.spkg.package import Package, package_names, read_package
from sage_pkginstall.spkg.rules import PYTHON_TOOLCHAIN, make_rules
from tests.sageworld import SageWorld

PACKAGES = Path(__file__).resolve().parent.parent / "build" / "pkgs"

FILES = re.compile(
    r"type|SPKG\.rst|package-version\.txt|checksums\.ini|(version_)?requirements\.txt|trees\.txt"
    r"|dependencies(_build|_check|_optional|_order_only)?|patches/[\w.-]+\.patch|src/.+"
    r"|spkg-(build|install|check|preinst|postinst|prerm|postrm)(\.in)?"
)
ALWAYS = {"type", "SPKG.rst", "dependencies"}
VARIABLES = {"$(PYTHON)", "$(PYTHON_TOOLCHAIN)"}


@pytest.fixture(scope="module")
def packages() -> dict[str, Package]:
    return {name: read_package(PACKAGES / name) for name in package_names(PACKAGES)}


def needs(package: Package) -> set[str]:
    """What must be installed before ``package`` is built: names of packages, and variables."""
    given = package.dependencies
    return {*given.normal, *given.order_only, *given.build}


def packages_before(package: Package) -> set[str]:
    """The packages among `needs`, those that the variables stand for included."""
    words = needs(package)
    toolchain = set(PYTHON_TOOLCHAIN) if "$(PYTHON_TOOLCHAIN)" in words else set()
    return (words | toolchain) - VARIABLES


def everything_before(name: str, packages: dict[str, Package]) -> set[str]:
    """The packages that are installed before ``name`` is built, at any remove."""
    found: set[str] = set()
    pending = [name]
    while pending:
        new = packages_before(packages[pending.pop()]) - found
        found |= new
        pending += new
    return found


def text(package: Package, name: str) -> str:
    return (package.directory / name).read_text(encoding="utf-8")


def test_every_kind_of_package_is_there(packages: dict[str, Package]) -> None:
    kinds = [(package.kind, package.is_python) for package in packages.values()]

    assert len(kinds) >= 70
    assert kinds.count(("normal", True)) >= 45
    assert kinds.count(("normal", False)) >= 6
    assert kinds.count(("wheel", True)) >= 5
    assert kinds.count(("script", False)) >= 2
    assert kinds.count(("pip", True)) >= 1


def test_directories_hold_known_files_only(packages: dict[str, Package]) -> None:
    strange = [
        path.relative_to(PACKAGES).as_posix()
        for package in packages.values()
        for path in package.directory.rglob("*")
        if path.is_file() and not FILES.fullmatch(path.relative_to(package.directory).as_posix())
    ]

    assert strange == []


def test_directories_hold_what_every_package_needs(packages: dict[str, Package]) -> None:
    always = {
        name: ALWAYS | ({"package-version.txt"} if package.kind != "pip" else set())
        for name, package in packages.items()
    }
    there = {name: {path.name for path in (PACKAGES / name).iterdir()} for name in packages}

    assert [
        (name, always[name] - there[name]) for name in packages if always[name] - there[name]
    ] == []
    assert {path.name for path in PACKAGES.iterdir() if path.is_dir()} == set(packages)


def test_names_are_in_lower_case_without_dashes(packages: dict[str, Package]) -> None:
    assert [name for name in packages if not re.fullmatch(r"[a-z][a-z0-9_]*", name)] == []


def test_descriptions_begin_with_name_and_title(packages: dict[str, Package]) -> None:
    for name, package in packages.items():
        title, line, *_ = text(package, "SPKG.rst").splitlines()
        assert re.fullmatch(re.escape(name) + r": \w.*", title), name
        assert line == "=" * len(title), name
        for heading in ("Description", "License", "Upstream Contact"):
            assert f"\n{heading}\n{'-' * len(heading)}\n\n" in text(package, "SPKG.rst"), name


def test_tarballs_have_a_hash_and_a_url_that_ends_in_their_name(
    packages: dict[str, Package],
) -> None:
    for name, package in packages.items():
        for tarball in package.tarballs:
            assert tarball.sha256, name
            assert tarball.url, name
            assert tarball.url.rpartition("/")[2] == tarball.filename, name
            assert "VERSION" not in tarball.url, name
            assert tarball.section in {"", tarball.filename}, name
        assert (len(package.tarballs) > 1) == ("[" in _checksums(package)), name


def _checksums(package: Package) -> str:
    return text(package, "checksums.ini") if package.tarballs else ""


def test_no_two_packages_disagree_about_a_tarball(packages: dict[str, Package]) -> None:
    hashes: dict[str, set[str | None]] = {}
    for package in packages.values():
        for tarball in package.tarballs:
            hashes.setdefault(tarball.filename, set()).add(tarball.sha256)

    assert {name: found for name, found in hashes.items() if len(found) > 1} == {}


def test_tarballs_of_python_packages_are_of_the_distribution_and_version(
    packages: dict[str, Package],
) -> None:
    for package in packages.values():
        for tarball in package.tarballs if package.is_python else ():
            stem = re.sub(r"\.tar\.gz$|\.zip$", "", tarball.filename)
            name, version = stem.split("-")[:2]
            assert (canonicalize_name(name),) == tuple(
                canonicalize_name(known) for known in package.requirement_names()
            )
            assert version == package.upstream_version


def test_versions_meet_their_own_requirements(packages: dict[str, Package]) -> None:
    unmet = {
        name: package.upstream_version
        for name, package in packages.items()
        if package.is_python and package.kind != "pip"
        for line in text(package, "version_requirements.txt").splitlines()
        if not Requirement(line).specifier.contains(package.upstream_version)
    }

    assert unmet == {}


def test_the_ticket_s_pair_shares_a_directory(packages: dict[str, Package]) -> None:
    pair = ("backports_shutil_get_terminal_size", "backports_ssl_match_hostname")

    assert [packages[name].full_name for name in pair] == [
        "backports_shutil_get_terminal_size-1.0.0",
        "backports_ssl_match_hostname-3.5.0.1",
    ]


def test_dependencies_are_packages(packages: dict[str, Package]) -> None:
    unknown = {name: packages_before(package) - set(packages) for name, package in packages.items()}

    assert {name: words for name, words in unknown.items() if words} == {}


def test_dependencies_have_no_cycle(packages: dict[str, Package]) -> None:
    graph = {name: packages_before(package) for name, package in packages.items()}

    order = list(TopologicalSorter(graph).static_order())

    assert sorted(order) == sorted(packages)


def test_python_packages_name_what_they_are_built_and_installed_with(
    packages: dict[str, Package],
) -> None:
    python = {name: package for name, package in packages.items() if package.is_python}
    toolchain = {name for tool in PYTHON_TOOLCHAIN for name in everything_before(tool, packages)}
    toolchain |= set(PYTHON_TOOLCHAIN)

    assert [name for name in python if "$(PYTHON)" not in needs(packages[name])] == []
    assert [
        name
        for name, package in python.items()
        if package.kind == "normal"
        and name not in toolchain
        and "$(PYTHON_TOOLCHAIN)" not in needs(package)
        and not set(PYTHON_TOOLCHAIN) & everything_before(name, packages)
    ] == []


def test_the_toolchain_needs_nothing_but_itself(packages: dict[str, Package]) -> None:
    before = {name for tool in PYTHON_TOOLCHAIN for name in everything_before(tool, packages)}

    assert before <= {*PYTHON_TOOLCHAIN, "packaging"}


def test_standard_packages_need_standard_packages_only(packages: dict[str, Package]) -> None:
    standard = {name for name, package in packages.items() if package.type == "standard"}

    assert {
        name: packages_before(packages[name]) - standard
        for name in standard
        if packages_before(packages[name]) - standard
    } == {}


def test_make_finds_nothing_odd(packages: dict[str, Package]) -> None:
    assert make_rules(PACKAGES).warnings == ()


def test_packages_with_sources_say_how_they_are_installed(packages: dict[str, Package]) -> None:
    silent = [
        name
        for name, package in packages.items()
        if package.kind in {"normal", "script"} and package.script("install") is None
    ]

    assert silent == []


def test_wrapped_scripts_have_no_shebang_and_others_are_programs(
    packages: dict[str, Package],
) -> None:
    for package in packages.values():
        for script in package.scripts:
            begins = script.path.read_bytes().startswith(b"#!")
            assert begins is not script.wrapped, script.path
            assert os.access(script.path, os.X_OK) is not script.wrapped, script.path
            assert script.path.read_bytes().endswith(b"\n"), script.path


def test_patches_are_applied_one_level_down(packages: dict[str, Package]) -> None:
    for package in packages.values():
        for patch in package.patches:
            targets = re.findall(r"^\+\+\+ (\S+)", patch.read_text(encoding="utf-8"), re.MULTILINE)
            assert targets, patch
            assert all(target.startswith("b/") for target in targets), patch


def test_libev_is_built_where_perl_has_no_pod2man(tmp_path: Path, venv: Path) -> None:
    """Debian's smallest systems, which have all that the README asks for."""
    configure = '#!/bin/sh\nfor word; do echo "$word"; done | sed -n "s,^--prefix,P,p" >config.mk\n'
    makefile = (
        "include config.mk\nman_MANS = ev.3\nall: $(man_MANS)\n"
        "ev.3:\n\tno-such-pod2man <ev.pod >$@\n"
        "install: $(man_MANS)\n\tmkdir -p $(DESTDIR)$(P)/include\n"
        "\techo >$(DESTDIR)$(P)/include/ev.h\n"
    )
    libev = read_package(PACKAGES / "libev")
    files = {script.path.name: script.path.read_text("utf-8") for script in libev.scripts}
    inside = {"configure": configure, "Makefile": makefile}
    world = SageWorld.make(tmp_path, venv)
    source = {f"deps/libev/{name}": content for name, content in inside.items()}
    world.package("libev", "1.0", files, source=source)
    world.run("sage-spkg", "libev")
    assert "include/ev.h" in world.paths()
