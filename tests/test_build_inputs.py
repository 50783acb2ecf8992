"""What counts for a build: if that has changed, no wheel of before is taken."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.builds.named_files import named_files
from sage_pkginstall.builds.once import identity_of_wheel
from sage_pkginstall.builds.source_files import UnknownInputError
from tests.once import Builds, make_quiet
from tests.sources import make_source, make_wheel
from tests.trees import plant, tree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.conftest import RunCli


@pytest.fixture
def builds(tmp_path: Path, venv: Path, run_cli: RunCli) -> Builds:
    return Builds(tmp_path, venv, run_cli)


def change_source(source: Path) -> Mapping[str, str]:
    plant(source, {"new.py": b""})
    return {}


def remove_file(source: Path) -> Mapping[str, str]:
    (source / "extra.py").unlink()
    return {}


def make_executable(source: Path) -> Mapping[str, str]:
    (source / "extra.py").chmod(0o755)
    return {}


def add_directory(source: Path) -> Mapping[str, str]:
    (source / "empty").mkdir()
    return {}


def set_variable(_: Path) -> Mapping[str, str]:
    return {"CFLAGS": "-O0"}


def set_unknown_variable(_: Path) -> Mapping[str, str]:
    return {"WHATEVER_A_SETUP_LOOKS_AT": "1"}


def other_compiler(source: Path) -> Mapping[str, str]:
    compiler = plant(source.parent / "bin", {"cc": b"#!/bin/sh\necho mine 2.0\n"}) / "cc"
    compiler.chmod(0o755)
    return {"PATH": f"{compiler.parent}:{os.environ['PATH']}"}


def name_compiler(source: Path) -> Mapping[str, str]:
    compiler = plant(source.parent / "bin", {"my cc": b"", "mycc": b"#!/bin/sh\n"}) / "mycc"
    compiler.chmod(0o755)
    return {"CC": str(compiler)}


def name_toolchain(_: Path) -> Mapping[str, str]:
    return {"SAGE_PKGINSTALL_TOOLCHAIN": "farm-1"}


def other_front_end(_: Path) -> Mapping[str, str]:
    return {"SAGE_BUILD_FRONTEND": "pip"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (change_source, "source: new.py: new"),
        (remove_file, "source: extra.py: gone"),
        (make_executable, "source: extra.py: - "),
        (add_directory, "source: empty/: new (directory)"),
        (set_variable, "variables: CFLAGS: new (-O0)"),
        (set_unknown_variable, "variables: WHATEVER_A_SETUP_LOOKS_AT: new (1)"),
        (other_compiler, "compilers: cc: "),
        (name_compiler, "compilers: CC: mycc: new"),
        (name_toolchain, "toolchain: name: new (farm-1)"),
        (other_front_end, "build: front end: '' → pip"),
    ],
)
def test_what_changes_the_wheel_builds_it_again_and_is_named(
    tmp_path: Path, builds: Builds, change: object, told: str
) -> None:
    source = plant(make_source(tmp_path / "src"), {"extra.py": b"x = 1\n"})
    builds(source)
    assert callable(change)
    assert not builds(source, **change(source))[1]
    assert [line for line in builds.why("src") if line.startswith(told)] != []


def test_config_settings_and_isolation_count(tmp_path: Path, builds: Builds) -> None:
    source = make_source(tmp_path / "src")
    builds(source)
    for options in (("-Ca=1",), ("-Ca=2",), ("-Ca=1", "-Cb=2"), ("--no-build-isolation",)):
        assert not builds(source, *options)[1], options
        assert builds(source, *options)[1], options


def test_compiler_that_changes_at_its_path_builds_it_again(tmp_path: Path, builds: Builds) -> None:
    source = make_source(tmp_path / "src")
    env = other_compiler(source)
    builds(source, **env)
    assert builds(source, **env)[1]
    (tmp_path / "bin" / "cc").write_text("#!/bin/sh\necho mine 2.1\n")
    assert not builds(source, **env)[1]


def test_build_requirement_of_other_content_builds_it_again(tmp_path: Path, builds: Builds) -> None:
    make_wheel(builds.store, "needed-1.0-py3-none-any.whl", {"needed.py": "x = 1\n"})
    make_wheel(builds.store, "asked-1.0-py3-none-any.whl", {"asked.py": "x = 1\n"})
    source = make_source(tmp_path / "src", requires=["needed"], more=["asked"])
    builds(source)
    assert builds(source)[1]
    assert "hook" not in builds.said
    for name in ("needed", "asked"):
        make_wheel(builds.store, f"{name}-1.0-py3-none-any.whl", {f"{name}.py": "x = 2\n"})
        assert not builds(source)[1], name
        assert f"requirements: {name}-1.0-py3-none-any.whl: " in "".join(builds.why("src"))


def test_program_of_a_build_requirement_counts_as_one(tmp_path: Path, builds: Builds) -> None:
    wheel = make_wheel(builds.store, "needed-1.0-py3-none-any.whl")
    source = make_source(tmp_path / "src", requires=["needed"])
    with zipfile.ZipFile(wheel) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    taken = []
    for mode in (0o644, 0o755, 0o755):
        with zipfile.ZipFile(wheel, "w") as archive:
            for name, data in content.items():
                entry = zipfile.ZipInfo(name)
                entry.external_attr = (stat.S_IFREG | mode) << 16
                archive.writestr(entry, data)
        taken.append(builds(source)[1])
    assert taken == [False, False, True]


def test_build_requirement_packed_again_does_not_count(tmp_path: Path, builds: Builds) -> None:
    wheel = make_wheel(builds.store, "needed-1.0-py3-none-any.whl")
    source = make_source(tmp_path / "src", requires=["needed"])
    builds(source)
    before = wheel.read_bytes()
    with zipfile.ZipFile(wheel) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_STORED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    assert wheel.read_bytes() != before
    assert builds(source)[1]


def test_build_without_isolation_depends_on_what_the_target_holds(
    tmp_path: Path, builds: Builds, run_cli: RunCli
) -> None:
    source = make_source(tmp_path / "src")
    wheel = make_wheel(tmp_path, "other-1.0-py3-none-any.whl")
    builds(source, "--no-build-isolation")
    run_cli("install", "--prefix", builds.venv, wheel)
    assert not builds(source, "--no-build-isolation")[1]
    assert builds(source, "--no-build-isolation")[1]


def test_source_that_leads_out_of_itself_is_built_each_time(tmp_path: Path, builds: Builds) -> None:
    source = make_source(tmp_path / "src")
    (source / "out").symlink_to(tmp_path)
    builds(source)
    assert not builds(source)[1]
    assert "Built without looking into the cache: out leads out of it" in builds.said


def test_file_outside_that_the_source_links_to_counts(tmp_path: Path, builds: Builds) -> None:
    source = make_source(tmp_path / "src")
    script = plant(tmp_path, {"script": b"1"}) / "script"
    (source / "script").symlink_to(script)
    builds(source)
    script.chmod(0o755)
    assert not builds(source)[1]
    script.write_bytes(b"2")
    assert not builds(source)[1]
    assert builds(source)[1]


def test_wheel_without_a_record_has_no_identity(tmp_path: Path) -> None:
    (tmp_path / "damaged.whl").write_bytes(b"PK")
    (tmp_path / "link.whl").symlink_to("gone.whl")
    for name in ("damaged.whl", "link.whl", "none.whl"):
        with pytest.raises(UnknownInputError, match="it has no RECORD that could be read"):
            identity_of_wheel(tmp_path / name)


def test_variables_that_change_with_each_run_can_be_left_out(
    tmp_path: Path, builds: Builds
) -> None:
    source = make_source(tmp_path / "src")
    builds(source, RUN_ID="1", SAGE_PKGINSTALL_IGNORE="RUN_* OTHER")
    assert builds(source, RUN_ID="2", SAGE_PKGINSTALL_IGNORE="RUN_* OTHER")[1]
    assert not builds(source, RUN_ID="2")[1]


HOME_FILES = {
    "home": ".pydistutils.cfg",
    "numpy": ".numpy-site.cfg",
    "cargo": ".cargo/config.toml",
    "meson": ".local/share/meson/native/mine",
    "shared": "share/meson/cross/mine",
    "pkg-config": "pc/foo.pc",
    "options": "flags",
    "header": "config.h",
}


@pytest.mark.parametrize("way", ["variable", "several", "setting", "beside", "make", *HOME_FILES])
def test_file_of_settings_counts_with_its_content(tmp_path: Path, builds: Builds, way: str) -> None:
    source = make_source(tmp_path / "src")
    file = tmp_path / HOME_FILES.get(way, "a b")
    env = {"HOME": str(tmp_path), "XDG_DATA_DIRS": f"/missing:{tmp_path}/share"}
    env["PKG_CONFIG_PATH"] = f"/missing:{tmp_path}/pc"
    if way == "variable":
        env["DIST_EXTRA_CONFIG"] = str(file)
    elif way == "several":
        file = tmp_path / "site.config"
        env["CONFIG_SITE"] = f"/missing {file}"
    elif way == "make":
        env["MAKEFILES"] = str(file)
    elif way in {"options", "header"}:
        env["CFLAGS"] = f"-O1 {'@' if way == 'options' else '-include'}{file}"
    named = {"setting": file, "beside": "../a b", "meson": "mine"}
    options = [f"-Csetup-args=--native-file={named[way]}"] if way in named else []
    taken = []
    for text in (b"1", b"1", b"2"):
        plant(tmp_path, {os.path.relpath(file, tmp_path): text})
        taken.append(builds(source, *options, **env)[1])
    assert taken == [False, True, False]
    assert file.name in builds.why("src")[1]


def test_file_of_meson_is_the_users_own_if_there_is_one(tmp_path: Path) -> None:
    plant(tmp_path, {"a/meson/cross/x": b"a", "b/meson/cross/x": b"b", "b/meson/native/y": b"b"})
    (tmp_path / "own" / "meson").mkdir(parents=True)
    places = {"HOME": str(tmp_path), "XDG_DATA_DIRS": f"{tmp_path}/a:{tmp_path}/b"}
    shared = named_files((), places)
    assert shared.keys() == {"meson/cross/x", "meson/native/y"}
    assert named_files((), {**places, "XDG_DATA_HOME": f"{tmp_path}/b"}) != shared
    assert named_files((), {**places, "XDG_DATA_HOME": f"{tmp_path}/a"}) == shared


def test_home_of_who_has_no_variable_of_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Services have none; distutils asks for the user's home then."""
    user = pwd.struct_passwd(("x", "x", os.getuid(), 0, "", str(tmp_path), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: user)
    plant(tmp_path, {".pydistutils.cfg": b"[build]\n"})
    environ = {"XDG_DATA_DIRS": "/missing"}
    assert list(named_files((), environ)) == ["~/.pydistutils.cfg"]


def test_program_that_is_named_is_told_by_the_name_of_the_toolchain(
    tmp_path: Path, builds: Builds
) -> None:
    source = make_source(tmp_path / "src")
    program = plant(tmp_path, {"mpicc": b"1"}) / "mpicc"
    program.chmod(0o755)
    farm = {"MPICC": str(program), "SAGE_PKGINSTALL_TOOLCHAIN": "farm"}
    builds(source, **farm)
    program.write_bytes(b"2")
    assert builds(source, **farm)[1]
    builds(source, MPICC=str(program))
    program.write_bytes(b"3")
    assert not builds(source, MPICC=str(program))[1]


def test_variable_of_the_command_line_of_make_counts(tmp_path: Path, builds: Builds) -> None:
    source = make_source(tmp_path / "src")
    builds(source, MAKEFLAGS="s -- V=1 FLAGS=-a\\ -b")
    assert builds(source, MAKEFLAGS="k -j4 -- FLAGS=-a\\ -b V=2")[1]
    assert not builds(source, MAKEFLAGS="s -- FLAGS=-a\\ -c")[1]
    assert "variables: FLAGS of make: " in "".join(builds.why("src"))


def test_setting_of_two_lines_is_not_two_settings(tmp_path: Path, builds: Builds) -> None:
    source = make_source(tmp_path / "src")
    builds(source, "-Ca=1\nb=2")
    assert not builds(source, "-Ca=1", "-Cb=2")[1]


def test_machines_of_one_toolchain_need_no_compiler(tmp_path: Path, builds: Builds) -> None:
    source = make_source(tmp_path / "src")
    make_quiet(source)
    builds(source, SAGE_PKGINSTALL_TOOLCHAIN="farm")
    bare = {"SAGE_PKGINSTALL_TOOLCHAIN": "farm", "PATH": str(tmp_path)}
    assert builds(source, **bare)[1]


@pytest.mark.needs("git")
def test_history_of_a_checkout_counts(tmp_path: Path, builds: Builds) -> None:
    source = make_source(tmp_path / "src")
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}

    def git(*words: str) -> None:
        command = ["git", "-c", "user.name=x", "-c", "user.email=x", *words]
        subprocess.run(command, check=True, env=env, cwd=source, capture_output=True)

    git("init")
    git("add", ".")
    for number in "1", "2", "3":
        git("commit", "--allow-empty", "-m", number)
    git("clone", "--depth=1", source.as_uri(), str(tmp_path / "clone"))
    source = tmp_path / "clone"
    taken = [builds(source)[1]]
    for option in "--depth=1", "--depth=2", "--unshallow":
        git("fetch", option)
        taken.append(builds(source)[1])
    assert taken == [False, True, False, False]


