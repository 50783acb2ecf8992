"""Messages of build."""

from __future__ import annotations

import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.builds.products import only_wheel
from sage_pkginstall.errors import BuildError
from tests.messages.desk import produces
from tests.sources import make_source
from tests.trees import plant
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.messages.desk import Desk


@produces(
    "cannot build {source}: it holds neither pyproject.toml nor setup.py",
    "cannot build {source}: it is neither a directory nor an sdist ({reason})",
    "cannot use -C '{text}': it is not KEY=VALUE",
    "cannot empty {directory}: it holds {path}",
    "cannot empty {directory}: it is not a directory",
    "cannot build {source}: an editable wheel leads to a source directory, not to an sdist",
)
def test_what_cannot_be_built(desk: Desk) -> str:
    plant(desk.directory, {"source/a": b"", "file": b""})
    source = desk.directory / "source"
    goal = ("-w", str(desk.directory / "dist"))
    said = desk.run("build", *goal, source, status=1)
    said += desk.run("build", *goal, desk.directory / "file", status=1)
    said += desk.run("build", "-w", desk.directory / "file", source, status=2)
    said += desk.run("build", *goal, "-C", "x", source, status=2)
    said += desk.run("build", *goal, "--editable", desk.directory / "file", status=2)
    return said + desk.run("build", "-w", desk.directory, source, status=2)


@produces(
    "cannot build {source}: {what}; {log} has the whole log, which ends:",
    "Warning: cannot meet requirement '{requirement}': {reason}. Building {name} without"
    " isolation; add what provides it, behind the '|', to {file}",
)
def test_backend_fails(desk: Desk) -> str:
    source = make_source(
        desk.directory / "source",
        requires=["bar>=2"],
        code="print('no luck', flush=True); os._exit(3)",
    )
    variables = {"SAGE_ROOT": "/sage", "PKG_BASE": "tiny"}
    said = desk.run("build", "-w", desk.directory / "dist", source, status=1, env=variables)
    assert "behind the '|', to /sage/build/pkgs/tiny/dependencies" in said
    assert "no luck" in said.split("which ends:")[1]
    return said


def build(desk: Desk, source: Path, *options: str, **variables: str) -> str:
    """What a build says that fails; wheels for it lie in the directory of the desk."""
    goal = f"--wheel-dir={desk.directory / 'dist'}"
    words = ("build", f"--store={desk.directory}", goal, *options)
    return desk.run(*words, source, status=1, env=variables)


@produces(
    "cannot build {source}: an sdist holds one directory, and nothing beside it",
    "cannot build {source}: pyproject.toml cannot be read: {reason}",
    "cannot build {source}: [build-system] of pyproject.toml has no 'requires'",
    "cannot build {source}: 'requires' of [build-system] is no list of strings",
    "cannot build {source}: 'backend-path' of [build-system] is no list of strings",
    "cannot build {source}: build-backend of pyproject.toml is no string",
    "cannot build {source}: backend-path of its pyproject.toml cannot be used: {reason}",
)
def test_build_systems_at_fault(desk: Desk) -> str:
    source = make_source(desk.directory / "source")
    with tarfile.open(desk.directory / "two.tar.gz", "w:gz") as archive:
        for name in ("a", "b"):
            archive.add(source, name)
    said = build(desk, desk.directory / "two.tar.gz")
    for text in (
        "",
        "requires = 3",
        "requires = []\nbuild-backend = 3",
        'requires = []\nbuild-backend = "backend"\nbackend-path = [".."]',
        "requires = []\nbackend-path = 3",
        "requires",
    ):
        (source / "pyproject.toml").write_text(f"[build-system]\n{text}\n")
        said += build(desk, source)
    return said


