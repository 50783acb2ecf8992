from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from sage_pkginstall.builds.build import BuildRequest, build_wheel
from sage_pkginstall.builds.log import BuildLog
from sage_pkginstall.builds.source import unpacked
from sage_pkginstall.environment import target_environment
from sage_pkginstall.errors import BuildError, RequirementError, UsageError
from tests.sources import make_source, make_wheel, report_of
from tests.trees import plant, tree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sage_pkginstall.environment import Environment

WHEEL = "tiny-1.0-py3-none-any.whl"


class Builder:
    """A target, a store, a log, and ``dist`` with something old in it."""

    def __init__(self, root: Path, environment: Environment) -> None:
        self.root = root
        self.environment = environment
        self.store = root / "wheels"
        self.dist = plant(root / "dist", {"old-1.0-py3-none-any.whl": b"", "sub/x": b""})
        self.log = root / "build.log"

    def __call__(self, source: Path, **options: Any) -> Path:
        request = BuildRequest(source, **options)
        return build_wheel(request, self.environment, self.store, self.dist, log=BuildLog(self.log))

    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""


@pytest.fixture
def build(tmp_path: Path, venv: Path) -> Builder:
    return Builder(tmp_path, target_environment(venv))


def test_wheel_is_all_that_is_in_the_destination(tmp_path: Path, build: Builder) -> None:
    wheel = build(make_source(tmp_path / "src"))
    assert wheel == build.dist / WHEEL
    assert list(tree(build.dist)) == [WHEEL]


def test_destination_that_holds_what_is_needed_is_not_emptied(
    tmp_path: Path, build: Builder
) -> None:
    source = make_source(tmp_path / "all" / "src")
    make_wheel(build.store, "needed-1.0-py3-none-any.whl")
    before = tree(tmp_path)
    for destination in (source, tmp_path / "all", build.store, tmp_path):
        build.dist = destination
        with pytest.raises(UsageError, match=r"cannot empty .*: it holds"):
            build(source)
    assert tree(tmp_path) == before


