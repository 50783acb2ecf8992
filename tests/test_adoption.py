"""Several owners of one ``__init__.py``: every RECORD fits the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.wheels.adoption import MOST, same_code
from tests.trees import tree
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunCli

CODE = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
STATE = ("var/lock", "var/tmp")


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    """Two distributions of one namespace, each with a comment of its own."""
    return [
        make_wheel(tmp_path, "b.one", "1", {"b/__init__.py": CODE, "b/one.py": "x = 1"}),
        make_wheel(
            tmp_path, "b.two", "1", {"b/__init__.py": f"# two\n{CODE}", "b/two.py": "x = 2"}
        ),
    ]


@pytest.mark.parametrize("first", [0, 1])
def test_second_adopts_the_file_of_the_first(
    venv: Path, pair: list[Path], run_cli: RunCli, first: int
) -> None:
    before = tree(venv, ignore=STATE)
    run_cli("install", "--prefix", venv, pair[first])
    ended = run_cli("install", "--prefix", venv, pair[1 - first])
    assert ended.stderr == ""
    run_cli("verify", "--prefix", venv)
    run_cli("uninstall", "--prefix", venv, ["b-one", "b-two"][first])
    run_cli("verify", "--prefix", venv)
    run_cli("uninstall", "--prefix", venv, ["b-two", "b-one"][first])
    assert tree(venv, ignore=STATE) == before


def test_both_in_one_call_adopt_one_file(venv: Path, pair: list[Path], run_cli: RunCli) -> None:
    ended = run_cli("install", "--conflicts", "error", "--prefix", venv, *pair)
    assert ended.stderr == ""
    run_cli("verify", "--prefix", venv)


@pytest.mark.parametrize("comment", ["", "# two\n"])
def test_both_in_one_call_adopt_the_file_of_a_third(
    venv: Path, tmp_path: Path, run_cli: RunCli, comment: str
) -> None:
    before = tree(venv, ignore=STATE)
    third = make_wheel(tmp_path, "b.three", "1", {"b/__init__.py": f"# three\n{CODE}"})
    run_cli("install", "--prefix", venv, third)
    files = {"b/__init__.py": comment + CODE}
    both = [
        make_wheel(tmp_path, name, "1", {**files, f"{name}.txt": ""}) for name in ("b.1", "b.2")
    ]
    assert run_cli("install", "--prefix", venv, *both).stderr == ""
    run_cli("verify", "--prefix", venv)
    run_cli("uninstall", "--prefix", venv, "b-three")
    run_cli("verify", "--prefix", venv)
    run_cli("uninstall", "--prefix", venv, "b-1", "b-2")
    assert tree(venv, ignore=STATE) == before


def test_sole_owner_is_upgraded_to_its_own_file(
    venv: Path, pair: list[Path], tmp_path: Path, run_cli: RunCli
) -> None:
    run_cli("install", "--prefix", venv, pair[0])
    new = make_wheel(tmp_path, "b.one", "2", {"b/__init__.py": f"# new\n{CODE}"})
    run_cli("install", "--prefix", venv, new)
    (init,) = venv.glob("lib/python3*/site-packages/b/__init__.py")
    assert init.read_text() == f"# new\n{CODE}"


def test_other_code_is_a_conflict_as_ever(
    venv: Path, pair: list[Path], tmp_path: Path, run_cli: RunCli
) -> None:
    run_cli("install", "--prefix", venv, pair[0])
    other = make_wheel(tmp_path, "b.three", "1", {"b/__init__.py": "x = 3\n"})
    ended = run_cli("install", "--prefix", venv, other)
    assert "b/__init__.py is overwritten: it belongs to distribution b" in ended.stderr


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (b"x = 1\n", b"# comment\nx=1", True),
        (b"x = '\\d'  # warned of\n", b"x = '\\d'\n", True),
        (b"x = 1\n", b"x = 2\n", False),
        (b'"""doc"""\n', b'"""other"""\n', False),
        (b"x = (", b"x = (\n", False),
        (b"x\0", b"x\0 ", False),
    ],
)
def test_same_code(first: bytes, second: bytes, same: bool) -> None:
    assert same_code(first, second) is same


@pytest.mark.parametrize("together", [True, False])
def test_what_is_no_namespace_by_its_size_is_not_taken_apart(
    venv: Path, tmp_path: Path, run_cli: RunCli, together: bool
) -> None:
    """With as little as 40 MB that took all the memory there is."""
    code = "0\n" * (MOST // 2)
    assert same_code(code.encode(), code.encode())
    assert not same_code(code.encode(), f"# two\n{code}".encode())
    texts = (f"# one\n{code}", f"# two\n{code}")
    wheels = [
        make_wheel(tmp_path, f"b.{number}", "1", {"b/__init__.py": text, f"{number}.txt": ""})
        for number, text in enumerate(texts)
    ]
    if not together:
        run_cli("install", "--prefix", venv, wheels.pop(0))
    said = run_cli("install", "--prefix", venv, *wheels).stderr
    assert "with different contents" in said if together else "is overwritten" in said
    (init,) = venv.glob("lib/python3*/site-packages/b/__init__.py")
    assert init.read_text() == texts[1]
