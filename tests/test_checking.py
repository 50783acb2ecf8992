"""Every difference between a record and the disk is found."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.environment import Environment, target_environment
from sage_pkginstall.wheels.checking import Problem, check
from sage_pkginstall.wheels.installed import installed_distributions
from tests.sitepackages import SITE, in_site, record, the_one
from tests.trees import EMPTY

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def environment(venv: Path) -> Environment:
    return target_environment(venv)


def digest(content: bytes) -> str:
    value = urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"sha256={value}"


@pytest.mark.parametrize("algorithm", ["rot13", "\udc80", "", "shake_128", "shake256"])
def test_check_knows_what_is_no_hash(environment: Environment, algorithm: str) -> None:
    in_site(environment, {"foo.py": b"foo"})
    rows = f'foo.py,"{algorithm}=abc",3\nfoo-1.0.dist-info/RECORD,,\n'
    installed = record(environment, "")
    name = "foo-1.0.dist-info/RECORD"
    in_site(environment, {name: rows.encode("utf-8", "surrogateescape")})
    what = f"unknown algorithm {algorithm!r}"
    assert check(environment, installed) == (Problem(f"{SITE}/foo.py", "hash", what),)


def test_check_takes_hexadecimal_digits_for_a_hash(environment: Environment) -> None:
    in_site(environment, {"good.py": b"good", "changed.py": b"new"})
    good, old = (hashlib.sha256(content).hexdigest() for content in (b"good", b"old"))
    rows = f"good.py,sha256={good},4\nchanged.py,sha256={old},3\nfoo-1.0.dist-info/RECORD,,\n"
    (problem,) = check(environment, record(environment, rows))
    assert (problem.path, problem.kind) == (f"{SITE}/changed.py", "hash")


def test_check_finds_every_difference(environment: Environment) -> None:
    in_site(
        environment,
        {
            "good.py": b"good",
            "short.py": b"x",
            "changed.py": b"new",
            "strange.py": b"",
            "old.py": b"old",
            "directory.py/x": b"",
            "foo-1.0.dist-info/extra": b"",
            "__pycache__/good.cpython-311.pyc": b"anything",
        },
    )
    md5 = urlsafe_b64encode(hashlib.md5(b"old").digest()).rstrip(b"=").decode()  # noqa: S324
    installed = record(
        environment,
        f"good.py,{digest(b'good')},4\nshort.py,{digest(b'xx')},2\n"
        f"changed.py,{digest(b'old')},3\nstrange.py,rot13=abc,0\ngone.py,{digest(b'')},0\n"
        f"directory.py,,\nold.py,md5={md5},3\n../../../../out,,\n"
        "__pycache__/good.cpython-311.pyc,,\n__pycache__/gone.cpython-311.pyc,,\n"
        "foo-1.0.dist-info/RECORD,,\n",
    )
    outside = f"{environment.prefix.parent}/out"
    assert check(environment, installed) == (
        Problem(f"{SITE}/short.py", "size", "1 bytes, 2 recorded"),
        Problem(f"{SITE}/changed.py", "hash", f"{digest(b'new')}, {digest(b'old')} recorded"),
        Problem(f"{SITE}/strange.py", "hash", "unknown algorithm 'rot13'"),
        Problem(f"{SITE}/gone.py", "missing", "not there"),
        Problem(f"{SITE}/directory.py", "type", "a directory"),
        Problem(outside, "outside", f"lies outside {environment.prefix}"),
        Problem(f"{SITE}/__pycache__/gone.cpython-311.pyc", "missing", "not there"),
        Problem(f"{SITE}/foo-1.0.dist-info/extra", "unlisted", "not in RECORD"),
    )


def test_byte_code_that_virtualenv_announces_is_not_missing(environment: Environment) -> None:
    in_site(environment, {"p/a.py": b"", "p/q/__pycache__/b.cpython-311.pyc": b""})
    rows = "p/a.py,,\np/a.cpython-311.pyc,,\np/__pycache__,,\np/q/__pycache__,,\n"
    wrong = f"p/hashed.pyc,{digest(b'')},0\n/nowhere/a.pyc,,\n"
    installed = record(environment, f"{rows}{wrong}foo-1.0.dist-info/RECORD,,\n")
    assert check(environment, installed) == (
        Problem(f"{SITE}/p/hashed.pyc", "missing", "not there"),
        Problem("/nowhere/a.pyc", "outside", f"lies outside {environment.prefix}"),
    )


def test_what_pip_lists_of_an_odd_wheel_is_no_problem(environment: Environment) -> None:
    """It keeps the rows of byte-code that it makes anew, and of wrappers that it leaves out."""
    in_site(environment, {"p/__pycache__/a.cpython-311.pyc": b"made by pip"})
    pyc = f"p/__pycache__/a.cpython-311.pyc,{digest(b'of the wheel')},12\n"
    wrapper = f"foo-1.0.data/scripts/foo,{digest(b'#!python')},8\n"
    rows = pyc + pyc.partition(",")[0] + ",,\n" + wrapper
    installed = record(environment, f"{rows}foo-1.0.dist-info/RECORD,,\n")
    assert check(environment, installed) == ()


def test_check_of_a_ghost_names_its_record(environment: Environment) -> None:
    in_site(environment, {"foo-1.0.dist-info": EMPTY})
    (problem,) = check(environment, the_one(environment, "foo"))
    assert (problem.path, problem.kind) == (f"{SITE}/foo-1.0.dist-info/RECORD", "record")


def test_check_finds_nothing_where_nothing_is_listed(environment: Environment) -> None:
    in_site(
        environment,
        {"a-1.egg-info": b"", "b.egg-link": b"", "c-1-py3.9.egg-info/PKG-INFO": b""},
    )
    for installed in installed_distributions(environment):
        assert check(environment, installed) == ()


def test_one_of_several_hashes_of_a_file_is_right(environment: Environment) -> None:
    """Such as those that pip keeps of an INSTALLER: the one of the wheel and its own."""
    in_site(environment, {"a.py": b"a", "b.py": b"b"})
    rows = f"a.py,{digest(b'old')},3\na.py,{digest(b'a')},1\nb.py,{digest(b'old')},3\nb.py,,\n"
    installed = record(environment, rows + "foo-1.0.dist-info/RECORD,,\n")
    problem = Problem(f"{SITE}/b.py", "size", "1 bytes, 3 recorded")
    assert check(environment, installed) == (problem,)