@pytest.mark.needs("git")
def test_checkout_counts_with_its_commit_and_changes(tmp_path: Path, builds: Builds) -> None:
    source = make_source(tmp_path / "top" / "src")
    outside = tmp_path / "top" / "VERSION"
    outside.write_text("1")
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}

    def git(*words: str) -> None:
        identity = ["-c", "user.name=x", "-c", "user.email=x"]
        command = ["git", "-C", str(tmp_path / "top"), *identity, *words]
        subprocess.run(command, check=True, env=env, capture_output=True)

    git("init")
    git("add", ".")
    git("commit", "-m", "1")
    builds(source)
    assert builds(source)[1]
    outside.write_text("2")
    assert not builds(source)[1]
    git("commit", "-am", "2")
    assert not builds(source)[1]
    git("tag", "v2")
    assert not builds(source)[1]
    git("tag", "-a", "-m", "stable", "stable")  # it is all that `git describe` tells from now on
    assert not builds(source)[1]
    git("tag", "v3")
    assert not builds(source)[1]
    git("checkout", "-b", "release-4")
    assert not builds(source)[1]
    assert builds(source)[1]


@pytest.mark.parametrize("is_checkout", [False, True])
def test_what_a_source_names_beside_itself_counts(
    tmp_path: Path, builds: Builds, *, is_checkout: bool
) -> None:
    """By a path in pyproject.toml, say: hatchling can be told to take in ``../shared``.

    In a checkout, too: git tells nothing of what it ignores, a library that make has built, say.
    """
    source = make_source(tmp_path / "top" / "src")
    if is_checkout:
        plant(tmp_path / "top", {".gitignore": b"VERSION\nshared\n"})
        identity = ["-c", "user.name=x", "-c", "user.email=x"]
        for words in (["init"], ["add", "."], [*identity, "commit", "-m", "1"]):
            subprocess.run(["git", "-C", tmp_path / "top", *words], check=True, capture_output=True)
    with (source / "pyproject.toml").open("a") as file:
        file.write('[tool.x]\n"../shared" = "x"\nversion = {path = "../VERSION"}\nroot = ".."\n')
    taken = []
    for path, data in (
        ("VERSION", b"1"),
        ("VERSION", b"2"),
        ("shared/a", b"1"),
        ("shared/a", b"2"),
    ):
        plant(tmp_path / "top", {path: data})
        taken += [builds(source)[1], builds(source)[1]]
    assert taken == [False, True] * 4
    plant(tmp_path / "top", {"other": b"1"})
    assert builds(source)[1]


