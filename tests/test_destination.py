"""Where files of a wheel go, with which modes, and what is refused on the way."""

from __future__ import annotations

import io
import os
import shlex
import venv
from pathlib import Path
from typing import cast

import pytest
from installer.utils import Scheme

from sage_pkginstall.environment import Environment, target_environment
from sage_pkginstall.errors import ConflictError, WheelError
from sage_pkginstall.wheels.bytecode import staged_compiler
from sage_pkginstall.wheels.destination import StagedDestination
from sage_pkginstall.wheels.staged_wheel import StagedWheel, WheelIdentity
from sage_pkginstall.wheels.staging import WheelRequest, stage_wheel
from tests.trees import EMPTY, Link, modes, plant, tree
from tests.wheelmaker import Member, make_wheel, members, record_of, write_zip


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment that no test changes: a staged tree is all that is written."""
    prefix = tmp_path_factory.mktemp("venv")
    venv.EnvBuilder(symlinks=True).create(prefix)
    return target_environment(prefix)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "staged"
    path.mkdir(mode=0o755)
    return path


def stage(path: Path, environment: Environment, root: Path) -> None:
    request = WheelRequest(path, compile=False)
    stage_wheel(request, environment, root, compiler=staged_compiler)


def refusal(path: Path, environment: Environment, root: Path) -> str:
    with pytest.raises(WheelError) as caught:
        stage(path, environment, root)
    return caught.value.reason


@pytest.mark.parametrize(
    ("umask", "expected"),
    [
        (0o022, {"plain": 0o644, "executable": 0o755, "script": 0o755, "directory": 0o755}),
        (0o002, {"plain": 0o664, "executable": 0o775, "script": 0o775, "directory": 0o775}),
        (0o077, {"plain": 0o600, "executable": 0o711, "script": 0o755, "directory": 0o700}),
        (0o277, {"plain": 0o600, "executable": 0o711, "script": 0o755, "directory": 0o700}),
        (0o777, {"plain": 0o600, "executable": 0o711, "script": 0o755, "directory": 0o700}),
    ],
)
def test_modes_are_those_of_pip_and_the_owner_may_write(
    tmp_path: Path, root: Path, environment: Environment, umask: int, expected: dict[str, int]
) -> None:
    content = members("foo", "1.0", {"a/plain": ""}, scripts={"script": "foo:main"})[:-1]
    content += [Member("a/run", b"", 0o100111), Member("a/read-only", b"", 0o100400)]
    content += [Member("a/setuid", b"", 0o106755), Member("a/none", b"", 0)]
    path = write_zip(
        tmp_path / "foo-1.0-py3-none-any.whl",
        [*content, record_of(content, "foo-1.0.dist-info/RECORD")],
    )
    os.umask(umask)
    stage(path, environment, root)
    os.umask(0o022)
    found = modes(root)
    lib = environment.schemes["purelib"]
    kinds = {f"{lib}/a/run": "executable", f"{lib}/a/setuid": "executable", "bin/script": "script"}
    for name, mode in found.items():
        other = "directory" if (root / name).is_dir() else "plain"
        assert mode == expected[kinds.get(name, other)], name


def test_script_of_the_wheel_names_the_target(
    tmp_path: Path, root: Path, environment: Environment
) -> None:
    scripts = {
        "scripts/a": b"#!python\nprint(1)\n",
        "scripts/b": b"#!pythonw -E\r\nprint(1)\n",
        "scripts/c": b"#!python",
        "scripts/d": b"#!/usr/bin/python\n",
        "scripts/e": b"#!",
        "scripts/f": b"",
        "scripts/g": b"\x7fELF" + bytes(100),
        "data/bin/h": b"#!python\n",
    }
    stage(make_wheel(tmp_path, "foo", "1.0", data=scripts), environment, root)
    shebang = b"#!" + os.fsencode(environment.interpreter) + b"\n"
    assert tree(root / "bin") == {
        "a": shebang + b"print(1)\n",
        "b": shebang + b"print(1)\n",
        "c": shebang,
        "d": b"#!/usr/bin/python\n",
        "e": b"#!",
        "f": b"",
        "g": b"\x7fELF" + bytes(100),
        "h": b"#!python\n",
    }


@pytest.mark.parametrize("name", ["with blank/bin/python3", "x" * 200 + "/bin/python3"])
def test_long_or_blank_interpreter_is_started_through_sh(
    tmp_path: Path, root: Path, environment: Environment, name: str
) -> None:
    interpreter = tmp_path / name
    odd = environment._replace(interpreter=interpreter)
    data = {"scripts/own": "#!python\nprint(1)\n"}
    stage(make_wheel(tmp_path, "foo", "1.0", scripts={"entry": "foo:main"}, data=data), odd, root)
    start = f"#!/bin/sh\n'''exec' {shlex.quote(str(interpreter))} \"$0\" \"$@\"\n' '''\n".encode()
    assert tree(root / "bin")["own"] == start + b"print(1)\n"
    assert cast("bytes", tree(root / "bin")["entry"]).startswith(start + b"# -*- coding")


def test_entry_point_replaces_the_wheels_own_script_of_its_name(
    tmp_path: Path, root: Path, environment: Environment
) -> None:
    data = {"scripts/foo": "#!python\nold()\n", "scripts/other": "#!/bin/sh\n"}
    path = make_wheel(tmp_path, "foo", "1.0", scripts={"foo": "foo:main"}, data=data)
    stage(path, environment, root)
    found = tree(root / "bin")
    assert found["other"] == b"#!/bin/sh\n"
    assert b"from foo import main" in cast("bytes", found["foo"])


def test_pip_has_a_script_for_the_version_of_python(
    tmp_path: Path, root: Path, environment: Environment
) -> None:
    path = make_wheel(tmp_path, "pip", "1.0", scripts={"pip": "pip:main", "pip3": "pip:main"})
    stage(path, environment, root)
    minor = ".".join(environment.version.split(".")[:2])
    assert set(tree(root / "bin")) == {"pip", "pip3", f"pip{minor}"}


def test_same_file_from_two_schemes_must_be_the_same(
    tmp_path: Path, root: Path, environment: Environment
) -> None:
    lib = environment.schemes["purelib"]
    files = {"foo.py": "x = 1\n"}
    path = make_wheel(tmp_path, "foo", "1.0", files, data={"purelib/foo.py": "x = 1\n"})
    stage(path, environment, root)
    assert tree(root)[f"{lib}/foo.py"] == b"x = 1\n"
    path = make_wheel(tmp_path, "foo", "1.0", files, data={f"data/{lib}/foo.py": "x = 2\n"})
    assert refusal(path, environment, root) == (
        f"'{lib}/foo.py' is in it twice, with different contents"
    )


def test_refused_file_and_directory_of_one_name_from_two_schemes(
    tmp_path: Path, root: Path, environment: Environment
) -> None:
    lib = environment.schemes["purelib"]
    path = make_wheel(tmp_path, "foo", "1.0", {"foo.py": ""}, data={f"data/{lib}/foo.py/evil": ""})
    assert "a file and a directory of one name" in refusal(path, environment, root)


@pytest.mark.parametrize("name", ["", "/RECORD", "/INSTALLER", "/direct_url.json", "/x/y"])
def test_refused_addition_to_its_own_records_from_another_scheme(
    tmp_path: Path, root: Path, environment: Environment, name: str
) -> None:
    info = f"{environment.schemes['purelib']}/foo-1.0.dist-info"
    path = make_wheel(tmp_path, "foo", "1.0", data={f"data/{info}{name}": "evil"})
    assert refusal(path, environment, root) == (
        f"'{info}{name}' belongs to its own *.dist-info, to which no *.data may add"
    )


@pytest.mark.parametrize(
    "name",
    [
        "data/pyvenv.cfg",
        "data/bin/python3",
        "data/bin/python",
        "scripts/python3",
        "data/var/tmp/sage/journal",
        "data/var/lib/sage/installed/bar-1.0",
        "data/var/lock/pip3.lock",
        "data/var/lock",
        "data/var/lib",
        "data/var",
    ],
)
def test_refused_what_belongs_to_the_environment(
    tmp_path: Path, root: Path, environment: Environment, name: str
) -> None:
    path = make_wheel(tmp_path, "foo", "1.0", data={name: "evil"})
    assert refusal(path, environment, root).endswith("belongs to the environment, not to a wheel")


def test_refused_records_of_another_distribution(
    tmp_path: Path, root: Path, environment: Environment
) -> None:
    ghost = f"{environment.schemes['purelib']}/bar-1.0.dist-info/METADATA"
    path = make_wheel(tmp_path, "foo", "1.0", data={f"data/{ghost}": "Name: bar\n"})
    assert refusal(path, environment, root) == (
        f"'{ghost}' belongs to the records of another distribution"
    )


@pytest.mark.parametrize(
    "name",
    [
        "data/LINK/bar-1.0.dist-info/RECORD",
        "data/state/tmp/sage/journal",
        "data/state/tmp",
        "data/programs/python3",
        "data/pyVENV.cfg",
        "data/Var/Lock/pip3.lock",
        "scripts/Python3",
        "data/SITE/bar-1.0.Dist-Info/RECORD",
        "data/SITE/Foo-1.0.dist-info/RECORD",
    ],
)
def test_refused_by_any_name_that_it_has_in_the_prefix(
    tmp_path: Path, root: Path, environment: Environment, name: str
) -> None:
    """Through links of the prefix, and on a file system that folds case."""
    prefix, site = tmp_path / "prefix", environment.schemes["purelib"]
    plant(
        prefix,
        {
            "link": Link("lib"),
            "state/tmp/sage": EMPTY,
            "var": Link("state"),
            "programs": Link("bin"),
            "bin": EMPTY,
            site: EMPTY,
        },
    )
    places = {"LINK": site.replace("lib", "link", 1), "SITE": site.replace("lib", "LIB", 1)}
    for word, place in places.items():
        name = name.replace(word, place)
    path = make_wheel(tmp_path, "foo", "1.0", data={name: "evil"})
    assert "belongs to the " in refusal(path, environment.at(prefix), root)


def test_refused_entry_point_in_place_of_the_interpreter(
    tmp_path: Path, root: Path, environment: Environment
) -> None:
    path = make_wheel(tmp_path, "foo", "1.0", scripts={"python": "foo:main"})
    assert "belongs to the environment" in refusal(path, environment, root)


def test_refused_link_that_leads_to_the_interpreter(tmp_path: Path, root: Path) -> None:
    """``python3.13t -m venv`` makes ``bin/python3 -> python3.13t``."""
    prefix = tmp_path / "prefix"
    venv.EnvBuilder(symlinks=True).create(prefix)
    python = prefix / "bin" / "python3"
    plant(prefix / "bin", {"python9t": Link(os.path.realpath(python)), "between": Link("python9t")})
    python.unlink()
    python.symlink_to("./between")
    environment = target_environment(prefix)
    for name in ("python9t", "between"):
        path = make_wheel(tmp_path, "foo", "1.0", scripts={name: "foo:main"})
        assert "belongs to the environment" in refusal(path, environment, root)
    stage(make_wheel(tmp_path, "foo", "1.0", scripts={"other": "foo:main"}), environment, root)


@pytest.mark.parametrize("path", ["../x", "/x", "..", ".", "", "a/../../x", "a//x", "./x", "a/"])
def test_refused_path_that_leaves_its_scheme(
    tmp_path: Path, root: Path, environment: Environment, path: str
) -> None:
    """The archive never says such a path; the destination does not rely on that."""
    wheel = WheelIdentity(tmp_path / "foo-1.0-py3-none-any.whl", "foo", "foo-1.0.dist-info")
    destination = StagedDestination(StagedWheel(wheel, environment, root), "/python3")
    with pytest.raises(WheelError):
        destination.write_file(Scheme("data"), path, io.BytesIO(), is_executable=False)
    assert tree(root) == {}


def test_error_names_the_file(tmp_path: Path, root: Path, environment: Environment) -> None:
    if not os.geteuid():
        environment = environment._replace(schemes={**environment.schemes, "data": "x" * 300})
        reason = "File name too long"
    else:
        root.chmod(0o500)
        reason = "Permission denied"
    path = make_wheel(tmp_path, "foo", "1.0", {}, data={"data/share/x": ""})
    with pytest.raises(OSError, match=reason) as caught:
        stage(path, environment, root)
    root.chmod(0o700)
    assert Path(caught.value.filename).is_relative_to(root)


def test_no_descriptor_is_left_open(tmp_path: Path, root: Path, environment: Environment) -> None:
    before = sorted(Path("/dev/fd").iterdir())
    stage(make_wheel(tmp_path, "foo", "1.0", {"a/b/c.py": "", "d.py": ""}), environment, root)
    path = make_wheel(tmp_path, "foo", "1.0", {"x": ""}, data={"purelib/x/y": ""})
    refusal(path, environment, root)
    path = make_wheel(tmp_path, "foo", "1.0", {"a": ""})
    with pytest.raises(ConflictError):
        stage(path, environment, root)
    assert sorted(Path("/dev/fd").iterdir()) == before
