"""Requirements of wheels that are met or not, as ``packaging`` would say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion

from sage_pkginstall.wheels.unmet import plainly_met, unmet, unmet_by
from tests.conftest import PYPY_MARKERS, ROOT, START
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sage_pkginstall.environment import Environment


@pytest.mark.parametrize(
    "line",
    [
        "foo",
        "Foo",
        "foo>=1",
        "foo (>=1.0,<2)",
        "foo[extra]>=1; python_version > '3'",
        "missing; python_version >= '3.10'",
        "missing; implementation_name == 'cpython'",
        "missing; extra == 'test'",
        "backports.ssl_match-hostname==3.5.0.1",
        "pre>=2.0a1",
        "pre",
        "pre<3",
        "local==1.0",
        "foo @ https://example.org/foo.zip",
        "odd",
    ],
)
def test_met(pypy: Environment, line: str) -> None:
    assert unmet([line], pypy, INSTALLED) == ()


@pytest.mark.parametrize(
    "line",
    [
        "missing",
        "foo>=2",
        "foo!=1.5",
        "missing; python_version < '3.10'",
        "missing; platform_python_implementation == 'PyPy'",
        "missing; extra == 'test' or os_name == 'posix'",
        "pre>=2.0",
        "odd>=1",
        "foo; sys_platform ~= 'linux'",
        "foo; os_name === 'posix'",
        "foo; 'test' in extras",
        "foo; 'test' in dependency_groups",
        f"foo; python_version < '{'9' * 5000}'",
        f"foo>={'9' * 5000}",
        "what is this?",
        "",
    ],
)
def test_unmet(pypy: Environment, line: str) -> None:
    assert unmet([line], pypy, INSTALLED) == (line,)


INSTALLED = {
    "foo": "1.5",
    "backports-ssl-match-hostname": "3.5.0.1",
    "pre": "2.0b3",
    "local": "1.0+cuda",
    "odd": "",
}


def test_unmet_tells_what_is_there_instead(pypy: Environment) -> None:
    requires = ["a>=9", "absent", "a>=9; python_version>'3'", "a>=9", "?"]
    assert list(map(str, unmet_by("foo", requires, pypy, {"a": "1.5"}))) == [
        "foo needs a>=9, but version 1.5 is installed",
        "foo needs absent, which is not installed",
        "foo needs a>=9; python_version>'3', but version 1.5 is installed",
        "foo needs ?, which is not installed",
    ]


@pytest.mark.parametrize("line", ["a\x1b[2J", "b (>=1\x07)", "c\u202egpj", "d" * 1000])
def test_what_a_wheel_needs_is_told_in_a_printable_line(pypy: Environment, line: str) -> None:
    (told,) = map(str, unmet_by("foo", [line], pypy, {}))
    assert told.isprintable()
    assert len(told) < 200
    assert told.startswith(f"foo needs '{line[0]}")


def test_unmet_keeps_order_and_text(pypy: Environment) -> None:
    requires = ["b (>=9)", "foo", "a"]
    assert unmet(requires, pypy, INSTALLED) == ("b (>=9)", "a")


def test_requirements_of_extras_do_not_count(pypy: Environment) -> None:
    requires = ["a; extra == 'test'", "b; extra == 'doc' or extra == 'test'", "c"]
    assert unmet(requires, pypy, {}) == ("c",)


@pytest.mark.parametrize(
    ("line", "is_met"),
    [
        ("foo", True),
        ("absent", False),
        (" Foo [a, b-c] ( >= 1 , < 2.0 ) ", True),
        ("foo~=1.4,!=1.5.*", False),
        ("foo ~= 1.4", True),
        ("foo==1.5.0", True),
        ("backports_ssl.match_hostname>3; os_name=='posix' and python_version<'4'", True),
        ('absent; python_full_version == "3.9.*" and sys_platform != "win32"', False),
        ("absent; extra == 'test'", True),
        ("absent; (os_name == 'posix' and python_version > '3') and extra == 'test'", True),
        ("absent; python_version ~= '3.10'", True),
    ],
)
def test_plain_ones_are_answered(line: str, is_met: bool) -> None:
    assert plainly_met(line, PYPY_MARKERS, INSTALLED) is is_met


@pytest.mark.parametrize(
    "line",
    [
        "",
        "foo;",
        "foo-",
        "foo[]",
        "foo()",
        "foo>=1,",
        "foo>=1.*",
        "foo~=1",
        "foo===1.5",
        "foo>=1.0rc1",
        "foo>=1\n",
        "foo @ file:///foo.whl",
        "pre>=1",
        "foo; python_version >= '3.9' or os_name == 'nt'",
        "foo; (python_version >= '3.9')",
        "foo; (os_name == 'nt' or os_name == 'posix') and extra == 'test'",
        "foo; (os_name == 'nt' and ) and extra == 'test'",
        "foo; '3.9' <= python_version",
        "foo; python_version in '3.9'",
        "foo; python_version >= 'three'",
        "foo; os_name > 'nt'",
        "foo; os_name == 'v1'",
        "foo; os_name == '1'",
        "foo; os_name == ''",
        "foo; os.name == 'nt'",
        "foo; extra != 'test'",
        "foo; platform_release == 'x'",
        "foo; implementation_version == '7.3.11'",
        "foo; what == 'x'",
    ],
)
def test_others_are_for_packaging(line: str) -> None:
    assert plainly_met(line, PYPY_MARKERS, INSTALLED) is None


def test_fact_that_the_target_does_not_tell_or_that_is_not_plain_is_for_packaging() -> None:
    line = "foo; python_full_version >= '3.9'"
    assert plainly_met(line, PYPY_MARKERS, INSTALLED) is True
    assert plainly_met(line, {**PYPY_MARKERS, "python_full_version": "3.9.16+"}, INSTALLED) is None
    assert plainly_met(line, {}, INSTALLED) is None


blanks = st.sampled_from(["", "", " ", " \t"])
releases = st.lists(st.integers(0, 4), min_size=1, max_size=4).map(
    lambda some: ".".join(map(str, some))
)
versions = releases | releases.flatmap(
    lambda release: (
        st.sampled_from([f"v{release}", f"1!{release}", f"0{release}"])
        | st.sampled_from(["rc1", ".post1", ".dev0", "+cuda", ".*", "a", ""]).map(release.__add__)
    )
)
names = st.sampled_from(["foo", "foo", "Foo", "a.b_C", "a--b-c", "absent"])
operators = st.sampled_from(["==", "!=", ">=", "<=", ">", "<", "~=", "==="])
stars = st.sampled_from(["", "", ".*"])
specifiers = st.tuples(blanks, operators, blanks, releases, stars, blanks).map("".join)
lists = st.lists(specifiers, min_size=1, max_size=3).map(",".join)
words = st.sampled_from(["linux", "posix", "PyPy", "x86_64", "test", "v", "_", "A.b"])
quotes = st.sampled_from(["'{}'", '"{}"'])


def clauses(
    variables: Iterable[str], operators: Iterable[str], literals: st.SearchStrategy[str]
) -> st.SearchStrategy[str]:
    operator = st.tuples(blanks, st.sampled_from(sorted(operators)), blanks).map("".join)
    literal = st.builds(str.format, quotes, literals)
    variable = st.sampled_from(sorted(variables))
    return st.tuples(blanks, variable, operator, literal, blanks).map("".join) | st.tuples(
        blanks, literal, operator, variable, blanks
    ).map("".join)


NUMBERS = {"python_version", "python_full_version", "platform_release"}
TEXTS = {"extra", "os.name", *PYPY_MARKERS} - NUMBERS
comparisons = (
    clauses(
        NUMBERS, ("==", "!=", ">=", "<=", ">", "<", "~="), st.tuples(releases, stars).map("".join)
    )
    | clauses(TEXTS, ("==", "!="), words)
    | clauses(
        NUMBERS | TEXTS, ("==", "!=", ">=", "~=", "===", " in ", " not in "), words | versions
    )
)
groups = st.sampled_from(
    ["{}", "{}", "{}", "({})", "{} and {}", "({} and {}) and {}", "({}) and {}"]
)
markers = st.builds(lambda group, some: group.format(*some), groups, st.tuples(*[comparisons] * 3))
plain_lines = st.tuples(
    names,
    st.sampled_from(["", "", "", "[a]", " [ a, B_c ]"]),
    blanks,
    st.just("") | lists | lists.map("({})".format),
    st.just("") | st.just(" ") | markers.map(";{}".format),
).map("".join)
odd = st.sampled_from([*"()[]'\";,.*!=~<>v1_-\n\\ é", "rc1", "+l", "1!", " or ", " and ", " in "])


def _spliced(line: str, at: float, length: int, text: str) -> str:
    place = int(at * len(line))
    return line[:place] + text + line[place + length :]


lines = plain_lines | st.builds(
    _spliced, plain_lines, st.floats(0, 1), st.integers(0, 2), odd | st.just("")
)
facts = st.fixed_dictionaries(
    {
        **{name: st.just(value) for name, value in PYPY_MARKERS.items()},
        "python_version": releases,
        "python_full_version": versions,
        "sys_platform": words,
        "platform_machine": words | versions,
    }
)


@given(lines, versions, facts)
def test_what_is_answered_is_what_packaging_says(
    line: str, version: str, facts: dict[str, str]
) -> None:
    installed = {"foo": version, "a-b-c": version}
    answer = plainly_met(line, facts, installed)
    assert answer is None or answer is said_by_packaging(line, facts, installed)


def said_by_packaging(line: str, facts: dict[str, str], installed: dict[str, str]) -> bool:
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        return False
    if requirement.marker and not requirement.marker.evaluate({**facts, "extra": ""}):
        return True
    version = installed.get(re.sub(r"[-_.]+", "-", requirement.name).lower())
    try:
        return version is not None and (
            not requirement.specifier or requirement.specifier.contains(version, prereleases=True)
        )
    except InvalidVersion:
        return False


def test_cached_wheel_with_plain_requirements_is_installed_without_packaging(
    venv: Path, tmp_path: Path
) -> None:
    requires = ("bar>=2,<3", "baz (~=1.4); python_version >= '3.8' and os_name == 'posix'")
    metadata = [f"Requires-Dist: {line}" for line in (*requires, "doc; extra == 'doc'")]
    wheel = make_wheel(tmp_path, "foo", "1.0", metadata=[*metadata, "Requires-Python: >=3.6"])
    code = START.replace("sys.exit(main())", "main(); print(*sys.modules)")
    command = [sys.executable, "-I", "-c", code, str(ROOT), "pip-install", str(wheel)]
    variables = {**os.environ, "SAGE_VENV": str(venv), "SAGE_PKGINSTALL_CACHE": str(tmp_path)}

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=variables, capture_output=True, text=True, check=True)

    run()
    cached = run()
    assert all(f"foo needs {line}, which is not installed" in cached.stderr for line in requires)
    loaded = cached.stdout.split()
    assert "sage_pkginstall.wheels.unmet" in loaded
    assert "packaging" not in loaded
