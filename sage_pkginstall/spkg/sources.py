"""The file that upstream gave out, in SAGE_DISTFILES.

A file that lies there is checked and used; nothing else needs to be reached then.  What
is missing comes by ``pip download`` if the URL is that of a Python package index; from any
other URL if that is allowed; else by ``pip download`` if the package names a distribution.
It is checked before it gets its name, by one rename: whoever sees the name sees the whole
file.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sage_pkginstall.errors import PackageError
from sage_pkginstall.spkg.programs import Program
from sage_pkginstall.values import NamedTuple, Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from http.client import HTTPMessage

    from sage_pkginstall.spkg.checksums import Tarball
    from sage_pkginstall.spkg.package import Package
    from sage_pkginstall.spkg.programs import Run

__all__ = ["Project", "Sources", "choose_tarball", "download_url", "index_project"]

_ARCHIVE = re.compile(r"\.(tar(\.(gz|bz2|xz|lzma|zst))?|tgz|tbz2?|txz|zip)$")
_INDEX = re.compile(r"/packages/(source|\d\.\d+|(cp|pp|py)\d[\w.]*|[0-9a-f]{2}/[0-9a-f]{2})/")
_CHUNK = 1 << 20
_SECONDS = 60


class Project(NamedTuple):
    """A release on a Python package index."""

    name: str
    version: str


class DownloadUrl(Protocol):
    """Copies what a URL gives into a file; `download_url` does."""

    def __call__(self, url: str, path: Path) -> None:
        """Write ``path``.  Raises OSError."""


class Sources(NamedTuple):
    """Where the files of upstream lie, and how to get one that does not lie there.

    ``pip`` is the command that runs a pip; ``variables`` its environment.
    """

    distfiles: Path
    pip: Sequence[str]
    variables: Mapping[str, str]
    run: Run
    download: DownloadUrl

    def fetch(self, package: Package, tarball: Tarball, *, allow_upstream: bool) -> Path:
        """Return the file of ``tarball`` in SAGE_DISTFILES, got at need and checked.

        Raises PackageError if it cannot be had or is another one.
        """
        path = self.distfiles / tarball.filename
        if tarball.digest is None:
            lack = f"its checksums.ini has no sha256 of {tarball.filename}"
            raise PackageError(package.name, f"{lack}; add it")
        if not path.is_file():
            self._get(package, tarball, path, allow_upstream=allow_upstream)
        _check(package, tarball, path)
        return path

    def _get(self, package: Package, tarball: Tarball, path: Path, *, allow_upstream: bool) -> None:
        self.distfiles.mkdir(parents=True, exist_ok=True)
        project = index_project(package, tarball)
        if allow_upstream and tarball.url and not _is_of_index(tarball.url):
            project = None  # upstream's file, which the index need not have
        if project is None and not (allow_upstream and tarball.url):
            remedy = f"put it into {self.distfiles}"
            if tarball.url:
                remedy += f", or allow its download from {tarball.url} with -o"
            raise PackageError(package.name, f"{tarball.filename} is missing; {remedy}")
        with tempfile.TemporaryDirectory(dir=self.distfiles, prefix=".download-") as directory:
            if project is not None:
                found = self._by_pip(package, tarball, project, Path(directory))
            else:
                found = self._by_url(package, tarball, Path(directory))
            _check(package, tarball, found, downloaded=True)
            found.chmod(0o644)
            found.replace(path)

    def _by_pip(
        self, package: Package, tarball: Tarball, project: Project, directory: Path
    ) -> Path:
        """Let pip get the file, by its hash: pip runs code of a source to read its metadata."""
        place = directory / "found"
        wanted = directory / "wanted.txt"
        line = f"{project.name}=={project.version}{_hash_option(tarball)}\n"
        wanted.write_text(line, encoding="utf-8")
        command = [*self.pip, "download", "--no-deps", "--no-input", "--ignore-requires-python"]
        command += ["--disable-pip-version-check", "--dest", os.fspath(place)]
        if tarball.is_wheel:
            command += _wheel_options(tarball.filename)
        else:  # not :all:, which would compile what pip needs to read the metadata, too
            command.append(f"--no-binary={project.name}")
        command += ["--requirement", os.fspath(wanted)]
        place.mkdir()
        status = self.run(Program(command, directory, self.variables))
        files = list(place.iterdir())
        if status != 0 or len(files) != 1:
            what = f"{project.name} {project.version}"
            reason = f"pip cannot download {what} (exit status {status}), as it says above"
            raise PackageError(package.name, f"{reason}; {self._remedy(tarball)}")
        return files[0]

    def _by_url(self, package: Package, tarball: Tarball, directory: Path) -> Path:
        path = directory / tarball.filename
        url = tarball.url or ""
        try:
            self.download(url, path)
        except OSError as error:
            reason = f"cannot download {url}: {error}"
            raise PackageError(package.name, f"{reason}; {self._remedy(tarball)}") from error
        return path

    def _remedy(self, tarball: Tarball) -> str:
        return f"mend that, or put {tarball.filename} into {self.distfiles}"


def choose_tarball(package: Package, tags: Sequence[str]) -> Tarball:
    """Return the file for a target with these wheel tags (best first).

    For a package of kind normal that is the first file of sources, for which its script is
    made.  Of several wheels it is the best one; a file of sources serves where none fits.  A
    single wheel is returned in any case: it is told later, and better, why it does not
    fit.  Without a target there are no tags.  Raises PackageError.
    """
    if len(package.tarballs) == 1 or package.kind == "normal":
        return package.tarballs[0]
    place = {tag: number for number, tag in enumerate(tags)}
    ranked = [
        (place[tag], number, tarball)
        for number, tarball in enumerate(package.tarballs)
        for tag in _tags(tarball)
        if tag in place
    ]
    if ranked:
        return min(ranked, key=lambda one: one[:2])[2]
    for tarball in package.tarballs:
        if not tarball.is_wheel:
            return tarball
    if not tags:
        remedy = "make an environment, with 'python3 -m venv --without-pip $SAGE_VENV' say"
        raise PackageError(
            package.name, f"there is no Python to choose one of its wheels for; {remedy}"
        )
    names = ", ".join(tarball.filename for tarball in package.tarballs)
    reason = f"none of its wheels fits this machine: {names}"
    raise PackageError(
        package.name, f"{reason}; add one that does, or its sources, to checksums.ini"
    )


def index_project(package: Package, tarball: Tarball) -> Project | None:
    """Return what to ask a package index for; None if the file is not to be had there.

    An index's URL tells it (``.../packages/source/f/foo/foo-1.2.tar.gz``); otherwise
    ``version_requirements.txt`` does.
    """
    if tarball.url and _is_of_index(tarball.url):
        return _project_of(_path_of(tarball.url).rpartition("/")[2])
    names = package.requirement_names()
    return Project(names[0], package.upstream_version) if names else None


def _is_of_index(url: str) -> bool:
    """Tell whether a URL has the form of an index's: by kind and project, or by hash."""
    return _INDEX.search(_path_of(url)) is not None


