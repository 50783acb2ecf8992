"""A tiny Sage: a source tree with package directories of every kind, and a target.

world = SageWorld.make(tmp_path, venv)
world.package("foo", "1.0", {"spkg-install.in": "..."}, source={"Makefile": "..."})
world.spkg("foo")
assert world.tree() == {...}
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import subprocess
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.trees import plant, tree

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.trees import Entry

__all__ = ["BIN", "ENGINE", "ORDINARY_USER", "SageWorld"]

BIN = Path(__file__).resolve().parent.parent / "build" / "bin"
ENGINE = ("var/lock", "var/tmp", "pyvenv.cfg", "lib64")
"""What lies in a tree and is no package's."""
_ALL_RIGHTS = "-dac_override,-dac_read_search"
ORDINARY_USER = (
    ("setpriv", f"--bounding-set={_ALL_RIGHTS}", f"--inh-caps={_ALL_RIGHTS}")
    if os.geteuid() == 0
    else ()
)
"""What runs a command as one for whom the modes of files count; root must give up its rights."""


@dataclass
class SageWorld:
    """A SAGE_ROOT with the one tree ``prefix``, both SAGE_LOCAL and SAGE_VENV."""

    root: Path
    prefix: Path
    env: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, directory: Path, prefix: Path, root_name: str = "sage root") -> SageWorld:
        """Make an empty one; ``prefix`` is an environment, or a directory to be made.

        `run_make` needs a ``root_name`` without blanks.
        """
        root = directory / root_name
        (root / "build" / "pkgs").mkdir(parents=True)
        (root / "upstream").mkdir()
        return cls(root, prefix)

    @classmethod
    def keeping(cls, directory: Path, prefix: Path) -> SageWorld:
        """Make an empty one that keeps what scripts of packages stage, in a cache of its own."""
        world = cls.make(directory, prefix)
        world.env["SAGE_PKGINSTALL_CACHE"] = str(directory / "cache")
        world.env["SAGE_PKGINSTALL_BUILT"] = "packages"
        return world

    @property
    def packages(self) -> Path:
        """The directory of package directories."""
        return self.root / "build" / "pkgs"

    def package(
        self,
        name: str,
        version: str,
        files: Mapping[str, str | bytes],
        *,
        source: Mapping[str, str] | None = None,
        wheel: Path | None = None,
    ) -> Path:
        """Write (anew) the directory of a package, and its sources or wheel to upstream/."""
        directory = self.packages / name
        if directory.exists():
            subprocess.run(["rm", "-rf", directory], check=True)
        entries: dict[str, Entry] = {
            "type": b"optional\n",
            "package-version.txt": f"{version}\n".encode(),
        }
        if source is not None:
            data = packed(f"{name}-{version}", source)
            file = f"{name}-{version}.tar.gz"
            (self.root / "upstream" / file).write_bytes(data)
            entries["checksums.ini"] = _checksums(file, data)
        if wheel is not None:
            (self.root / "upstream" / wheel.name).write_bytes(wheel.read_bytes())
            entries["checksums.ini"] = _checksums(wheel.name, wheel.read_bytes())
        for path, content in files.items():
            entries[path] = content if isinstance(content, bytes) else content.encode()
        plant(directory, entries)
        for script in directory.glob("spkg-*"):
            script.chmod(0o644 if script.suffix == ".in" else 0o755)
        return directory

    def run(
        self, command: str | Path, *arguments: str | Path, status: int = 0, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of build/bin; fail the test unless it exits with ``status``."""
        ended = subprocess.run(
            [BIN / command, *map(str, arguments)],
            env=self.variables(**env),
            capture_output=True,
            text=True,
            check=False,
        )
        said = f"{ended.stdout}\n{ended.stderr}"
        assert ended.returncode == status, f"{command} {arguments}: {ended.returncode}\n{said}"
        return ended

    def start(self, command: str, *arguments: str | Path, **env: str) -> subprocess.Popen[str]:
        """Start a command of build/bin; what it says comes through one pipe, ``stdout``."""
        return subprocess.Popen(
            [BIN / command, *map(str, arguments)],
            env=self.variables(**env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def variables(self, **env: str) -> dict[str, str]:
        """Return the environment variables of commands."""
        return {
            **os.environ,
            "SAGE_ROOT": str(self.root),
            "SAGE_LOCAL": str(self.prefix),
            "SAGE_VENV": str(self.prefix),
            **self.env,
            **env,
        }

    def spkg(
        self, *arguments: str | Path, status: int = 0, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run ``sage-spkg``."""
        return self.run("sage-spkg", *arguments, status=status, **env)

    def run_make(self, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Run make with the rules of the packages."""
        makefile = BIN.parent / "make" / "Makefile"
        return self.run("/usr/bin/env", "make", "-f", makefile, *arguments, status=status)

    def clean(
        self, *arguments: str | Path, status: int = 0, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run ``sage-spkg-uninstall``."""
        return self.run("sage-spkg-uninstall", *arguments, status=status, **env)

    def tree(self) -> dict[str, Entry]:
        """Everything in the prefix but byte-code and what is no package's."""
        found = tree(self.prefix, ignore=ENGINE)
        return {path: entry for path, entry in found.items() if not path.endswith(".pyc")}

    def paths(self) -> set[str]:
        """The paths of `tree`."""
        return set(self.tree())


def _checksums(file: str, data: bytes) -> bytes:
    return f"tarball={file}\nsha256={hashlib.sha256(data).hexdigest()}\n".encode()


def packed(top: str, source: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as file,  # the same bytes each time
        tarfile.open(fileobj=file, mode="w") as tar,
    ):
        for name, text in source.items():
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size = len(text.encode())
            member.mode = 0o755 if text.startswith("#!") else 0o644
            tar.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()
