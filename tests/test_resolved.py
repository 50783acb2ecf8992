from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.builds.resolved import resolved
from sage_pkginstall.environment import Environment, target_environment
from sage_pkginstall.errors import RequirementError
from sage_pkginstall.user_cache import cache_directory
from tests.sources import make_wheel
from tests.trees import plant

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def environment(tmp_path: Path, venv: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """Return a target whose requirements were not resolved before."""
    monkeypatch.setenv("SAGE_PKGINSTALL_CACHE", str(tmp_path / "cache"))
    return target_environment(venv)


def test_answer_changes_with_the_store(tmp_path: Path, environment: Environment) -> None:
    store = tmp_path / "store"
    with pytest.raises(RequirementError):
        resolved(["foo"], store, environment)
    old = make_wheel(store, "foo-1.0-py3-none-any.whl")
    assert resolved(["foo"], store, environment) == (old,)
    new = make_wheel(store, "foo-1.1-py3-none-any.whl", headers=["Requires-Dist: bar"])
    assert resolved(["foo"], store, environment) == (old,)  # there is no bar
    bar = make_wheel(store, "bar-1.0-py3-none-any.whl")
    for _ in range(2):
        assert resolved(["foo"], store, environment) == (bar, new)
    assert resolved(["foo<1.1"], store, environment) == (old,)
    new.unlink()
    assert resolved(["foo"], store, environment) == (old,)


def test_wheel_replaced_under_its_name_is_looked_at_again(
    tmp_path: Path, environment: Environment
) -> None:
    wheel = make_wheel(tmp_path, "foo-1.0-py3-none-any.whl")
    status = wheel.stat()
    resolved(["foo"], tmp_path, environment)
    make_wheel(tmp_path, wheel.name, headers=["Requires-Python: <3"])
    os.utime(wheel, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(RequirementError, match="but not for"):
        resolved(["foo"], tmp_path, environment)


def test_damaged_note_does_not_matter(tmp_path: Path, environment: Environment) -> None:
    wheel = make_wheel(tmp_path, "foo-1.0-py3-none-any.whl")
    resolved(["foo"], tmp_path, environment)
    (note,) = (cache_directory() / "resolved").iterdir()
    for text in (b"{", b"[]", b'{"wheels": ["gone.whl"]}', b'{"wheels": 1}'):
        plant(note.parent, {note.name: text})
        assert resolved(["foo"], tmp_path, environment) == (wheel,)


def test_link_that_leads_nowhere_does_not_hide_the_other_wheels(
    tmp_path: Path, environment: Environment
) -> None:
    store = tmp_path / "store"
    make_wheel(store, "foo-1.0-py3-none-any.whl")
    (store / "gone-1.0-py3-none-any.whl").symlink_to("nowhere")
    resolved(["foo"], store, environment)
    new = make_wheel(store, "foo-1.1-py3-none-any.whl")
    assert resolved(["foo"], store, environment) == (new,)
