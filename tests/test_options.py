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
    "-y", "-d", "-p", "-d=", "-P", "-n", "-x", "-x=b",
)
# fmt: on


def declared(*words: str | None) -> Options:
    """Return options, and words of which there may be as many as `argparse` would take."""
    options = Options("program", "What it does.")
    for name, nargs in zip("abc", words, strict=False):
        options.add_argument(name, metavar=name.upper(), help="a word", nargs=nargs)
    options.add_argument("-y", dest="answer", action="store_const", const="yes", default="?")
    options.add_argument("-d", dest="modes", action="append_const", const="down")
    options.add_argument("-p", dest="modes", action="append_const", const="up")
    options.add_argument("-P", dest="modes", action="append_const", const="up", default=[])
    options.add_argument("-n", action="count")
    options.add_argument("-x", action="append")
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


@pytest.mark.parametrize(
    "expected", [("*",), ("+",), (None,), (None, "?"), (None, None), (None, "*"), ("?", "+")]
)
def test_options_mean_what_they_mean_to_argparse(expected: tuple[str | None, ...]) -> None:
    options = declared(*expected)
    parser = options.parser()
    few = ("a", "b", "", "-q", "-y", "-d", "--prefix", "--")
    for length in range(4):
        for words in itertools.product(WORDS if length < 3 else few, repeat=length):
            assert outcome(options.parse_args, words) == outcome(parser.parse_args, words), words


@pytest.mark.parametrize("option", ["-q", "--kind=warn"])  # without a parser, and with one
def test_options_may_stand_between_words_as_with_pip(option: str) -> None:
    given = declared("+").parse_args(["a", option, "b", "--prefix", "p", "c"])
    assert (given.a, given.prefix) == (["a", "b", "c"], "p")


@pytest.mark.parametrize("settings", [{"choices": ("a", "b")}, {"type": int}, {"default": "c"}])
@pytest.mark.parametrize("nargs", [None, "?", "*"])
def test_words_that_are_not_plain_mean_what_they_mean_to_argparse(
    nargs: str | None, settings: dict[str, Any]
) -> None:
    options = Options("program", "What it does.")
    options.add_argument("word", nargs=nargs, **settings)
    for words in ((), ("a",), ("1",), ("x",), ("a", "b")):
        assert outcome(options.parse_args, words) == outcome(options.parser().parse_args, words)


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
        ("build", ("--no-build-isolation", "-w", "dist", "-C", "a=b", "/nonexistent")),
        ("merge", ("--package", "foo", "/nonexistent")),
        ("logger", ("-p", "true", "/dev/null/nonexistent/log")),
        ("spkg", ("-s", "-c", "nonexistent", "/nonexistent")),
        ("spkg-uninstall", ("-k", "nonexistent", "/nonexistent")),
        ("commit-package", ("/nonexistent",)),
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
        env={
            **os.environ,
            **dict.fromkeys(("SAGE_VENV", "SAGE_LOCAL", "SAGE_ROOT"), "/nonexistent"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert "AssertionError" not in ended.stderr
    assert "/nonexistent" in ended.stderr
