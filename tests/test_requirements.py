"""Lines that name a requirement, and files of them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.errors import RequirementError
from sage_pkginstall.wheels.requirements import (
    RequirementLine,
    parse_requirement_line,
    requirement_name,
)
from sage_pkginstall.wheels.requirements_file import (
    is_only_for_pip,
    names_in,
    names_only,
    parse_requirements_file,
    search_options,
    wheels_only,
)
from tests.conftest import ROOT

if TYPE_CHECKING:
    from sage_pkginstall.environment import Environment


def listing(path: Path, text: str) -> tuple[tuple[str, Path | None], ...]:
    path.write_text(text)
    return tuple((line.name, line.wheel) for line in parse_requirements_file(path))


def test_file_of_every_kind_of_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STORE", "/store")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/more.txt").write_text("-r deep.txt\nmore == 2\n")
    (tmp_path / "sub/deep.txt").write_text("deep\n")
    text = """\
# a comment \\
--no-index
--find-links=/somewhere   # ignored
-i https://example.org/simple
   # an indented one

Foo.Bar @ file:///store/foo_bar-1.0-py3-none-any.whl  # why
blank @ file:///a store/with # signs/blank-1-py3-none-any.whl
local@file://localhost/store/local-1-py3-none-any.whl
short @ file:/store/short-1-py3-none-any.whl
variable @ file://${STORE}/variable-1-py3-none-any.whl
./dist/some_thing-1.0-py3-none-any.whl
other-1.0-py3-none-any.whl ; os_name == "posix"
/abs/olute/third-2-py3-none-any.whl
name_alone
pinned==1.0 ; python_version > "3"
continued \\
  >= 1.0, \\
  < 2
ended\\
# by a comment
-r sub/more.txt
with[extra]
"""
    assert listing(tmp_path / "requirements.txt", text) == (
        ("foo-bar", Path("/store/foo_bar-1.0-py3-none-any.whl")),
        ("blank", Path("/a store/with")),
        ("local", Path("/store/local-1-py3-none-any.whl")),
        ("short", Path("/store/short-1-py3-none-any.whl")),
        ("variable", Path("/store/variable-1-py3-none-any.whl")),
        ("some-thing", tmp_path / "dist/some_thing-1.0-py3-none-any.whl"),
        ("other", tmp_path / "other-1.0-py3-none-any.whl"),
        ("third", Path("/abs/olute/third-2-py3-none-any.whl")),
        ("name-alone", None),
        ("pinned", None),
        ("continued", None),
        ("ended", None),
        ("deep", None),
        ("more", None),
        ("with", None),
    )


def test_blanks_and_percent_signs_in_file_urls(tmp_path: Path) -> None:
    odd = tmp_path / "100%25 odd"
    odd.mkdir()
    (odd / "a-1-py3-none-any.whl").touch()
    encoded = f"file://{tmp_path}/two%20words/b-1-py3-none-any.whl"
    assert listing(
        tmp_path / "r.txt",
        f"a @ file://{odd}/a-1-py3-none-any.whl\nb @ {encoded}\n",
    ) == (
        ("a", odd / "a-1-py3-none-any.whl"),
        ("b", tmp_path / "two words/b-1-py3-none-any.whl"),
    )


def test_paths_and_urls_with_an_at_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Homes of joined accounts have one, and Homebrew's Pythons."""
    monkeypatch.chdir(tmp_path)
    path, wheel = tmp_path / "r.txt", "foo-1.0-py3-none-any.whl"
    places = {
        f"/home/u@d.org/{wheel}": Path(f"/home/u@d.org/{wheel}"),
        f"file:///opt/python@3.11/{wheel}": Path(f"/opt/python@3.11/{wheel}"),
        f"./a@b/{wheel} --hash=sha256:00": tmp_path / "a@b" / wheel,
        f"wheels@2/{wheel}": tmp_path / "wheels@2" / wheel,
        f"foo @ file:///opt/python@3.11/{wheel}": Path(f"/opt/python@3.11/{wheel}"),
        f"foo@/opt/python@3.11/{wheel}": Path(f"/opt/python@3.11/{wheel}"),
        f"foo [x]@file:/a@b/{wheel}": Path(f"/a@b/{wheel}"),
    }
    assert listing(path, "\n".join(places)) == tuple(("foo", place) for place in places.values())
    assert names_only(path) == ("foo",)
    assert names_in(path).unnamed == ()
    path.write_text("git+ssh://git@example.org/a.git@v1#egg=a\ngit+ssh://git@example.org/b.git\n")
    assert names_only(path) == ("a",)
    assert names_in(path).unnamed == ("git+ssh://git@example.org/b.git",)


def test_file_with_odd_bytes_and_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "r.txt"
    path.write_bytes(b"\xef\xbb\xbfa\r\n\r\nb @ file:///s/\xff/b-1-py3-none-any.whl\r\n\\\n")
    assert [(line.name, line.wheel) for line in parse_requirements_file(path)] == [
        ("a", None),
        ("b", Path(os.fsdecode(b"/s/\xff/b-1-py3-none-any.whl"))),
    ]


