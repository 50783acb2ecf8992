from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.builds.requires import resolve
from sage_pkginstall.environment import Environment, target_environment
from sage_pkginstall.errors import RequirementError
from tests.sources import make_wheel

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "wheels"


@pytest.fixture
def environment(venv: Path) -> Environment:
    return target_environment(venv)


def add(store: Path, release: str, *requires: str, extras: str = "") -> None:
    headers = [f"Requires-Dist: {requirement}" for requirement in requires]
    headers += [f"Provides-Extra: {extra}" for extra in extras.split()]
    make_wheel(store, f"{release}-py3-none-any.whl", headers=headers)


def resolved(store: Path, environment: Environment, *requirements: str) -> list[str]:
    return [f"{w.name}-{w.version}" for w in resolve(requirements, store, environment)]


def test_nothing_required_needs_no_store(store: Path, environment: Environment) -> None:
    assert resolved(store, environment) == []


def test_requirements_of_requirements_are_met(store: Path, environment: Environment) -> None:
    add(store, "a-1", "b>=1")
    add(store, "b-1", "c")
    add(store, "c-1", "a")
    add(store, "d-1")
    assert resolved(store, environment, "a") == ["a-1", "b-1", "c-1"]


def test_markers_are_those_of_the_target(store: Path, environment: Environment) -> None:
    add(store, "a-1", "b; python_version < '3'", "c; python_version > '3'")
    add(store, "c-1")
    assert resolved(store, environment, "a", "no-such; os_name == 'nt'") == ["a-1", "c-1"]


@pytest.mark.parametrize("marker", ["sys_platform ~= 'linux'", "os_name === 'posix'"])
def test_marker_that_means_nothing_is_refused(
    store: Path, environment: Environment, marker: str
) -> None:
    add(store, "a-1", f"b; {marker}")
    for name in ("a", f"a; {marker}"):
        with pytest.raises(RequirementError, match="its marker compares what cannot be compared"):
            resolved(store, environment, name)


def test_extras_are_followed_and_do_not_leak(store: Path, environment: Environment) -> None:
    add(store, "a-1", "b; extra == 'fast'", "c; extra == 'safe'", extras="fast safe")
    add(store, "b-1")
    add(store, "c-1")
    assert resolved(store, environment, "a") == ["a-1"]
    assert resolved(store, environment, "A[Fast]", "a") == ["a-1", "b-1"]
    assert resolved(store, environment, "a[fast,safe]") == ["a-1", "b-1", "c-1"]


def test_older_version_is_taken_where_the_newest_contradicts(
    store: Path, environment: Environment
) -> None:
    add(store, "a-2", "b>=2")
    add(store, "a-1", "b>=1")
    add(store, "b-1")
    assert resolved(store, environment, "a", "b<2") == ["a-1", "b-1"]


def test_missing_requirement_is_named_with_its_owner(store: Path, environment: Environment) -> None:
    add(store, "a-1", "b>=1")
    with pytest.raises(RequirementError) as caught:
        resolved(store, environment, "a")
    assert str(caught.value) == (
        "cannot meet requirement 'b>=1 (of a 1)': the wheel store has no wheel of it"
    )


def test_version_that_is_there_instead_is_named(store: Path, environment: Environment) -> None:
    add(store, "a-1")
    with pytest.raises(RequirementError, match=r"'a>=2'.*only a-1-py3-none-any.whl"):
        resolved(store, environment, "a>=2")


def test_wheel_for_another_python_is_said_to_be_one(store: Path, environment: Environment) -> None:
    make_wheel(store, "a-1-py3-none-any.whl", headers=["Requires-Python: <3"])
    make_wheel(store, "a-2-cp27-cp27m-win32.whl")
    with pytest.raises(RequirementError, match=r"a-2.*\.whl, but not for cpython 3\."):
        resolved(store, environment, "a")


def test_number_of_thousands_of_digits_is_met_by_nothing(
    store: Path, environment: Environment
) -> None:
    digits = "9" * 5000
    add(store, "a-1")
    add(store, "b-1", f"a>={digits}")
    for name in (f"a>={digits}", "b"):
        with pytest.raises(RequirementError, match="the wheel store has only a-1"):
            resolved(store, environment, name)


def test_contradiction_names_both_sides(store: Path, environment: Environment) -> None:
    add(store, "a-1", "c<2")
    add(store, "b-1", "c>=2")
    add(store, "c-1")
    add(store, "c-2")
    with pytest.raises(RequirementError) as caught:
        resolved(store, environment, "a", "b")
    assert "c<2 (of a 1)" in str(caught.value)
    assert "c>=2 (of b 1)" in str(caught.value)


def test_requirement_by_url_is_refused_with_the_reason(
    store: Path, environment: Environment
) -> None:
    with pytest.raises(RequirementError, match="names a URL"):
        resolved(store, environment, "a @ https://example.org/a.whl")


def test_text_that_is_no_requirement_is_refused(store: Path, environment: Environment) -> None:
    with pytest.raises(RequirementError, match="is no requirement"):
        resolved(store, environment, "a b c")
