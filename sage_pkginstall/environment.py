"""The target: a prefix with the interpreter that will run what is installed there.

The facts (schemes, build, markers, byte-code) come from `interpreter`, once, and are kept in
the user's cache; so are the tags that follow from them, if anybody asks for them:

    $SAGE_PKGINSTALL_CACHE/targets/HASH.json, of the interpreter's path and our own code's
    $SAGE_PKGINSTALL_CACHE/targets/tags-HASH.json, of what they follow from

(default: ``$XDG_CACHE_HOME/sage-pkginstall``).  An entry says for which interpreter
(file identity, ``pyvenv.cfg``, kernel, our version) it was made, or from what; any other entry,
a damaged one and one that another user could have written count as missing.
"""

from __future__ import annotations

import contextlib
import json
import os
from functools import cache
from pathlib import Path
from types import MappingProxyType
from zlib import crc32

from sage_pkginstall import __version__
from sage_pkginstall.engine.canonical_paths import canonical_directory
from sage_pkginstall.errors import EnvironmentFactsError
from sage_pkginstall.user_cache import cache_directory, read_cached, write_cached
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from sage_pkginstall.interpreter import Runner

__all__ = [
    "Environment",
    "environment_of",
    "find_interpreter",
    "setting_of",
    "target_environment",
]

_SCHEMES = ("purelib", "platlib", "scripts", "data", "headers")
_BUILD = ("extension", "debug", "free_threaded", "system", "machine", "bits", "libc")
_INTERPRETERS = ("bin/python3", "bin/python", "bin/pypy3")


class Environment(NamedTuple):
    """A prefix and what its interpreter said about itself.

    Scheme paths are relative to the prefix ("" is the prefix itself) and go through no
    link that stays inside it, so that each file has one name.  ``headers`` is the
    directory to which a distribution's name is appended.
    """

    prefix: Path
    interpreter: Path
    schemes: Mapping[str, str]
    implementation: str
    version: str
    cache_tag: str
    magic: bytes
    build: Mapping[str, Any]
    """What `introspection.build_facts` tells."""
    markers: Mapping[str, str]
    externally_managed: str | None

    @property
    def site_directories(self) -> tuple[str, ...]:
        """Where distributions lie: purelib, and platlib where it is another one."""
        return tuple(dict.fromkeys((self.schemes["purelib"], self.schemes["platlib"])))

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of the wheels that it takes, the best first; see `target_tags`."""
        return _tags(self.implementation, self.version, tuple(sorted(self.build.items())))

    def takes(self, tags: frozenset[str]) -> bool:
        """Tell whether it takes a wheel with these tags."""
        # All Pythons take this one: most wheels have it, and `packaging` is slow to import.
        anywhere = f"py{self.version.partition('.')[0]}-none-any"
        return anywhere in tags or not tags.isdisjoint(self.tags)

    def at(self, prefix: str | os.PathLike[str]) -> Environment:
        """Return this environment with another prefix, for the same interpreter.

        That is an image of it, below ``--root`` or DESTDIR, or the same under another name.
        """
        return self._replace(prefix=Path(prefix).absolute())

    def is_of(self, prefix: Path) -> bool:
        """Tell whether this is the environment of ``prefix``, however that is spelt."""
        with contextlib.suppress(OSError):
            return os.path.samefile(self.prefix, prefix)  # noqa: PTH121 -- either may be missing
        return False


def target_environment(python: str | os.PathLike[str], *, run: Runner | None = None) -> Environment:
    """Return the facts about ``python``, an interpreter or the prefix that holds one.

    Runs it at most once as long as it stays the same.  Raises EnvironmentFactsError.
    """
    interpreter = find_interpreter(Path(python))
    identity = _identity(interpreter)
    facts = _cached_facts(interpreter, identity)
    if facts is None:
        from sage_pkginstall.interpreter import interpreter_facts  # noqa: PLC0415 -- once

        facts = interpreter_facts(interpreter, run)
        _keep_facts(interpreter, identity, facts)
    try:
        return _environment(interpreter, facts)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"it does not tell its facts ({type(error).__name__}: {error})"
        raise EnvironmentFactsError(interpreter, reason) from error


def environment_of(prefix: Path) -> Environment | None:
    """Return the environment of ``prefix``, spelt that way; None if no interpreter is its own.

    Its ``bin/python3`` may only start the one of another prefix, to which all that is installed
    for that goes.  Raises EnvironmentFactsError.
    """
    if not (prefix / "bin" / "python3").exists():
        return None
    environment = target_environment(prefix)
    return environment.at(prefix) if environment.is_of(prefix) else None


def setting_of(environment: Environment, name: str) -> str | None:
    """Return a setting of a virtual environment's pyvenv.cfg; None if there is none."""
    try:
        text = (environment.prefix / "pyvenv.cfg").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key.strip().lower() == name:
            return value.strip()
    return None


def find_interpreter(python: Path) -> Path:
    """Return the absolute path of the interpreter meant by ``python``, as it was given.

    ``python`` is an interpreter, a prefix (``PREFIX/bin/python3`` is taken), or a name
    to be found on PATH.  Raises EnvironmentFactsError if there is none.
    """
    given = _on_path(python)
    if not given.is_dir():
        if not given.exists():
            raise EnvironmentFactsError(python, "there is no such file")
        return given
    for name in _INTERPRETERS:
        if (given / name).exists():
            return given / name
    remedy = f"make one with 'python3 -m venv --without-pip {given}'"
    raise EnvironmentFactsError(given, f"the directory holds no bin/python3; {remedy}")