def test_file_that_a_source_names_by_its_whole_path_counts(tmp_path: Path, builds: Builds) -> None:
    """As hatchling's manual has it: ``"~/lib.h" = "pkg/lib.h"``."""
    source = make_source(tmp_path / "src")
    with (source / "pyproject.toml").open("a") as file:
        file.write(f'[tool.x]\n"~/lib.h" = "a"\n"{tmp_path}/b c.h" = "b"\n"{tmp_path}/d" = "d"\n')
    taken = []
    for path, data in (
        ("home/lib.h", b"1"),
        ("home/lib.h", b"2"),
        ("b c.h", b"1"),
        ("b c.h", b"2"),
    ):
        plant(tmp_path, {path: data})
        taken += [builds(source, HOME=f"{tmp_path}/home")[1] for _ in range(2)]
    assert taken == [False, True] * 4
    plant(tmp_path, {"d/e": b""})
    assert builds(source, HOME=f"{tmp_path}/home")[1]


def test_what_cargo_reads_above_a_source_counts(tmp_path: Path, builds: Builds) -> None:
    source = make_source(tmp_path / "top" / "python" / "src")
    taken = []
    for path in ("top/python/Cargo.lock", "top/Cargo.lock", "top/.cargo/config.toml"):
        plant(tmp_path, {path: b""})
        taken += [builds(source)[1], builds(source)[1]]
    assert taken == [False, True] * 3


