"""What is known of the programs that build, and for how long."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.builds import toolchain as module
from sage_pkginstall.builds.source_files import UnknownInputError
from sage_pkginstall.builds.toolchain import interpreter, toolchain
from sage_pkginstall.environment import Environment, target_environment

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGE_PKGINSTALL_CACHE", str(tmp_path / "cache"))


def program(path: Path, code: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{code}\n")
    path.chmod(0o755)
    return path


def compiler_of(directory: Path, source: Path | None = None) -> str:
    return toolchain({"PATH": str(directory)}, (), None, source)["compilers"]["cc"]


def target(venv: Path, stub: Path) -> Environment:
    return target_environment(venv)._replace(interpreter=stub)


def test_program_that_did_not_answer_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = tmp_path / "busy"
    busy.touch()
    program(tmp_path / "bin/cc", f"test ! -e {busy} || exec sleep 30; echo cc 1.0")
    with monkeypatch.context() as patch:
        patch.setattr(module, "_SECONDS", 0.3)
        with pytest.raises(UnknownInputError, match="bin/cc cannot be asked: it takes more"):
            compiler_of(tmp_path / "bin")
    busy.unlink()
    assert compiler_of(tmp_path / "bin").startswith("cc 1.0 ")


def test_interpreter_that_did_not_answer_is_asked_again(
    tmp_path: Path, venv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = tmp_path / "busy"
    busy.touch()
    code = f'test ! -e {busy} || exec sleep 30; exec {sys.executable} "$@"'
    environment = target(venv, program(tmp_path / "python", code))
    with monkeypatch.context() as patch:
        patch.setattr(module, "_SECONDS", 0.3)
        with pytest.raises(UnknownInputError, match="python cannot be asked"):
            interpreter(environment)
    busy.unlink()
    known = interpreter(environment)
    names = {"version", "sysconfig", "pyconfig.h", "patchlevel.h", "program", "tags"}
    assert known.keys() == names
    assert known["version"] == sys.version.replace("\n", " ")


@pytest.mark.slow
@pytest.mark.needs("pypy3")
def test_pypy_tells_what_it_is(tmp_path: Path) -> None:
    subprocess.run(["pypy3", "-m", "venv", "--without-pip", tmp_path / "pypy"], check=True)
    assert "PyPy" in interpreter(target_environment(tmp_path / "pypy"))["version"]


def test_interpreter_that_fails_is_unknown_and_its_warnings_do_not_count(
    tmp_path: Path, venv: Path
) -> None:
    broken = target(venv, program(tmp_path / "broken", "echo cannot load libpython >&2; exit 127"))
    with pytest.raises(UnknownInputError, match="it does not tell its version"):
        interpreter(broken)
    code = f'echo what a prefix >&2; exec {sys.executable} "$@"'
    told = interpreter(target(venv, program(tmp_path / "warns", code)))
    assert told["version"] == sys.version.replace("\n", " ")


def test_interpreter_is_asked_again_when_its_settings_change(tmp_path: Path, venv: Path) -> None:
    answer, header = tmp_path / "answer", tmp_path / "pyconfig.h"
    environment = target(venv, program(tmp_path / "python", f"cat {answer}"))
    for version in ("3.12.1", "3.12.2"):
        answer.write_text(f"{version}\n0\n/missing\n1\n{header}\n2\n/missing\n\n\n\n\n")
        if version == "3.12.1":
            header.write_text("one\n")
        else:
            assert interpreter(environment)["version"] == "3.12.1"
            header.write_text("other\n")
        assert interpreter(environment)["version"] == version


def test_compiler_that_the_interpreter_was_built_with_counts(tmp_path: Path, venv: Path) -> None:
    answer = f"3.12.1\\n0\\n/\\n1\\n/\\n2\\n/\\n{tmp_path}/opt/cc -pthread\\n\\n\\n\\n"
    environment = target(venv, program(tmp_path / "python", f"printf '{answer}'"))
    found = []
    for version in ("1.0", "2.0"):
        program(tmp_path / "opt/cc", f"echo cc {version}")
        found.append(toolchain({"PATH": "/missing"}, (), environment)["compilers"])
    assert [told["CC: cc"][:6] for told in found] == ["cc 1.0", "cc 2.0"]
    assert toolchain({"PATH": "/", "CC": "/missing"}, (), environment)["compilers"] == {}


def test_program_that_is_to_be_make_counts_by_what_it_is(tmp_path: Path) -> None:
    mine = program(tmp_path / "bin/make", "echo mine")
    by_path, by_name = (
        toolchain({"PATH": f"{tmp_path}/bin", "MAKE": make}, ())["compilers"]
        for make in (f"{mine} -j4", "make")
    )
    assert by_path == by_name
    assert by_path["MAKE: make"].startswith("mine ")


@pytest.mark.parametrize("started_by", ["/missing/interpreter", "/etc/passwd/interpreter", "/etc"])
def test_file_that_is_no_program_has_a_hash_only(tmp_path: Path, started_by: str) -> None:
    broken = program(tmp_path / "bin/cc", "")
    broken.write_text(f"#!{started_by}\n")
    assert len(compiler_of(tmp_path / "bin")) == 64


def test_program_behind_a_proxy_is_asked_each_time(tmp_path: Path) -> None:
    """Those of asdf and others run what is chosen, by what is not known here."""
    chosen = tmp_path / "chosen"
    chosen.write_text("cc 1.0\n")
    called = program(tmp_path / "shims" / "cc", f"cat {chosen}")
    assert compiler_of(called.parent).startswith("cc 1.0 ")
    chosen.write_text("cc 2.0\n")
    assert compiler_of(called.parent).startswith("cc 2.0 ")


class Proxy:
    """One that counts how often it is asked; what it runs says its version."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
        self.root = root / kind
        self.count = root / "count"
        variable, versions, settings = {
            "rustup": ("RUSTUP_HOME", "toolchains", "settings.toml"),
            "pyenv": ("PYENV_ROOT", "versions", "version"),
        }[kind.partition("-")[0]]
        monkeypatch.setenv(variable, str(self.root))
        self.versions, self.settings = self.root / versions, self.root / settings
        text = f"echo ${{0##*/}} >>{self.count}; exec {self.versions}/$(cat {self.settings})/bin/cc"
        self.called = self.root / "shims/cc"
        if kind.startswith("rustup"):
            program(self.root / "shims/rustup", text)
            make = self.called.symlink_to if "link" in kind else self.called.hardlink_to
            make(self.root / "shims/rustup")
        else:
            program(self.called, text)

    def install(self, name: str, version: str) -> None:
        program(self.versions / name / "bin/cc", f"echo cc {version}")

    def asked(self) -> int:
        return self.count.read_text().split().count("cc")  # not as rustup


