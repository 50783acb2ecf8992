"""Options without an argument parser mean what they mean to the parser."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from sage_pkginstall.cli.install import add_managed
from sage_pkginstall.cli.options import Options
from sage_pkginstall.cli.target import add_options
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# fmt: off
WORDS = (
    "a", "b.whl", "", "x=y", "--json", "-q", "--dry-run", "--break-system-packages", "-v", "-vq",
    "--", "-", "--prefix", "--prefix=p", "--lock-timeout=2", "--no-such", "--js", "-h", "-r", "-I",
    "--requirement=", "-r=x", "--kind=warn", "--prefix=-p", "--quiet=", "--no-such=x",
)
# fmt: on


def declared(nargs: str) -> Options:
    options = Options("program", "What it does.")
    options.add_argument("names", nargs=nargs, metavar="NAME", help="a name")
    options.add_argument("-r", "--requirement", action="append", default=[], metavar="FILE")
    options.add_argument("-I", "-U", dest="ignored", action="store_true")
    options.add_argument("--kind", choices=("warn", "error"), default="warn")
    add_managed(options)
    add_options(options, changes=True)
    return options


def outcome(parse: Callable[[Sequence[str]], Any], words: Sequence[str]) -> object:
    """Return the values, or the status that the process would end with."""
    try:
        return vars(parse(words))
    except SystemExit as end:
        return end.code


@pytest.mark.parametrize("nargs", ["*", "+"])
def test_options_mean_what_they_mean_to_argparse(nargs: str) -> None:
    options = declared(nargs)
    parser = options.parser()
    for length in range(4):
        for words in itertools.product(WORDS if length < 3 else WORDS[:8], repeat=length):
            assert outcome(options.parse_args, words) == outcome(parser.parse_args, words), words


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("pip-install", ("a.whl", "--no-compile", "--no-deps")),
        ("pip-install", ("-q", "--find-links=a=b", "-r", "c", "-v", "-v", "d.whl")),
        ("pip-uninstall", ("-y", "a")),
        ("pip-uninstall", ("--quiet", "--yes", "a", "b")),
        ("install", ("--quiet", "a.whl")),
        ("install", ("-v", "--prefix", "/nonexistent", "a.whl")),
        ("uninstall", ("a",)),
    ],
)
def test_words_and_plain_options_need_no_parser(command: str, words: Sequence[str]) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv.pop(1))\n"
        "from sage_pkginstall.cli.main import main\n"
        "status = main(sys.argv[1:])\n"
        "assert 'argparse' not in sys.modules\n"
        "sys.exit(status)"
    )
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, os.fspath(ROOT), command, *words],
        env={**os.environ, "SAGE_VENV": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "AssertionError" not in ended.stderr
    assert "/nonexistent" in ended.stderr