def test_tag_of_a_submodule_counts(tmp_path: Path, builds: Builds) -> None:
    source = make_source(tmp_path / "src")
    (source / "vendored" / "one").mkdir(parents=True)
    (source / "vendored" / "two").mkdir()
    (source / "vendored" / "two" / ".git").write_text("gitdir: ../../.git/modules/two\n")

    def git(*words: str) -> None:
        identity = ["-c", "user.name=x", "-c", "user.email=x"]
        command = ["git", "-C", str(source / "vendored" / "one"), *identity, *words]
        env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
        subprocess.run(command, check=True, env=env, capture_output=True)

    git("init")
    git("commit", "--allow-empty", "-m", "1")
    taken = [builds(source)[1], builds(source)[1]]
    git("tag", "v1")
    assert [*taken, builds(source)[1]] == [False, True, False]


@pytest.mark.parametrize("where", ["exclude", "user", "default", "above"])
def test_what_git_ignores_counts(tmp_path: Path, builds: Builds, where: str) -> None:
    """Backends leave it out of wheels."""
    source = make_source(tmp_path / "top" / "src")
    files = {
        "exclude": "top/.git/info/exclude",
        "user": "ignored",
        "default": ".config/git/ignore",
        "above": "top/.gitignore",
    }
    env = {"HOME": str(tmp_path), "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig")}
    settings = "[user]\nname = x\nemail = x\n[core]\nexcludesFile = ~/ignored\n"
    settings = settings if where == "user" else settings.partition("[core]")[0]
    plant(tmp_path, {"gitconfig": settings.encode(), "top/.gitignore": b".gitignore\n"})
    for words in (["init"], ["add", "src"], ["commit", "-m", "1"]):
        command = ["git", "-C", str(tmp_path / "top"), *words]
        subprocess.run(command, check=True, env={**os.environ, **env}, capture_output=True)
    taken = []
    for text in (b".gitignore\n", b".gitignore\n", b".gitignore\nextra.py\n"):
        plant(tmp_path, {files[where]: text})
        taken.append(builds(source, **env)[1])
    assert taken == [False, True, False]
    assert "checkout: ignored: " in "".join(builds.why("src"))


