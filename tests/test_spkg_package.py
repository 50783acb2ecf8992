from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.errors import PackageError
from sage_pkginstall.spkg.dependencies import Dependencies
from sage_pkginstall.spkg.package import Package, package_names, read_package, split_name
from tests.trees import plant

if TYPE_CHECKING:
    from pathlib import Path

SHA = b"0" * 64


def package(root: Path, **files: str) -> Package:
    entries = {"type": b"standard"}
    entries |= {name.replace("__", "."): text.encode() for name, text in files.items()}
    return read_package(plant(root / "foo", entries))


def checksums(tarball: str) -> str:
    return f"tarball={tarball}\nsha256={SHA.decode()}\nupstream_url=https://x.org/{tarball}\n"


def test_version_keeps_the_patch_level_and_upstream_does_not(tmp_path: Path) -> None:
    made = package(tmp_path, package_version__txt="x", **{"package-version__txt": "1.2.3.p4\n"})
    assert (made.full_name, made.upstream_version) == ("foo-1.2.3.p4", "1.2.3")


def test_package_without_version_has_version_none(tmp_path: Path) -> None:
    assert package(tmp_path).full_name == "foo-none"


def test_placeholders_are_the_version_and_its_parts(tmp_path: Path) -> None:
    pattern = "x-VERSION_MAJOR-VERSION_MINOR-VERSION_MICRO-VERSION.tgz"
    made = package(
        tmp_path, checksums__ini=checksums(pattern), **{"package-version__txt": "1.2.p4"}
    )
    (tarball,) = made.tarballs
    assert tarball.filename == "x-1-2--1.2.tgz"
    assert tarball.url == "https://x.org/x-1-2--1.2.tgz"
    assert tarball.sha256 == SHA.decode()


@pytest.mark.parametrize(
    "text",
    [
        "[linux]\n" + checksums("a.whl") + "[darwin]\n" + checksums("b.whl"),
        checksums("a.whl") + "\n# the other one\n" + checksums("b.whl"),
    ],
)
def test_several_tarballs_in_sections_or_after_one_another(tmp_path: Path, text: str) -> None:
    made = package(tmp_path, checksums__ini=text)
    assert [tarball.filename for tarball in made.tarballs] == ["a.whl", "b.whl"]
    assert made.kind == "wheel"


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"requirements__txt": "x", "checksums__ini": checksums("a.tgz")}, "pip"),
        ({"checksums__ini": checksums("a.whl"), "spkg-install__in": ""}, "wheel"),
        ({"checksums__ini": checksums("a.tgz"), "spkg-install__in": ""}, "normal"),
        ({"spkg-install__in": ""}, "script"),
        ({"spkg-install": ""}, "script"),
        ({}, "none"),
    ],
)
def test_kind(tmp_path: Path, files: dict[str, str], kind: str) -> None:
    assert package(tmp_path, **files).kind == kind


@pytest.mark.parametrize(
    ("files", "trees", "is_python"),
    [
        ({}, ("SAGE_LOCAL",), False),
        ({"version_requirements__txt": "foo"}, ("SAGE_VENV",), True),
        ({"requirements__txt": "foo"}, ("SAGE_VENV",), True),
        (
            {"version_requirements__txt": "foo", "trees__txt": "# both\nSAGE_LOCAL SAGE_VENV"},
            ("SAGE_LOCAL", "SAGE_VENV"),
            True,
        ),
    ],
)
def test_trees(
    tmp_path: Path, files: dict[str, str], trees: tuple[str, ...], is_python: bool
) -> None:
    made = package(tmp_path, **files)
    assert (made.trees, made.is_python) == (trees, is_python)


def test_dependencies_are_the_first_line_without_comment(tmp_path: Path) -> None:
    made = package(
        tmp_path,
        dependencies="a $(PYTHON) | b c # d\n e f\n",
        dependencies_order_only="c g",
        dependencies_build="h\ni",
        dependencies_check="j # k",
        dependencies_optional="l",
    )
    assert made.dependencies == Dependencies(
        normal=("a", "$(PYTHON)"),
        order_only=("b", "c", "g"),
        build=("h",),
        check=("j",),
        optional=("l",),
    )


def test_functions_of_make_are_one_word_each(tmp_path: Path) -> None:
    first = "$(and $(filter-out no,$(X)), a)"
    second = "$(and $(filter-out no,$(Y)), b)"
    made = package(tmp_path, dependencies=f"{first} {second} c $(inst_d) | {second}x$(Z)")
    assert made.dependencies.normal == (first, second, "c", "$(inst_d)")
    assert made.dependencies.order_only == (f"{second}x$(Z)",)


def test_scripts_to_be_wrapped_go_before_executables(tmp_path: Path) -> None:
    made = package(tmp_path, **{"spkg-install__in": "", "spkg-install": "", "spkg-check": ""})
    install, check = made.script("install"), made.script("check")
    assert install is not None
    assert install.wrapped
    assert check is not None
    assert not check.wrapped
    assert made.script("build") is None


def test_requirement_names_are_those_of_version_requirements(tmp_path: Path) -> None:
    made = package(
        tmp_path, version_requirements__txt="# why\nJinja2 >=3.0; python_version<'4'\nzope.x[y]\n"
    )
    assert made.requirement_names() == ("Jinja2", "zope.x")


@pytest.mark.parametrize(
    "files",
    [
        {"type": "odd"},
        {"type": ""},
        {"package-version__txt": "../x"},
        {"checksums__ini": "sha256=00"},
        {"checksums__ini": "tarball=../x"},
        {"checksums__ini": "tarball=x\nsha256=00"},
        {"trees__txt": "a/b"},
    ],
)
def test_impossible_package_directory_is_refused(tmp_path: Path, files: dict[str, str]) -> None:
    with pytest.raises(PackageError, match="cannot handle package foo: "):
        package(tmp_path, **files)


@pytest.mark.parametrize(
    "name", ["type", "package-version.txt", "checksums.ini", "dependencies", "trees.txt"]
)
def test_file_that_cannot_be_read_is_a_fault_of_its_package(tmp_path: Path, name: str) -> None:
    """So the rules of all other packages are made all the same."""
    plant(tmp_path / "foo", {"type": b"optional"})
    (tmp_path / "foo" / name).unlink(missing_ok=True)
    (tmp_path / "foo" / name).mkdir()
    reason = f"cannot handle package foo: {tmp_path}/foo/{name} cannot be read: Is a directory"
    with pytest.raises(PackageError, match=reason):
        read_package(tmp_path / "foo")


def test_missing_package_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="there is no directory"):
        read_package(tmp_path / "foo")


def test_names_are_those_of_directories_with_a_type(tmp_path: Path) -> None:
    plant(tmp_path, {"b/type": b"", "a/type": b"", "c/other": b"", "SPKG.txt": b""})
    assert package_names(tmp_path) == ("a", "b")


def test_names_split_at_the_first_dash() -> None:
    assert split_name("foo") == ("foo", None)
    assert split_name("foo-1.2-rc1.p1") == ("foo", "1.2-rc1.p1")
    with pytest.raises(PackageError):
        split_name("../foo")
    with pytest.raises(PackageError):
        split_name("foo-../1")