def test_empty_file(tmp_path: Path) -> None:
    assert listing(tmp_path / "r.txt", "") == ()


def test_wheels_only_passes_over_what_names_no_wheel(tmp_path: Path) -> None:
    (tmp_path / "50%20").mkdir()
    (tmp_path / "50%20/b-1.whl").touch()
    (tmp_path / "more.txt").write_text("c @ file:///gone/c%2B1.whl\n")
    path = tmp_path / "spkg-requirements.txt"
    path.write_text(f"""\
--no-index
foo >=1
-e .
a@file:///gone/a-1.whl ; python_version > "3"
b @ file://{tmp_path}/50%20/b-1.whl
not a requirement
-r more.txt
-r gone.txt
""")
    assert wheels_only(path) == (
        Path("/gone/a-1.whl"),
        tmp_path / "50%20/b-1.whl",
        Path("/gone/c+1.whl"),
    )


def test_names_only_needs_no_wheel(tmp_path: Path) -> None:
    path = tmp_path / "spkg-requirements.txt"
    path.write_text(
        "Foo @ file:///gone/Foo-1-py3-none-any.whl\n"
        "foo @ file:///gone/foo-2-py3-none-any.whl\n"
        "bar.baz\n"
    )
    assert names_only(path) == ("foo", "bar-baz")


def test_names_only_understands_all_that_pip_installs(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("more\n")
    path = tmp_path / "requirements.txt"
    path.write_text("""\
--extra-index-url https://example.org/simple
-c constraints.txt
--constraint=constraints.txt
-r more.txt
a.a[x,y] @ git+https://example.org/a.git@v1#subdirectory=s ; os_name == "posix"
git+https://example.org/b.git#egg=B_b[x]&subdirectory=s
https://example.org/c_c-1.0-py3-none-any.whl#sha256=00 ; os_name == "posix"
-e /a directory#egg=d
--editable=git+https://example.org/e.git#egg=e
f>=1 --no-binary :none: --config-settings="a=b"
g==1 --hash=sha256:00 \\
  --hash=sha256:01
./dir/h-1-py3-none-any.whl
git+https://example.org/nobody.git
https://example.org/nobody-1.0.tar.gz
-e .
-enobody
--editable nobody[x]
nobody/here
.
""")
    assert names_only(path) == ("more", "a-a", "b-b", "c-c", "d", "e", "f", "g", "h")
    assert names_in(path).unnamed == (
        "git+https://example.org/nobody.git",
        "https://example.org/nobody-1.0.tar.gz",
        "-e .",
        "-enobody",
        "--editable nobody[x]",
        "nobody/here",
        ".",
    )


def test_names_are_taken_from_a_pipe_too() -> None:
    """A shell's ``-r <(…)`` can be read once."""
    source, sink = os.pipe()
    os.write(sink, b"a\n./b\n")
    os.close(sink)
    assert names_in(Path(f"/dev/fd/{source}")) == (("a",), ("./b",))
    os.close(source)


def test_names_only_refuses_what_is_no_requirement(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text("a\ntwo words\n")
    with pytest.raises(RequirementError, match=r"cannot be read: .*requirements\.txt:2"):
        names_only(path)


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("foo --config-settings=a=b", True),
        ("foo==1 \\\n  -C a=b", True),
        ("foo --hash=sha256:00 --config-settings a=b", True),
        ("foo --hash=sha256:00 \\\n\t--hash sha256:01", False),
        ("--find-links x -i y\nfoo-bar", False),
        ("-r gone.txt\n-r r.txt", False),
    ],
)
def test_lines_with_options_of_their_own(tmp_path: Path, text: str, has: bool) -> None:
    (tmp_path / "r.txt").write_text("-r inner.txt\n")
    (tmp_path / "inner.txt").write_text(f"{text}\n")
    assert is_only_for_pip(tmp_path / "r.txt") is has


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("-e .", "-e is not supported"),
        ("--editable=.", "--editable is not supported"),
        ("-c constraints.txt", "-c is not supported"),
        ("--hash=sha256:00", "--hash is not supported"),
        ("foo @ https://example.org/foo-1-py3-none-any.whl", "nothing is downloaded"),
        ("git+https://example.org/foo.git", "nothing is downloaded"),
        ("foo @ git+ssh://example.org/foo.git", "nothing is downloaded"),
        ("foo @ file:///x/foo-1-py3-none-any.whl#sha256=00", "write --hash"),
        ("foo ==", "cannot be read"),
        ("two words", "cannot be read"),
        ("foo --config-settings=a=b", "option that is not supported"),
        ("-x- @ file:///x.whl", "-x- is not supported"),
        ("_foo_ @ file:///x.whl", "no name"),
        ("foo @ file:///x.whl ; what", "marker cannot be read"),
    ],
)
def test_refused_line_is_named_with_its_place(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "r.txt"
    path.write_text(f"# comment\n{line}\n")
    with pytest.raises(RequirementError, match=reason) as caught:
        parse_requirements_file(path)
    assert f"({path}:2)" in str(caught.value)
    assert repr(line) in str(caught.value)


def test_files_that_include_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("-r b.txt\n")
    (tmp_path / "b.txt").write_text("--requirement=a.txt\n")
    with pytest.raises(RequirementError, match="include each other"):
        parse_requirements_file(tmp_path / "a.txt")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequirementError, match=r"-r .*nothing\.txt.*No such file"):
        parse_requirements_file(tmp_path / "nothing.txt")


