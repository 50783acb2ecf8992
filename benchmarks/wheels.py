"""The wheels that are installed: real ones, fetched once, and made ones.

``wheels.txt`` pins the real ones, ``former.txt`` the versions that are upgraded from,
``environment.txt`` the pip of environments.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.places import Places

__all__ = ["Wheels"]

_HERE = Path(__file__).resolve().parent


class Wheels:
    """The wheels of `Places.wheels` and `Places.made`."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def fetch(self) -> None:
        """Have all pinned wheels, from the index that pip is configured for; once."""
        for pins in ("wheels.txt", "former.txt", "environment.txt"):
            directory = self._directory(pins)
            done, text = directory / pins, (_HERE / pins).read_text()
            if done.exists() and done.read_text() == text:
                continue
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(parents=True)
            flags = ["--quiet", "--no-deps", "--only-binary", ":all:", "-d", str(directory)]
            words = ["download", *flags, "--requirement", str(_HERE / pins)]
            if subprocess.run([sys.executable, "-m", "pip", *words], check=False).returncode:
                sys.exit(f"cannot fetch the wheels of {_HERE / pins}: pip says above why")
            done.write_text(text)

    def real(self) -> tuple[Path, ...]:
        """Return all that ``wheels.txt`` pins."""
        return tuple(sorted(self._directory("wheels.txt").glob("*.whl")))

    def one(self, name: str) -> Path:
        """Return the real wheel of a distribution."""
        return _one(self.real(), name)

    def former(self, name: str) -> Path:
        """Return the real wheel of the version to upgrade from."""
        return _one(tuple(self._directory("former.txt").glob("*.whl")), name)

    def pip(self) -> Path:
        """Return the wheel of the pip that environments have where they have one."""
        return _one(tuple(self._directory("environment.txt").glob("*.whl")), "pip")

    def tiny(self, count: int) -> tuple[Path, ...]:
        """Return made wheels with a package of two modules and a script each."""
        directory = self._places.made / "tiny"
        return tuple(_tiny(directory, f"tiny{number:03}") for number in range(count))

    def wide(self, count: int) -> Path:
        """Return a made wheel with ``count`` small modules, a hundred in a directory."""
        name = f"wide{count}"
        path = self._places.made / f"{name}-1.0-py3-none-any.whl"
        if path.exists():
            return path
        files = {f"{name}/__init__.py": b""}
        for number in range(count - 1):
            module = f"{name}/p{number // 100}/m{number}.py"
            files[module] = f"def f{number}(x):\n    return x + {number}\n".encode()
        return make_wheel(self._places.made, name, "1.0", files)

    def namespace(self, name: str, count: int) -> Path:
        """Return a made wheel of ``count`` small modules, all in the package ``space``."""
        path = self._places.made / f"{name}-1.0-py3-none-any.whl"
        if path.exists():
            return path
        files = {f"space/{name}{n}.py": f"number = {n}\n" for n in range(count)}
        return make_wheel(self._places.made, name, "1.0", files)

    def _directory(self, pins: str) -> Path:
        return self._places.wheels / Path(pins).stem


def _one(wheels: Sequence[Path], name: str) -> Path:
    (wheel,) = [wheel for wheel in wheels if wheel.name.startswith(f"{name}-")]
    return wheel


def _tiny(directory: Path, name: str) -> Path:
    path = directory / f"{name}-1.0-py3-none-any.whl"
    if path.exists():
        return path
    source = '"""A module."""\n\n\ndef main():\n    """Return 0."""\n    return 0\n'
    files = {f"{name}/__init__.py": source, f"{name}/other.py": source}
    return make_wheel(directory, name, "1.0", files, scripts={name: f"{name}:main"})
