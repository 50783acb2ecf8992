"""Take what the scripts of a package staged, if all that they work from is the same as before.

    CACHE/built/KEY/NAME-VERSION.tar      the staged tree, as the scripts left it
    CACHE/built/KEY/about.json            see builds/shelf.py

The tar holds what lies in the build directory: the staged tree with the wheels that are to be
stored, their queue, and the notes of how they were built.  The key is the hash of these
groups, and paths count as they are, so that the tree is taken for the same prefix only:

    sources, package, scripts       upstream's file; patches and scripts; what these read
    places, variables, build        where all lies; what the scripts see; how files are made
    prefix, interpreter             what the package declares that it depends on
    compilers, programs, system     as for a wheel

Which wheels of the store a build used as its requirements is known when it is done; they are
compared when the tree is to be taken.  docs/decisions/0006-packages-built-once.md says why
all this, and what is never kept.
"""

from __future__ import annotations

import os
import stat
import tarfile
import tempfile
from pathlib import Path

from sage_pkginstall import __version__
from sage_pkginstall.builds.embedded_paths import embedded_words
from sage_pkginstall.builds.inputs import Inputs, changed_since
from sage_pkginstall.builds.last_builds import LastBuild, Subject, remember_build
from sage_pkginstall.builds.named_files import named_files
from sage_pkginstall.builds.once import linked_with_foreign, now, reason_to_rebuild
from sage_pkginstall.builds.seen_variables import seen_variables
from sage_pkginstall.builds.shelf import About, Shelf
from sage_pkginstall.builds.source_files import hash_file, hash_files
from sage_pkginstall.builds.toolchain import interpreter, toolchain
from sage_pkginstall.engine.clock import file_time
from sage_pkginstall.engine.files import current_umask
from sage_pkginstall.errors import PackageError, PkgInstallError
from sage_pkginstall.spkg.build_directory import make_fresh, mark_staged
from sage_pkginstall.spkg.noted_builds import NOTES, noted_builds
from sage_pkginstall.spkg.package import read_package
from sage_pkginstall.spkg.phases import FINAL_SCRIPTS, stage_records
from sage_pkginstall.spkg.queue import QUEUE, queued_wheels
from sage_pkginstall.spkg.scripts import (
    INSTALLED_SCRIPTS,
    environment_files,
    is_generated_piprm,
)
from sage_pkginstall.spkg.seen import (
    contents,
    declared_packages,
    foreign_libraries,
    owned_files,
    packages_seen_by_wheel,
)
from sage_pkginstall.spkg.sources import choose_tarball
from sage_pkginstall.spkg.staged import listed, strays
from sage_pkginstall.spkg.staged_tar import CannotPackError, lay_out, names_below, pack
from sage_pkginstall.spkg.written_past import written_past
from sage_pkginstall.user_cache import cache_directory
from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.record_directory import REQUIREMENTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sage_pkginstall.spkg.job import Job
    from sage_pkginstall.spkg.package import Package

__all__ = ["StagedOnce", "staged_once"]

_FORMAT = "4"
_SEEN_BY_SCRIPTS = (
    "SAGE_PIP_INSTALL_FLAGS", "SAGE_CHECK", "SAGE_WHEELS", "PYTHONPATH", "PYTHONHOME",
)  # fmt: skip
"""Variables that are no matter to the build of a wheel, but may be to what a script does."""
_READ_BY_CONFIGURE = ("share/config.site", "etc/config.site")
"""What each configure of autoconf reads of the tree that is its ``--prefix``, if it is there."""
_PIPRM = "spkg-piprm"


