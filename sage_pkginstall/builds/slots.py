"""Job slots: a build takes part in make's jobserver, or compiles one file at a time.

make says in MAKEFLAGS how its slots are had: ``--jobserver-auth=fifo:PATH`` (4.4 and later) or
``--jobserver-auth=R,W``, two inherited descriptors of a pipe (4.3).  Python closes descriptors
in what it runs, and so do backends: pipes are lost on the way to ninja or another make.
But Linux lets a process open the pipe of another again, ``/proc/PID/fd/R``, as if it were a fifo.
So these programs are replaced in a build by scripts of a few lines:

    ninja    1.13 and later: told of ``fifo:/proc/PID/fd/R``; before, it knows no jobserver: -j1
    make     is given its descriptors R and W back

PID is this process, which lives as long as the build.  Where a number of jobs is asked for
(``ninja -j4``), that is what happens.  Without a jobserver, but within make, there is one slot.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import stat

from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Slots", "job_slots", "provide"]

_AUTH = re.compile(r"--jobserver-(?:auth|fds)=(\S+)")
_PIPES = re.compile(r"([0-9]{1,9}),([0-9]{1,9})")
_HIGHEST = 9  # descriptor that every shell can redirect
_MAKES = ("make", "gmake")
_NINJAS = ("ninja", "ninja-build")

# What else would count the processors.
_COUNTS = ("MAX_JOBS", "NPY_NUM_BUILD_JOBS", "CARGO_BUILD_JOBS")

_NINJA = """#!/bin/sh
# ninja within the job slots of make; see sage_pkginstall/builds/slots.py
for word; do
    case $word in -j* | --version) exec {ninja} "$@" ;; esac
done
case $({ninja} --version) in
    1.1[3-9].* | 1.[2-9][0-9].* | [2-9].*) {client} ;;
esac
exec {ninja} -j1 "$@"
"""
_CLIENT = """MAKEFLAGS={flags} exec {ninja} "$@\""""
_MAKE = """#!/bin/sh
# make within the job slots of another; see sage_pkginstall/builds/slots.py
exec {reading}<{source} {writing}>{sink}
exec {make} "$@"
"""


class Slots(NamedTuple):
    """How slots are had: ``flags`` for clients that open a fifo, "" if there is one slot.

    ``pipes`` are the descriptors of this process, None if MAKEFLAGS has a fifo already.
    """

    flags: str
    pipes: tuple[int, int] | None


def job_slots(environ: Mapping[str, str]) -> Slots | None:
    """Return what the jobserver of make has for us; None outside of make.

    An unlimited ``make -j`` is no limit here either: None.
    """
    flags = environ.get("MAKEFLAGS", "")
    found = list(_AUTH.finditer(flags))
    match = found[-1] if found else None  # the last counts (manual of GNU make, 13.1)
    if match is None:
        within = "MAKELEVEL" in environ and not re.search(r"(?:^|\s)-?\w*j(?:\s|$)", flags)
        return Slots("", None) if within else None
    if match[1].startswith("fifo:"):
        return Slots(flags, None)
    pipes = _PIPES.fullmatch(match[1])
    if pipes is None:
        return Slots("", None)
    reading, writing = int(pipes[1]), int(pipes[2])
    place = f"/proc/{os.getpid()}/fd/{reading}"
    if not (_is_inherited(reading) and _is_inherited(writing) and os.path.exists(place)):  # noqa: PTH110
        return Slots("", None)
    return Slots(flags.replace(match[0], f"--jobserver-auth=fifo:{place}"), (reading, writing))


def provide(slots: Slots, directory: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """Put the scripts for a build into ``directory``; return its ``variables`` with them.

    What lies there under their names, the program of a wheel, is what they run.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = variables.get("PATH", os.defpath)
    for name in _NINJAS:
        program = shutil.which(name, path=f"{directory}:{path}")
        if program:
            ninja = shlex.quote(_real(program, directory))
            flags = shlex.quote(slots.flags)
            client = _CLIENT.format(flags=flags, ninja=ninja) if slots.flags else ":"
            _write(directory / name, _NINJA.format(ninja=ninja, client=client))
    if slots.pipes is not None and max(slots.pipes) <= _HIGHEST:
        _provide_makes(slots.pipes, directory, path)
    found = dict.fromkeys(_COUNTS, "1")
    if not slots.flags:
        found["CMAKE_BUILD_PARALLEL_LEVEL"] = "1"
    first = path.split(os.pathsep)[0] == os.fspath(directory)
    path = path if first else f"{directory}{os.pathsep}{path}"
    return {**found, **variables, "PATH": path}


def _provide_makes(pipes: tuple[int, int], directory: Path, path: str) -> None:
    reading, writing = pipes
    place = f"/proc/{os.getpid()}/fd"
    for name in _MAKES:
        program = shutil.which(name, path=path)
        if program:
            text = _MAKE.format(
                make=shlex.quote(_real(program, directory)),
                reading=reading,
                writing=writing,
                source=f"{place}/{reading}",
                sink=f"{place}/{writing}",
            )
            _write(directory / name, text)


def _real(program: str, directory: Path) -> str:
    """Return what runs the program when a script has taken its place in ``directory``.

    A link there is followed; a file, as wheels of ninja in Python bring one, is moved away.
    """
    if os.path.islink(program):  # noqa: PTH114
        return os.path.realpath(program)
    path = directory / os.path.basename(program)  # noqa: PTH119
    if os.fspath(path) != program:
        return program
    away = directory / ".real" / path.name
    away.parent.mkdir(exist_ok=True)
    return os.fspath(path.rename(away))


def _write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(os.fsencode(text))  # directories of PATH may be called anything
    path.chmod(0o755)


def _is_inherited(descriptor: int) -> bool:
    """Tell whether this is a pipe that we were started with: Python's own are not inheritable."""
    try:
        is_pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
        return is_pipe and os.get_inheritable(descriptor)
    except OSError:
        return False