def _on_path(python: Path) -> Path:
    if len(python.parts) == 1 and not python.exists():
        for directory in os.get_exec_path():
            candidate = Path(directory or ".") / python
            if candidate.is_file() and os.access(candidate, os.X_OK):
                return candidate.absolute()
    if ".." in python.parts:  # may follow a link: lexical removal would be wrong
        return python.parent.resolve() / python.name if python.name != ".." else python.resolve()
    return python.absolute()


def _environment(interpreter: Path, facts: Mapping[str, Any]) -> Environment:
    executable = Path(facts["executable"])
    if os.path.realpath(executable) != os.path.realpath(interpreter):
        interpreter = executable  # the given one only starts another (pyenv's shims)
    prefix = Path(facts["schemes"]["data"])
    _, _ = map(int, facts["version"].split(".")[:2])  # tags are made of them, later
    return Environment(
        prefix=prefix,
        interpreter=interpreter,
        schemes=MappingProxyType(
            {name: _inside(interpreter, prefix, name, facts["schemes"][name]) for name in _SCHEMES}
        ),
        implementation=facts["implementation"],
        version=facts["version"],
        cache_tag=facts["cache_tag"],
        magic=bytes.fromhex(facts["magic"]),
        build=MappingProxyType({name: facts["build"][name] for name in _BUILD}),
        markers=MappingProxyType(dict(facts["markers"])),
        externally_managed=_notice(facts["notice"]),
    )


def _inside(interpreter: Path, prefix: Path, scheme: str, path: str) -> str:
    try:
        relative = Path(path).relative_to(prefix)
        return canonical_directory(prefix, relative.as_posix())
    except ValueError as error:
        reason = (
            f"its scheme {scheme} ({path}) lies outside its prefix {prefix}; "
            "use a virtual environment ('python3 -m venv --without-pip DIRECTORY')"
        )
        raise EnvironmentFactsError(interpreter, reason) from error


@cache
def _tags(implementation: str, version: str, build: tuple[tuple[str, Any], ...]) -> tuple[str, ...]:
    """Return the tags for a target of which that is known."""
    facts = {"implementation": implementation, "version": version, "build": dict(build)}
    origin = [__version__, _our_code(), facts, _machine()]
    path = cache_directory() / "targets" / f"tags-{crc32(json.dumps(origin).encode()):08x}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        kept = json.loads(read_cached(path))
        if kept["origin"] == origin:
            return tuple(map(str, kept["tags"]))
    from sage_pkginstall.target_tags import tags_of  # noqa: PLC0415 -- once

    tags = tags_of(facts)
    write_cached(path, json.dumps({"origin": origin, "tags": tags}).encode("ascii"))
    return tuple(tags)


def _notice(path: str | None) -> str | None:
    """Return what an EXTERNALLY-MANAGED file (PEP 668) has to say, None without one."""
    if path is None:
        return None
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    import configparser  # noqa: PLC0415 -- virtual environments do without

    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
        return parser["externally-managed"]["Error"].strip()
    except (configparser.Error, KeyError):
        return text.strip() or "it is managed by the system's packages"


def _file_identity(path: str) -> list[int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 -- may be a str of any bytes
    except OSError:
        return None
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns]


def _our_code() -> list[list[int] | None]:
    """Return the identities of the files that make facts, or of the one file that we are."""
    archive = getattr(__spec__.loader, "archive", None)
    if archive is not None:
        return [_file_identity(str(archive))]
    beside = os.path.dirname(__file__)  # noqa: PTH120
    names = ("introspection.py", "target_tags.py")
    return [_file_identity(os.path.join(beside, name)) for name in names]  # noqa: PTH118


def _identity(interpreter: Path) -> list[Any]:
    """Return what the facts depend on; JSON returns it as it is."""
    above = interpreter.parent
    return [
        __version__,
        _our_code(),
        os.fspath(interpreter),
        os.path.realpath(interpreter),
        _file_identity(os.fspath(interpreter)),
        _file_identity(os.fspath(above / "pyvenv.cfg")),
        _file_identity(os.fspath(above.parent / "pyvenv.cfg")),
        _machine(),
    ]


def _machine() -> list[str | None]:
    """Return what kernel and C library are ours; who shares a cache may have others."""
    machine = os.uname()
    library = None
    with contextlib.suppress(AttributeError, OSError, ValueError):  # not where it is not glibc
        library = os.confstr("CS_GNU_LIBC_VERSION")
    return [machine.sysname, machine.release, machine.version, machine.machine, library]


def _cache_file(interpreter: Path) -> Path:
    ours = os.path.dirname(__file__)  # noqa: PTH120 -- tools of several trees share a cache
    name = crc32(os.fsencode(f"{interpreter}\n{ours}"))
    return cache_directory() / "targets" / f"{name:08x}.json"


def _cached_facts(interpreter: Path, identity: list[Any]) -> dict[str, Any] | None:
    try:
        content = json.loads(read_cached(_cache_file(interpreter)))
        facts: dict[str, Any] = content["facts"]
        if content["identity"] != identity:
            return None
        if content["sysconfig"] != _file_identity(facts["sysconfig"]):
            return None
        _environment(interpreter, facts)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return facts


def _keep_facts(interpreter: Path, identity: list[Any], facts: Mapping[str, Any]) -> None:
    """Write the cache entry.

    What only starts another interpreter is not kept: which one may change at any time.
    """
    executable = facts.get("executable")
    if not isinstance(executable, str):
        return
    if os.path.realpath(executable) != os.path.realpath(interpreter):
        return
    status = _file_identity(str(facts.get("sysconfig")))
    content = {"identity": identity, "sysconfig": status, "facts": facts}
    write_cached(_cache_file(interpreter), json.dumps(content).encode("ascii"))
