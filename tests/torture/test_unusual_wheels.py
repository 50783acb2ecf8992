"""Wheels with what real ones seldom have lie as pip would have laid them, and go again.

Not hostile ones (see tests/hostile): each of these features comes from some builder, or
from a time when builders did it so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.torture.test_real_wheels import prove
from tests.wheelmaker import Member, record_of, write_zip

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.torture.conftest import TellFigures

pytestmark = pytest.mark.torture

X = "x = 1\n"
PKGUTIL = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
ENTRY_POINTS = """[console_scripts]
eps = eps:main [extra]
eps-two = eps:main.inner
eps.dot=eps:main
[gui_scripts]
epsgui = eps:main
[eps.plugins]
a = eps
"""

WHEELS: Mapping[str, Mapping[str, str | bytes]] = {
    "epoch_e-1!2.0-py3-none-any": {"epoch_e.py": X},
    "local_l-1.0+abc.1-py3-none-any": {"local_l.py": X},
    "local_m-1.0+abc_1-py3-none-any": {"local_m.py": X},
    "build_b-1.0-7abc-py2.py3-none-any": {"build_b.py": X},
    "Foo.Bar-1.0-py3-none-any": {  # names before they were normalised
        "foobar.py": X,
        "Foo.Bar-1.0.data/scripts/fb": "#!python\nprint(1)\n",
        "Foo.Bar-1.0.data/scripts/fbw": "#!pythonw\nprint(1)\n",
        "Foo.Bar-1.0.data/scripts/fbu": "#!python3.11 -u\nprint(1)\n",
        "Foo.Bar-1.0.data/scripts/program": b"\x7fELF\0",
        "Foo.Bar-1.0.data/data/share/fb/x": "1",
        "Foo.Bar-1.0.data/headers/fb.h": "h",
        "Foo.Bar-1.0.data/purelib/fbp.py": X,
        "Foo.Bar-1.0.data/platlib/fbq.py": X,
    },
    "eps-1.0-py3-none-any": {"eps.py": X, "eps-1.0.dist-info/entry_points.txt": ENTRY_POINTS},
    "pth_p-1.0-py3-none-any": {"pth_p.pth": "import sys\n", "pth_p/a.py": X},
    "ns_native-1.0-py3-none-any": {"nsn/a/x.py": X},
    "ns_pkgutil-1.0-py3-none-any": {"nsp/__init__.py": PKGUTIL, "nsp/b.py": X},
    "ns_pkgres-1.0-py3-none-any": {
        "nsr/__init__.py": "__import__('pkg_resources').declare_namespace(__name__)\n",
        "nsr/c.py": X,
        "ns_pkgres-1.0-nspkg.pth": "import sys\n",
        "ns_pkgres-1.0.dist-info/namespace_packages.txt": "nsr\n",
    },
    "editable_e-0-py3-none-any": {
        "__editable___editable_e_0_finder.py": "def install(): pass\n",
        "__editable__.editable_e-0.pth": "import __editable___editable_e_0_finder\n",
    },
    "longname-1.0-py3-none-any": {
        "longname/__init__.py": "",
        f"longname/{'a' * 251}.py": X,
        "d" * 60 + "/" + "e" * 200: "",
    },
    "unic-1.0-py3-none-any": {
        "unic/na\u00efve.py": X,
        "unic/\u65e5\u672c\u8a9e.txt": "x",
        "unic/a,b.txt": "1",
        'unic/a "q".txt': "1",
        "unic/ sp ace .txt": "1",
    },
    "oldmeta-1.0-py2.py3-none-any": {
        "oldmeta/": "",
        "oldmeta/__init__.py": "",
        "oldmeta-1.0.dist-info/": "",
        "oldmeta-1.0.dist-info/metadata.json": "{}",
        "oldmeta-1.0.dist-info/zip-safe": "\n",
        "oldmeta-1.0.egg-info/PKG-INFO": "Name: oldmeta\nVersion: 1.0\n",
    },
    "broken-1.0-py3-none-any": {
        "broken/syntax.py": "def :\n",
        "broken/nul.py": b"x = 1\0",
        "broken/bom.py": "\ufeffx = 1\r\n",
        "broken/latin.py": b"# coding: latin-1\nx = '\xe9'\n",
        "broken/.hidden": "",
        "broken/alone.pyc": b"\0" * 20,
    },
    "abi-1.0-py3-abi3.none-any": {"abi.abi3.so": b"\x7fELF"},
    "licences-1.0-py3-none-any": {"licences-1.0.dist-info/licenses/sub/L.txt": "y"},
}
MODES = {"none": 0, "group": 0o100775, "read": 0o100444, "bare": 0o755, "setuid": 0o104755}
HASHES = ("sha384", "sha512", "sha3_256", "blake2b")


def make(
    directory: Path,
    file_name: str,
    files: Mapping[str, str | bytes],
    *,
    mode: int = 0o100644,
    algorithm: str = "sha256",
) -> Path:
    """Write a wheel; directories and metadata are named as the file is."""
    name, version, *_ = file_name.split("-")
    info = f"{name}-{version}.dist-info"
    said = version.replace("_", ".")
    tags = file_name.split("-")[-3:]
    given = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {said}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"
        + "".join(
            f"Tag: {python}-{abi}-{tags[2]}\n"
            for python in tags[0].split(".")
            for abi in tags[1].split(".")
        ),
    }
    content = [
        Member(
            path, text.encode() if isinstance(text, str) else text, mode if path[-1] != "/" else 0
        )
        for path, text in given.items()
    ]
    record = record_of(content, f"{info}/RECORD", algorithm)
    return write_zip(directory / f"{file_name}.whl", [*content, record])


def test_unusual_wheels_are_installed_as_by_pip_and_uninstalled_to_nothing(
    tmp_path: Path, tell_figures: TellFigures
) -> None:
    directory = tmp_path / "wheels"
    wheels = [make(directory, name, files) for name, files in WHEELS.items()]
    for word, mode in MODES.items():
        name = f"mode{word}"
        files = {f"{name}.py": X, f"{name}-1.0.data/scripts/{name}": "#!python\n"}
        wheels.append(make(directory, f"{name}-1.0-py3-none-any", files, mode=mode))
    for algorithm in HASHES:
        name = f"by{algorithm.replace('_', '')}"
        file_name = f"{name}-1.0-py3-none-any"
        wheels.append(make(directory, file_name, {f"{name}.py": X}, algorithm=algorithm))
    prove(wheels, tmp_path, tell_figures)