def _path_of(url: str) -> str:
    return unquote(urlsplit(url).path)


def download_url(url: str, path: Path) -> None:
    """Copy what ``url`` (http, https, ftp) gives into the file ``path``.  Raises OSError."""
    if urlsplit(url).scheme not in {"http", "https", "ftp"}:
        raise OSError("it is no URL of the web")
    import http.client  # noqa: PLC0415 -- slow, and rarely needed
    import urllib.request  # noqa: PLC0415

    try:
        with (
            urllib.request.urlopen(url, timeout=_SECONDS) as response,  # noqa: S310 -- see above
            path.open("wb") as file,
        ):
            shutil.copyfileobj(response, file, _CHUNK)
            _require_whole(response.headers, file.tell())
    except (http.client.InvalidURL, ValueError) as error:
        raise OSError(f"it is no URL ({error})") from error
    except http.client.HTTPException as error:
        raise OSError(f"what answers does not speak HTTP ({error!r})") from error


def _require_whole(headers: HTTPMessage, size: int) -> None:
    """Raise OSError if the server said that there is more: a read does not tell."""
    announced = headers.get("Content-Length")
    if announced is not None and announced.isdecimal() and int(announced) != size:
        raise OSError(f"it ended after {size} of {announced} bytes")


def _project_of(filename: str) -> Project | None:
    if filename.endswith(".whl"):
        name, _, rest = filename.partition("-")
        return Project(name, rest.partition("-")[0])
    stem = _ARCHIVE.sub("", filename)
    name, dash, version = stem.rpartition("-")
    return Project(name, version) if dash and stem != filename else None


def _tags(tarball: Tarball) -> Iterator[str]:
    if not tarball.is_wheel:
        return
    from packaging.utils import (  # noqa: PLC0415 -- only where there are several wheels
        InvalidWheelFilename,
        parse_wheel_filename,
    )

    try:
        yield from map(str, parse_wheel_filename(tarball.filename)[3])
    except InvalidWheelFilename:
        return


def _hash_option(tarball: Tarball) -> str:
    """Return the hash as a requirement has it; pip takes no sha1, which old packages have."""
    return f" --hash=sha256:{tarball.sha256}" if tarball.sha256 else ""


def _wheel_options(filename: str) -> list[str]:
    """Return the options that let pip take exactly this wheel, whatever it runs on."""
    python, abi, platform = filename.removesuffix(".whl").split("-")[-3:]
    first = python.split(".")[0]
    options = ["--only-binary=:all:", f"--implementation={first[:2]}"]
    options.append(f"--python-version={first[2:] or '3'}")
    options += [f"--abi={one}" for one in abi.split(".")]
    return options + [f"--platform={one}" for one in platform.split(".")]


def _check(package: Package, tarball: Tarball, path: Path, *, downloaded: bool = False) -> None:
    """Raise PackageError unless the file has the hash that checksums.ini gives.

    A file that was just ``downloaded`` is not kept then.
    """
    assert tarball.digest is not None  # or it would not have been fetched
    algorithm, wanted = tarball.digest
    digest = hashlib.new(algorithm, usedforsecurity=algorithm != "sha1")
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            digest.update(block)
    found = digest.hexdigest()
    if found != wanted and downloaded:
        fault = f"the {algorithm} of {tarball.filename}, as downloaded, is {found}, not {wanted}"
        remedy = "it was not kept; try again, and if it comes again, find out who changed it"
        raise PackageError(package.name, f"{fault}; {remedy}")
    if found != wanted:
        reason = f"the {algorithm} of {path} is {found}, not {wanted}"
        raise PackageError(package.name, f"{reason}; delete the file to have it downloaded anew")
