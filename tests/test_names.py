"""Names, versions and tags in file names of wheels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.wheels.archive import WheelArchive
from sage_pkginstall.wheels.names import canonical_name
from tests.foowheel import refusal
from tests.wheelmaker import make_wheel, members, write_zip

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "name",
    [
        "foo.whl",
        "foo-1.0.whl",
        "foo-1.0-py3-none-any.zip",
        "foo-1.0-py3-none-any",
        "foo-1.0-x-py3-none-any.whl",
        "foo-1.0-1-1-py3-none-any.whl",
        "-1.0-py3-none-any.whl",
    ],
)
def test_refused_file_name(tmp_path: Path, name: str) -> None:
    path = write_zip(tmp_path / name, members("foo", "1.0"))
    assert "its file name" in refusal(path)


@pytest.mark.parametrize(
    "name",
    [
        "foo-1.0-7-py3-none-any.whl",
        "Foo-1.0-7a-py3-none-any.whl",
        "foo-1-py3-none-any.whl",
        "foo-1.0.0-py3-none-any.whl",
    ],
)
def test_file_name_may_write_name_and_version_in_another_way(tmp_path: Path, name: str) -> None:
    WheelArchive.open(write_zip(tmp_path / name, members("foo", "1.0"))).close()


@pytest.mark.parametrize("name", ["bar-1.0-py3-none-any.whl", "foo-1.1-py3-none-any.whl"])
def test_refused_file_name_of_another_distribution(tmp_path: Path, name: str) -> None:
    reason = refusal(write_zip(tmp_path / name, members("foo", "1.0")))
    assert reason.startswith("its directory 'foo-1.0.dist-info' is not that of")


def test_local_version_is_escaped_in_names(tmp_path: Path) -> None:
    with WheelArchive.open(make_wheel(tmp_path, "foo", "1.0+ab.1")) as archive:
        assert archive.version == "1.0+ab.1"


def test_tags_of_the_file_name_count_not_those_from_before_it_was_renamed(tmp_path: Path) -> None:
    content = members("foo", "1.0", tag="py3-none-linux_x86_64")
    path = write_zip(tmp_path / "foo-1.0-py2.py3-none-manylinux_2_17_x86_64.whl", content)
    with WheelArchive.open(path) as archive:
        platform = "none-manylinux_2_17_x86_64"
        assert archive.tags == {f"py2-{platform}", f"py3-{platform}"}


@pytest.mark.parametrize("name", ["Foo", "a.b_c", "A--b", "x_-.y"])
def test_canonical_name_is_that_of_pep_503(name: str) -> None:
    from packaging.utils import canonicalize_name  # noqa: PLC0415

    assert canonical_name(name) == canonicalize_name(name)