@pytest.mark.parametrize("kind", ["rustup", "rustup-by-links", "pyenv"])
def test_proxy_is_asked_again_when_something_that_chooses_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """To ask those of rustup and pyenv for each build took a third of a second."""
    proxy = Proxy(tmp_path, monkeypatch, kind)
    path = proxy.called.parent
    compiler_of(path)  # it cannot say anything yet
    changes = (("a", "1.0"), ("b", "2.0"), ("b", "2.1"), ("a", "1.0"), ("c", "3.0"))
    for number, (chosen, version) in enumerate(changes, 2):
        if number != 5:
            proxy.install(chosen, version)
        proxy.settings.write_text(chosen)
        assert compiler_of(path).startswith(f"cc {version} ")
        assert compiler_of(path).startswith(f"cc {version} ")
        assert proxy.asked() == number
    monkeypatch.setenv(f"{kind.partition('-')[0].upper()}_VERSION", "c")
    compiler_of(path)
    assert proxy.asked() == len(changes) + 2


@pytest.mark.parametrize("kind", ["rustup", "pyenv", "others"])
def test_proxy_is_asked_what_it_runs_in_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """``rust-toolchain.toml``, of which no compiler for the rest of the machine tells, say."""
    kinds = {
        "rustup": "rust-toolchain.toml",
        "pyenv": ".python-version",
        "others": ".tool-versions",
    }
    proxy = Proxy(tmp_path, monkeypatch, kind.replace("others", "pyenv"))
    if kind == "others":
        monkeypatch.setenv("PYENV_ROOT", "/missing")
    source = tmp_path / "top" / "src"
    source.mkdir(parents=True)
    for name in ("a", "b"):
        proxy.install(name, f"of {name}")
    proxy.settings.write_text("a")
    here = f"cat ../{kinds[kind]} {proxy.settings} 2>/dev/null | head -1"
    real = proxy.called.with_name("rustup") if kind == "rustup" else proxy.called
    real.write_text(real.read_text().replace(f"$(cat {proxy.settings})", f"$({here})"))
    assert compiler_of(proxy.called.parent, source).startswith("cc of a ")
    (tmp_path / "top" / kinds[kind]).write_text("b\n")
    assert compiler_of(proxy.called.parent, source).startswith("cc of b ")
    proxy.install("b", "of b again")
    assert compiler_of(proxy.called.parent, source).startswith("cc of b again ")
    assert compiler_of(proxy.called.parent, tmp_path).startswith("cc of a ")


def test_override_of_rustup_is_one_for_all_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy(tmp_path, monkeypatch, "rustup")
    proxy.called.with_name("rustup").write_text("#!/bin/sh\npwd\n")
    (tmp_path / "top" / "src").mkdir(parents=True)
    proxy.settings.write_text(f'[overrides]\n"{tmp_path}/top" = "b"\n"{tmp_path}/t" = "a"\n')
    places = [tmp_path / "top" / "src", tmp_path / "top", tmp_path]
    asked_in = [compiler_of(proxy.called.parent, place).split()[0] for place in places]
    assert asked_in == [str(places[0]), str(places[1]), "/"]


