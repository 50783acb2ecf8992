"""What the build of a package's wheel may see of its package directory and its trees.

The wheel depends on what the package declares: of its `dependencies`, and theirs, each
package that is installed counts with the content of its files and of its wheels, or with its
package directory if its record lists neither.  What else happens to be installed, because
another job of ``make -j`` was quicker, does not count.  That a wheel uses such a thing all the
same is partly found out: libraries in the trees that no declared package owns are named as
foreign.
docs/decisions/0004-wheels-built-once.md weighs this.
"""

from __future__ import annotations

import json
import os
import re
from functools import cache

from sage_pkginstall.builds.inputs import digest_of
from sage_pkginstall.builds.last_builds import Subject
from sage_pkginstall.builds.once import identity_of_wheel
from sage_pkginstall.builds.source_files import UnknownInputError, hash_file, hash_files
from sage_pkginstall.builds.surroundings import Surroundings
from sage_pkginstall.errors import PackageError, RequirementError, UsageError
from sage_pkginstall.spkg.variables import PackageVariables, Variables, read_variables
from sage_pkginstall.user_cache import cache_directory, read_cached, write_cached
from sage_pkginstall.wheels.record_directory import REQUIREMENTS, SCRIPTS, STAMPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from sage_pkginstall.environment import Environment

__all__ = [
    "contents",
    "declared_packages",
    "foreign_libraries",
    "installed_contents",
    "owned_files",
    "packages_seen_by_wheel",
    "surroundings",
]

_OURS = "var/lib/sage/"
_NO_INPUT = (
    "SPKG.rst", "SPKG.txt", "README.rst", "README.md", "distros",  # text about it
    "type", "trees.txt",  # where it goes counts
    "dependencies", "dependencies_build", "dependencies_check", "dependencies_optional",
    "dependencies_order_only",  # what they name counts
)  # fmt: skip
_CHECKSUMS = "checksums.ini"
_LIBRARY = re.compile(r"(?:lib|lib64)/(lib[^/]+\.(?:so|dylib)[^/]*)\Z")


def surroundings(
    environ: Mapping[str, str], environment: Environment, source: Path
) -> Surroundings:
    """Return what surrounds a build of ``source``, as the variables of Sage tell.

    Under sage-spkg that is the package at hand; by hand, in an environment of Sage, all that
    is installed; elsewhere nothing but the target.
    """
    places = {"prefix": os.fspath(environment.prefix)}
    subject = Subject(source.name, f"{source} for {environment.prefix}")
    try:
        variables = read_variables(environ)
    except UsageError:
        if source.is_dir():
            places["source"] = os.fspath(source)
        return Surroundings(subject, places=places)
    places |= {
        "SAGE_LOCAL": os.fspath(variables.local),
        "SAGE_VENV": os.fspath(variables.venv),
        "SAGE_ROOT": os.fspath(variables.root),
    }
    name = environ.get("PKG_BASE", "")
    if name and (variables.packages / name).is_dir():
        return _of_package(variables, environment, places, source)
    trees = dict.fromkeys((variables.local, variables.venv))
    everything = {name for tree in trees for name in _installed(tree)}
    seen = {"prefix": contents(variables, environment, everything)}
    if source.is_dir():
        places["source"] = os.fspath(source)
    return Surroundings(subject, seen, places=places, is_of_package=owned_files(variables))


def _of_package(
    variables: Variables, environment: Environment, places: Mapping[str, str], source: Path
) -> Surroundings:
    name = variables.environ["PKG_BASE"]
    declared = declared_packages(variables, name)
    directory = variables.packages / name
    tree = variables.tree("SAGE_INST_LOCAL") or variables.local
    package = PackageVariables(variables, tree, name, variables.environ.get("PKG_VER", ""))
    build = package.build_area / variables.environ.get("PKG_NAME", name)
    real = source.resolve()
    in_package = real.is_relative_to(build.resolve())
    here = {} if in_package or not source.is_dir() else {"source": os.fspath(real)}
    # What is unpacked counts; but a part of it may be built with what lies beside that part.
    unpacked = () if in_package and real != (build / "src").resolve() else (_CHECKSUMS,)
    no_input = [directory / one for one in (*_NO_INPUT, *unpacked)]
    return Surroundings(
        subject=Subject(name, f"package for {variables.venv}"),
        seen={
            "package": hash_files(directory, no_input),
            "prefix": contents(variables, environment, declared),
        },
        seen_unisolated=lambda: contents(
            variables, environment, packages_seen_by_wheel(variables, name)
        ),
        places={**places, **here},
        dead=(os.fspath(build),),
        foreign=dict(foreign_libraries(variables, declared)),
        is_of_package=owned_files(variables),
        in_package=in_package,
    )