def test_destination_where_somebody_lives_is_not_emptied(
    tmp_path: Path, venv: Path, build: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_source(tmp_path / "src")
    plant(tmp_path, {"here/letter": b"", "home/letter": b""})
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    before = tree(tmp_path)
    for destination in (tmp_path / "here", tmp_path / "home", venv):
        build.dist = destination
        with pytest.raises(UsageError, match=r"cannot empty .*: it holds"):
            build(source)
    assert tree(tmp_path) == before


def test_link_that_leads_to_itself_is_an_error(tmp_path: Path, build: Builder) -> None:
    build.dist = tmp_path / "loop"
    build.dist.symlink_to("loop")
    with pytest.raises(UsageError, match="loop: it is not a directory"):
        build(make_source(tmp_path / "src"))


def test_destination_may_be_a_link(tmp_path: Path, build: Builder) -> None:
    link = tmp_path / "link"
    link.symlink_to(build.dist)
    build.dist = link
    assert build(make_source(tmp_path / "src")) == link / WHEEL
    assert link.is_symlink()
    assert list(tree(tmp_path / "dist")) == [WHEEL]


def test_isolated_build_sees_its_requirements_and_nothing_of_the_target(
    tmp_path: Path, build: Builder
) -> None:
    make_wheel(build.store, "needed-1.0-py3-none-any.whl", headers=["Requires-Dist: further"])
    make_wheel(build.store, "further-1.0-py3-none-any.whl")
    make_wheel(build.store, "asked_for-1.0-py3-none-any.whl")
    make_wheel(build.store, "unrelated-1.0-py3-none-any.whl")
    purelib = build.environment.prefix / build.environment.schemes["purelib"]
    plant(purelib, {"target-1.0.dist-info/METADATA": b"Name: target\nVersion: 1.0\n"})
    source = make_source(tmp_path / "src", requires=["needed>=1"], more=["asked-for"])
    report = report_of(build(source))
    assert report["distributions"] == ["asked_for", "further", "needed"]
    assert report["prefix"] != str(build.environment.prefix)


def test_build_without_isolation_sees_the_target(tmp_path: Path, build: Builder) -> None:
    source = make_source(tmp_path / "src", requires=["not-there"])
    report = report_of(build(source, isolation="no"))
    assert report["prefix"] == str(build.environment.prefix)
    assert "Warning" not in build.said()


@pytest.mark.parametrize("where", ["requires", "more"])
def test_lacking_requirement_is_named_and_the_build_tried_without_isolation(
    tmp_path: Path, build: Builder, where: str
) -> None:
    source = make_source(tmp_path / "src", **{where: ["not-there>=2"]})  # type: ignore[arg-type]
    report = report_of(build(source))
    assert report["prefix"] == str(build.environment.prefix)
    warning = next(line for line in build.said().splitlines() if line.startswith("Warning"))
    assert "'not-there>=2'" in warning
    assert (
        "add what provides it, behind the '|', to the 'dependencies' file of its package" in warning
    )


def test_lacking_requirement_is_an_error_where_isolation_is_asked_for(
    tmp_path: Path, build: Builder
) -> None:
    source = make_source(tmp_path / "src", requires=["not-there"])
    with pytest.raises(RequirementError, match="'not-there': the wheel store has no wheel of it"):
        build(source, isolation="yes")
    assert tree(build.dist) == {}


@pytest.mark.parametrize("where", ["requires", "more"])
def test_what_is_no_requirement_is_an_error(tmp_path: Path, build: Builder, where: str) -> None:
    """Nothing that is installed in the target can be what is meant."""
    source = make_source(tmp_path / "src", **{where: ["setuptools>="]})  # type: ignore[arg-type]
    with pytest.raises(RequirementError, match="'setuptools>=': it is no requirement"):
        build(source)
    assert tree(build.dist) == {}


def test_cache_that_cannot_be_filled_is_named(
    tmp_path: Path, build: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    cache.write_text("no directory")
    monkeypatch.setenv("SAGE_PKGINSTALL_CACHE", str(cache))
    make_wheel(build.store, "needed-1.0-py3-none-any.whl")
    with pytest.raises(BuildError, match=r"cache cannot be filled .*SAGE_PKGINSTALL_CACHE"):
        build(make_source(tmp_path / "src", requires=["needed"]))


def test_failing_build_is_tried_once_and_shows_the_end_of_the_log(
    tmp_path: Path, build: Builder
) -> None:
    code = "print('first of all'); print('x\\n' * 99); raise SystemExit('no compiler')"
    with pytest.raises(BuildError) as caught:
        build(make_source(tmp_path / "src", code=code))
    message = str(caught.value)
    assert message.startswith(
        f"cannot build {tmp_path / 'src'}: build_wheel failed (exit status 1)"
    )
    assert str(build.log) in message
    assert message.endswith("no compiler")
    assert "first of all" not in message
    assert build.said().count("first of all") == 1
    assert tree(build.dist) == {}


@pytest.mark.parametrize("code", ["made.mkdir()", "made.symlink_to('/etc/passwd')", "pass"])
def test_wheel_that_is_no_file_is_an_error(tmp_path: Path, build: Builder, code: str) -> None:
    source = make_source(tmp_path / "src")
    backend = source / "backend.py"
    hook = (
        f"def build_wheel(directory, *_, **__):\n    made = Path(directory, {WHEEL!r})\n    {code}"
    )
    backend.write_text(f"{backend.read_text()}\n{hook}\n    return made.name\n")
    with pytest.raises(BuildError, match="did not make the file it named"):
        build(source)


def test_backend_that_cannot_be_imported_is_an_error(tmp_path: Path, build: Builder) -> None:
    source = make_source(tmp_path / "src")
    (source / "backend.py").write_text("import no_such_module\n")
    with pytest.raises(BuildError, match=r"(?s)backend cannot be imported.*no_such_module"):
        build(source)


def test_backend_path_outside_the_source_is_refused(tmp_path: Path, build: Builder) -> None:
    text = "[build-system]\nrequires=[]\nbuild-backend='backend'\nbackend-path=['..']\n"
    plant(tmp_path / "src", {"pyproject.toml": text.encode()})
    with pytest.raises(BuildError, match="cannot build"):
        build(tmp_path / "src")


def test_config_settings_keep_blanks_and_repeated_keys(tmp_path: Path, build: Builder) -> None:
    settings = (("opt", "a b=c"), ("many", "1"), ("many", "2"), ("many", "3"), ("empty", ""))
    report = report_of(build(make_source(tmp_path / "src"), config_settings=settings))
    assert report["settings"] == {"opt": "a b=c", "many": ["1", "2", "3"], "empty": ""}


def test_without_config_settings_the_backend_gets_none_as_from_pip(
    tmp_path: Path, build: Builder
) -> None:
    assert report_of(build(make_source(tmp_path / "src")))["settings"] is None


def test_wheel_is_built_from_an_sdist_file(tmp_path: Path, build: Builder) -> None:
    source = make_source(tmp_path / "tiny-1.0")
    subprocess.run(["tar", "-czf", "tiny-1.0.tar.gz", source.name], cwd=tmp_path, check=True)
    assert build(tmp_path / "tiny-1.0.tar.gz").name == WHEEL


IN_TREE = "assert not Path('only-in-tree').exists(), 'this is the tree'"


def test_sdist_then_wheel_builds_from_what_the_sdist_holds(tmp_path: Path, build: Builder) -> None:
    source = plant(make_source(tmp_path / "src", code=IN_TREE), {"only-in-tree": b""})
    assert build(source, sdist_first=True).name == WHEEL
    with pytest.raises(BuildError, match="this is the tree"):
        build(source)


def test_editable_wheel_is_built(tmp_path: Path, build: Builder) -> None:
    assert report_of(build(make_source(tmp_path / "src"), editable=True))["kind"] == "editable"


@pytest.mark.parametrize("way", ["sdist", "sdist first"])
def test_editable_wheel_of_an_sdist_is_refused(tmp_path: Path, build: Builder, way: str) -> None:
    """It would import from where the sdist was unpacked, which is gone then."""
    source = make_source(tmp_path / "src")
    if way == "sdist":
        source = tmp_path / "tiny-1.0.tar.gz"
        source.touch()
    with pytest.raises(UsageError, match="an editable wheel leads to a source directory"):
        build(source, editable=True, sdist_first=way == "sdist first")


def test_backend_without_editable_builds_is_an_error(tmp_path: Path, build: Builder) -> None:
    source = make_source(tmp_path / "src")
    text = (source / "backend.py").read_text()
    (source / "backend.py").write_text(text.replace("def build_editable", "def other"))
    with pytest.raises(BuildError, match="backend has no build_editable"):
        build(source, editable=True)


def test_settings_of_the_machine_do_not_reach_the_build(
    tmp_path: Path, build: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://example.org/")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("CFLAGS", "-O0 -g")
    variables = report_of(build(make_source(tmp_path / "src")))["variables"]
    assert isinstance(variables, dict)
    assert variables.get("CFLAGS") == "-O0 -g"
    assert variables.get("PIP_NO_INDEX") == "1"
    assert {"PIP_INDEX_URL", "PYTHONPATH"}.isdisjoint(variables)


def test_jobserver_of_make_passes_through(
    tmp_path: Path, build: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    for end in (reading, writing):
        os.set_inheritable(end, True)
    monkeypatch.setenv("MAKEFLAGS", f"-j2 --jobserver-auth={reading},{writing}")
    os.write(writing, b"+")
    code = f"os.write({writing}, os.read({reading}, 1) * 2)"
    variables = report_of(build(make_source(tmp_path / "src", code=code)))["variables"]
    assert isinstance(variables, dict)
    assert variables["MAKEFLAGS"] == f"-j2 --jobserver-auth={reading},{writing}"
    assert os.read(reading, 10) == b"++"
    os.close(reading)
    os.close(writing)


def test_output_goes_to_the_log_and_to_who_watches(tmp_path: Path, build: Builder) -> None:
    seen: list[bytes] = []
    log = BuildLog(build.log, echo=seen.append)
    request = BuildRequest(make_source(tmp_path / "src", requires=["not-there"]))
    build_wheel(request, build.environment, build.store, build.dist, log=log)
    assert b"".join(seen).decode() == build.said()
    assert "Warning" in build.said()
    assert "the backend speaks" in build.said()


def test_log_grows(tmp_path: Path, build: Builder) -> None:
    build.log.write_text("said before\n")
    build(make_source(tmp_path / "src"))
    assert build.said().startswith("said before\n")
    assert "the backend speaks" in build.said()


def test_daemon_that_a_build_leaves_does_not_hold_it_up(tmp_path: Path, build: Builder) -> None:
    code = "import subprocess; subprocess.Popen(['sleep', '30'])"
    log = BuildLog(build.log, echo=lambda _: None)
    request = BuildRequest(make_source(tmp_path / "src", code=code))
    build_wheel(request, build.environment, build.store, build.dist, log=log)


def test_daemon_that_goes_on_writing_does_not_make_a_build_fail(
    tmp_path: Path, build: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    stop = tmp_path / "stop"
    loop = f"while test ! -e {stop}; do mkdir -p d/$((i += 1)) && : >d/$i/f; done 2>/dev/null"
    code = f"import subprocess; subprocess.Popen(['sh', '-c', {loop!r}])"
    source = make_source(tmp_path / "tiny-1.0", code=code)
    subprocess.run(["tar", "-czf", "tiny-1.0.tar.gz", source.name], cwd=tmp_path, check=True)
    try:
        assert build(tmp_path / "tiny-1.0.tar.gz").name == WHEEL
    finally:
        stop.touch()


def test_pip_as_front_end_makes_the_same_wheel(
    tmp_path: Path, build: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel(build.store, "needed-1.0-py3-none-any.whl")
    settings = (("a", "b c"), ("d", "1"))  # pip before 23.1 takes the last of equal keys
    source = make_source(tmp_path / "src", requires=["needed"])
    by_hooks = build(source, config_settings=settings)
    hooks = report_of(by_hooks)
    monkeypatch.setenv("SAGE_BUILD_FRONTEND", "pip")
    by_pip = build(source, config_settings=settings)
    pip = report_of(by_pip)
    assert "Processing" in build.said()
    assert pip["settings"] == hooks["settings"]
    assert pip["distributions"] == hooks["distributions"] == ["needed"]


def test_failing_pip_is_an_error(
    tmp_path: Path, build: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAGE_BUILD_FRONTEND", "pip")
    with pytest.raises(BuildError, match=r"(?s)pip wheel failed.*no compiler"):
        build(make_source(tmp_path / "src", code="raise SystemExit('no compiler')"))


REAL = ("flit_core", "six", "markupsafe")  # the rest: tests/torture/test_same_wheels.py
TOOLS = ("setuptools",)


@pytest.mark.network
@pytest.mark.slow
def test_wheels_are_those_that_pip_makes(
    tmp_path: Path, build: Builder, asking: Mapping[str, str]
) -> None:
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest"]
    subprocess.run([*download, build.store, *TOOLS], check=True, env=asking)
    sdists = tmp_path / "sdists"
    subprocess.run([*download, sdists, "--no-binary=:all:", *REAL], check=True, env=asking)
    for sdist in sorted(sdists.iterdir()):
        # At the same path, as compilers put it into what they make.
        ours = content(build(unpack_again(sdist, tmp_path / "src"), isolation="yes"))
        source = unpack_again(sdist, tmp_path / "src")
        assert ours == content(pip_wheel(source, build, tmp_path / "pip")), sdist.name
    assert len(list(sdists.iterdir())) == len(REAL)


def unpack_again(sdist: Path, directory: Path) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    return unpacked(sdist, directory)


def pip_wheel(source: Path, build: Builder, directory: Path) -> Path:
    before = set(directory.glob("*.whl"))
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", build.environment.interpreter, "wheel",
         "--quiet", "--no-deps", "--no-index", "--no-cache-dir", "--find-links", build.store,
         "--wheel-dir", directory, source],
        check=True,
    )  # fmt: skip
    (wheel,) = set(directory.glob("*.whl")) - before
    return wheel


def content(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
