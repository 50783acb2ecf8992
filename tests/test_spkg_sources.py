from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.errors import PackageError
from sage_pkginstall.spkg.checksums import Tarball
from sage_pkginstall.spkg.package import Package, read_package
from sage_pkginstall.spkg.sources import Project, Sources, choose_tarball, index_project
from tests.sageworld import SageWorld, packed
from tests.trees import plant, tree

if TYPE_CHECKING:
    from sage_pkginstall.spkg.programs import Program

DATA = b"the tarball"
SHA256 = hashlib.sha256(DATA).hexdigest()
INDEX = "https://index.org/packages/source/f/foo/foo-1.2.tar.gz"


def package(root: Path, text: str, **files: str) -> Package:
    entries = {"type": b"standard", "package-version.txt": b"1.2", "checksums.ini": text.encode()}
    entries |= {name.replace("__", "."): text.encode() for name, text in files.items()}
    return read_package(plant(root / "pkgs" / "foo", entries))


def checksums(tarball: str, url: str = "", sha256: str = SHA256) -> str:
    return f"tarball={tarball}\nsha256={sha256}\n" + (f"upstream_url={url}\n" if url else "")


class World:
    """A pip and a web that both have the tarball, and remember what they were asked."""

    def __init__(self, root: Path, data: bytes = DATA) -> None:
        self.distfiles = root / "upstream"
        self.data = data
        self.asked: list[str] = []

    def run(self, program: Program) -> int:
        self.asked.append(" ".join(program.command))
        wanted = Path(program.command[program.command.index("--requirement") + 1])
        self.asked.append(wanted.read_text())
        place = program.command[program.command.index("--dest") + 1]
        with open(os.path.join(place, "Foo-1.2.tar.gz"), "wb") as file:  # noqa: PTH118, PTH123
            file.write(self.data)
        return 0

    def download(self, url: str, path: Path) -> None:
        self.asked.append(url)
        path.write_bytes(self.data)

    def fetch(self, package: Package, *, allow_upstream: bool = False) -> Path:
        sources = Sources(self.distfiles, ["pip"], {}, self.run, self.download)
        return sources.fetch(package, package.tarballs[0], allow_upstream=allow_upstream)


def test_tarball_that_lies_there_is_used_without_asking_anybody(tmp_path: Path) -> None:
    world = World(tmp_path)
    plant(world.distfiles, {"foo-1.2.tar.gz": DATA})
    found = world.fetch(package(tmp_path, checksums("foo-VERSION.tar.gz", INDEX)))
    assert found == world.distfiles / "foo-1.2.tar.gz"
    assert world.asked == []


