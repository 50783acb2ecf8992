"""Our modules as programs of Pythons that cannot import them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.program_text import program_text
from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "modules", [("introspection",), ("builds.hook_server",), ("wheels.compiling", "wheels.workers")]
)
def test_programs_need_nothing_but_the_standard_library(modules: tuple[str, ...]) -> None:
    text = program_text(*modules)
    assert text.isascii()  # whatever the locale is
    command = [sys.executable, "-I", "-S", "-c", text]
    ended = subprocess.run(command, capture_output=True, text=True, input="", check=False)
    # Each has got as far as its arguments, and lacks them.
    assert ended.stderr.splitlines()[-1].partition(":")[0] in ("ValueError", "IndexError")


def test_module_that_is_lacking_is_named() -> None:
    command = [sys.executable, "-I", "-S", "-c", program_text("wheels.compiling")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "No module named 'sage_pkginstall'" in ended.stderr


def test_texts_are_found_in_a_zip_file(tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "tool"), "zip", ROOT, "sage_pkginstall")
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from sage_pkginstall.program_text import program_text\n"
        "sys.stdout.write(program_text('wheels.compiling', 'wheels.workers'))"
    )
    command = [sys.executable, "-I", "-S", "-c", program, archive]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said == program_text("wheels.compiling", "wheels.workers")
