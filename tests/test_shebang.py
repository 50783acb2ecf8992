"""Scripts run by an interpreter whose path is no first line are those that they were."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.wheels.shebang import with_interpreter

if TYPE_CHECKING:
    from pathlib import Path

SCRIPTS = {
    "code": (b"print(1)\n", "1"),
    "docstring": (b'"""doc"""\nfrom __future__ import annotations\nprint(__doc__[-3:])\n', "doc"),
    "raw": (b"# a\n\n \t# b\nr'''d\\oc'''\nfrom __future__ import annotations\nprint(2)\n", "2"),
    "future": (b"# a\nfrom __future__ import annotations\nprint(3)\n", "3"),
    "encoding": (b"# coding: latin-1\nprint(ascii('\xe9'))\n", r"'\xe9'"),
    "bytes": (b"b'no docstring'\nprint(4)\n", "4"),
    "method": (b"'-'.join('ab')\nprint(5)\n", "5"),
    "lines": (b"# coding: latin-1\r\n\r\nprint(ascii('\xe9'))\r\n", r"'\xe9'"),
    "comment": (b"# no more", ""),
    "nothing": (b"", ""),
}


@pytest.mark.parametrize("directory", ["plain", "with blank", "x" * 200])
@pytest.mark.parametrize(("body", "said"), SCRIPTS.values(), ids=SCRIPTS)
def test_script_says_the_same_wherever_the_interpreter_lies(
    tmp_path: Path, directory: str, body: bytes, said: str
) -> None:
    """A docstring, what must follow it, and the encoding are found where Python looks for them."""
    python = tmp_path / directory / "python3"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    script = tmp_path / "script"
    script.write_bytes(with_interpreter(b"#!python -E\n" + body, str(python)))
    script.chmod(0o755)
    ended = subprocess.run([script], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout.strip(), ended.stderr) == (0, said, "")
