"""Tiny sources that build themselves, and tiny wheels made without any backend."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import zipfile
from typing import TYPE_CHECKING

from tests.trees import plant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["make_sdist", "make_source", "make_wheel", "report_of", "source_files"]

# A backend with no requirements, in the tree of its own source.  The wheel it makes
# tells what the build saw.
BACKEND = """
import base64, hashlib, importlib.metadata, json, os, sys, tarfile, zipfile
from pathlib import Path

SPECIFICATION = json.loads(Path("specification.json").read_text())

def get_requires_for_build_wheel(config_settings=None):
    return SPECIFICATION["more"]

get_requires_for_build_editable = get_requires_for_build_wheel

def _write(directory, config_settings, kind):
    print("the backend speaks")
    exec(SPECIFICATION["code"])
    report = {
        "kind": kind,
        "settings": config_settings,
        "prefix": sys.prefix,
        "executable": sys.executable,
        "path": sys.path,
        "distributions": sorted(
            # One that comes or goes meanwhile has no metadata.
            filter(None, (d.metadata["Name"] for d in importlib.metadata.distributions()))
        ),
        "variables": dict(os.environ),
    }
    name, version = SPECIFICATION["name"], SPECIFICATION["version"]
    info = f"{name}-{version}.dist-info"
    entries = {
        f"{name}.json": json.dumps(report),
        f"{info}/METADATA": f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    rows = []
    for path, text in entries.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode()
        rows.append(f"{path},sha256={digest.rstrip('=')},{len(text.encode())}\\n")
    rows.append(f"{info}/RECORD,,\\n")
    entries[f"{info}/RECORD"] = "".join(rows)
    wheel = f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(Path(directory) / wheel, "w") as archive:
        for path, text in entries.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return wheel

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return _write(wheel_directory, config_settings, "wheel")

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    return _write(wheel_directory, config_settings, "editable")

def build_sdist(sdist_directory, config_settings=None):
    top = f"{SPECIFICATION['name']}-{SPECIFICATION['version']}"
    sdist = f"{top}.tar.gz"
    with tarfile.open(Path(sdist_directory) / sdist, "w:gz") as tar:
        for name in ("pyproject.toml", "backend.py", "specification.json"):
            tar.add(name, f"{top}/{name}")
    return sdist
"""


def source_files(
    name: str = "tiny",
    version: str = "1.0",
    *,
    requires: Iterable[str] = (),
    more: Iterable[str] = (),
    code: str = "pass",
) -> dict[str, str]:
    """Return the files of a source with an in-tree backend.

    ``requires`` stands in pyproject.toml, ``more`` comes from the hook, ``code`` runs while
    the wheel is built.
    """
    specification = {"name": name, "version": version, "more": [*more], "code": code}
    table = {"requires": [*requires], "build-backend": "backend", "backend-path": ["."]}
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in table.items()]
    return {
        "pyproject.toml": "[build-system]\n" + "".join(lines),
        "backend.py": BACKEND,
        "specification.json": json.dumps(specification),
    }


def make_source(
    directory: Path,
    name: str = "tiny",
    *,
    requires: Iterable[str] = (),
    more: Iterable[str] = (),
    code: str = "pass",
) -> Path:
    """Write `source_files` of version 1.0 to ``directory``, and return it."""
    files = source_files(name, requires=requires, more=more, code=code)
    return plant(directory, {path: text.encode() for path, text in files.items()})


def make_sdist(path: Path, entries: Mapping[str, bytes]) -> Path:
    """Write a gzipped tar file with ``entries``, whatever their names are."""
    with tarfile.open(path, "w:gz") as tar:
        for name, data in entries.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def make_wheel(
    directory: Path,
    file_name: str,
    files: Mapping[str, str] | None = None,
    *,
    headers: Iterable[str] = (),
    entry_points: str = "",
) -> Path:
    """Make the wheel ``NAME-VERSION-…-TAGS.whl`` in ``directory``; return its path.

    ``headers`` are further lines of METADATA.  Without ``files`` it holds one module.
    """
    name, version, *_ = file_name.split("-")
    tag = "-".join(file_name.removesuffix(".whl").split("-")[-3:])
    info = f"{name}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", *headers]
    wheel = f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n"
    entries = dict({f"{name}.py": f"version = {version!r}\n"} if files is None else files)
    entries[f"{info}/METADATA"] = "\n".join(metadata) + "\n"
    entries[f"{info}/WHEEL"] = wheel
    if entry_points:
        entries[f"{info}/entry_points.txt"] = entry_points
    rows = [_row(path, text.encode()) for path, text in entries.items()]
    entries[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"])
    directory.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(directory / file_name, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in entries.items():
            member = zipfile.ZipInfo(path)
            executable = ".data/scripts/" in path
            member.external_attr = (0o100755 if executable else 0o100644) << 16
            archive.writestr(member, text)
    return directory / file_name


def report_of(wheel: Path) -> dict[str, object]:
    """Return what the in-tree backend saw while it made ``wheel``."""
    with zipfile.ZipFile(wheel) as archive:
        name = wheel.name.split("-")[0]
        report: dict[str, object] = json.loads(archive.read(f"{name}.json"))
    return report


def _row(path: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(data)}\n"
