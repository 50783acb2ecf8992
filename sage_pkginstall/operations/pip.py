"""The target's pip, run as a program and never imported.

What pip decides (which versions, from where, built how) it decides without the lock; the
wheels it chose are then installed by one transaction of ours.  Commands that cannot be
taken apart that way run as pip while we hold the lock.
"""

from __future__ import annotations

import contextlib
import json
import os

from sage_pkginstall.errors import PkgInstallError, RecordError
from sage_pkginstall.operations.pip_order import in_order_of_pip
from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.installed import read_metadata
from sage_pkginstall.wheels.names import canonical_name
from sage_pkginstall.wheels.records import all_recorded, find_recorded, is_recorded
from sage_pkginstall.wheels.staging import WheelRequest
from sage_pkginstall.wheels.unmet import required_name, unmet_by

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import Any

    from sage_pkginstall.environment import Environment
    from sage_pkginstall.wheels.installed import Installed
    from sage_pkginstall.wheels.unmet import Unmet

__all__ = [
    "REPORT",
    "PipError",
    "can_report",
    "choose_wheels",
    "replaces_unrecorded",
    "unmet_of_others",
]

REPORT = "report.json"
_FIRST_REPORTING = (22, 2)
_NEEDED = "needed.txt"


class PipError(PkgInstallError):
    """pip failed, and said why on the terminal; ``status`` is its exit status."""

    def __init__(self, command: str, status: int) -> None:
        super().__init__(f"cannot go on: pip {command} ended with status {status}")
        self.status = status


class _Chosen(NamedTuple):
    """One entry of pip's installation report.

    The format is that of https://pip.pypa.io/en/stable/reference/installation-report/.
    """

    name: str
    version: str
    requested: bool
    editable: bool
    direct_url: str | None
    requirement: str

    @classmethod
    def from_report(cls, item: dict[str, Any]) -> _Chosen:
        metadata, info = item["metadata"], item["download_info"]
        direct = json.dumps(info, sort_keys=True) if item["is_direct"] else None
        return cls(
            metadata["name"],
            metadata["version"],
            requested=bool(item["requested"]),
            editable=bool(info.get("dir_info", {}).get("editable")),
            direct_url=direct,
            requirement=_requirement(metadata["name"], info),
        )


def _requirement(name: str, info: dict[str, Any]) -> str:
    """Return the words by which pip gets what ``download_info`` describes.

    Before 24.1 it takes no name with the URL of a local repository (``git+file:///…``).
    """
    url = _url(info)
    return url if "vcs_info" in info else f"{name} @ {url}"


def _url(info: dict[str, Any]) -> str:
    """Return the requirement URL that leads to what ``download_info`` describes."""
    url: str = info["url"]
    fragments = []
    if "vcs_info" in info:
        vcs = info["vcs_info"]
        url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    hashes = info.get("archive_info", {}).get("hashes", {})
    fragments += [f"{name}={value}" for name, value in hashes.items() if name == "sha256"]
    if "subdirectory" in info:
        fragments.append(f"subdirectory={info['subdirectory']}")
    return "#".join([url, "&".join(fragments)]) if fragments else url


def can_report(environment: Environment) -> bool:
    """Tell whether the target's pip can say what it would install (``--report``, pip 22.2)."""
    from packaging.version import Version  # noqa: PLC0415 - pip only

    with contextlib.suppress(ValueError):  # InvalidVersion, or a number of too many digits
        versions = (Version(one.version) for one in find_recorded(environment, "pip"))
        return all(version.release >= _FIRST_REPORTING for version in versions)
    return True


def choose_wheels(
    arguments: Sequence[str],
    build_options: Sequence[str],
    run_pip: Callable[[Sequence[str]], int],
    scratch: Path,
) -> tuple[WheelRequest, ...] | None:
    """Let pip resolve ``install ARGUMENTS``, download and build; return the wheels.

    None if one of them is to be editable, which only pip itself can make of it: so says a
    requirements file, or one that it includes.  ``build_options`` are those of the
    arguments that ``pip wheel`` needs, too.  They come in the order in which pip would install
    them.  pip's report is in ``scratch`` then, as `REPORT`, if it made one.  Nothing is
    installed.  Raises `PipError`.
    """
    report = scratch / REPORT
    end = arguments.index("--") if "--" in arguments else len(arguments)
    ours = ["--dry-run", "--report", os.fspath(report)]  # of several, pip takes the last
    _must(run_pip, ["install", *arguments[:end], *ours, *arguments[end:]])
    if not report.exists():
        return ()  # it was asked for help (-qh)
    items = json.loads(report.read_bytes())["install"]
    chosen = tuple(map(_Chosen.from_report, in_order_of_pip(items)))
    if any(c.editable for c in chosen):
        return None
    if not chosen:
        return ()
    wheels = scratch / "wheels"
    wheels.mkdir()
    options = ["--no-deps", "--wheel-dir", os.fspath(wheels), *build_options]
    _must(run_pip, ["wheel", "--quiet", *options, *_wanted(chosen, scratch)])
    return tuple(_wheel_request(c, wheels) for c in chosen)


def _wanted(chosen: Sequence[_Chosen], scratch: Path) -> Iterator[str]:
    """Yield the words by which pip knows what was chosen.

    What was not asked for stands in a file: settings for the build are for words only.
    """
    yield from (c.requirement for c in chosen if c.requested)
    needed = [c.requirement for c in chosen if not c.requested]
    if needed:
        file = scratch / _NEEDED
        file.write_text("".join(f"{requirement}\n" for requirement in needed), encoding="utf-8")
        yield from ("--requirement", os.fspath(file))


def _must(run_pip: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> None:
    status = run_pip(arguments)
    if status:
        raise PipError(arguments[0], status)


def _wheel_request(chosen: _Chosen, wheels: Path) -> WheelRequest:
    name = canonical_name(chosen.name)
    for wheel in wheels.glob("*.whl"):
        if canonical_name(wheel.name.partition("-")[0]) == name:
            return WheelRequest(wheel, requested=chosen.requested, direct_url=chosen.direct_url)
    message = f"cannot install {chosen.name} {chosen.version}: pip made no wheel of it"
    raise PkgInstallError(message)


def replaces_unrecorded(environment: Environment, requests: Iterable[WheelRequest]) -> bool:
    """Tell whether a wheel comes in the place of what has no list of files (``setup.py install``).

    pip finds some of these files all the same, or says why it does not.
    """
    names = [canonical_name(request.path.name.partition("-")[0]) for request in requests]
    old = (one for name in names for one in find_recorded(environment, name))
    return not all(is_recorded(environment, one) for one in old)


def unmet_of_others(environment: Environment, names: Collection[str]) -> tuple[Unmet, ...]:
    """Return what all other distributions require of ``names`` (canonical), and do not find.

    pip resolves for what is to be installed alone, and tells of these afterwards, too.
    """
    recorded = all_recorded(environment)
    installed = {one.canonical: one.version for one in recorded}
    return tuple(
        unmet
        for one in recorded
        if one.canonical not in names
        for unmet in unmet_by(one.name, _requires(environment, one), environment, installed)
        if required_name(unmet.requirement) in names
    )


def _requires(environment: Environment, installed: Installed) -> tuple[str, ...]:
    try:
        return read_metadata(environment, installed).requires
    except RecordError:
        return ()
