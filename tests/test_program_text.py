"""Our modules as programs of Pythons that cannot import them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sage_pkginstall.program_text import program_text


@pytest.mark.parametrize(
    "modules", [("introspection",), ("builds.hook_server",), ("wheels.compiling", "wheels.workers")]
)
def test_programs_need_nothing_but_the_standard_library(modules: tuple[str, ...]) -> None:
    command = [sys.executable, "-I", "-S", "-c", program_text(*modules)]
    ended = subprocess.run(command, capture_output=True, text=True, input="", check=False)
    # Each has got as far as its arguments, and lacks them.
    assert ended.stderr.splitlines()[-1].partition(":")[0] in ("ValueError", "IndexError")


def test_module_that_is_lacking_is_named() -> None:
    command = [sys.executable, "-I", "-S", "-c", program_text("wheels.compiling")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "No module named 'sage_pkginstall'" in ended.stderr