def test_file_whose_name_holds_a_nul_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.txt"
    path.write_text("-r a\0b\n")
    for read in (parse_requirements_file, names_only):
        with pytest.raises(RequirementError, match="no file can be called that"):
            read(path)
    assert search_options(path) == ()


def test_marker_decides_whether_a_line_applies(pypy: Environment) -> None:
    def applies(line: str) -> bool:
        return parse_requirement_line(line).applies(pypy)

    assert applies("foo")
    assert applies("foo; implementation_name == 'pypy'")
    assert not applies("foo @ file:///x/foo-1-py3-none-any.whl ; python_version >= '3.10'")
    assert not applies("/x/foo-1-py3-none-any.whl; sys_platform == 'win32'")


@pytest.mark.parametrize(
    "marker", ["sys_platform ~= 'linux'", "'x' in extras", f"python_version < '{'9' * 5000}'"]
)
def test_marker_that_means_nothing_is_refused(pypy: Environment, marker: str) -> None:
    with pytest.raises(RequirementError, match=r"cannot be (compared|read)"):
        parse_requirement_line(f"foo; {marker}").applies(pypy)


def test_hash_of_a_wheel_is_checked(tmp_path: Path) -> None:
    wheel = tmp_path / "foo-1-py3-none-any.whl"
    wheel.write_bytes(b"content")
    right = hashlib.sha256(b"content").hexdigest()
    wrong = hashlib.sha256(b"other").hexdigest()

    def line(*hashes: str) -> RequirementLine:
        options = " ".join(f"--hash={h}" for h in hashes)
        return parse_requirement_line(f"foo @ file://{wheel} {options}")

    assert line().verified_wheel() == wheel
    assert line(f"sha256:{right.upper()}").verified_wheel() == wheel
    assert line(f"sha256:{wrong}", f"sha256:{right}").verified_wheel() == wheel
    for bad in (f"sha256:{wrong}", f"md5:{hashlib.md5(b'content').hexdigest()}"):  # noqa: S324
        with pytest.raises(RequirementError, match="none of the hashes"):
            line(bad).verified_wheel()


@pytest.mark.parametrize("blank", [" ", "\t", "  \t"])
def test_hash_is_no_part_of_the_requirement(blank: str) -> None:
    assert parse_requirement_line(f"foo>=1{blank}--hash=sha256:00").requirement == "foo>=1"


def test_wheel_of_a_line_may_be_missing(tmp_path: Path) -> None:
    with pytest.raises(RequirementError, match="there is no file"):
        parse_requirement_line(f"foo @ file://{tmp_path}/x.whl").verified_wheel()


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("Foo_Bar", "foo-bar"),
        ("foo.bar==1.0", "foo-bar"),
        ("foo[a,b] >= 1; python_version > '3'", "foo"),
        ("foo [a] @ file:///x/y.whl", "foo"),
        (" Foo @ file:///gone.whl ", "foo"),
        ("dist/Foo_Bar-1-py3-none-any.whl", "foo-bar"),
    ],
)
def test_requirement_name(line: str, name: str) -> None:
    assert requirement_name(line) == name


def test_requirement_name_refuses_what_has_none() -> None:
    with pytest.raises(RequirementError):
        requirement_name("==1")


def test_names_and_wheels_are_read_without_packaging(tmp_path: Path) -> None:
    path = tmp_path / "spkg-requirements.txt"
    path.write_text("foo @ file:///store/foo-1.0-py3-none-any.whl\nBar_bar\n")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from pathlib import Path;"
        "from sage_pkginstall.wheels.requirements_file import *;"
        "lines = parse_requirements_file(Path(sys.argv[2]));"
        "assert names_only(Path(sys.argv[2])) == tuple(line.name for line in lines);"
        "assert all(line.applies(None) for line in lines);"
        "assert 'packaging' not in sys.modules"
    )
    subprocess.run([sys.executable, "-I", "-c", code, ROOT, path], check=True)


def test_search_options_are_those_of_all_files(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "a.txt").write_text(
        "-r b.txt\n--index-url=https://e.org/?a=b --pre\nfoo --hash=sha256:00\n-e x\n"
        "--require-hashes\n-f wheels -fhttps://e.org/x -c https://e.org/c.txt\n"
    )
    (tmp_path / "b.txt").write_text("-c a.txt\n--no-index  # offline\n--find-links 'a b'\n-i '\n")
    assert search_options(tmp_path / "none.txt") == ()
    assert search_options(tmp_path / "a.txt") == (
        *("--no-index", "--find-links", "a b"),
        *("--index-url", "https://e.org/?a=b", "--pre"),
        *("-f", str(tmp_path / "wheels"), "-f", "https://e.org/x"),
    )


def test_link_that_leads_to_itself_cannot_be_read(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    with pytest.raises(RequirementError, match=f"-r {loop}"):
        list(parse_requirements_file(loop))