def test_tarball_of_an_index_comes_by_pip_and_gets_its_name(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.fetch(package(tmp_path, checksums("foo-VERSION.tar.gz", INDEX)))
    asked, wanted = world.asked
    assert asked.startswith("pip download --no-deps ")
    assert " --no-binary=foo " in asked
    assert wanted == f"foo==1.2 --hash=sha256:{SHA256}\n"
    assert tree(world.distfiles) == {"foo-1.2.tar.gz": DATA}


def test_file_with_another_hash_is_not_kept(tmp_path: Path) -> None:
    world = World(tmp_path, b"another")
    with pytest.raises(PackageError, match="the sha256 of "):
        world.fetch(package(tmp_path, checksums("foo-1.2.tar.gz", INDEX)))
    assert tree(world.distfiles) == {}


def test_other_sites_are_asked_only_if_allowed(tmp_path: Path) -> None:
    world = World(tmp_path)
    made = package(tmp_path, checksums("foo-1.2.tar.gz", "https://foo.org/foo-VERSION.tar.gz"))
    with pytest.raises(PackageError, match=r"foo-1.2.tar.gz is missing; put it into .* with -o"):
        world.fetch(made)
    world.fetch(made, allow_upstream=True)
    assert world.asked == ["https://foo.org/foo-1.2.tar.gz"]
    assert tree(world.distfiles) == {"foo-1.2.tar.gz": DATA}


@pytest.mark.parametrize(
    ("url", "files"),
    [
        ("https://foo.org/foo-1.2.tar.gz", {"version_requirements__txt": "foo"}),
        ("https://foo.org/pub/packages/foo-1.2.tar.gz", {}),
        ("https://foo.org/packages/f/foo/foo-1.2.tar.gz", {}),
    ],
)
def test_file_of_another_site_comes_from_there_if_allowed(
    tmp_path: Path, url: str, files: dict[str, str]
) -> None:
    """An index may have another file of that name, or none, or one of somebody else's."""
    world = World(tmp_path)
    made = package(tmp_path, checksums("foo-1.2.tar.gz", url), **files)
    world.fetch(made, allow_upstream=True)
    assert world.asked == [url]


def test_file_of_an_index_comes_by_pip_though_others_are_allowed(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.fetch(package(tmp_path, checksums("foo-VERSION.tar.gz", INDEX)), allow_upstream=True)
    assert world.asked[0].startswith("pip download ")


def test_file_without_hash_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    with pytest.raises(PackageError, match="has no sha256"):
        world.fetch(package(tmp_path, f"tarball=foo-1.2.tar.gz\nupstream_url={INDEX}\n"))
    assert world.asked == []


def test_old_package_directories_have_a_sha1(tmp_path: Path) -> None:
    world = World(tmp_path)
    sha1 = hashlib.sha1(DATA, usedforsecurity=False).hexdigest()
    world.fetch(package(tmp_path, f"tarball=f.tgz\nsha1={sha1}\nupstream_url={INDEX}\n"))
    assert tree(world.distfiles) == {"f.tgz": DATA}


@pytest.mark.parametrize(
    ("tarball", "url", "files", "project"),
    [
        ("foo-1.2.tar.gz", INDEX, {}, Project("foo", "1.2")),
        ("x.tgz", "https://i.org/packages/source/o/of/of-x-3.1.zip", {}, Project("of-x", "3.1")),
        (
            "a_b-1-py3-none-any.whl",
            "https://i.org/packages/py3/a/a_b/a_b-1-py3-none-any.whl",
            {},
            Project("a_b", "1"),
        ),
        ("x.tgz", "https://i.org/packages/0a/bc/def0/of-x-3.1.tar.gz", {}, Project("of-x", "3.1")),
        ("x.tgz", "https://foo.org/packages/of-x-3.1.tar.gz", {}, None),
        (
            "foo.tgz",
            "https://foo.org/x",
            {"version_requirements__txt": "Foo"},
            Project("Foo", "1.2"),
        ),
        ("foo.tgz", "https://foo.org/x", {}, None),
    ],
)
def test_project_of_an_index(
    tmp_path: Path, tarball: str, url: str, files: dict[str, str], project: Project | None
) -> None:
    made = package(tmp_path, checksums(tarball, url), **files)
    assert index_project(made, made.tarballs[0]) == project


def test_best_wheel_of_several_is_chosen_else_the_sources(tmp_path: Path) -> None:
    names = ["a-1-cp311-cp311-linux_x86_64.whl", "a-1-py3-none-any.whl", "a-1.tar.gz"]
    made = package(tmp_path, "".join(f"[{name}]\n{checksums(name)}" for name in names))

    def chosen(*tags: str) -> str:
        return choose_tarball(made, tags).filename

    assert chosen("cp311-cp311-linux_x86_64", "py3-none-any") == names[0]
    assert chosen("cp312-cp312-linux_x86_64", "py3-none-any") == names[1]
    assert chosen("py2-none-any") == names[2]


def test_package_of_sources_is_built_though_a_wheel_fits(tmp_path: Path) -> None:
    names = ["a-1.tar.gz", "a-1-py3-none-any.whl"]
    made = package(tmp_path, "".join(f"[{name}]\n{checksums(name)}" for name in names))
    assert made.kind == "normal"
    assert choose_tarball(made, ["py3-none-any"]).filename == names[0]


def test_no_wheel_for_this_machine_is_an_error(tmp_path: Path) -> None:
    names = ["a-1-cp311-cp311-linux_x86_64.whl", "a-1-cp311-cp311-linux_arm64.whl"]
    made = package(tmp_path, "".join(map(checksums, names)))
    with pytest.raises(PackageError, match="none of its wheels fits"):
        choose_tarball(made, ["cp312-cp312-linux_x86_64"])
    with pytest.raises(PackageError, match="there is no Python"):
        choose_tarball(made, [])
    assert made.tarballs[0] == Tarball(names[0], SHA256)


BACKEND = """
import pathlib
pathlib.Path({marker!r}).touch()

def prepare_metadata_for_build_wheel(directory, config_settings=None):
    info = pathlib.Path(directory, "foo-1.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: foo\\nVersion: 1\\n")
    return info.name
"""


@pytest.fixture
def world(tmp_path: Path, venv: Path) -> SageWorld:
    return SageWorld.make(tmp_path, venv)


@pytest.mark.slow
@pytest.mark.parametrize("good", [True, False])
def test_code_of_a_source_runs_only_if_it_has_the_hash(world: SageWorld, *, good: bool) -> None:
    """What pip downloads it asks for its metadata: that runs the source's build backend."""
    marker = world.root / "was run"
    toml = '[build-system]\nrequires = []\nbuild-backend = "b"\nbackend-path = ["."]\n'
    source = {"pyproject.toml": toml, "b.py": BACKEND.format(marker=os.fspath(marker))}
    data = packed("foo-1", source)
    page = b'<a href="foo-1.tar.gz">foo-1.tar.gz</a>'
    index = plant(world.root / "index", {"foo/index.html": page, "foo/foo-1.tar.gz": data})
    sha256 = hashlib.sha256(data if good else b"another").hexdigest()
    text = checksums("foo-1.tar.gz", "https://index.org/packages/source/f/foo/foo-1.tar.gz", sha256)
    world.package("foo", "1", {"spkg-install.in": ":", "checksums.ini": text})
    settings = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_FIND_LINKS": "",
        "PIP_INDEX_URL": index.as_uri(),
    }
    ended = world.spkg("-d", "foo", status=0 if good else 1, **settings)
    assert marker.exists() == good
    assert tree(world.root / "upstream") == ({"foo-1.tar.gz": data} if good else {})
    assert ("DO NOT MATCH THE HASHES" in ended.stdout + ended.stderr) != good
