"""Messages about interpreters that cannot be worked with."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tests.messages.desk import produces
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.messages.desk import Desk

# Says what the interpreter of the prefix says, but for a change; it cannot compile.
LIAR = """#!{python} -IS
import json, os, subprocess, sys

if "-c" in sys.argv and sys.argv[-1].isdigit():
    sys.exit("no way")
marker = sys.argv[-1]
said = subprocess.run([{real!r}, *sys.argv[1:]], stdout=subprocess.PIPE, text=True).stdout
facts = json.loads(said.split(marker)[1])
facts["executable"] = os.path.abspath(__file__)
{change}
print(f"{{marker}}{{json.dumps(facts)}}{{marker}}")
"""


def program(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


@produces(
    "cannot use target interpreter {path}: there is no such file",
    "cannot use target interpreter {path}: the directory holds no bin/python3; make one with"
    " 'python3 -m venv --without-pip {directory}'",
    "cannot use target interpreter {path}: it says nothing (exit status {status})",
    "cannot use target interpreter {path}: {last_line} (exit status {status})",
    "cannot use target interpreter {path}: its facts are no JSON",
    "cannot use target interpreter {path}: it does not tell its facts ({error})",
)
def test_interpreter_that_is_none(desk: Desk) -> str:
    (desk.directory / "empty").mkdir()
    python = desk.directory / "python3"
    said = "".join(
        desk.cli("list", "--python", path, status=1).stderr
        for path in (desk.directory / "none", desk.directory / "empty")
    )
    for line in (
        "not a program",
        "#!/bin/sh\nexit 3",
        "#!/bin/sh\necho no such library >&2; exit 3",
        '#!/bin/sh\nfor word; do :; done; echo "$word{$word"',
        '#!/bin/sh\nfor word; do :; done; echo "$word{}$word"',
    ):
        said += desk.cli("list", "--python", program(python, line), status=1).stderr
    return said


@produces(
    "cannot use target interpreter {path}: its scheme {name} ({directory}) lies outside its prefix"
    " {prefix}; use a virtual environment ('python3 -m venv --without-pip DIRECTORY')",
    "cannot use target interpreter {path}: it cannot compile: {last_line} (exit status {status})",
)
def test_interpreter_with_odd_facts(desk: Desk) -> str:
    python = desk.directory / "python3"
    real = str(desk.prefix / "bin/python3")
    said = ""
    for change, command in (
        ('facts["schemes"]["platlib"] = "/elsewhere/lib"', ["list"]),
        ('facts["magic"] = "00000000"', ["install", make_wheel(desk.directory, "foo", "1")]),
    ):
        program(python, LIAR.format(python=sys.executable, real=real, change=change))
        said += desk.cli(*command, "--python", python, status=1).stderr
    return said