class StagedOnce(NamedTuple):
    """What the staged tree of ``job`` is made from, and where such trees are kept.

    ``began`` is when that was found out, as files tell time.
    """

    job: Job
    inputs: Inputs
    shelf: Shelf
    rebuild: str
    began: int

    def take(self) -> bool:
        """Lay out the staged tree that was made from the same, if there is one; say so."""
        if self.rebuild:
            return False
        with tempfile.TemporaryDirectory(prefix="sage-staged-") as scratch:
            about = self.shelf.take(self.inputs.key, self.inputs.digests(), Path(scratch))
            if about is None:
                return False
            with self.job.effects.progress.phase("unpack"):
                if not self._is_laid_out(Path(scratch, about.file)):
                    return False
        self.job.effects.say(f"Taken from the cache: {about.file}, built {about.made}")
        self._remember(about.file, taken=True)
        return True

    def keep(self) -> None:
        """Keep what the scripts staged, unless it cannot be told that it is all they did."""
        job = self.job
        name = f"{job.package.full_name}.tar"
        self._remember(name, taken=False)
        with tempfile.TemporaryDirectory(prefix="sage-staged-") as scratch:
            archive = Path(scratch, name)
            try:
                self._refuse_more()
                pack(job.place.build_directory, archive, self._names())
                foreign = self._linked_with(name)
            except (CannotPackError, OSError, PkgInstallError) as error:
                job.effects.say(f"{job.package.full_name} is not kept for the next time: {error}")
                return
            if foreign:
                job.effects.warn(foreign)
                return
            size, digests = archive.stat().st_size, self.inputs.digests()
            about = About(name, hash_file(archive), size, now(), digests)
            self.shelf.keep(self.inputs.key, archive, about)

    @property
    def _own_scripts(self) -> Path:
        """Where the package's own scripts are staged: those are made anew each time."""
        place = self.job.place
        return place.destdir_tree / place.own_scripts.relative_to(place.tree)

    def _made_anew(self) -> set[str]:
        """Return those of them that we have put there, and not a script of the package."""
        package = self.job.package
        made = {f"spkg-{name}" for name in INSTALLED_SCRIPTS if package.script(name)}
        return made | {_PIPRM} if is_generated_piprm(self._own_scripts / _PIPRM) else made

    def _names(self) -> Iterator[str]:
        """Yield what is kept of the build directory, relative to it."""
        place = self.job.place
        base = place.build_directory
        made = self._made_anew()
        own = {os.fspath((self._own_scripts / name).relative_to(base)) for name in made}
        yield from names_below(base, os.fspath(place.destdir_tree.relative_to(base)), own)
        for name in (QUEUE, NOTES):
            if (place.private_directory / name).exists():
                yield os.fspath((place.private_directory / name).relative_to(base))

    def _is_laid_out(self, archive: Path) -> bool:
        job = self.job
        make_fresh(job.place, job.effects.run)
        job.place.destdir_tree.mkdir(parents=True)
        try:
            lay_out(archive, job.place.build_directory)
            notes = noted_builds(job.place.private_directory)
        except (OSError, ValueError, tarfile.TarError) as error:
            reason = f"cannot be laid out ({error})"
            job.effects.warn(f"{archive.name} of the cache {reason}: the package is built")
            return False
        for build in notes:
            if not build.would_see_the_same():
                job.effects.say(f"{build.wheel} had other build requirements: it is built anew")
                return False
        stage_records(job)
        mark_staged(job.place, staged=True)
        return True

    def _refuse_more(self) -> None:
        """Raise CannotPackError if the scripts did, or may have done, more than stage files."""
        place = self.job.place
        changed = changed_since(self.inputs, _inputs(self.job))
        if changed:
            raise CannotPackError(changed)
        self._refuse_wheels()
        if strays(place):
            raise CannotPackError("its scripts staged files outside of the tree")
        own = {*self._made_anew(), REQUIREMENTS}
        others = [file for file in listed(self._own_scripts) if file not in own]
        if others:
            raise CannotPackError(f"its scripts staged {others[0]} among its scripts")
        target = self.job.environment
        venv = [target.prefix] if target else []  # what is made meanwhile is of other jobs
        for tree in dict.fromkeys((place.tree, place.common.local, *venv)):
            past = written_past(tree, self.began, target, self._finishes)
            if past is not None:
                raise CannotPackError(f"{past} of the tree may have been written by its scripts")

    def _refuse_wheels(self) -> None:
        """Raise CannotPackError for a wheel that could not be installed from what is kept."""
        place = self.job.place
        queued = queued_wheels(place.private_directory)
        for wheel in queued:
            if wheel.editable_source is not None:
                raise CannotPackError(f"{wheel.path.name} is editable")
            if not wheel.path.is_relative_to(place.destdir_tree):
                raise CannotPackError(f"{wheel.path.name} is not stored")
        store = place.destdir_tree / place.wheels.relative_to(place.tree)
        stored = [name for name in listed(store) if name.endswith(".whl")]
        self._refuse_unknown([*(wheel.path.name for wheel in queued), *stored])

    def _refuse_unknown(self, wheels: Sequence[str]) -> None:
        """Raise CannotPackError unless it is known what all wheels are made from.

        That are ``wheels``, and those that a script built to use them otherwise.
        """
        job = self.job
        notes = noted_builds(job.place.private_directory)
        if (wheels or notes) and not job.package.is_python:
            raise CannotPackError("its scripts built wheels, and it is no Python package")
        known = {choose_tarball(job.package, _tags(job)).filename, *(one.wheel for one in notes)}
        for wheel in wheels:
            if wheel not in known:
                raise CannotPackError(f"it is not known what {wheel} was built from")
        for build in notes:
            if build.requirements is None:
                raise CannotPackError(f"it is not known what {build.wheel} was built from")
            if not build.would_see_the_same():
                raise CannotPackError(f"there is a choice of build requirements for {build.wheel}")

    def _finishes(self, name: str) -> bool:
        """Tell whether another package has scripts that change the tree when it is there."""
        package = _package(self.job, name)
        return package is not None and any(map(package.script, FINAL_SCRIPTS))

    def _linked_with(self, name: str) -> str:
        """Say that a file is linked with a library of no declared package; "" if none is."""
        common, package = self.job.place.common, self.job.package.name
        declared = {package, *declared_packages(common, package)}
        foreign = dict(foreign_libraries(common, declared))
        found = embedded_words(_contents(self.job.place.destdir_tree), foreign)
        return linked_with_foreign(name, found, foreign) if found else ""

    def _remember(self, file: str, *, taken: bool) -> None:
        subject = Subject(self.job.package.name, f"staged tree for {self.job.place.tree}")
        build = LastBuild(now(), file, taken, self.rebuild, self.inputs)
        remember_build(self.shelf.cache, subject, build)


