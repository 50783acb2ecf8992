"""Who builds: interpreter, compilers, programs and system, as inputs of a build.

Finding these facts out costs processes and megabytes of reading, so they are `remembered`.

``SAGE_PKGINSTALL_TOOLCHAIN=NAME`` takes the place of compilers, programs and system: whoever
sets it says that machines with the same NAME build the same, also those without a compiler.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import sys
from pathlib import Path

from sage_pkginstall.builds.inputs import digest_of
from sage_pkginstall.builds.proxies import (
    choosing_files,
    choosing_variables,
    is_proxy,
    toolchains_of_rustup,
)
from sage_pkginstall.builds.remembered import remembered
from sage_pkginstall.builds.seen_variables import REMOVED
from sage_pkginstall.builds.source_files import UnknownInputError, hash_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from sage_pkginstall.environment import Environment

__all__ = ["SYSTEM_DIRECTORIES", "interpreter", "toolchain"]

# fmt: off
_COMPILERS = (
    "cc", "c++", "gcc", "g++", "clang", "clang++", "gfortran", "flang", "f77", "ar", "as", "ld",
    "nm", "ranlib", "strip", "objcopy", "cpp",
)
_COMPILER_VARIABLES = (
    "CC", "CXX", "CPP", "FC", "F77", "F90", "AR", "AS", "LD", "NM", "RANLIB", "STRIP",
    "LDSHARED", "RUSTC", "CARGO", "MAKE",
)
_PROGRAMS = (
    "autoconf", "automake", "bash", "bison", "cargo", "cmake", "cython", "cython3", "flex",
    "gawk", "git", "go", "grep", "libtool", "m4", "make", "gmake", "meson", "mold", "nasm",
    "ninja", "ninja-build", "nvcc", "patch", "patchelf", "perl", "pkg-config", "pkgconf",
    "python", "python3", "qmake", "rustc", "rustup", "sed", "sh", "swig", "yasm", "sccache",
    "ccache", "f2py",
)
# fmt: on
_LAUNCHERS = ("ccache", "sccache", "distcc", "icecc")
SYSTEM_DIRECTORIES = frozenset(
    ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/usr/games")
)
_ASKED_WITH = {"LC_ALL": "C", "RUSTUP_AUTO_INSTALL": "0"}  # who is asked downloads nothing
_DATABASES = ("/var/lib/rpm/rpmdb.sqlite", "/var/lib/rpm/Packages", "/lib/apk/db/installed")
_DPKG = Path("/var/lib/dpkg/status")
_LOCAL = Path("/usr/local")
"""Where compilers and pkg-config look, too, for what an administrator has built by hand."""
_LIBRARIES = ("lib", "lib64", "lib/*-linux-*")
_SECONDS = 60
_OF_ANOTHER_MACHINE = (85, 86, 88) if sys.platform == "darwin" else ()
"""EBADEXEC, EBADARCH ("Bad CPU type in executable") and EBADMACHO; `errno` does not name them."""
_NOT_TO_BE_RUN = frozenset(
    (
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ELOOP,
        errno.EACCES,
        errno.EPERM,
        errno.ENOEXEC,
        *_OF_ANOTHER_MACHINE,
    )
)
"""Of a file that is no program here; what else may fail, like a fork, works another time."""

_INTERPRETER_SCRIPT = """
import hashlib, os, sys, sysconfig
print(sys.version.replace("\\n", " "))
name = sysconfig._get_sysconfigdata_name() if hasattr(sysconfig, "_get_sysconfigdata_name") else ""
try:
    module = __import__(name) if name else sysconfig
except ImportError: # PyPy names a module that it does not have
    module = sysconfig
headers = sysconfig.get_paths()["include"]
for path in (module.__file__, headers + "/pyconfig.h", headers + "/patchlevel.h"):
    data = open(path, "rb").read() if os.path.exists(path) else b""
    print(hashlib.sha256(data).hexdigest())
    print(path)
for name in ("CC", "CXX", "AR", "LDSHARED"):
    print(sysconfig.get_config_var(name) or "")
