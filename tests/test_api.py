"""What other tools import: few names, typed, and loaded only when they are used."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import sage_pkginstall
from sage_pkginstall import (
    BuildRequest,
    InstallOptions,
    PkgInstallError,
    build,
    install,
    merge,
    recover,
    target_environment,
    uninstall,
)
from sage_pkginstall.errors import (
    BuildError,
    JournalError,
    ManagedEnvironmentError,
    TransactionError,
)
from tests.conftest import ROOT
from tests.examples import python
from tests.sources import make_source
from tests.test_files import full_disk
from tests.trees import plant, tree
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

PAGES = [ROOT / "docs" / "reference" / "api.md", ROOT / "README.md"]


def test_importing_the_package_loads_nothing_else() -> None:
    code = "import sys, sage_pkginstall; print(*sys.modules)"
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        f"import sys; sys.path[:0] = [{str(ROOT)!r}]; {code}",
    ]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert [name for name in loaded if name.startswith("sage_pkginstall")] == ["sage_pkginstall"]


def test_every_name_is_there_and_no_other() -> None:
    assert sorted(sage_pkginstall.__all__) == list(sage_pkginstall.__all__)
    assert all(hasattr(sage_pkginstall, name) for name in sage_pkginstall.__all__)
    assert sage_pkginstall.__all__ == sage_pkginstall.api.__all__
    assert set(sage_pkginstall.__all__) <= set(dir(sage_pkginstall))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        sage_pkginstall.nothing  # noqa: B018 - asking for it is the test


@pytest.mark.parametrize("name", sage_pkginstall.__all__)
def test_every_name_is_on_the_page(name: str) -> None:
    page = PAGES[0].read_text()
    assert f"| `{name}`" in page or f"| `{name}(" in page or name == "PkgInstallError"


@pytest.mark.parametrize("name", [n for n in sage_pkginstall.__all__ if n[0].isupper()])
def test_every_field_of_a_value_is_on_the_page(name: str) -> None:
    fields = getattr(getattr(sage_pkginstall, name), "_fields", ())
    rows = [row for row in PAGES[0].read_text().splitlines() if row.startswith(f"| `{name}` |")]
    abridged = any(", …" in row for row in rows)  # of facts about an interpreter
    assert abridged or [one for one in fields if f"`{one}`" not in "".join(rows)] == []


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_pass_a_type_checker(page: Path, tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    example = tmp_path / "example.py"
    example.write_text("\n".join(python(page)) + "\nwrong: int = environment\n")
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", example],
        env={"MYPYPATH": str(ROOT), "PATH": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = checked.stdout.splitlines()
    (error,) = [line for line in lines if line.startswith("example.py:")]
    assert 'expression has type "Environment", variable has type "int"' in error


def test_install_then_uninstall_leaves_what_was_there(venv: Path, tmp_path: Path) -> None:
    environment = target_environment(venv)
    before = tree(venv)
    wheel = make_wheel(tmp_path, "foo", "1.0")
    done = install([wheel], environment)
    assert [d.name for d in done.distributions] == ["foo"]
    assert [d.name for d in uninstall(["foo"], environment).distributions] == ["foo"]
    after = tree(venv)
    assert {path for path in set(after) - set(before) if not path.startswith("var")} == set()


def test_names_are_looked_for_in_the_store(venv: Path, tmp_path: Path) -> None:
    make_wheel(tmp_path, "foo", "1.0")
    done = install(["foo"], target_environment(venv), store=tmp_path)
    assert [(d.name, d.version) for d in done.distributions] == [("foo", "1.0")]


def test_dry_run_changes_nothing(venv: Path, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "foo", "1.0")
    environment = target_environment(venv)
    before = tree(venv)
    done = install([wheel], environment, options=InstallOptions(dry_run=True))
    assert done.outcome.plan.operations
    assert {p for p in set(tree(venv)) - set(before) if not p.startswith("var")} == set()


def test_merge_brings_in_a_staged_tree(venv: Path, tmp_path: Path) -> None:
    plant(tmp_path / "staged", {"share/foo/data": b"1"})
    merge(tmp_path / "staged", venv)
    assert (venv / "share/foo/data").read_bytes() == b"1"


def test_merge_into_a_prefix_with_the_python_of_another_one(
    venv: Path, borrower: Path, tmp_path: Path
) -> None:
    before = tree(venv)
    plant(tmp_path / "staged", {"share/foo/data": b"1"})
    merge(tmp_path / "staged", borrower)
    assert (borrower / "share/foo/data").read_bytes() == b"1"
    assert tree(venv) == before


def test_build_leaves_the_wheel_and_no_log(
    venv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "logs").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "logs"))
    source = make_source(tmp_path / "source", "foo")
    wheel = build(source, target_environment(venv), tmp_path / "dist", store=tmp_path)
    assert wheel == tmp_path / "dist" / "foo-1.0-py3-none-any.whl"
    assert list((tmp_path / "logs").iterdir()) == []


def test_failing_build_names_its_log(venv: Path, tmp_path: Path) -> None:
    request = BuildRequest(
        make_source(tmp_path / "source", "foo", code="raise SystemExit('no such luck')")
    )
    with pytest.raises(PkgInstallError, match="no such luck"):
        build(request, target_environment(venv), tmp_path / "dist", log=tmp_path / "log")
    assert "no such luck" in (tmp_path / "log").read_text()


def test_recover_tells_that_there_is_nothing(venv: Path) -> None:
    assert recover(venv) is None


def test_managed_environment_is_left_alone(venv: Path, tmp_path: Path) -> None:
    environment = target_environment(venv)._replace(externally_managed="Ask the system.")
    before = tree(venv)
    with pytest.raises(ManagedEnvironmentError, match="Ask the system"):
        install([make_wheel(tmp_path, "foo", "1.0")], environment)
    with pytest.raises(ManagedEnvironmentError):
        uninstall(["foo"], environment)
    assert tree(venv) == before


def test_what_the_machine_causes_is_an_error_of_ours(venv: Path, tmp_path: Path) -> None:
    large = os.urandom(10_000)
    wheel = make_wheel(tmp_path, "foo", "1.0", {"foo/data": large})
    plant(tmp_path / "staged", {"share/foo/data": large})
    environment = target_environment(venv)
    with full_disk(4096), pytest.raises(TransactionError, match="File too large"):
        install([wheel], environment)
    with full_disk(4096), pytest.raises(TransactionError, match="File too large"):
        merge(tmp_path / "staged", venv)


def test_place_that_a_wheel_cannot_be_built_into_is_an_error_of_ours(
    venv: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    source = make_source(tmp_path / "source", "foo")
    with pytest.raises(BuildError, match="Not a directory at"):
        build(source, target_environment(venv), tmp_path / "file" / "dist", store=tmp_path)


def test_staging_area_that_cannot_be_listed_is_an_error_of_ours(venv: Path) -> None:
    if not os.geteuid():
        pytest.skip("root may look everywhere")
    recover(venv)
    area = venv / "var/tmp/sage"
    area.mkdir(parents=True, exist_ok=True)
    area.chmod(0o300)
    with pytest.raises(JournalError, match="Permission denied at"):
        recover(venv)


def test_prefix_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    for act in (recover, lambda prefix: merge(plant(tmp_path / "staged", {"bin/a": b""}), prefix)):
        with pytest.raises(PkgInstallError, match="mistyped: it is not a directory"):
            act(tmp_path / "mistyped")
    assert not (tmp_path / "mistyped").exists()


def test_paths_may_be_strings(venv: Path, tmp_path: Path) -> None:
    environment = target_environment(str(venv))
    source, goal, log = (str(tmp_path / name) for name in ("src", "dist", "log"))
    make_source(tmp_path / "src")
    wheel = build(source, environment, goal, store=str(tmp_path), log=log)
    assert wheel == tmp_path / "dist" / "tiny-1.0-py3-none-any.whl"
    assert install(["tiny"], environment, store=goal).distributions
    plant(tmp_path / "staged", {"share/a": b"a"})
    assert merge(str(tmp_path / "staged"), str(venv)).plan.operations
    assert recover(str(venv)) is None
    request = BuildRequest(str(tmp_path / "src"))  # type: ignore[arg-type]
    assert build(request, environment, goal, store=str(tmp_path)) == wheel
    image = environment.at(str(tmp_path / "image"))
    (tmp_path / "image").mkdir()
    assert install([wheel], image).distributions


def test_word_that_means_nothing_is_not_taken_for_another(venv: Path, tmp_path: Path) -> None:
    environment = target_environment(venv)
    before = tree(venv)
    options = InstallOptions(conflicts="refuse")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not 'refuse'"):
        install([make_wheel(tmp_path, "foo", "1")], environment, options=options)
    with pytest.raises(ValueError, match="not 'refuse'"):
        merge(plant(tmp_path / "staged", {"a": b""}), venv, options=options)
    request = BuildRequest(make_source(tmp_path / "src"), isolation="never")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not 'never'"):
        build(request, environment, tmp_path / "dist")
    settings = {"-C": "1"}  # of which the pair '-', 'C' would have been made
    request = BuildRequest(tmp_path / "src", config_settings=settings)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"config_settings are pairs, not \{'-C'"):
        build(request, environment, tmp_path / "dist")
    assert tree(venv) == before


def test_one_name_is_not_taken_for_names_of_one_letter(tmp_path: Path, venv: Path) -> None:
    environment = target_environment(venv)
    install([make_wheel(tmp_path, "f", "1")], environment)
    before = tree(venv, ignore=("var",))
    with pytest.raises(TypeError, match=r"\['foo'\], not 'foo'"):
        uninstall("foo", environment)
    with pytest.raises(TypeError, match="several are expected"):
        install("f", environment)
    assert tree(venv, ignore=("var",)) == before