def staged_once(job: Job) -> StagedOnce | None:
    """Return what can keep or take the staged tree of ``job``; None if nothing is to.

    That is so unless all that is wanted of the scripts is what they stage.
    """
    if not _is_wanted(job):
        return None
    began = file_time()
    shelf = Shelf(cache_directory(), None, job.effects.warn, ".tar")
    try:
        inputs = _inputs(job)
    except (PkgInstallError, OSError) as error:
        job.effects.say(f"Built without looking into the cache: {error}")
        return None
    environ = {**job.place.common.environ, "PKG_BASE": job.package.name}
    return StagedOnce(job, inputs, shelf, reason_to_rebuild(environ, asked=False), began)


def _is_wanted(job: Job) -> bool:
    package, common = job.package, job.place.common
    more = [name for name in ("preinst", "pipinst", "postinst") if package.script(name)]
    is_checked = job.options.check != "no" and package.script("check") is not None
    return (
        common.environ.get("SAGE_PKGINSTALL_BUILT") == "packages"
        and package.kind in {"normal", "wheel"}
        and not (more or is_checked or common.sudo)
        and not job.options.keep_build
        and choose_tarball(package, _tags(job)).sha256 is not None
    )


def _inputs(job: Job) -> Inputs:
    common, package = job.place.common, job.package
    variables = job.build_variables()
    counted = seen_variables(variables)
    trees = {os.fspath(one) for one in (job.place.tree, common.local, common.venv, common.root)}
    tarball = choose_tarball(package, _tags(job))
    read = [
        *environment_files(common.root, common.local),
        *(job.place.tree / file for file in _READ_BY_CONFIGURE),
        job.tools / "sage-dist-helpers",
    ]
    return Inputs(
        {
            "build": {"format": _FORMAT, "tool": __version__, **_rights()},
            "sources": {tarball.filename: tarball.sha256 or ""},
            "package": hash_files(package.directory),  # scripts find all of it beside them
            "scripts": {os.fspath(one): hash_file(one) for one in read if one.is_file()},
            "places": {
                "tree": os.fspath(job.place.tree),
                "build": os.fspath(job.place.build_directory),
                "tools": os.fspath(job.tools),
            },
            "prefix": contents(common, job.environment, _seen_packages(job)),
            "variables": {
                **counted,
                **{name: variables.get(name, "") for name in _SEEN_BY_SCRIPTS},
            },
            "files": named_files(counted.values(), variables, _counts_otherwise(job)),
            "interpreter": _interpreter(job),
            **toolchain(variables, trees, job.environment if package.is_python else None),
        }
    )


def _counts_otherwise(job: Job) -> Callable[[str], bool]:
    """Return what tells of the real path of a file that it is no input of its own.

    A package has brought it, or it lies in the build directory, which is made anew.
    """
    is_owned = owned_files(job.place.common)
    build = os.path.realpath(job.place.build_directory) + "/"
    return lambda path: path.startswith(build) or is_owned(path)


def _interpreter(job: Job) -> dict[str, str]:
    """Return what the target's Python is, if the package, or one that it declares, needs one."""
    if job.environment is None:
        return {}
    if _needs_python(job.package) or any(map(_needs_python, _declared(job))):
        return interpreter(job.environment)
    return {}


def _needs_python(package: Package) -> bool:
    needs = package.dependencies
    words = (*needs.normal, *needs.order_only, *needs.build, *needs.optional)
    return package.is_python or any("PYTHON" in word for word in words)


def _declared(job: Job) -> Iterator[Package]:
    """Return the packages that one declares, as far as they can be read."""
    names = declared_packages(job.place.common, job.package.name)
    return filter(None, (_package(job, name) for name in names))


def _package(job: Job, name: str) -> Package | None:
    """Return another package, None if there is none that can be read."""
    try:
        return read_package(job.place.common.packages / name)
    except PackageError:
        return None


def _seen_packages(job: Job) -> set[str]:
    """Return the packages whose contents count: of a wheel, as for one that sees its target."""
    packages = packages_seen_by_wheel if job.package.is_python else declared_packages
    return packages(job.place.common, job.package.name)


def _rights() -> dict[str, str]:
    """Return what tells the owners and modes of files that are made."""
    return {
        "umask": f"{current_umask():04o}",
        "user": "root" if os.geteuid() == 0 else "user",
    }


def _tags(job: Job) -> tuple[str, ...]:
    return tuple(job.environment.tags) if job.environment else ()


def _contents(tree: Path) -> Iterator[bytes]:
    for name in listed(tree):
        path = tree / name
        if stat.S_ISREG(path.lstat().st_mode):
            yield path.read_bytes()
