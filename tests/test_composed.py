from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path

import pytest

from sage_pkginstall.builds.cache import site_packages, unpacked_wheels
from sage_pkginstall.builds.composed import BuildEnvironment, compose, of_target
from sage_pkginstall.builds.seen_variables import REMOVED
from sage_pkginstall.environment import Environment, target_environment
from tests.sources import make_wheel
from tests.trees import plant


@pytest.fixture
def environment(venv: Path) -> Environment:
    return target_environment(venv)


@pytest.mark.parametrize("debug", [False, True])
def test_modules_of_a_free_threaded_python_lie_apart(environment: Environment, debug: bool) -> None:
    version = ".".join(environment.version.split(".")[:2])
    for free_threaded, suffix in ((False, ""), (True, "t")):
        build = {**environment.build, "debug": debug, "free_threaded": free_threaded}
        modules = site_packages(environment._replace(build=build))
        assert modules == f"lib/python{version}{suffix}/site-packages"


def composed(
    tmp_path: Path, environment: Environment, *wheels: Path, name: str = "build", **environ: str
) -> BuildEnvironment:
    entries = unpacked_wheels(wheels, environment, tmp_path / "cache")
    return compose(entries, environment, tmp_path / name, {**os.environ, **environ})


def run(place: BuildEnvironment, *command: str | Path) -> str:
    finished = subprocess.run(
        [*map(str, command)],
        env=dict(place.variables),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return finished.stdout.strip()


def say(place: BuildEnvironment, expression: str, modules: str = "sys") -> str:
    return run(place, place.python, "-c", f"import {modules}; print({expression})")


def test_only_the_named_wheels_are_importable(
    tmp_path: Path, venv: Path, environment: Environment
) -> None:
    plant(venv / environment.schemes["purelib"], {"of_target.py": b""})
    plant(tmp_path / "path", {"of_path.py": b""})
    (tmp_path / "home").mkdir()
    user = Path(sysconfig.get_path("purelib", "posix_user", {"userbase": str(tmp_path / "home")}))
    plant(user, {"of_user.py": b"", "of_user.pth": b"import os; os.environ['SEEN'] = '1'"})
    place = composed(
        tmp_path,
        environment,
        make_wheel(tmp_path, "foo-1.0-py3-none-any.whl"),
        make_wheel(tmp_path, "bar-2.0-py3-none-any.whl"),
        PYTHONPATH=str(tmp_path / "path"),
        PYTHONUSERBASE=str(tmp_path / "home"),
        SEEN="0",
    )
    found = say(
        place,
        "[m for m in ('foo', 'bar', 'of_target', 'of_path', 'of_user', 'json') "
        "if importlib.util.find_spec(m)], os.environ['SEEN']",
        "importlib.util, os",
    )
    assert found == "['foo', 'bar', 'json'] 0"
    names = "sorted(d.name for d in importlib.metadata.distributions())"
    assert say(place, names, "importlib.metadata") == "['bar', 'foo']"


def test_build_environment_is_a_virtual_environment_of_the_target_python(
    tmp_path: Path, environment: Environment
) -> None:
    place = composed(tmp_path, environment)
    target = BuildEnvironment(environment.interpreter, os.environ)
    assert say(place, "sys.prefix") == str(tmp_path / "build")
    assert say(place, "sys.base_prefix") == say(target, "sys.base_prefix")
    assert say(place, "sys.version") == say(target, "sys.version")
    assert run(place, "python3", "-c", "import sys; print(sys.prefix)") == str(tmp_path / "build")
    modules = str(tmp_path / "build" / site_packages(environment))
    assert say(place, "sysconfig.get_path('purelib')", "sysconfig") == modules


def test_namespace_package_spans_several_wheels(tmp_path: Path, environment: Environment) -> None:
    old_style = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
    place = composed(
        tmp_path,
        environment,
        make_wheel(tmp_path, "a-1-py3-none-any.whl", {"ns/a.py": "", "old/__init__.py": old_style}),
        make_wheel(tmp_path, "b-1-py3-none-any.whl", {"ns/b.py": "", "old/__init__.py": old_style}),
        make_wheel(
            tmp_path, "c-1-py3-none-any.whl", {"old/__init__.py": old_style, "old/c.py": ""}
        ),
    )
    assert say(place, "'fine'", "ns.a, ns.b, old.c") == "fine"


@pytest.mark.parametrize("where", ["shared", "space/shared"])
def test_package_with_an_init_spans_several_wheels(
    tmp_path: Path, environment: Environment, where: str
) -> None:
    """As where pip installs them: several wheels of nvidia share such a one."""
    files = (
        {f"{where}/__init__.py": "", f"{where}/a.py": "x = 1\n", f"{where}/sub/one.py": "y = 1\n"},
        {f"{where}/b.py": "x = 2\n", f"{where}/sub/two.py": "y = 2\n"},
        {f"{where}/__init__.py": "", f"{where}/c.py": "x = 4\n", "third.libs/l.so": ""},
    )
    wheels = [
        make_wheel(tmp_path, f"{name}-1-py3-none-any.whl", each)
        for name, each in zip(("first", "second", "third"), files, strict=True)
    ]
    place = composed(tmp_path, environment, *wheels)
    name = where.replace("/", ".")
    modules = [f"{name}.{one}" for one in ("a", "b", "c", "sub.one", "sub.two")]
    total = f"{name}.a.x + {name}.b.x + {name}.c.x + {name}.sub.one.y + {name}.sub.two.y"
    assert say(place, total, ", ".join(modules)) == "10"
    assert (tmp_path / "build" / site_packages(environment) / "third.libs" / "l.so").exists()


def test_pth_files_of_wheels_count(tmp_path: Path, environment: Environment) -> None:
    files = {
        "a.pth": "sub\nimport os; os.environ['PTH'] = __import__('in_sub').value\n",
        "sub/in_sub.py": "value = 'seen'\n",
    }
    place = composed(tmp_path, environment, make_wheel(tmp_path, "a-1-py3-none-any.whl", files))
    assert say(place, "os.environ['PTH']", "os") == "seen"


@pytest.mark.parametrize("name", ["caché", "cach\udce9"])
def test_cache_may_have_any_name(tmp_path: Path, environment: Environment, name: str) -> None:
    wheel = make_wheel(tmp_path, "foo-1.0-py3-none-any.whl")
    try:
        entries = unpacked_wheels([wheel], environment, tmp_path / name)
    except OSError as error:  # macOS
        pytest.skip(f"the file system takes no such name: {error}")
    place = compose(entries, environment, tmp_path / "build", {**os.environ, "LC_ALL": "C"})
    assert say(place, "'fine'", "foo") == "fine"


def test_scripts_run_in_the_build_environment(tmp_path: Path, environment: Environment) -> None:
    files = {
        "tool.py": "import sys\ndef main():\n    print(sys.prefix)\n",
        "tool-1.data/scripts/with-python": "#!python\nimport tool\ntool.main()\n",
        "tool-1.data/scripts/with-sh": "#!/bin/sh\necho $0\n",
    }
    wheel = make_wheel(
        tmp_path,
        "tool-1-py3-none-any.whl",
        files,
        entry_points="[console_scripts]\ntool = tool:main\n",
    )
    place = composed(tmp_path, environment, wheel)
    prefix = str(tmp_path / "build")
    assert run(place, "tool") == prefix
    assert run(place, "with-python") == prefix
    assert run(place, "with-sh") == f"{prefix}/bin/with-sh"


@pytest.mark.parametrize("name", ["with blank", "long" * 40])
def test_scripts_run_below_any_path(tmp_path: Path, environment: Environment, name: str) -> None:
    wheel = make_wheel(
        tmp_path,
        "tool-1-py3-none-any.whl",
        {"tool-1.data/scripts/tool": "#!python\nimport sys\nprint(sys.prefix, sys.argv[1:])\n"},
    )
    place = composed(tmp_path, environment, wheel, name=name)
    assert run(place, "tool", "a b") == f"{tmp_path / name} ['a b']"


def test_data_and_headers_lie_below_the_prefix(tmp_path: Path, environment: Environment) -> None:
    files = {
        "foo-1.data/data/share/cmake/foo.cmake": "x",
        "foo-1.data/headers/foo.h": "h",
    }
    wheels = (
        make_wheel(tmp_path, "foo-1-py3-none-any.whl", files),
        make_wheel(tmp_path, "bar-1-py3-none-any.whl", {"bar-1.data/data/share/cmake/bar": "y"}),
    )
    composed(tmp_path, environment, *wheels)
    prefix = tmp_path / "build"
    assert sorted(path.name for path in (prefix / "share" / "cmake").iterdir()) == [
        "bar",
        "foo.cmake",
    ]
    python = site_packages(environment).split("/")[1]
    assert (prefix / "include" / "site" / python / "foo" / "foo.h").read_text() == "h"


@pytest.mark.parametrize("where", ["share/cmake/foo/fooConfig.cmake", "cmake/foo-config.cmake"])
def test_cmake_finds_the_packages_of_wheels(
    tmp_path: Path, environment: Environment, where: str
) -> None:
    with_package = make_wheel(
        tmp_path, "foo-1.0-py3-none-any.whl", {"foo/__init__.py": "", f"foo/{where}": ""}
    )
    without = make_wheel(
        tmp_path, "bar-1.0-py3-none-any.whl", {"bar/__init__.py": "", "bar/cmake/tool.py": ""}
    )
    place = composed(tmp_path, environment, with_package, without, CMAKE_PREFIX_PATH="/local")
    first, second = place.variables["CMAKE_PREFIX_PATH"].split(":")
    assert (Path(first) / "foo" / where).is_file()
    assert second == "/local"


def test_pip_settings_of_the_machine_are_gone(tmp_path: Path, environment: Environment) -> None:
    settings = {"PIP_INDEX_URL": "https://example.org/", "PIP_FIND_LINKS": "/x", "KEPT": "1"}
    for place in (
        composed(tmp_path, environment, **settings),
        of_target(environment, {**os.environ, **settings}),
    ):
        kept = {name: place.variables[name] for name in place.variables if "PIP_" in name}
        assert kept == {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_INDEX": "1",
        }
        assert place.variables["KEPT"] == "1"


def test_what_does_not_count_for_a_build_is_not_seen_by_it(
    tmp_path: Path, environment: Environment
) -> None:
    outside = dict.fromkeys(("VIRTUAL_ENV_PROMPT", *REMOVED), "outside")
    for place in (composed(tmp_path, environment, **outside), of_target(environment, outside)):
        assert "outside" not in place.variables.values()


def test_without_isolation_the_target_is_importable(
    tmp_path: Path, venv: Path, environment: Environment
) -> None:
    plant(venv / environment.schemes["purelib"], {"of_target.py": b""})
    plant(tmp_path / "path", {"of_path.py": b""})
    place = of_target(environment, {**os.environ, "PYTHONPATH": str(tmp_path / "path")})
    expression = "[m for m in ('of_target', 'of_path') if importlib.util.find_spec(m)]"
    assert say(place, expression, "importlib.util") == "['of_target']"
    assert run(place, "python3", "-c", "import sys; print(sys.prefix)") == str(venv)


@pytest.mark.needs("pypy3")
def test_another_python_than_ours_builds_in_its_own(tmp_path: Path) -> None:
    subprocess.run(["pypy3", "-m", "venv", "--without-pip", tmp_path / "pypy"], check=True)
    environment = target_environment(tmp_path / "pypy")
    wheel = make_wheel(
        tmp_path,
        "foo-1.0-py3-none-any.whl",
        {"foo.py": "import sys\ndef main():\n    print(sys.implementation.name, sys.prefix)\n"},
        entry_points="[console_scripts]\nfoo = foo:main\n",
    )
    place = composed(tmp_path, environment, wheel)
    assert run(place, "foo") == f"pypy {tmp_path / 'build'}"


def test_scripts_in_a_directory_of_bin_are_there(tmp_path: Path, environment: Environment) -> None:
    script = "#!python\nprint('below')\n"
    wheel = make_wheel(
        tmp_path, "foo-1.0-py3-none-any.whl", {"foo-1.0.data/scripts/sub/tool": script}
    )
    place = composed(tmp_path, environment, wheel)
    assert run(place, place.python.parent / "sub" / "tool") == "below"


def test_cache_with_a_line_break_in_its_path(tmp_path: Path, environment: Environment) -> None:
    wheel = make_wheel(tmp_path, "foo-1.0-py3-none-any.whl")
    odd = tmp_path / "a\nb"
    odd.mkdir()
    entries = unpacked_wheels([wheel], environment, odd / "cache")
    place = compose(entries, environment, tmp_path / "build", os.environ)
    assert say(place, "foo.version", "foo") == "1.0"