def declared_packages(variables: Variables, name: str) -> set[str]:
    """Return the packages that ``name`` depends on, and those that they depend on."""
    return _closure(variables, (name,)) - {name}


def packages_seen_by_wheel(variables: Variables, name: str) -> set[str]:
    """Return these, and the packages that build ``name`` as a wheel, and what they depend on."""
    from sage_pkginstall.spkg.rules import PYTHON_TOOLCHAIN  # noqa: PLC0415 -- as below

    return _closure(variables, (name, *PYTHON_TOOLCHAIN)) - {name}


def _closure(variables: Variables, names: Iterable[str]) -> set[str]:
    """Return ``names`` and all that they depend on, as far as there are such packages."""
    from sage_pkginstall.spkg.package import read_package  # noqa: PLC0415 -- packages only

    found: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name in found or not (variables.packages / name / "type").exists():
            continue
        found.add(name)
        try:
            needs = read_package(variables.packages / name).dependencies
        except PackageError:
            continue
        pending += [*needs.normal, *needs.order_only, *needs.build, *needs.optional]
    return found


def _installed(tree: Path) -> Iterator[str]:
    directory = tree / STAMPS
    for path in directory.iterdir() if directory.is_dir() else ():
        yield path.name.partition("-")[0]


def installed_contents(variables: Variables, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield what each of the packages ``names`` installed, as one hash."""
    wanted = set(names)
    for tree in dict.fromkeys((variables.local, variables.venv)):
        for stamp in sorted((tree / STAMPS).glob("*-*")):
            name = stamp.name.partition("-")[0]
            if name in wanted:
                yield stamp.name, _content(variables, tree, stamp)


def contents(
    variables: Variables, environment: Environment | None, names: Collection[str]
) -> dict[str, str]:
    """Return what each of the packages ``names`` installed, and what is there in its place.

    The latter in ``environment``, if there is one.  Raises UnknownInputError if it cannot be told.
    """
    found = dict(installed_contents(variables, names))
    trees = dict.fromkeys((variables.local, variables.venv))
    wheels = [wheel for name in sorted(names) for tree in trees for wheel in _wheels(tree, name)]
    of_pip = [one for name in sorted(names) for one in _named_to_pip(variables.packages / name)]
    if (wheels or of_pip) and environment is not None:
        from sage_pkginstall.spkg.replaced import (  # noqa: PLC0415 -- as above
            distributions_of_pip,
            replaced_distributions,
        )

        found.update(replaced_distributions(environment, wheels))
        found.update(distributions_of_pip(environment, of_pip))
    return found


def _named_to_pip(directory: Path) -> tuple[str, ...]:
    """Return the distributions that a package of kind pip has pip install."""
    requirements = directory / "requirements.txt"
    if not requirements.exists():
        return ()
    from sage_pkginstall.wheels.requirements_file import names_only  # noqa: PLC0415 -- few are

    try:
        return names_only(requirements)
    except RequirementError:  # which pip refuses, too
        return ()


def _wheels(tree: Path, name: str) -> tuple[Path, ...]:
    """Return the wheels that a package left in the store."""
    requirements = tree / SCRIPTS / name / REQUIREMENTS
    if not requirements.exists():
        return ()
    from sage_pkginstall.wheels.requirements_file import wheels_only  # noqa: PLC0415 -- Python only

    return wheels_only(requirements)


def _content(variables: Variables, tree: Path, stamp: Path) -> str:
    """Return the hash of the files of a stamp that a build may look at, and of its wheels.

    It is remembered with their identities.  The paths of the trees do not count.  What a script
    has put into the tree itself no record lists: it is as good as the script.  Raises
    UnknownInputError.
    """
    name = stamp.name.partition("-")[0]
    files = [path for path in _files(stamp) if not path.startswith(_OURS)]
    wheels = _wheels(tree, name)
    directory = variables.packages / name
    if not (files or wheels) and directory.is_dir():
        return digest_of(hash_files(directory, [directory / one for one in _NO_INPUT]))
    identity = [_identity(tree, os.fspath(path)) for path in [*files, *map(str, wheels)]]
    known = cache_directory() / "prefixes" / f"{digest_of(os.fspath(stamp))[:32]}.json"
    try:
        remembered = json.loads(read_cached(known))
        if remembered["identity"] == identity:
            return str(remembered["content"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # it is hashed again
    try:
        hashes = {path: _hash(variables, tree / path) for path in files}
    except OSError as error:  # of one that is not for us to read, or that is removed just now
        raise UnknownInputError(tree, f"{error.filename}: {error.strerror}") from error
    identities = {wheel.name: identity_of_wheel(wheel) for wheel in wheels}
    content = digest_of([digest_of(hashes), identities])
    write_cached(known, json.dumps({"identity": identity, "content": content}).encode())
    return content


def _files(stamp: Path) -> tuple[str, ...]:
    from sage_pkginstall.spkg.stamp import read_stamp  # noqa: PLC0415 -- rarely

    return read_stamp(stamp).files or ()


def _identity(tree: Path, path: str) -> list[object]:
    try:
        status = os.lstat(tree / path)
    except OSError:
        return [path]
    times = (status.st_mtime_ns, status.st_ctime_ns)
    return [path, status.st_ino, status.st_size, *times, status.st_mode]


def _hash(variables: Variables, path: Path) -> str:
    if path.is_symlink():
        return f"link {os.readlink(path)}"  # noqa: PTH115 -- the text as it is
    if not path.is_file():
        return "gone"
    paths = [os.fsencode(variables.venv), os.fsencode(variables.local)]
    data = path.read_bytes()
    if not any(one in data for one in paths):
        return hash_file(path)
    import hashlib  # noqa: PLC0415 -- rarely

    for number, one in enumerate(sorted(paths, key=len, reverse=True)):
        data = data.replace(one, b"{tree %d}" % number)
    return "with paths " + hashlib.sha256(data).hexdigest()


def owned_files(variables: Variables) -> Callable[[str], bool]:
    """Return what tells of the real path of a file whether a package has brought it.

    Programs and modules of the trees, which may be of wheels, are taken for that, and so is what is
    in each PKG_CONFIG_PATH.
    """
    trees = {os.path.realpath(tree): tree for tree in (variables.local, variables.venv)}
    taken = re.compile(
        "|".join(rf"{re.escape(t)}/(bin|lib.*/site-packages|\w+/pkgconfig)/" for t in trees)
    )

    @cache
    def listed() -> frozenset[str]:
        stamps = ((real, stamp) for real in trees for stamp in (trees[real] / STAMPS).glob("*-*"))
        return frozenset(f"{real}/{path}" for real, stamp in stamps for path in _files(stamp))

    def is_owned(path: str) -> bool:
        if not path.startswith(tuple(f"{real}/" for real in trees)):
            return False
        return taken.match(path) is not None or path in listed()

    return is_owned


def foreign_libraries(variables: Variables, declared: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield the libraries in the trees that belong to packages that are not declared."""
    own: set[str] = set()
    others: dict[str, str] = {}
    for tree in dict.fromkeys((variables.local, variables.venv)):
        for stamp in (tree / STAMPS).glob("*-*"):
            name = stamp.name.partition("-")[0]
            for path in _files(stamp):
                match = _LIBRARY.match(path)
                if match and name in declared:
                    own.add(match[1])
                elif match:
                    others[match[1]] = name
    yield from ((library, name) for library, name in others.items() if library not in own)