"""
_INTERPRETER_FILES = ("sysconfig", "pyconfig.h", "patchlevel.h")
_OWN_COMPILERS = ("CC", "CXX", "AR", "LDSHARED")
"""What a Python was built with, and so builds with where no variable says another one."""


def interpreter(environment: Environment) -> dict[str, str]:
    """Return what the target's Python is, wherever it lies: its program, headers, settings.

    Raises UnknownInputError if it does not tell.
    """
    facts = _facts_of(environment)
    told = {name: facts[name] for name in ("version", *_INTERPRETER_FILES, "program")}
    return {**told, "tags": digest_of(environment.tags)}


def _facts_of(environment: Environment) -> dict[str, str]:
    real = environment.interpreter.resolve()
    places = tuple(f"path of {name}" for name in _INTERPRETER_FILES)
    pairs = zip(_INTERPRETER_FILES, places, strict=True)
    names = ("version", *(name for pair in pairs for name in pair), *_OWN_COMPILERS)

    def ask() -> dict[str, str]:
        command = [os.fspath(environment.interpreter), "-I", "-S", "-c", _INTERPRETER_SCRIPT]
        said = _output(command, with_errors=False).splitlines()
        if len(said) != len(names):
            raise OSError("it does not tell its version and settings")
        return {**dict(zip(names, said, strict=True)), "program": hash_file(real)}

    return _told(os.fspath(real), lambda: remembered(real, ask, "interpreter", places))


def toolchain(
    environ: Mapping[str, str],
    trees: Collection[str],
    target: Environment | None = None,
    source: Path | None = None,
) -> dict[str, dict[str, str]]:
    """Return the inputs ``compilers``, ``programs`` and ``system``, or the ``toolchain``.

    ``trees`` are the prefixes: what they hold counts by its package (see the ``prefix`` of a
    build's inputs), but a compiler counts wherever it is found.  The compilers that the Python
    of ``target`` was built with are those that it builds with.  In ``source`` a proxy may run
    others than elsewhere; where that is not known yet, all that rustup has count.  Raises
    UnknownInputError if one of them cannot be asked now.
    """
    name = environ.get("SAGE_PKGINSTALL_TOOLCHAIN")
    if name:
        return {"toolchain": {"name": name}}
    path = [directory for directory in environ.get("PATH", os.defpath).split(":") if directory]
    outside = [directory for directory in path if not _is_below(directory, trees)]
    own = {} if target is None else _facts_of(target)
    named = {name: environ.get(name) or own.get(name, "") for name in _COMPILER_VARIABLES}
    programs = {**dict(_programs(_PROGRAMS, outside, source)), **dict(_directories(outside))}
    if source is None and "rustup" in programs:
        programs["toolchains of rustup"] = digest_of(toolchains_of_rustup(environ))
    return {
        "compilers": dict(_compilers(named, path, source)),
        "programs": programs,
        "system": _system(environ, {*trees, os.fspath(target.prefix)} if target else trees),
    }


def _compilers(
    named: Mapping[str, str], path: list[str], source: Path | None
) -> Iterator[tuple[str, str]]:
    yield from _programs(_COMPILERS, path, source, of_compiler=True)
    for variable, command in named.items():
        for word in command.split():
            found = shutil.which(word, path=":".join(path))
            if found:
                told = _program(found, source, of_compiler=True)
                yield f"{variable}: {os.path.basename(word)}", told  # noqa: PTH119


def _programs(
    names: Collection[str], path: list[str], source: Path | None, *, of_compiler: bool = False
) -> Iterator[tuple[str, str]]:
    search = ":".join(path)
    for name in names:
        found = shutil.which(name, path=search) if path else None
        if found:
            yield name, _program(found, source, of_compiler=of_compiler)


def _program(path: str, source: Path | None, *, of_compiler: bool = False) -> str:
    """Return what a program says of its version, and the hash of its file."""
    real = Path(path).resolve()

    def ask(directory: Path | None = None) -> dict[str, str]:
        said = _output([path, "--version"], with_errors=True, directory=directory).splitlines()
        return {"version": said[0].strip() if said else "", "hash": hash_file(real)}

    if is_proxy(path, real):
        facts = _of_proxy(path, real, source, ask)
    elif of_compiler and _is_wrapper(real):
        facts = _told(path, ask)
    else:
        facts = _known(real, ask, called=path)
    return f"{facts['version']} {facts['hash']}".strip()


def _of_proxy(
    path: str, real: Path, source: Path | None, ask: Callable[..., dict[str, str]]
) -> dict[str, str]:
    """Return what a proxy says: what it said before, if it is known that it runs the same."""
    choosing = choosing_files(path, real, os.environ, source)
    if not choosing:
        return _told(path, lambda: ask(source))
    named = {f"chosen by {file}": file for file in choosing}
    called = f"{path} {digest_of(choosing_variables(os.environ))}"
    return _told(path, lambda: remembered(real, lambda: {**ask(), **named}, called, named))


def _is_wrapper(real: Path) -> bool:
    """Tell whether what calls itself a compiler runs another one, which changes while it does not.

    Of other programs, many are scripts, which take long to tell their version.
    """
    if real.name in _LAUNCHERS:
        return True
    try:
        with real.open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def _directories(path: list[str]) -> Iterator[tuple[str, str]]:
    """Tell of all programs in the directories of PATH that are not the system's, and their order.

    Names, sizes and times only.  Our own commands do not count: our version does.
    """
    order: list[str] = []
    for directory in dict.fromkeys(path):
        if directory in SYSTEM_DIRECTORIES:
            order.append("the system's")
            continue
        found = _listing(directory)
        if found:
            order.append(directory)
            yield directory, digest_of(found)
    yield "order", ":".join(dict.fromkeys(order))


def _listing(directory: str) -> list[tuple[str, int, int]]:
    try:
        with os.scandir(directory) as entries:
            found = {entry.name: _listed(entry) for entry in entries}
    except OSError:
        return []
    ours = "sage-pkginstall" in found
    return sorted(
        one
        for name, one in found.items()
        if one is not None and not (ours and (name + "-").startswith("sage-"))
    )


def _listed(entry: os.DirEntry[str]) -> tuple[str, int, int] | None:
    """Return name, size and time; nothing of a directory, whose time is that of what lies in it."""
    try:
        status = entry.stat()
    except OSError:  # a link that leads nowhere
        return entry.name, 0, 0
    if stat.S_ISDIR(status.st_mode):
        return None
    return entry.name, status.st_size, status.st_mtime_ns


def _system(environ: Mapping[str, str], prefixes: Collection[str]) -> dict[str, str]:
    machine = os.uname()
    return {
        "machine": f"{machine.sysname} {machine.machine}",
        "release": _hash_of("/etc/os-release") or machine.release,
        "processor": _processor(),
        **_packages(),
        **({} if _is_below(os.fspath(_LOCAL), prefixes) else _local()),
        **_conda(environ),
    }


def _packages() -> dict[str, str]:
    """Tell which libraries, headers and compilers the system has, by its package manager."""
    if _DPKG.exists():
        return _known(_DPKG, _debian)
    for database in map(Path, _DATABASES):
        if database.exists():
            return _known(database, lambda: {"packages": hash_file(database)})  # noqa: B023
    return {}


def _local() -> dict[str, str]:
    """Tell of the headers and libraries that no package manager knows: names, sizes and times."""
    libraries = [one for name in _LIBRARIES for one in _LOCAL.glob(name)]
    described = (f"{one}/pkgconfig" for one in (*libraries, _LOCAL / "share"))
    headers = (directory for directory, _, _ in os.walk(_LOCAL / "include"))
    directories = (*map(os.fspath, libraries), *described, *headers)
    found = {directory: _listing(directory) for directory in directories}
    listed = {directory: files for directory, files in found.items() if files}
    return {_LOCAL.name: digest_of(listed)} if listed else {}


def _conda(environ: Mapping[str, str]) -> dict[str, str]:
    """Tell which packages the active environment of conda has: it sets flags that lead there.

    Each has a file ``conda-meta/NAME-VERSION-BUILD.json``.
    """
    try:
        names = os.listdir(Path(environ["CONDA_PREFIX"], "conda-meta"))  # noqa: PTH208 -- names
    except (KeyError, OSError):
        return {}
    return {"conda": digest_of(sorted(name for name in names if name.endswith(".json")))}


def _debian() -> dict[str, str]:
    """Return the versions of Debian's libraries; what else is installed does not count."""
    digest = hashlib.sha256()
    for paragraph in _DPKG.read_text(encoding="utf-8", errors="replace").split("\n\n"):
        fields = dict(
            line.split(": ", 1)
            for line in paragraph.splitlines()
            if line[:1] > " " and ": " in line
        )
        name = fields.get("Package", "")
        if name.startswith("lib") or name.endswith(("-dev", "-data-dev")):
            words = (name, fields.get("Architecture"), fields.get("Version"), fields.get("Status"))
            digest.update(f"{words}\n".encode())
    return {"libraries": digest.hexdigest()}


def _processor() -> str:
    """Return the hash of what the first processor can do: ``-march=native`` asks for that."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:  # noqa: PTH123
            lines = file.read(16384).split("\n\n", maxsplit=1)[0].splitlines()
    except OSError:
        return ""
    wanted = ("vendor_id", "cpu family", "model", "flags", "Features", "CPU part", "isa")
    return digest_of([line for line in lines if line.split("\t")[0].strip() in wanted])


def _hash_of(path: str) -> str:
    try:
        return hash_file(path)
    except OSError:
        return ""


def _is_below(directory: str, trees: Collection[str]) -> bool:
    return any(f"{directory}/".startswith(tree.rstrip("/") + "/") for tree in trees)


def _known(
    path: Path,
    ask: Callable[[], dict[str, str]],
    called: str | None = None,
    others: Collection[str] = (),
) -> dict[str, str]:
    """Return what is `remembered`.  Raises UnknownInputError where it cannot be asked."""
    return _told(called or os.fspath(path), lambda: remembered(path, ask, called, others))


def _told(path: str, ask: Callable[[], dict[str, str]]) -> dict[str, str]:
    try:
        return ask()
    except OSError as error:
        reason = f"{path} cannot be asked: {error.strerror or error}"
        raise UnknownInputError(Path(path), reason) from error


def _output(command: list[str], *, with_errors: bool, directory: Path | None = None) -> str:
    """Return what a program writes that is run in ``directory``; nothing if it is no program.

    Raises OSError if it cannot be run now, or does not end: that is no property of it.
    """
    import subprocess  # noqa: PLC0415 -- not for what is remembered

    try:
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if with_errors else subprocess.DEVNULL,
            timeout=_SECONDS,
            check=False,
            cwd=directory or "/",
            env={**{k: v for k, v in os.environ.items() if k not in REMOVED}, **_ASKED_WITH},
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"it takes more than {_SECONDS} seconds") from None
    except OSError as error:
        if error.errno in _NOT_TO_BE_RUN:
            return ""
        raise
    return ended.stdout.decode(errors="replace")
