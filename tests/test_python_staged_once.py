"""Python packages of which the scripts do not even run: SAGE_PKGINSTALL_BUILT=packages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sageworld import SageWorld
from tests.sources import make_wheel, source_files

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

TAKEN = "Taken from the cache: data-1.0.tar"
NOT_KEPT = "data-1.0 is not kept for the next time: "
SCRIPT = "cd src && sdh_pip_install .\n"
PYTHON = {"version_requirements.txt": "tiny\n"}


@pytest.fixture
def world(tmp_path: Path, venv: Path) -> SageWorld:
    return SageWorld.keeping(tmp_path, venv)


def package(world: SageWorld, script: str = SCRIPT, *, requires: tuple[str, ...] = ()) -> None:
    files = source_files("tiny", requires=requires)
    world.package("data", "1.0", {**PYTHON, "spkg-install.in": script}, source=files)


def store(world: SageWorld, wheel: str, text: str = "") -> Path:
    directory = world.prefix / "var/lib/sage/wheels"
    return make_wheel(directory, wheel, {f"{wheel.partition('-')[0]}.py": text})


def said(ended: subprocess.CompletedProcess[str]) -> str:
    return ended.stdout + ended.stderr


def is_taken(ended: subprocess.CompletedProcess[str]) -> bool:
    return TAKEN in said(ended) and "running spkg-install" not in said(ended)


def test_second_time_no_script_runs_and_all_is_as_before(world: SageWorld) -> None:
    package(world)
    assert not is_taken(world.spkg("data"))
    before = world.tree()
    assert "var/lib/sage/wheels/tiny-1.0-py3-none-any.whl" in before
    world.clean("data")
    assert not any("tiny" in path for path in world.tree())
    assert is_taken(world.spkg("data"))
    after = world.tree()
    stamp = "var/lib/sage/installed/data-1.0"
    assert {**after, stamp: b""} == {**before, stamp: b""}
    world.clean("data")
    assert not any("tiny" in path for path in world.tree())


def test_package_of_a_ready_made_wheel_is_kept_too(tmp_path: Path, world: SageWorld) -> None:
    wheel = make_wheel(tmp_path, "tiny-1.0-py3-none-any.whl")
    world.package("data", "1.0", PYTHON, wheel=wheel)
    assert not is_taken(world.spkg("data"))
    before = world.tree()
    world.clean("data")
    assert is_taken(world.spkg("data"))
    assert set(world.tree()) == set(before)


def test_options_of_the_wheel_are_as_before(world: SageWorld) -> None:
    package(
        world, "cd src && sdh_build_wheel . && sdh_store_and_pip_install_wheel --no-compile .\n"
    )
    world.spkg("data")
    world.clean("data")
    assert is_taken(world.spkg("data"))
    assert not list((world.prefix / "lib").glob("python*/site-packages/__pycache__/tiny*"))


def test_flags_for_all_wheels_count(world: SageWorld) -> None:
    package(world)
    world.spkg("data")
    assert not is_taken(world.spkg("data", SAGE_PIP_INSTALL_FLAGS="--no-compile"))
    told = world.run("sage-pkginstall", "why-rebuilt", "data", "--all").stdout
    assert "variables: SAGE_PIP_INSTALL_FLAGS:  → --no-compile" in told.replace("''", "")


def test_build_requirement_of_other_content_makes_it_anew(world: SageWorld) -> None:
    store(world, "needed-1.0-py3-none-any.whl", "a = 1\n")
    package(world, requires=("needed",))
    world.spkg("data")
    assert is_taken(world.spkg("data"))
    store(world, "needed-1.0-py3-none-any.whl", "a = 2\n")
    ended = world.spkg("data")
    assert "tiny-1.0-py3-none-any.whl had other build requirements" in said(ended)
    assert not is_taken(ended)
    assert is_taken(world.spkg("data"))


def test_requirements_count_of_a_wheel_that_is_stored_only(world: SageWorld) -> None:
    store(world, "needed-1.0-py3-none-any.whl", "a = 1\n")
    package(world, "cd src && sdh_build_and_store_wheel .\n", requires=("needed",))
    world.spkg("data")
    assert is_taken(world.spkg("data"))
    store(world, "needed-1.0-py3-none-any.whl", "a = 2\n")
    assert not is_taken(world.spkg("data"))


def test_requirements_count_of_a_wheel_that_is_used_otherwise(world: SageWorld) -> None:
    store(world, "needed-1.0-py3-none-any.whl", "a = 1\n")
    script = 'cd src && sdh_build_wheel . && sdh_install dist/*.whl "$SAGE_LOCAL/share"\n'
    package(world, script, requires=("needed",))
    world.spkg("data")
    assert is_taken(world.spkg("data"))
    store(world, "needed-1.0-py3-none-any.whl", "a = 2\n")
    assert not is_taken(world.spkg("data"))


def test_package_that_is_none_of_python_and_builds_wheels_is_not_kept(world: SageWorld) -> None:
    script = 'cd src && sdh_build_wheel . && sdh_install dist/*.whl "$SAGE_LOCAL/share"\n'
    world.package("data", "1.0", {"spkg-install.in": script}, source=source_files("tiny"))
    ended = world.spkg("data")
    assert f"{NOT_KEPT}its scripts built wheels, and it is no Python package" in ended.stdout


def test_build_requirement_that_is_gone_makes_it_anew(world: SageWorld) -> None:
    wheel = store(world, "needed-1.0-py3-none-any.whl")
    package(world, requires=("needed",))
    world.spkg("data")
    wheel.unlink()
    assert not is_taken(world.spkg("data"))


def test_choice_of_build_requirements_is_none(world: SageWorld) -> None:
    """Which one a build would take must not be guessed, before and after."""
    store(world, "needed-1.0-py3-none-any.whl")
    package(world, requires=("needed",))
    world.spkg("data")
    newer = store(world, "needed-2.0-py3-none-any.whl")
    ended = world.spkg("data")
    assert not is_taken(ended)
    assert f"{NOT_KEPT}there is a choice of build requirements" in ended.stdout
    newer.unlink()
    assert is_taken(world.spkg("data"))


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("cd src && sdh_pip_editable_install .\n", "tiny-1.0-py3-none-any.whl is editable"),
        (
            'cd src && mkdir dist && cp "$WHEEL" dist && sdh_store_and_pip_install_wheel .\n',
            "it is not known what tiny-1.0-py3-none-any.whl was built from",
        ),
        (
            'cd src && mkdir dist && cp "$WHEEL" dist && sdh_store_wheel .\n',
            "it is not known what tiny-1.0-py3-none-any.whl was built from",
        ),
        (
            SCRIPT + 'sage-pip-install --no-compile "$OTHER"\n',
            "of the tree may have been written",
        ),
        (
            SCRIPT + 'echo spoilt >>"$SAGE_PKGINSTALL_PACKAGE_DIR/builds.jsonl"\n',
            "it is not known what tiny-1.0-py3-none-any.whl was built from",
        ),
        (SCRIPT + 'echo >"$SAGE_LOCAL/mine"\n', "mine of the tree may have been written"),
        (
            f'{SCRIPT}sdh_install -T *.toml "$SAGE_SPKG_SCRIPTS/data/spkg-piprm"\n',
            "staged spkg-piprm among its scripts",
        ),
    ],
)
def test_script_that_does_more_runs_each_time(
    tmp_path: Path, world: SageWorld, script: str, reason: str
) -> None:
    world.env["WHEEL"] = str(make_wheel(tmp_path, "tiny-1.0-py3-none-any.whl"))
    world.env["OTHER"] = str(make_wheel(tmp_path, "other-1.0-py3-none-any.whl"))
    package(world, script)
    ended = world.spkg("data")
    assert NOT_KEPT in ended.stdout
    assert reason in ended.stdout
    assert not is_taken(world.spkg("data"))


def test_build_without_a_requirement_of_its_own_is_not_kept(world: SageWorld) -> None:
    """It fell back to what is installed, and what that is depends on luck."""
    make_wheel(world.root, "needed-1.0-py3-none-any.whl", {"needed.py": ""})
    world.run("sage-pip-install", world.root / "needed-1.0-py3-none-any.whl")
    package(world, requires=("needed",))
    ended = world.spkg("data")
    assert "Building src without isolation" in said(ended)
    assert f"{NOT_KEPT}it is not known what tiny" in ended.stdout


def test_build_of_unknown_requirements_counts_whatever_becomes_of_its_wheel(
    world: SageWorld,
) -> None:
    make_wheel(world.root, "needed-1.0-py3-none-any.whl", {"needed.py": ""})
    world.run("sage-pip-install", world.root / "needed-1.0-py3-none-any.whl")
    package(
        world,
        'cd src && sdh_build_wheel . && sdh_install dist/*.whl "$SAGE_LOCAL/share"\n',
        requires=("needed",),
    )
    assert f"{NOT_KEPT}it is not known what tiny" in world.spkg("data").stdout


def test_wheel_of_setup_py_is_known(world: SageWorld) -> None:
    """It sees what is installed, as a build without isolation does."""
    setup = (
        "import runpy, os; os.makedirs('dist'); runpy.run_path('backend.py')['build_wheel']('dist')"
    )
    script = "cd src && sdh_setup_bdist_wheel && sdh_store_and_pip_install_wheel .\n"
    files = {**source_files("tiny"), "setup.py": setup}
    world.package("data", "1.0", {**PYTHON, "spkg-install.in": script}, source=files)
    world.spkg("data")
    assert is_taken(world.spkg("data"))


def test_packages_that_came_meanwhile_are_no_matter(tmp_path: Path, world: SageWorld) -> None:
    wheel = make_wheel(
        tmp_path, "other-1.0-py3-none-any.whl", entry_points="[console_scripts]\no=o:o"
    )
    world.package("other", "1.0", {"version_requirements.txt": "other\n"}, wheel=wheel)
    package(world, f"{SCRIPT}env -u SAGE_DESTDIR -u SAGE_DESTDIR_LOCAL sage-spkg other\n")
    ended = world.spkg("data")
    assert "installed other-1.0" in said(ended)
    assert NOT_KEPT not in ended.stdout
    assert is_taken(world.spkg("data"))


def test_what_no_isolation_sees_counts(world: SageWorld) -> None:
    """The contents of what the package depends on, wheels included."""
    files = source_files("needed", code="pass")
    world.package("needed", "1.0", {**PYTHON, "spkg-install.in": SCRIPT}, source=files)
    world.spkg("needed")
    script = "cd src && sdh_pip_install --no-build-isolation .\n"
    sources = source_files("tiny")
    declared = {**PYTHON, "spkg-install.in": script, "dependencies": "needed |\n"}
    world.package("data", "1.0", declared, source=sources)
    world.spkg("data")
    assert is_taken(world.spkg("data"))
    files = source_files("needed", code="print(2)")
    world.package("needed", "1.0", {**PYTHON, "spkg-install.in": SCRIPT}, source=files)
    world.spkg("needed")
    assert not is_taken(world.spkg("data"))
