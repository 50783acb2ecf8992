from __future__ import annotations

import errno
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sage_pkginstall.builds.cache import site_packages, unpacked_wheels
from sage_pkginstall.environment import Environment, target_environment
from sage_pkginstall.errors import WheelError
from tests.sources import make_wheel
from tests.trees import modes, tree


@pytest.fixture
def environment(venv: Path) -> Environment:
    return target_environment(venv)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def unpack_one(wheel: Path, environment: Environment, cache: Path) -> Path:
    (entry,) = unpacked_wheels([wheel], environment, cache)
    return entry


def test_entry_holds_modules_scripts_and_data(
    tmp_path: Path, environment: Environment, cache: Path
) -> None:
    wheel = make_wheel(
        tmp_path,
        "foo-1.0-py3-none-any.whl",
        {
            "foo/__init__.py": "x = 1\n",
            "foo-1.0.data/scripts/tool": "#!python\nprint(1)\n",
            "foo-1.0.data/headers/foo.h": "/* h */\n",
            "foo-1.0.data/data/share/foo.txt": "text\n",
        },
        entry_points="[console_scripts]\nentry = foo:main\n",
    )
    entry = unpack_one(wheel, environment, cache)
    modules = site_packages(environment)
    python = modules.split("/")[1]
    found = tree(entry)
    assert {path for path in found if ".dist-info/" not in path} == {
        f"{modules}/foo/__init__.py",
        f"{modules}/foo/__pycache__/__init__.{environment.cache_tag}.pyc",
        "bin/tool",
        "bin/entry",
        f"include/site/{python}/foo/foo.h",
        "share/foo.txt",
    }
    assert found["bin/tool"] == b"#!/build-environment/python3\nprint(1)\n"


def test_entry_is_read_only(tmp_path: Path, environment: Environment, cache: Path) -> None:
    wheel = make_wheel(tmp_path, "foo-1.0-py3-none-any.whl")
    entry = unpack_one(wheel, environment, cache)
    assert {path: mode for path, mode in modes(entry).items() if mode & 0o222} == {}


def test_entry_is_made_once(tmp_path: Path, environment: Environment, cache: Path) -> None:
    wheel = make_wheel(tmp_path, "foo-1.0-py3-none-any.whl")
    entry = unpack_one(wheel, environment, cache)
    inode = (entry / "lib").stat().st_ino
    assert unpack_one(wheel, environment, cache) == entry
    assert (entry / "lib").stat().st_ino == inode


def test_entry_of_a_cache_that_is_mounted_for_reading_is_used(
    tmp_path: Path, environment: Environment, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    wheel = make_wheel(tmp_path, "foo-1.0-py3-none-any.whl")
    made = unpacked_wheels([wheel], environment, cache)
    monkeypatch.setattr("os.utime", fails)
    assert unpacked_wheels([wheel], environment, cache) == made


def test_other_content_under_the_same_name_is_another_entry(
    tmp_path: Path, environment: Environment, cache: Path
) -> None:
    first = make_wheel(tmp_path / "1", "foo-1.0-py3-none-any.whl", {"foo.py": "x = 1\n"})
    other = make_wheel(tmp_path / "2", "foo-1.0-py3-none-any.whl", {"foo.py": "x = 2\n"})
    one, two = unpacked_wheels([first, other], environment, cache)
    modules = site_packages(environment)
    assert (one / modules / "foo.py").read_text() == "x = 1\n"
    assert (two / modules / "foo.py").read_text() == "x = 2\n"


def test_bad_wheel_leaves_no_entry(tmp_path: Path, environment: Environment, cache: Path) -> None:
    wheel = make_wheel(tmp_path, "foo-1.0-py3-none-any.whl")
    wheel.write_bytes(wheel.read_bytes()[:-30])
    with pytest.raises(WheelError):
        unpack_one(wheel, environment, cache)
    assert [path for path in tree(cache) if path.startswith("wheels/")] == []


MAKER = """
import sys
from pathlib import Path
from sage_pkginstall.builds.cache import unpacked_wheels
from sage_pkginstall.environment import target_environment
wheel, venv, cache = map(Path, sys.argv[1:])
print(*unpacked_wheels([wheel], target_environment(venv), cache))
"""


def start_maker(wheel: Path, venv: Path, cache: Path, **variables: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MAKER, *map(str, (wheel, venv, cache))]
    root = Path(__file__).parent.parent
    env = {**os.environ, "PYTHONPATH": str(root), **variables}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)


def test_entry_made_by_several_builds_at_once_is_one(
    tmp_path: Path, venv: Path, environment: Environment, cache: Path
) -> None:
    files = {f"foo/m{number}.py": f"x = {number}\n" for number in range(50)}
    wheel = make_wheel(tmp_path, "foo-1.0-py3-none-any.whl", files)
    makers = [start_maker(wheel, venv, cache) for _ in range(4)]
    entries = {maker.communicate()[0].strip() for maker in makers}
    assert [maker.returncode for maker in makers] == [0] * 4
    assert len(entries) == 1
    alone = unpack_one(wheel, environment, tmp_path / "other")
    (entry,) = map(Path, entries)
    sources = {path: data for path, data in tree(entry).items() if not path.endswith(".pyc")}
    assert sources == {p: d for p, d in tree(alone).items() if not p.endswith(".pyc")}
    assert tree(entry).keys() == tree(alone).keys()
    assert [path.name for path in (cache / "wheels").iterdir()] == [entry.name]


def test_killed_build_leaves_nothing_that_is_trusted(
    tmp_path: Path, venv: Path, environment: Environment, cache: Path
) -> None:
    wheel = make_wheel(tmp_path, "foo-1.0-py3-none-any.whl")
    another = make_wheel(tmp_path, "bar-1.0-py3-none-any.whl")
    whole = tree(unpack_one(wheel, environment, tmp_path / "other")).keys()
    for step in itertools.count(1):
        here = cache / str(step)
        maker = start_maker(wheel, venv, here, SAGE_PKGINSTALL_FAIL=f"kill@{step}")
        maker.communicate()
        left = list((here / "wheels").iterdir()) if (here / "wheels").exists() else []
        assert all(tree(entry).keys() == whole for entry in left)
        assert tree(unpack_one(wheel, environment, here)).keys() == whole
        unpack_one(another, environment, here)  # collects the debris
        assert list((here / "var" / "tmp" / "sage").iterdir()) == []
        if maker.returncode == 0:
            break
        assert maker.returncode == -signal.SIGKILL
    assert step > 2  # or nothing was killed


def test_entry_that_others_can_have_written_is_not_used(
    tmp_path: Path, environment: Environment
) -> None:
    """What is in it is run by builds."""
    wheel = make_wheel(tmp_path, "foo-1.0-py3-none-any.whl")
    (entry,) = unpacked_wheels([wheel], environment, tmp_path / "cache")
    for directory in (entry, entry.parent):
        directory.chmod(0o777)
        with pytest.raises(PermissionError, match="may have been written by others"):
            unpacked_wheels([wheel], environment, tmp_path / "cache")
        directory.chmod(0o755)
    assert unpacked_wheels([wheel], environment, tmp_path / "cache") == (entry,)