def make_venv(path: Path, *options: str) -> Path:
    command = [sys.executable, "-m", "venv", "--without-pip", *options]
    subprocess.run([*command, path], check=True)
    return path


@pytest.mark.parametrize("way", ["variable", "setting"])
def test_prefix_that_the_build_is_told_of_counts(tmp_path: Path, builds: Builds, way: str) -> None:
    """Its headers may be others: outside of Sage their content does not count."""
    source = make_source(tmp_path / "src", code="report_of = 1")
    make_quiet(source)

    def build() -> bool:
        flags = f"-I{builds.venv}/include"
        if way == "variable":
            return builds(source, CFLAGS=flags)[1]
        return builds(source, f"-Cflags={flags}")[1]

    assert not build()
    assert build()
    builds.venv = make_venv(tmp_path / "other")
    assert not build()


def test_program_of_an_activated_prefix_counts(tmp_path: Path, builds: Builds) -> None:
    source = make_source(tmp_path / "src")
    builds.venv = make_venv(tmp_path / "own")
    path = f"{builds.venv}/bin:{os.environ['PATH']}"
    builds(source, PATH=path)
    assert builds(source, PATH=path)[1]
    plant(builds.venv / "bin", {"protoc": b"#!/bin/sh\n"}).joinpath("protoc").chmod(0o755)
    assert not builds(source, PATH=path)[1]


