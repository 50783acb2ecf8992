"""A wheel in a staged tree is what pip would have installed, and lies nowhere else."""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.util
import os
import subprocess
import sys
import venv
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.environment import Environment, target_environment
from sage_pkginstall.errors import ConflictError, WheelError
from sage_pkginstall.wheels.bytecode import staged_compiler
from sage_pkginstall.wheels.staging import (
    StagedDistribution,
    WheelRequest,
    stage_wheel,
    stage_wheels,
)
from tests.trees import Link, modes, plant, tree
from tests.wheelmaker import Member, make_wheel, members, record_of, write_zip

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment that no test changes: a staged tree is all that is written."""
    prefix = tmp_path_factory.mktemp("venv")
    venv.EnvBuilder(symlinks=True).create(prefix)
    return target_environment(prefix)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "staged"
    path.mkdir()
    return path


def stage(
    path: Path, environment: Environment, root: Path, *, compile_: bool = False
) -> StagedDistribution:
    request = WheelRequest(path, compile=compile_)
    return stage_wheel(request, environment, root, compiler=staged_compiler)


def site(environment: Environment) -> str:
    return environment.schemes["purelib"]


def record(root: Path, staged: StagedDistribution) -> list[list[str]]:
    with (root / staged.info / "RECORD").open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def row(name: str, content: bytes) -> list[str]:
    value = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return [name, f"sha256={value}", str(len(content))]


def test_each_scheme_goes_where_the_environment_has_it(
    tmp_path: Path, root: Path, environment: Environment
) -> None:
    path = make_wheel(
        tmp_path,
        "Foo.bar",
        "1.0",
        {"foo/__init__.py": "x = 1\n"},
        data={
            "purelib/pure.py": "",
            "platlib/plat.py": "",
            "scripts/script": "#!/bin/sh\n",
            "headers/foo.h": "int x;\n",
            "data/share/foo/data.txt": "data\n",
        },
    )
    content = {member.name: member.data for member in members("Foo.bar", "1.0")}
    staged = stage(path, environment, root)
    info = "Foo.bar-1.0.dist-info"
    lib = site(environment)
    files = {
        f"{lib}/foo/__init__.py": b"x = 1\n",
        f"{lib}/pure.py": b"",
        f"{lib}/plat.py": b"",
        "bin/script": b"#!/bin/sh\n",
        f"{environment.schemes['headers']}/foo-bar/foo.h": b"int x;\n",
        "share/foo/data.txt": b"data\n",
        f"{lib}/{info}/METADATA": content[f"{info}/METADATA"],
        f"{lib}/{info}/WHEEL": content[f"{info}/WHEEL"],
        f"{lib}/{info}/INSTALLER": b"sage-pkginstall\n",
        f"{lib}/{info}/REQUESTED": b"",
    }
    rows = sorted(row(os.path.relpath(name, lib), data) for name, data in files.items())
    text = "".join(
        ",".join(fields) + "\r\n" for fields in sorted([*rows, [f"{info}/RECORD", "", ""]])
    )
    files[f"{lib}/{info}/RECORD"] = text.encode()
    assert tree(root) == files
    assert staged == StagedDistribution(
        name="foo-bar",
        version="1.0",
        info=f"{lib}/{info}",
        paths=frozenset(files),
        requires=(),
    )


def test_record_lists_bytecode_without_hash(
    tmp_path: Path, root: Path, environment: Environment
) -> None:
    files = {"foo/__init__.py": "x = 1\n", "foo/broken.py": "x = \n", "foo/data.txt": ""}
    path = make_wheel(tmp_path, "foo", "1.0", files, data={"scripts/tool.py": "#!python\n"})
    staged = stage(path, environment, root, compile_=True)
    tag = environment.cache_tag
    compiled = [
        f"{site(environment)}/foo/__pycache__/__init__.{tag}.pyc",
        f"bin/__pycache__/tool.{tag}.pyc",
    ]
    rows = record(root, staged)
    expected = [[os.path.relpath(path, site(environment)), "", ""] for path in compiled]
    assert [r for r in rows if r[0].endswith(".pyc")] == sorted(expected)
    assert {path for path in staged.paths if path.endswith(".pyc")} == set(compiled)
    assert staged.paths == tree(root).keys()
    assert sorted(r[0] for r in rows) == sorted(
        os.path.relpath(path, site(environment)) for path in staged.paths
    )


def test_info_tells_how_the_distribution_came(
    tmp_path: Path, root: Path, environment: Environment
) -> None:
    path = make_wheel(tmp_path, "foo", "1.0", metadata=["Requires-Dist: bar >=2"])
    request = WheelRequest(path, requested=False, direct_url='{"url": "x"}', compile=False)
    staged = stage_wheel(request, environment, root, compiler=staged_compiler)
    found = {
        name.rpartition("/")[2]: data
        for name, data in tree(root / staged.info).items()
        if name not in {"METADATA", "WHEEL", "RECORD"}
    }
    assert found == {"INSTALLER": b"sage-pkginstall\n", "direct_url.json": b'{"url": "x"}'}
    assert staged.requires == ("bar >=2",)


def test_files_of_other_installers_in_a_wheel_do_not_count(
    tmp_path: Path, root: Path, environment: Environment
) -> None:
    info = "foo-1.0.dist-info"
    content = members("foo", "1.0")[:-1]
    content += [Member(f"{info}/{name}", b"lie") for name in ("INSTALLER", "direct_url.json")]
    path = write_zip(
        tmp_path / "foo-1.0-py3-none-any.whl", [*content, record_of(content, f"{info}/RECORD")]
    )
    staged = stage(path, environment, root)
    assert tree(root)[f"{staged.info}/INSTALLER"] == b"sage-pkginstall\n"
    assert f"{staged.info}/direct_url.json" not in tree(root)


def test_a_bad_wheel_writes_nothing(tmp_path: Path, root: Path, environment: Environment) -> None:
    evil = make_wheel(tmp_path, "foo", "1.0", {"../evil.py": ""})
    other = make_wheel(tmp_path, "bar", "1.0", tag="cp27-cp27m-win32")
    for path in (evil, other):
        with pytest.raises(WheelError):
            stage(path, environment, root)
    assert tree(root) == {}


def test_wheels_of_one_transaction_share_identical_files(
    tmp_path: Path, root: Path, environment: Environment
) -> None:
    shared = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
    staged = [
        stage(
            make_wheel(
                tmp_path, name, "1.0", {"backports/__init__.py": shared, f"backports/{name}.py": ""}
            ),
            environment,
            root,
            compile_=True,
        )
        for name in ("foo", "bar")
    ]
    assert [distribution.replaced for distribution in staged] == [frozenset(), frozenset()]
    assert f"{site(environment)}/backports/__init__.py" in staged[0].paths & staged[1].paths
    assert tree(root).keys() == staged[0].paths | staged[1].paths


def test_the_later_of_two_different_files_wins_and_is_told(
    tmp_path: Path, root: Path, environment: Environment
) -> None:
    lib = site(environment)
    first = make_wheel(tmp_path, "foo", "1.0", {"tests/__init__.py": "x = 1\n"})
    second = make_wheel(tmp_path, "bar", "1.0", {"tests/__init__.py": "def\n"})
    stage(first, environment, root, compile_=True)
    staged = stage(second, environment, root, compile_=True)
    assert staged.replaced == {f"{lib}/tests/__init__.py"}
    assert tree(root)[f"{lib}/tests/__init__.py"] == b"def\n"
    assert not [name for name in tree(root) if name.startswith(f"{lib}/tests/__pycache__")]


def test_refused_what_another_package_staged_in_the_way(
    tmp_path: Path, root: Path, environment: Environment
) -> None:
    outside = plant(tmp_path / "outside", {"kept": b""})
    lib = site(environment)
    plant(root, {f"{lib}/foo": Link(str(outside)), f"{lib}/bar/x": b"", f"{lib}/baz": b""})
    for name in ("foo/evil.py", "bar", "baz/evil.py"):
        with pytest.raises(ConflictError, match=f"cannot install {lib}/{name}: "):
            stage(make_wheel(tmp_path, "foo", "1.0", {name: ""}), environment, root)
    assert tree(outside) == {"kept": b""}


def test_a_link_in_the_place_of_a_file_is_not_followed(
    tmp_path: Path, root: Path, environment: Environment
) -> None:
    outside = plant(tmp_path / "outside", {"kept": b"old"})
    lib = site(environment)
    tag = environment.cache_tag
    plant(root, {f"{lib}/foo.py": Link(str(outside / "kept"))})
    plant(root, {f"{lib}/__pycache__/foo.{tag}.pyc": Link(str(outside / "kept"))})
    staged = stage(make_wheel(tmp_path, "foo", "1.0"), environment, root, compile_=True)
    assert tree(outside) == {"kept": b"old"}
    assert tree(root)[f"{lib}/foo.py"] == b"version = '1.0'\n"
    assert staged.replaced == {f"{lib}/foo.py"}
    assert isinstance(tree(root)[f"{lib}/__pycache__/foo.{tag}.pyc"], bytes)


@pytest.mark.slow
@pytest.mark.needs("pypy3")
def test_another_interpreter_gets_its_own_bytecode(tmp_path: Path, root: Path) -> None:
    prefix = tmp_path / "pypy"
    subprocess.run(["pypy3", "-m", "venv", "--without-pip", prefix], check=True)
    environment = target_environment(prefix)
    staged = stage(make_wheel(tmp_path, "foo", "1.0"), environment, root, compile_=True)
    compiled = f"{site(environment)}/__pycache__/foo.{environment.cache_tag}.pyc"
    assert compiled in staged.paths
    for name in ("foo.py", "__pycache__"):
        (root / site(environment) / name).rename(prefix / site(environment) / name)
    before = (prefix / compiled).stat().st_mtime_ns
    said = subprocess.run(
        [environment.interpreter, "-c", "import foo; print(foo.__cached__, foo.version)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == f"{prefix / compiled} 1.0\n"
    assert (prefix / compiled).stat().st_mtime_ns == before


def test_wrappers_of_entry_points_are_left_out_as_by_pip(
    tmp_path: Path, root: Path, environment: Environment
) -> None:
    """Old builders put them among the scripts, for other systems, too."""
    wrappers = ("tool", "tool-script.py", "tool.exe", "TOOL.PYA", "sub/tool", "Window.EXE")
    path = make_wheel(
        tmp_path,
        "foo",
        "1.0",
        scripts={"tool": "foo:main", "TOOL": "foo:main", "Window": "foo:main"},
        data={
            f"scripts/{name}": "#!python\nimport old\n" for name in (*wrappers, "other-script.py")
        },
    )
    for cache in (None, tmp_path / "cache", tmp_path / "cache"):
        staged = stage_wheel(
            WheelRequest(path), environment, root, compiler=staged_compiler, cache=cache
        )
        found = {name for name in staged.paths if name.startswith("bin/")}
        code = f"bin/__pycache__/other-script.{environment.cache_tag}.pyc"
        assert found == {"bin/tool", "bin/TOOL", "bin/Window", "bin/other-script.py", code}
        assert found == {name for name in tree(root) if name.startswith("bin/")}
        assert b"import old" not in (root / "bin/tool").read_bytes()
        assert not [name for name, *_ in record(root, staged) if "sub" in name or ".exe" in name]


@pytest.mark.slow
def test_same_files_modes_and_record_as_pip(
    tmp_path: Path, root: Path, environment: Environment
) -> None:
    if importlib.util.find_spec("pip") is None:
        pytest.skip("needs pip")
    # Older versions of pip have the headers below the name as the file name has it.
    path = make_wheel(
        tmp_path,
        "foo-bar",
        "1.0",
        {"foo/__init__.py": "x = 1\n", "foo/a.b.py": "", "foo/bad.py": "x =", "foo/run": "#!x"},
        scripts={"foo": "foo:main", "foo-2": "foo:main"},
        data={
            "scripts/plain": "echo\n",
            "scripts/tool.py": "#!python\n",
            "headers/foo.h": "",
            "data/share/foo/x": "",
        },
    )
    staged = stage(path, environment, root, compile_=True)
    prefix = environment.prefix
    before = modes(prefix)
    pip = [sys.executable, "-m", "pip", "--python", str(prefix), "-q"]
    subprocess.run([*pip, "install", "--no-index", "--no-deps", str(path)], check=True)
    direct_url = f"{staged.info}/direct_url.json"  # pip was given a path: that is no request
    theirs = {name: mode for name, mode in modes(prefix).items() if name not in before}
    theirs.pop(direct_url)
    ours = {name: mode for name, mode in modes(root).items() if name not in before}
    assert ours == theirs
    generated = ("bin/", "INSTALLER", "RECORD", "direct_url.json")
    rows = [record(top, staged) for top in (root, prefix)]
    names = [[r[0] for r in part if not r[0].endswith("direct_url.json")] for part in rows]
    assert names[0] == names[1]
    copied = [[r for r in part if not any(g in r[0] for g in generated)] for part in rows]
    assert copied[0] == copied[1]
    subprocess.run([*pip, "uninstall", "-y", "foo-bar"], check=True)
    left = {name for name in modes(prefix) if name not in before}
    assert not [name for name in left if not (prefix / name).is_dir()]  # pip leaves those


def test_a_target_without_compilation_gets_no_bytecode(
    tmp_path: Path, root: Path, environment: Environment
) -> None:
    stage(make_wheel(tmp_path, "foo", "1.0"), environment, root)
    assert not [name for name in tree(root) if name.endswith(".pyc")]


def test_error_of_the_target_interpreter_is_told(
    tmp_path: Path, root: Path, environment: Environment
) -> None:
    gone = environment._replace(magic=b"\0\0\0\0", interpreter=tmp_path / "gone")
    with pytest.raises(OSError, match="gone"):
        stage(make_wheel(tmp_path, "foo", "1.0"), gone, root, compile_=True)


def test_wheels_of_one_call_are_as_if_staged_one_by_one(
    tmp_path: Path, root: Path, environment: Environment
) -> None:
    """With paths of both, of equal and of other content, and what cannot be compiled."""
    common = {"both/__init__.py": "# text\n", "both/same.py": "a = 1\n"}
    contents = [
        {**common, "both/other.py": "x = 1\n", "both/broken.py": "y = 1\n", "only1.py": "z = 1\n"},
        {**common, "both/other.py": "x = 2\n", "both/broken.py": "y =\n", "only2.py": "z = 2\n"},
    ]
    names = ("one", "two")
    wheels = [
        make_wheel(tmp_path, name, "1.0", files)
        for name, files in zip(names, contents, strict=True)
    ]
    told: list[WheelRequest] = []
    requests = [WheelRequest(wheel) for wheel in wheels]
    staged = stage_wheels(requests, environment, root, compiler=staged_compiler, told=told.append)
    assert told == requests
    assert staged[1].replaced == {f"{site(environment)}/both/{n}.py" for n in ("other", "broken")}
    tag = environment.cache_tag
    for one, only in zip(staged, ("only1", "only2"), strict=True):
        code = {path for path in one.paths if path.endswith(".pyc")}
        modules = ("both/__pycache__/__init__", "both/__pycache__/same", "both/__pycache__/other")
        expected = (*modules, f"__pycache__/{only}")
        assert code == {f"{site(environment)}/{module}.{tag}.pyc" for module in expected}
        assert all((root / path).is_file() for path in one.paths)
        assert {row[0] for row in record(root, one)} == {
            os.path.relpath(path, f"{site(environment)}") for path in one.paths
        }
    for path in root.rglob("*.py"):
        code_file = path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc"
        if path.stem != "broken":
            size = int.from_bytes(code_file.read_bytes()[12:16], "little")
            seconds = int.from_bytes(code_file.read_bytes()[8:12], "little")
            assert (size, seconds) == (path.stat().st_size, int(path.stat().st_mtime))