@produces(
    "cannot build {source}: its backend {name} cannot be imported; {log} has the whole log, which"
    " ends:",
    "cannot build {source}: its backend {name} has no {hook}",
    "cannot build {source}: its backend {name} refuses {hook}; {log} has the whole log, which"
    " ends:",
    "cannot build {source}: {hook} of its backend {name} returned no list of strings",
    "cannot build {source}: {hook} of its backend {name} did not make the file it named, {file};"
    " {log} has the whole log, which ends:",
    "cannot build {source}: {hook} ended without an answer; {log} has the whole log, which ends:",
    "cannot build {source}: more than one wheel found after building: {wheels}",
    "Warning: {wheel} cannot be read ({reason}), so it is not kept",
)
def test_backends_at_fault(desk: Desk) -> str:
    source = make_source(desk.directory / "source")
    backend = source / "backend.py"
    backend.write_text("import missing")
    said = build(desk, source)
    backend.write_text("")
    said += build(desk, source, "--editable")
    backend.write_text(
        "class UnsupportedOperation(Exception): pass\n"
        "def build_sdist(*_, **__): raise UnsupportedOperation\n"
    )
    said += build(desk, source, "--sdist-then-wheel")
    for returned in ("3", "[3]"):
        backend.write_text(f"def get_requires_for_build_wheel(*_): return {returned}\n")
        said += build(desk, source)
    for returned in ("'none.whl'", "'../none'", "None", "[]"):
        backend.write_text(f"def build_wheel(*_): return {returned}\n")
        said += build(desk, source)
    backend.write_text("import os\ndef build_wheel(*_): os._exit(0)\n")
    said += build(desk, source)
    name = "a-1-py3-none-any.whl"
    make = f"[open(d + '/' + n, 'w') for n in ('{name}', 'b.whl')]"
    backend.write_text(f"def build_wheel(d, *_): {make}; return '{name}'\n")
    return said + build(desk, source)


@produces(
    "cannot build {source}: pip wheel failed (exit status {status}); {log} has the whole log, which"
    " ends:"
)
def test_pip_fails_as_front_end(desk: Desk) -> str:
    source = make_source(desk.directory / "source", code="raise SystemExit(3)")
    return build(desk, source, SAGE_BUILD_FRONTEND="pip")


@produces(
    "cannot meet requirement '{requirement}': it is no requirement ({reason})",
    "cannot meet requirement '{requirement}': it names a URL, and build requirements come from the"
    " wheel store only",
    "cannot meet requirement '{requirement}': the wheel store has no wheel of it",
    "cannot meet requirement '{requirement}': the wheel store has only {wheels}",
    "cannot meet requirement '{requirement}': the wheel store has {wheels}, but not"
    " for {implementation} {version}",
    "cannot meet requirement '{requirement}': it contradicts {requirements}",
)
def test_build_requirements_at_fault(desk: Desk) -> str:
    for version in "12":
        make_wheel(desk.directory, "two", version)
    make_wheel(desk.directory, "old", "1", tag="cp27-cp27m-win32")
    said = ""
    for requires in (
        ["two["],
        ["two @ https://localhost/two-1-py3-none-any.whl"],
        ["nothing"],
        ["two>=3"],
        ["old"],
        ["two<2", "two>=2"],
    ):
        source = make_source(desk.directory / "source", requires=requires)
        said += build(desk, source, "--build-isolation")
    return said


@produces(
    "cannot build {source}: the cache {directory} cannot be filled ({reason});"
    " SAGE_PKGINSTALL_CACHE may name another directory"
)
def test_cache_that_cannot_be_filled(desk: Desk) -> str:
    make_wheel(desk.directory, "foo", "1")
    plant(desk.directory, {"cache": b""})
    source = make_source(desk.directory / "source", requires=["foo"])
    return build(desk, source, SAGE_PKGINSTALL_CACHE=str(desk.directory / "cache"))


@produces(
    "cannot install {wheel}: METADATA has a bad requirement: {reason}",
    "cannot install {wheel}: it holds no METADATA",
    "cannot install {wheel}: its METADATA has {number} bytes",
    "cannot install {wheel}: it cannot be read: {reason}",
)
def test_build_requirement_that_is_damaged(desk: Desk) -> str:
    make_wheel(desk.directory, "odd", "1", metadata=["Requires-Dist: ["])
    with zipfile.ZipFile(desk.directory / "none-1-py3-none-any.whl", "w"):
        pass
    plant(desk.directory, {"junk-1-py3-none-any.whl": b"junk"})
    make_wheel(desk.directory, "big", "1", metadata=[f"X: {' ' * (16 << 20)}"])
    said = ""
    for name in ("odd", "none", "junk", "big"):
        source = make_source(desk.directory / name, requires=[name])
        said += build(desk, source, "--store", str(desk.directory))
    return said


@produces("cannot build {source}: no wheel found after building")
def test_front_end_that_builds_nothing(desk: Desk) -> str:
    (desk.directory / "dist").mkdir()
    with pytest.raises(BuildError) as caught:
        only_wheel(desk.directory / "dist", desk.directory)
    return str(caught.value)
