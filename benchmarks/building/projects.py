"""A package of ten files for each backend."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["BACKENDS", "make_project"]

SETUPTOOLS = """[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "ten"
version = "1.0"
[tool.setuptools]
packages = ["ten"]
"""
FLIT = """[build-system]
requires = ["flit_core"]
build-backend = "flit_core.buildapi"
[project]
name = "ten"
version = "1.0"
description = "ten files"
"""
HATCHLING = """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "ten"
version = "1.0"
"""
POETRY = """[build-system]
requires = ["poetry-core"]
build-backend = "poetry.core.masonry.api"
[project]
name = "ten"
version = "1.0"
description = "ten files"
"""
MESON = """[build-system]
requires = ["meson-python", "ninja"]
build-backend = "mesonpy"
[project]
name = "ten"
version = "1.0"
"""
SCIKIT = """[build-system]
requires = ["scikit-build-core", "ninja", "cmake"]
build-backend = "scikit_build_core.build"
[project]
name = "ten"
version = "1.0"
"""
MODULES = [f"ten/m{number}.py" for number in range(9)] + ["ten/__init__.py"]
MESON_BUILD = f"""project('ten')
python = import('python').find_installation()
python.install_sources({MODULES!r}, subdir: 'ten')
"""
CMAKE = """cmake_minimum_required(VERSION 3.15)
project(ten LANGUAGES NONE)
install(DIRECTORY ten DESTINATION .)
"""

BACKENDS: Mapping[str, tuple[str, str, Mapping[str, str]]] = {
    "flit_core": ("flit_core.buildapi", FLIT, {}),
    "setuptools": ("setuptools.build_meta", SETUPTOOLS, {}),
    "hatchling": ("hatchling.build", HATCHLING, {}),
    "poetry-core": ("poetry.core.masonry.api", POETRY, {}),
    "meson-python": ("mesonpy", MESON, {"meson.build": MESON_BUILD}),
    "scikit-build-core": ("scikit_build_core.build", SCIKIT, {"CMakeLists.txt": CMAKE}),
}


def make_project(directory: Path, backend: str) -> Path:
    """Make a package of ten files anew."""
    shutil.rmtree(directory, ignore_errors=True)
    _, project, files = BACKENDS[backend]
    texts = {"pyproject.toml": project, **files, **dict.fromkeys(MODULES, "x = 1\n" * 20)}
    for name, text in texts.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory
