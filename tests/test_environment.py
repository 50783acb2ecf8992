"""What the target interpreter tells, and when it is asked again."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import packaging
import pytest

import sage_pkginstall
from sage_pkginstall.environment import Environment, find_interpreter, target_environment
from sage_pkginstall.errors import EnvironmentFactsError
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


THIS = f"{sys.version_info[0]}.{sys.version_info[1]}"


class CountingRunner:
    """Runs programs really, and counts them."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self, command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        self.runs += 1
        return subprocess.run(command, capture_output=True, check=False)


def make_venv(directory: Path, python: str = sys.executable) -> Path:
    subprocess.run([python, "-m", "venv", "--without-pip", os.fspath(directory)], check=True)
    return directory


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAGE_PKGINSTALL_CACHE", os.fspath(tmp_path / "cache"))
    return tmp_path / "cache"


def facts(python: Path) -> dict[str, object]:
    """Return what the interpreter itself says, asked the ordinary way."""
    script = (
        "import sys, sysconfig, importlib.util, json, platform;"
        "print(json.dumps({'paths': sysconfig.get_paths(), 'prefix': sys.prefix,"
        "'magic': importlib.util.MAGIC_NUMBER.hex(), 'tag':"
        "sys.implementation.cache_tag, 'version': platform.python_version()}))"
    )
    answer = subprocess.run([python, "-I", "-c", script], check=True, capture_output=True)
    told: dict[str, object] = json.loads(answer.stdout)
    return told


def test_venv_has_the_schemes_that_pip_uses(venv: Path) -> None:
    environment = target_environment(venv)
    assert environment.prefix == venv
    assert environment.interpreter == venv / "bin/python3"
    assert dict(environment.schemes) == {
        "purelib": f"lib/python{THIS}/site-packages",
        "platlib": f"lib/python{THIS}/site-packages",
        "scripts": "bin",
        "data": "",
        "headers": f"include/site/python{THIS}",
    }
    assert environment.site_directories == (f"lib/python{THIS}/site-packages",)
    assert environment.externally_managed is None


def test_byte_code_facts_and_markers_are_the_target_s(venv: Path) -> None:
    environment = target_environment(venv)
    told = facts(venv / "bin/python3")
    assert environment.magic.hex() == told["magic"]
    assert environment.cache_tag == told["tag"]
    assert environment.version == told["version"]
    assert environment.implementation == sys.implementation.name
    assert environment.markers["python_version"] == THIS
    assert environment.tags[-1] == "py30-none-any"
    assert len(environment.tags) == len(set(environment.tags))


def test_target_takes_wheels_with_one_of_its_tags(venv: Path) -> None:
    environment = target_environment(venv)
    for tag in environment.tags:
        assert environment.takes(frozenset({"py2-none-any", tag}))
    for tag in ("py2-none-any", "py4-none-any", "py3-none-sunos_5", "cp27-cp27m-any"):
        assert not environment.takes(frozenset({tag}))


def test_tags_are_made_once_and_only_for_who_asks(venv: Path, cache: Path) -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[1:3]\n"
        "from pathlib import Path\n"
        "from sage_pkginstall.environment import target_environment\n"
        "environment = target_environment(Path(sys.argv[3]))\n"
        "environment.takes(frozenset(sys.argv[4:]))\n"
        "print('packaging' in sys.modules)"
    )
    above = Path(packaging.__path__[0]).parent
    start = [sys.executable, "-I", "-S", "-c", code, *map(os.fspath, (ROOT, above, venv))]

    def makes(tag: str) -> bool:
        variables = {**os.environ, "SAGE_PKGINSTALL_CACHE": os.fspath(cache)}
        said = subprocess.run([*start, tag], check=True, capture_output=True, env=variables)
        return said.stdout == b"True\n"

    assert not makes("py3-none-any")
    assert makes("cp3-abi3-any")
    assert not makes("cp3-abi3-any")
    (entry,) = (cache / "targets").glob("tags-*.json")
    entry.write_bytes(entry.read_bytes()[:-9])
    assert makes("cp3-abi3-any")
    assert not makes("cp3-abi3-any")


@pytest.mark.needs("pypy3")
def test_pypy_is_a_target_of_its_own(tmp_path: Path) -> None:
    venv = make_venv(tmp_path / "venv", "pypy3")
    environment = target_environment(venv)
    told = facts(venv / "bin/python3")
    assert environment.implementation == "pypy"
    assert environment.magic.hex() == told["magic"]
    assert environment.cache_tag == told["tag"]
    assert environment.tags[0].startswith("pp3")
    assert environment.markers["platform_python_implementation"] == "PyPy"
    paths = told["paths"]
    assert isinstance(paths, dict)
    assert venv / environment.schemes["purelib"] == Path(paths["purelib"])
    assert venv / environment.schemes["scripts"] == Path(paths["scripts"])


def test_interpreter_of_a_venv_may_be_named_instead(venv: Path) -> None:
    for name in ("python3", "python"):
        environment = target_environment(venv / "bin" / name)
        assert environment.prefix == venv
        assert environment.interpreter == venv / "bin" / name


def test_prefix_is_named_as_it_was_given(venv: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("venv")
    environment = target_environment(tmp_path / "link")
    assert environment.prefix == tmp_path / "link"
    assert environment.schemes["purelib"] == f"lib/python{THIS}/site-packages"
    assert target_environment(venv).prefix == venv


def test_relative_path_is_taken_from_the_current_directory(
    venv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(venv / "bin")
    assert find_interpreter(Path("../../venv")) == venv / "bin/python3"
    assert find_interpreter(Path("..")) == venv / "bin/python3"
    assert find_interpreter(Path("python3")) == venv / "bin/python3"


def test_bare_name_is_looked_up_on_path(venv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (venv / "bin/python-of-test").symlink_to("python3")
    monkeypatch.setenv("PATH", os.fspath(venv / "bin"))
    found = find_interpreter(Path("python-of-test"))
    assert found == venv / "bin/python-of-test"


def test_prefix_with_odd_characters(tmp_path: Path) -> None:
    odd = os.fsdecode(b"a 'b\" \xff\n\xc3\xa9")
    (tmp_path / "base").mkdir()
    venv = make_venv(tmp_path / "base" / "venv").rename(tmp_path / odd)
    assert target_environment(venv).prefix == venv
    assert target_environment(venv).prefix == venv


def test_second_call_does_not_run_the_interpreter(venv: Path) -> None:
    run = CountingRunner()
    first = target_environment(venv, run=run)
    second = target_environment(venv, run=run)
    assert first == second
    assert run.runs == 1


def test_another_process_need_not_import_what_asks(venv: Path) -> None:
    target_environment(venv)
    script = (
        "import sys; from pathlib import Path;"
        "from sage_pkginstall.environment import target_environment;"
        "target_environment(Path(sys.argv[1]));"
        "print(sorted({'subprocess', 'packaging', 'hashlib', 'configparser'}"
        " & set(sys.modules)))"
    )
    root = Path(sage_pkginstall.__file__).parent.parent
    answer = subprocess.run(
        [sys.executable, "-S", "-c", script, venv],
        env={**os.environ, "PYTHONPATH": os.fspath(root)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert answer.stdout == "[]\n"


def rewrite_configuration(venv: Path) -> None:
    (venv / "pyvenv.cfg").write_text("home = /nowhere\n")


def touch_configuration(venv: Path) -> None:
    os.utime(venv / "pyvenv.cfg", (1, 1))


def replace_interpreter(venv: Path) -> None:
    (venv / "bin/python3").unlink()
    (venv / "bin/python3").symlink_to("/bin/sh")


@pytest.mark.parametrize(
    "change", [rewrite_configuration, touch_configuration, replace_interpreter]
)
def test_changed_interpreter_is_asked_again(venv: Path, change: Callable[[Path], None]) -> None:
    target_environment(venv)
    change(venv)
    run = CountingRunner()
    with contextlib.suppress(EnvironmentFactsError):
        target_environment(venv, run=run)
    assert run.runs == 1


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'{"identity": 1}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_damaged_cache_is_a_miss(venv: Path, cache: Path, damage: bytes) -> None:
    environment = target_environment(venv)
    (entry,) = (cache / "targets").iterdir()
    entry.write_bytes(damage)
    assert target_environment(venv) == environment
    assert entry.read_bytes() != damage


def test_interpreter_is_asked_again_with_another_c_library(
    venv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target_environment(venv)
    monkeypatch.setattr(os, "confstr", lambda _name: "glibc 2.99")
    run = CountingRunner()
    target_environment(venv, run=run)
    assert run.runs == 1


@pytest.mark.parametrize("lost", ["schemes", "magic", "build", "notice", "executable"])
def test_cache_without_a_fact_is_a_miss(venv: Path, cache: Path, lost: str) -> None:
    environment = target_environment(venv)
    (entry,) = (cache / "targets").iterdir()
    content = json.loads(entry.read_text())
    del content["facts"][lost]
    entry.write_text(json.dumps(content))
    assert target_environment(venv) == environment


def test_cache_that_others_can_write_is_not_believed(venv: Path, cache: Path) -> None:
    target_environment(venv)
    (entry,) = (cache / "targets").iterdir()
    assert entry.stat().st_mode & 0o777 == 0o600
    entry.chmod(0o666)
    run = CountingRunner()
    target_environment(venv, run=run)
    assert run.runs == 1
    assert entry.stat().st_mode & 0o777 == 0o600


def test_link_in_place_of_the_cache_is_not_followed(
    venv: Path, cache: Path, tmp_path: Path
) -> None:
    environment = target_environment(venv)
    (entry,) = (cache / "targets").iterdir()
    entry.rename(tmp_path / "elsewhere")
    entry.symlink_to(tmp_path / "elsewhere")
    assert target_environment(venv) == environment
    assert not entry.is_symlink()


def test_unwritable_cache_does_no_harm(
    venv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SAGE_PKGINSTALL_CACHE", os.fspath(tmp_path / "file"))
    assert target_environment(venv).prefix == venv


def test_cache_keeps_one_entry_for_an_interpreter(venv: Path, cache: Path) -> None:
    for seconds in (1, 2, 3):
        os.utime(venv / "pyvenv.cfg", (seconds, seconds))
        target_environment(venv)
    assert len(list((cache / "targets").iterdir())) == 1


def test_nothing_of_the_target_is_imported(venv: Path) -> None:
    """Broken ``.pth`` files, sitecustomize and packages of the target do not matter."""
    site = venv / f"lib/python{THIS}/site-packages"
    for module in ("packaging", "sitecustomize", "json", "_manylinux", "usercustomize"):
        (site / f"{module}.py").write_text("print('noise'); raise SystemExit('broken')")
    (site / "noise.pth").write_text("import sys; print('noise'); sys.exit(9)\n")
    before = sorted(site.rglob("*"))
    environment = target_environment(venv)
    assert environment.tags
    assert sorted(site.rglob("*")) == before


@pytest.mark.needs("pypy3")
def test_target_writes_no_byte_code_beside_our_libraries(tmp_path: Path) -> None:
    target_environment(make_venv(tmp_path / "venv", "pypy3"))
    written = Path(packaging.__path__[0]).rglob("*.pypy*.pyc")
    assert list(written) == []


def test_environment_variables_of_python_do_not_matter(
    venv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "packaging.py").write_text("raise SystemExit('broken')")
    monkeypatch.setenv("PYTHONPATH", os.fspath(tmp_path))
    monkeypatch.setenv("PYTHONPLATLIBDIR", "lib77")
    monkeypatch.chdir(tmp_path)
    environment = target_environment(venv)
    assert environment.schemes["platlib"] == f"lib/python{THIS}/site-packages"


def test_noise_of_a_wrapper_does_not_disturb(venv: Path, cache: Path) -> None:
    """What only starts another interpreter is asked each time: it may change."""
    wrapper = venv / "bin/wrapper"
    wrapper.write_text(
        f"#!/bin/sh\necho noise; echo '{{}}' >&2\n'{venv}/bin/python3' \"$@\"\necho more noise\n"
    )
    wrapper.chmod(0o755)
    run = CountingRunner()
    for _ in range(2):
        environment = target_environment(wrapper, run=run)
        assert environment.prefix == venv
        assert environment.interpreter == venv / "bin/python3"
    assert run.runs == 2
    assert not cache.exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("#!/bin/sh\necho 'no such library' >&2\nexit 7\n", "no such library"),
        ("#!/bin/sh\nexit 0\n", "it says nothing"),
        ("#!/nonexistent/sh\n", "No such file"),
        ("not a program", "Exec format error"),
    ],
)
def test_program_that_is_no_python_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    program = tmp_path / "python3"
    program.write_text(text)
    program.chmod(0o755)
    with pytest.raises(EnvironmentFactsError, match=reason) as caught:
        target_environment(program)
    assert str(caught.value).startswith(f"cannot use target interpreter {program}: ")


def test_garbage_between_the_markers_is_refused(venv: Path) -> None:
    def run(command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        marker = command[-1].encode()
        return subprocess.CompletedProcess(command, 0, marker + b"{" + marker, b"")

    with pytest.raises(EnvironmentFactsError, match="its facts are no JSON"):
        target_environment(venv, run=run)

    def short(command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        marker = command[-1].encode()
        return subprocess.CompletedProcess(command, 0, marker + b"{}" + marker, b"")

    with pytest.raises(EnvironmentFactsError, match="does not tell its facts"):
        target_environment(venv, run=short)


def test_missing_interpreter_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFactsError, match="there is no such file"):
        target_environment(tmp_path / "nothing")
    with pytest.raises(EnvironmentFactsError, match="-m venv --without-pip"):
        target_environment(tmp_path)


def test_scheme_outside_the_prefix_is_refused(venv: Path) -> None:
    def run(command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        finished = subprocess.run(command, capture_output=True, check=True)
        marker = command[-1].encode()
        answer = json.loads(finished.stdout.split(marker)[1])
        answer["schemes"]["platlib"] = "/elsewhere/lib"
        out = marker + json.dumps(answer).encode() + marker
        return subprocess.CompletedProcess(command, 0, out, b"")

    with pytest.raises(EnvironmentFactsError, match="use a virtual environment"):
        target_environment(venv, run=run)


def test_platlib_behind_lib64_is_the_same_place(venv: Path) -> None:
    def run(command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        finished = subprocess.run(command, capture_output=True, check=True)
        marker = command[-1].encode()
        answer = json.loads(finished.stdout.split(marker)[1])
        platlib = answer["schemes"]["platlib"].replace("/lib/", "/lib64/")
        answer["schemes"]["platlib"] = platlib
        out = marker + json.dumps(answer).encode() + marker
        return subprocess.CompletedProcess(command, 0, out, b"")

    if not (venv / "lib64").exists():
        (venv / "lib64").symlink_to("lib")
    environment = target_environment(venv, run=run)
    assert environment.schemes["platlib"] == f"lib/python{THIS}/site-packages"
    (venv / "lib64").unlink()
    environment = target_environment(venv, run=run)
    assert environment.schemes["platlib"] == f"lib64/python{THIS}/site-packages"
    assert len(environment.site_directories) == 2


SYSTEM = Path("/usr/bin/python3")


@pytest.mark.skipif(not SYSTEM.exists(), reason="needs a system Python")
def test_system_python_may_be_externally_managed() -> None:
    """PEP 668: the notice counts outside virtual environments only."""
    told = facts(SYSTEM)
    paths = told["paths"]
    assert isinstance(paths, dict)
    environment = target_environment(SYSTEM)
    assert environment.prefix == Path(paths["data"])
    assert environment.prefix / environment.schemes["purelib"] == Path(paths["purelib"])
    notice = Path(paths["stdlib"]) / "EXTERNALLY-MANAGED"
    assert (environment.externally_managed is not None) == notice.exists()
    if environment.externally_managed is not None:
        assert "[externally-managed]" not in environment.externally_managed
        assert environment.externally_managed in notice.read_text().replace("\n ", "\n")


def test_works_from_a_zip_application(venv: Path, tmp_path: Path) -> None:
    application = tmp_path / "tool.pyz"
    main = (
        "import sys; from pathlib import Path\n"
        "from sage_pkginstall.environment import target_environment\n"
        "e = target_environment(Path(sys.argv[1]))\n"
        "print(e.prefix, *e.tags[:1])\n"
    )
    with zipfile.ZipFile(application, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__main__.py", main)
        for package in (sage_pkginstall, packaging):
            top = Path(package.__path__[0])
            for source in top.rglob("*.py"):
                archive.write(source, source.relative_to(top.parent))
    answer = subprocess.run(
        [sys.executable, "-I", "-S", application, venv],
        check=True,
        capture_output=True,
        text=True,
    )
    assert answer.stdout.split() == [os.fspath(venv), target_environment(venv).tags[0]]


def test_environment_is_a_value(venv: Path) -> None:
    environment = target_environment(venv)
    assert isinstance(environment, Environment)
    with pytest.raises(AttributeError):
        environment.prefix = Path("/")  # type: ignore[misc]
    with pytest.raises(TypeError):
        environment.schemes["data"] = "x"  # type: ignore[index]
