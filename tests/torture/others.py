"""Other users: a second one for the length of a test, and a tool that they can run.

Both need root.  A user is made and removed again; pytest's own temporary directories are
closed to others, so there is a public one as well.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["SecondUser", "copy_tool", "may_write", "public_directory", "second_user"]

LIBRARIES = ("installer", "packaging", "filelock", "pyproject_hooks", "resolvelib", "tomli")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class SecondUser:
    """A user of this machine that is not root."""

    name: str
    number: int
    group: int

    @classmethod
    def named(cls, name: str) -> SecondUser:
        """Return the user called ``name``; skip the test if there is none, or we are not root."""
        require_root()
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            pytest.skip(f"there is no user {name}")
        return cls(name, entry.pw_uid, entry.pw_gid)

    def run(
        self, command: Sequence[str | Path], env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as this user, with nothing of our environment."""
        return subprocess.run(
            [os.fspath(word) for word in command],
            user=self.number,
            group=self.group,
            extra_groups=[],
            cwd="/",
            env={"PATH": PATH, "LC_ALL": "C.UTF-8", **(env or {})},
            capture_output=True,
            text=True,
            check=False,
        )

    def own(self, path: Path) -> None:
        """Give an entry to this user; a link itself, not where it leads."""
        os.chown(path, self.number, self.group, follow_symlinks=False)


def require_root() -> None:
    """Skip the test unless it may act as other users."""
    if os.geteuid() != 0:
        pytest.skip("needs root: it acts as other users")


@contextlib.contextmanager
def second_user() -> Iterator[SecondUser]:
    """Make a user without home and password, and remove it again."""
    require_root()
    name = f"sagetest{os.getpid()}"
    ended = subprocess.run(
        ["useradd", "--no-create-home", "--shell", "/bin/sh", name],
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        pytest.skip(f"cannot make a user: {ended.stderr.strip()}")
    try:
        yield SecondUser.named(name)
    finally:
        subprocess.run(["userdel", name], capture_output=True, check=True)


@contextlib.contextmanager
def public_directory() -> Iterator[Path]:
    """Make a directory of ours that everybody may enter, and delete it again."""
    with tempfile.TemporaryDirectory(prefix="sage-pkginstall-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


def copy_tool(directory: Path, user: SecondUser) -> Path:
    """Copy the tool to ``directory``, with a Python that ``user`` can run; return build/bin.

    Skips the test if there is no such Python.
    """
    directory.mkdir()
    python = next((p for p in (sys.executable, "/usr/bin/python3") if _runs(p, user)), None)
    if python is None:
        pytest.skip(f"user {user.name} can run neither {sys.executable} nor /usr/bin/python3")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "build" / "bin", directory / "build" / "bin", symlinks=True)
    shutil.copytree(ROOT / "sage_pkginstall", directory / "sage_pkginstall", ignore=ignored)
    for name in LIBRARIES:
        found = importlib.util.find_spec(name)
        if found is not None and found.submodule_search_locations:
            source = found.submodule_search_locations[0]
            shutil.copytree(source, directory / name, ignore=ignored)
    (directory / ".tool" / "venv" / "bin").mkdir(parents=True)
    (directory / ".tool" / "venv" / "bin" / "python").symlink_to(python)
    subprocess.run(["chmod", "-R", "u+rwX,go+rX,go-w", directory], check=True)
    return directory / "build" / "bin"


def _runs(python: str, user: SecondUser) -> bool:
    try:
        ended = user.run([python, "-I", "-c", "import sys; sys.exit(sys.version_info < (3, 10))"])
    except PermissionError:
        return False
    return ended.returncode == 0


def may_write(user: SecondUser, directory: Path) -> list[str]:
    """Return what ``user`` may write below ``directory``, links left out: the kernel is asked."""
    ended = user.run(["find", directory, "!", "-type", "l", "-writable"])
    return ended.stdout.splitlines()
