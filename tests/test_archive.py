"""What a good wheel tells an installer, and which environments it fits."""

from __future__ import annotations

import venv
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.environment import Environment, target_environment
from sage_pkginstall.errors import WheelError
from sage_pkginstall.wheels.archive import WheelArchive
from sage_pkginstall.wheels.container import Limits
from sage_pkginstall.wheels.fitness import check_fits
from sage_pkginstall.wheels.metadata import WheelMetadata
from tests.foowheel import INFO, contents, foo, refusal
from tests.wheelmaker import Member, make_wheel

if TYPE_CHECKING:
    from pathlib import Path


def test_good_wheel_tells_what_it_is(tmp_path: Path) -> None:
    path = make_wheel(
        tmp_path,
        "Foo.bar",
        "1.0.post1",
        metadata=["Requires-Python: >=3.8", "Requires-Dist: a (>1);\n  python_version<'3'"],
        tag="py2.py3-none-any",
    )
    with WheelArchive.open(path) as archive:
        assert (archive.path, archive.name, archive.version) == (path, "foo-bar", "1.0.post1")
        assert archive.tags == {"py2-none-any", "py3-none-any"}
        assert archive.dist_info_dir == "Foo.bar-1.0.post1.dist-info"
        assert archive.data_dir == "Foo.bar-1.0.post1.data"
        assert sorted(archive.dist_info_filenames) == ["METADATA", "RECORD", "WHEEL"]
        assert archive.metadata == WheelMetadata(
            name="Foo.bar",
            version="1.0.post1",
            requires_python=">=3.8",
            requires_dist=("a (>1); python_version<'3'",),
        )


def test_contents_are_the_files_with_their_rows_of_record(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "foo", "1.0", {"foo.py": b"x = 1\n", "bin/x": b"#!/bin/sh\n"})
    with WheelArchive.open(path) as archive:
        rows = [row for row, _, _ in archive.get_contents()]
    assert rows[0] == ("foo.py", "sha256=nia_NpkRxFwkPGhBR7I_yeHc_PJX0pmhxjIBam_NM_Q", "6")
    found = contents(path)
    assert found.pop("bin/x") == (b"#!/bin/sh\n", True)
    assert {name for name, (_, executable) in found.items() if not executable} == {
        "foo.py",
        f"{INFO}/METADATA",
        f"{INFO}/WHEEL",
    }


def test_bytecode_and_files_of_installers_are_left_out(tmp_path: Path) -> None:
    left_out = [
        "foo/__pycache__/a.cpython-311.pyc",
        "foo/__pycache__/deep/x.txt",
        "foo/a.pyc",
        "foo-1.0.data/purelib/__pycache__/x.pyc",
        f"{INFO}/INSTALLER",
        f"{INFO}/REQUESTED",
        f"{INFO}/direct_url.json",
    ]
    kept = ["foo/a.py", "foo/without_source.pyc", "foo/sub/INSTALLER"]
    found = contents(foo(tmp_path, *(Member(name) for name in [*left_out, *kept])))
    assert set(found) == {"foo.py", f"{INFO}/METADATA", f"{INFO}/WHEEL", *kept}


def test_refused_record_or_metadata_of_too_many_bytes(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "foo", "1.0", metadata=["Keywords: " + "x" * 5000])
    assert f"'{INFO}/METADATA' has" in refusal(path, limits=Limits(text=4000))


def test_refused_more_scripts_than_are_allowed(tmp_path: Path) -> None:
    """Each of them is a line that packs to two bytes, and a file once installed."""
    path = make_wheel(tmp_path, "foo", "1.0", scripts={f"s{i}": "foo:main" for i in range(4)})
    WheelArchive.open(path, limits=Limits(scripts=4)).close()
    reason = "entry_points.txt has 4 scripts (allowed: 3)"
    assert refusal(path, limits=Limits(scripts=3)) == reason


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A real environment, but for what wheels are measured against."""
    prefix = tmp_path_factory.mktemp("venv")
    venv.EnvBuilder(symlinks=True).create(prefix)
    return target_environment(prefix)._replace(
        implementation="cpython",
        version="3.11.7",
    )


def misfit(path: Path, environment: Environment) -> str:
    with WheelArchive.open(path) as archive, pytest.raises(WheelError) as caught:
        check_fits(path, archive.needs, environment)
    return caught.value.reason


def test_fits(tmp_path: Path, environment: Environment) -> None:
    for requires in (">=3.8", ">=3.11,<4", "==3.11.*", ">=3.6.*"):
        path = make_wheel(tmp_path, "foo", "1.0", metadata=[f"Requires-Python: {requires}"])
        with WheelArchive.open(path) as archive:
            check_fits(path, archive.needs, environment)


def test_refused_other_python(tmp_path: Path, environment: Environment) -> None:
    path = make_wheel(tmp_path, "foo", "1.0", metadata=["Requires-Python: >=3.12"])
    python = environment.interpreter
    assert misfit(path, environment) == (f"it requires Python '>=3.12'; {python} is Python 3.11.7")


def test_refused_tags_that_do_not_fit(tmp_path: Path, environment: Environment) -> None:
    path = make_wheel(tmp_path, "foo", "1.0", tag="cp39.cp310-abi3-macosx_11_0_arm64")
    assert misfit(path, environment) == (
        "it is for cp310-abi3-macosx_11_0_arm64, cp39-abi3-macosx_11_0_arm64; "
        f"{environment.interpreter} is cpython 3.11.7 and takes wheels like "
        f"{environment.tags[0]}"
    )


@pytest.mark.slow
def test_hundred_thousand_tiny_files(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "foo", "1.0", {f"d{i % 100}/f{i}": "x" for i in range(100_000)})
    with WheelArchive.open(path) as archive:
        assert sum(1 for _ in archive.get_contents()) == 100_002