def test_all_that_rustup_has_counts_where_no_source_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy(tmp_path, monkeypatch, "rustup")
    environ = {"PATH": f"{proxy.called.parent}", "RUSTUP_HOME": str(proxy.root)}
    found = []
    for name in ("a", "a", "b"):
        if name not in {path.name for path in proxy.versions.glob("*")}:
            program(proxy.versions / name / "bin/rustc", "")
        found.append(toolchain(environ, ())["programs"])
    assert found[0] == found[1] != found[2]
    assert toolchain(environ, (), None, tmp_path)["programs"].keys() < found[0].keys()


def test_compiler_behind_a_script_is_asked_each_time(tmp_path: Path) -> None:
    wrapped = program(tmp_path / "real" / "cc", "echo cc 1.0")
    called = program(tmp_path / "bin" / "cc", f"exec {wrapped}")
    assert compiler_of(called.parent).startswith("cc 1.0 ")
    program(wrapped, "echo cc 2.0")
    assert compiler_of(called.parent).startswith("cc 2.0 ")


def test_headers_and_libraries_that_were_built_by_hand_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sage_pkginstall.builds.toolchain._LOCAL", tmp_path)
    found = [toolchain({"PATH": ""}, ())["system"]]
    for file in ("include/gmp.h", "include/a/b.h", "lib/libgmp.a", "lib64/pkgconfig/gmp.pc"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
        found.append(toolchain({"PATH": ""}, ())["system"])
    assert len({str(one) for one in found}) == len(found)
    (tmp_path / "lib/python3").mkdir()
    assert toolchain({"PATH": ""}, ())["system"] == found[-1]
    assert toolchain({"PATH": ""}, (str(tmp_path),))["system"] == found[0]  # its packages count


def system() -> dict[str, str]:
    return toolchain({"PATH": ""}, (), None)["system"]


def test_libraries_of_debian_count_and_its_other_packages_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = tmp_path / "status"
    monkeypatch.setattr(module, "_DPKG", status)
    monkeypatch.setattr(module, "_DATABASES", ())
    assert "libraries" not in system()

    def installed(library: str, editor: str) -> dict[str, str]:
        packages = (("libz1", library), ("vim", editor))
        text = "\n\n".join(f"Package: {name}\nVersion: {version}" for name, version in packages)
        status.write_text(text)
        return system()

    first = installed("1", "1")
    assert "libraries" in first
    assert installed("1", "2.0") == first
    assert installed("2.00", "2.0") != first


def test_all_packages_of_other_systems_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "rpmdb.sqlite"
    monkeypatch.setattr(module, "_DPKG", tmp_path / "status")
    monkeypatch.setattr(module, "_DATABASES", (str(tmp_path / "missing"), str(database)))
    database.write_bytes(b"1")
    first = system()
    database.write_bytes(b"22")
    assert system() != first
    assert "packages" in first


def test_packages_of_an_active_conda_environment_count(tmp_path: Path) -> None:
    environ = {"PATH": "", "CONDA_PREFIX": str(tmp_path)}
    (tmp_path / "conda-meta").mkdir()
    found = []
    for name in ("history", "gmp-6.3.0-h1.json", "history", "gmp-6.3.0-h2.json"):
        (tmp_path / "conda-meta" / name).touch()
        found.append(toolchain(environ, ())["system"])
    assert found[0] != found[1] == found[2] != found[3]


def test_token_of_the_server_is_not_told_to_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAGE_PKGINSTALL_REMOTE_TOKEN", "secret")
    program(tmp_path / "bin" / "cc", 'echo "$SAGE_PKGINSTALL_REMOTE_TOKEN"')
    assert "secret" not in compiler_of(tmp_path / "bin")


def programs_of(*directories: Path) -> dict[str, str]:
    path = ":".join(map(str, directories))
    return toolchain({"PATH": f"{path}:/usr/bin:/bin"}, ())["programs"]


def test_our_own_commands_do_not_count_but_what_lies_beside_them(tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    program(ours / "sage-pkginstall", "")
    program(ours / "sage-flock", "")
    before = programs_of(ours)
    assert before == programs_of()
    program(ours / "protoc", "echo 1")
    with_one = programs_of(ours)
    assert with_one != before
    program(ours / "sage-flock", "echo newer")
    assert programs_of(ours) == with_one


def test_directory_beside_programs_does_not_count(tmp_path: Path) -> None:
    """Its time changes with what lies in it: with byte-code of programs, say."""
    program(tmp_path / "bin" / "tool", "")
    found = [programs_of(tmp_path / "bin")]
    (tmp_path / "bin" / "__pycache__").mkdir()
    (tmp_path / "bin" / "link").symlink_to("__pycache__")
    found.append(programs_of(tmp_path / "bin"))
    program(tmp_path / "bin" / "other", "")
    assert found[0] == found[1] != programs_of(tmp_path / "bin")


def test_order_of_directories_counts(tmp_path: Path) -> None:
    for name in ("a", "b"):
        program(tmp_path / name / "protoc", f"echo {name}")
    a, b = tmp_path / "a", tmp_path / "b"
    assert programs_of(a, b) != programs_of(b, a)
    assert programs_of(a, b) == programs_of(a, tmp_path / "missing", b, a)