def test_build_without_isolation_depends_on_modules_of_no_distribution(
    tmp_path: Path, builds: Builds
) -> None:
    source = make_source(tmp_path / "src", code="report_of = 1")
    make_quiet(source)
    builds.venv = make_venv(tmp_path / "own")
    site = next(builds.venv.glob("lib/python*/site-packages"))
    taken = []
    more, tool = "more/__init__.py", "../../../bin/tool"
    for path in ("", "helper.py", more, tool):
        for data in (b"1", b"2"):
            plant(site, {path: data} if path else {})
            taken.append(builds(source, "--no-build-isolation")[1])
    assert taken == [False, True, *[False] * 6]
    other = make_venv(tmp_path / "other")
    copied = {**tree(site), tool: b"2"}
    plant(next(other.glob("lib/python*/site-packages")), copied)
    builds.venv = other
    assert builds(source, "--no-build-isolation")[1]


@pytest.mark.parametrize("way", ["editable", "egg", "path", "base", "unreadable"])
def test_what_lies_elsewhere_makes_a_build_without_isolation_unknown(
    tmp_path: Path, builds: Builds, way: str
) -> None:
    source = make_source(tmp_path / "src")
    builds.venv = make_venv(tmp_path / "own", *(["--system-site-packages"] * (way == "base")))
    site = next(builds.venv.glob("lib/python*/site-packages"))
    (tmp_path / "elsewhere").mkdir()
    if way == "editable":
        info = {
            "RECORD": b"",
            "direct_url.json": b'{"url": "file:///x", "dir_info": {"editable": true}}',
        }
        plant(site / "tools-1.0.dist-info", info)
    elif way == "egg":
        plant(
            site,
            {
                "tools-1.0-py3.11.egg/EGG-INFO/PKG-INFO": b"",
                "easy-install.pth": b"./tools-1.0-py3.11.egg\n",
            },
        )
    elif way == "path":
        plant(site, {"tools.pth": f"# a path\nimport sys\n{tmp_path}/elsewhere\n".encode()})
    elif way == "unreadable":
        (site / "tools.pth").mkdir()  # which root cannot read either
    for _ in range(2):
        assert not builds(source, "--no-build-isolation")[1]
        assert "without looking into the cache" in builds.said
    assert not builds(source)[1]  # isolated, it sees nothing of that
    assert builds(source)[1]
