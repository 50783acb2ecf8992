from __future__ import annotations

import os
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from sage_pkginstall.builds.products import only_wheel
from sage_pkginstall.builds.store import find_wheel, stored_wheels
from sage_pkginstall.environment import Environment, target_environment
from sage_pkginstall.errors import BuildError, WheelError
from tests.sources import make_wheel


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "wheels"


@pytest.fixture
def environment(venv: Path) -> Environment:
    return target_environment(venv)


def best(store: Path, requirement: str, environment: Environment) -> str | None:
    wheel = find_wheel(stored_wheels(store), Requirement(requirement), environment)
    return wheel.path.name if wheel else None


def test_missing_store_holds_no_wheels(store: Path) -> None:
    assert stored_wheels(store) == ()


def test_what_is_not_named_like_a_wheel_does_not_exist(store: Path) -> None:
    make_wheel(store, "good-1.0-py3-none-any.whl")
    (store / "bad.whl").write_bytes(b"")
    (store / "good-2.0.tar.gz").write_bytes(b"")
    assert [wheel.path.name for wheel in stored_wheels(store)] == ["good-1.0-py3-none-any.whl"]


def test_name_is_compared_in_its_canonical_form(store: Path, environment: Environment) -> None:
    make_wheel(store, "Backports.SSL_match-1.0-py3-none-any.whl")
    found = best(store, "backports-ssl.match", environment)
    assert found == "Backports.SSL_match-1.0-py3-none-any.whl"


def test_highest_version_that_meets_the_requirement_wins(
    store: Path, environment: Environment
) -> None:
    for version in ("1.9", "1.10", "2.0"):
        make_wheel(store, f"foo-{version}-py3-none-any.whl")
    assert best(store, "foo", environment) == "foo-2.0-py3-none-any.whl"
    assert best(store, "foo<2", environment) == "foo-1.10-py3-none-any.whl"
    assert best(store, "foo>2", environment) is None


def test_python_of_thousands_of_digits_is_none(store: Path, environment: Environment) -> None:
    python = f"Requires-Python: >={'9' * 5000}"
    make_wheel(store, "foo-2.0-py3-none-any.whl", headers=[python])
    make_wheel(store, "foo-1.0-py3-none-any.whl")
    assert best(store, "foo", environment) == "foo-1.0-py3-none-any.whl"
    assert best(store, f"foo<{'9' * 5000}", environment) is None


def test_pre_release_is_taken_only_if_there_is_nothing_else(
    store: Path, environment: Environment
) -> None:
    make_wheel(store, "foo-2.0rc1-py3-none-any.whl")
    assert best(store, "foo>=1", environment) == "foo-2.0rc1-py3-none-any.whl"
    make_wheel(store, "foo-1.0-py3-none-any.whl")
    assert best(store, "foo>=1", environment) == "foo-1.0-py3-none-any.whl"


def test_better_tag_wins_then_higher_build_number(store: Path, environment: Environment) -> None:
    tag = environment.tags[0]
    make_wheel(store, "foo-1.0-py3-none-any.whl")
    make_wheel(store, "foo-1.0-9-py3-none-any.whl")
    assert best(store, "foo", environment) == "foo-1.0-9-py3-none-any.whl"
    make_wheel(store, f"foo-1.0-1-{tag}.whl")
    make_wheel(store, f"foo-1.0-{tag}.whl")
    assert best(store, "foo", environment) == f"foo-1.0-1-{tag}.whl"


def test_wheel_for_another_platform_or_python_is_passed_over(
    store: Path, environment: Environment
) -> None:
    make_wheel(store, "foo-3.0-cp27-cp27m-win32.whl")
    make_wheel(store, "foo-2.0-py3-none-any.whl", headers=["Requires-Python: <3"])
    make_wheel(store, "foo-1.0-py3-none-any.whl", headers=["Requires-Python: >=3.8"])
    assert best(store, "foo", environment) == "foo-1.0-py3-none-any.whl"


def test_requirement_by_url_is_met_by_no_wheel(store: Path, environment: Environment) -> None:
    wheel = make_wheel(store, "foo-1.0-py3-none-any.whl")
    assert best(store, f"foo @ {wheel.as_uri()}", environment) is None


@pytest.mark.parametrize("content", [b"no zip file", b""])
def test_damaged_wheel_is_named(store: Path, environment: Environment, content: bytes) -> None:
    make_wheel(store, "foo-1.0-py3-none-any.whl").write_bytes(content)
    with pytest.raises(WheelError, match=r"foo-1\.0-py3-none-any\.whl"):
        best(store, "foo", environment)


@pytest.mark.parametrize("header", ["", "Requires-Dist: bar (>=1.0.*)"])
def test_bad_wheel_that_would_not_be_chosen_is_passed_over(
    store: Path, environment: Environment, header: str
) -> None:
    make_wheel(store, "foo-2.0-py3-none-any.whl")
    old = make_wheel(store, "foo-1.0-py3-none-any.whl", headers=[header] if header else ())
    if not header:
        old.write_bytes(b"cut")
    assert best(store, "foo", environment) == "foo-2.0-py3-none-any.whl"
    with pytest.raises(WheelError, match=r"foo-1\.0-py3-none-any\.whl"):
        best(store, "foo <2", environment)


def test_building_leaves_exactly_one_wheel(tmp_path: Path) -> None:
    source, dist = Path("src"), tmp_path / "dist"
    with pytest.raises(BuildError, match="no wheel found after building"):
        only_wheel(dist, source)
    first = make_wheel(dist, "foo-1.0-py3-none-any.whl")
    assert only_wheel(dist, source) == first
    make_wheel(dist, "foo-2.0-py3-none-any.whl")
    with pytest.raises(BuildError, match="more than one wheel found"):
        only_wheel(dist, source)


@pytest.mark.parametrize("change", ["name", "method", "encrypted", "large", "cut"])
def test_wheel_that_cannot_be_read_is_refused_in_one_line(
    store: Path, environment: Environment, change: str
) -> None:
    wheel = make_wheel(store, "foo-1.0-py3-none-any.whl")
    data = wheel.read_bytes()
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(b"METADATA"))
    name = data.rindex(b"METADATA")
    patches = {
        "name": (name, b"\xff"),
        "method": (at + 10, b"\x63"),
        "encrypted": (at + 8, b"\x01"),
        "large": (at + 24, b"\xff\xff\xff\x7f"),
        "cut": (len(data), b""),
    }
    place, patch = patches[change]
    changed = bytearray(data[:place] + patch + data[place + len(patch) :])
    if change == "name":
        changed[at + 9] |= 0x08  # UTF-8, it says
    wheel.write_bytes(changed[:-9] if change == "cut" else changed)
    with pytest.raises(WheelError) as caught:
        best(store, "foo", environment)
    assert str(caught.value).isprintable()


def test_pipe_in_the_store_is_not_waited_for(store: Path, environment: Environment) -> None:
    store.mkdir()
    os.mkfifo(store / "foo-1.0-py3-none-any.whl")
    with pytest.raises(WheelError, match="no regular file"):
        best(store, "foo", environment)
