"""The scenes of the sweeps: what is there at first, and the command that is disturbed."""

from __future__ import annotations

import json
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.trees import EMPTY, Link, plant
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from tests.trees import Entry

__all__ = ["NAMES", "Scene", "make_scene"]

SITE = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
INIT = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"


@dataclass(frozen=True)
class Scene:
    """Commands that prepare a prefix, and the one under test.

    ``made`` are directories that somebody has made in between, and put nothing into.
    """

    setting: tuple[tuple[str, ...], ...]
    command: tuple[str, ...]
    made: tuple[str, ...] = ()


def foo(directory: Path, version: str) -> str:
    """Return a wheel with everything that wheels have; versions differ in most of it."""
    files = {
        "foo/__init__.py": f"version = {version!r}\n",
        "foo/same.py": "same = 1\n",
        f"foo/only_{version}.py": "",
        f"foo/sub{version}/__init__.py": f"x = {version}\n",
        "foo_single.py": f"y = {version}\n",
        "foo.pth": f"# {version}\n",
        "ns/foo_part.py": f"z = {version}\n",
    }
    data = {"data/share/foo/text": version, f"data/share/foo{version}/text": version}
    scripts = {"foo": "foo:main", f"foo{version}": "foo:main"}
    return str(make_wheel(directory, "foo", version, files, scripts=scripts, data=data))


def part(directory: Path, name: str) -> str:
    """Return one half of the pair that shares ``backports/__init__.py``."""
    module = name.partition(".")[2]
    files = {"backports/__init__.py": INIT, f"backports/{module}.py": f"x = {name!r}\n"}
    return str(make_wheel(directory, name, "1.0", files))


def staged(directory: Path, version: str) -> str:
    """Return a staged tree as ``make install DESTDIR=…`` of a C library leaves one."""
    entries: dict[str, Entry] = {
        "lib/libz.so.1": b"library " + version.encode(),
        "lib/libz.so": Link("libz.so.1"),
        "include/z/z.h": b"#define Z " + version.encode(),
        f"share/doc/z-{version}/README": b"read me",
    }
    manifest = {"package_name": "z", "package_version": version, "files": sorted(entries)}
    entries[f"var/lib/sage/installed/z-{version}"] = json.dumps(manifest).encode()
    return str(plant(directory / f"staged-{version}", entries))


def mixed(directory: Path, version: str) -> str:
    """Return a staged tree that also has a Python distribution, with its RECORD."""
    tree = staged(directory / "mixed", version)
    site = f"{tree}/{SITE}"
    with zipfile.ZipFile(foo(directory, version)) as wheel:
        wheel.extractall(site, [name for name in wheel.namelist() if ".data/" not in name])
    info = Path(site, f"foo-{version}.dist-info", "RECORD")
    rows = info.read_text().splitlines(keepends=True)
    info.write_text("".join(row for row in rows if ".data/" not in row))
    return tree


def _fresh(d: Path) -> Scene:
    return Scene((("install", part(d, "backports.one")),), ("install", foo(d, "1")))


def _upgrade(d: Path) -> Scene:
    return Scene((("install", foo(d, "1")),), ("install", foo(d, "2")))


def _reinstall(d: Path) -> Scene:
    return Scene((("install", foo(d, "1")),), ("install", foo(d, "1")))


def _downgrade(d: Path) -> Scene:
    return Scene((("install", foo(d, "2")),), ("install", foo(d, "1")))


def _uninstall(d: Path) -> Scene:
    return Scene((("install", foo(d, "1"), part(d, "backports.one")),), ("uninstall", "foo"))


def _merge(d: Path) -> Scene:
    old, new = staged(d, "1"), staged(d, "2")
    return Scene((("merge", "--package", "z", old),), ("merge", "--package", "z", new))


def _mixed(d: Path) -> Scene:
    old, new = mixed(d, "1"), mixed(d, "2")
    return Scene((("merge", "--package", "z", old),), ("merge", "--package", "z", new))


def _several(d: Path) -> Scene:
    other = str(make_wheel(d, "other", "1", {"ns/other.py": "", "other/__init__.py": ""}))
    return Scene((("install", foo(d, "1")),), ("install", foo(d, "2"), other))


def _pair(d: Path) -> Scene:
    one, two = part(d, "backports.one"), part(d, "backports.two")
    return Scene((("install", one, two),), ("install", one))


def _pair_half_gone(d: Path) -> Scene:
    one, two = part(d, "backports.one"), part(d, "backports.two")
    return Scene((("install", one, two),), ("uninstall", "backports.one"))


VOID = (
    f"{SITE}/foo/cache/one",
    f"{SITE}/foo/cache/two",
    f"{SITE}/foo/gone/__pycache__",
    f"{SITE}/foo/sub1/work",
    f"{SITE}/foo-1.dist-info/work",
    "share/foo/work",
    "share/foo1/work/more",
)


def _upgrade_void(d: Path) -> Scene:
    return Scene((("install", foo(d, "1")),), ("install", foo(d, "2")), VOID)


def _uninstall_void(d: Path) -> Scene:
    scene = _uninstall(d)
    return Scene(scene.setting, scene.command, VOID)


def spooled(directory: Path, version: str) -> str:
    """Return a staged tree with directories that are to be empty."""
    empty = ("share/z/spool", f"share/z/{version}/spool", f"share/spool/z-{version}")
    entries: dict[str, Entry] = dict.fromkeys(empty, EMPTY)
    entries["share/z/rules"] = version.encode()
    return str(plant(directory / f"spooled-{version}", entries))


def _merge_void(d: Path) -> Scene:
    old, new = (("merge", "--package", "z", spooled(d, version)) for version in "12")
    return Scene((old,), new, ("share/z/1/work", "share/z/work/more"))


_SCENES = {
    "fresh install": _fresh,
    "upgrade": _upgrade,
    "same version again": _reinstall,
    "downgrade": _downgrade,
    "uninstall": _uninstall,
    "staged merge": _merge,
    "mixed package": _mixed,
    "several wheels": _several,
    "shared namespace": _pair,
    "shared namespace, one goes": _pair_half_gone,
    "upgrade, void directories": _upgrade_void,
    "uninstall, void directories": _uninstall_void,
    "staged merge, void directories": _merge_void,
}
NAMES = tuple(_SCENES)


def make_scene(name: str, directory: Path) -> Scene:
    """Return the scene called ``name``, its wheels lying in ``directory``."""
    return _SCENES[name](directory)
