"""From what a user names to the wheels to be installed; never through an index."""

from __future__ import annotations

import hashlib
import json
import os
from functools import cached_property
from pathlib import Path

from sage_pkginstall.errors import RequirementError, WheelError
from sage_pkginstall.wheels.staging import WheelRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sage_pkginstall.builds.store import StoredWheel
    from sage_pkginstall.environment import Environment
    from sage_pkginstall.wheels.requirements import RequirementLine

__all__ = ["direct_url", "editable_url", "requests_of_arguments", "requests_of_lines"]


def requests_of_arguments(
    arguments: Iterable[str], environment: Environment, store: Path
) -> tuple[WheelRequest, ...]:
    """Return the wheels that a user named on the command line.

    An argument is the path of a wheel, ``NAME @ file:///PATH.whl``, or a requirement
    that the best wheel of ``store`` meets.  One whose marker does not hold in the target
    is passed over.  Raises `WheelError` for a file that is no wheel, `RequirementError`
    for what is not here.
    """
    stored = _Store(store, environment)
    requests = (_requests_of_argument(argument, stored) for argument in arguments)
    return tuple(request for some in requests for request in some)


def _requests_of_argument(argument: str, stored: _Store) -> tuple[WheelRequest, ...]:
    path = Path(argument)
    if argument.endswith(".whl") and " @ " not in argument and "://" not in argument:
        return (_of_file(path),)
    if " @ " not in argument and _is_path(argument) and path.exists():
        remedy = "build it first, with 'sage-pkginstall build'"
        raise WheelError(path, f"it is not a wheel (NAME-VERSION-TAGS.whl); {remedy}")
    from sage_pkginstall.wheels.requirements import (  # noqa: PLC0415 - costs 30 ms
        parse_requirement_line,
    )

    return stored.requests([parse_requirement_line(argument)])


def _is_path(word: str) -> bool:
    """Tell whether a word is meant as a path; what has a name may have a directory here, too."""
    return "/" in word or word.startswith(".") or word.endswith((".gz", ".zip"))


def requests_of_lines(
    lines: Iterable[RequirementLine], environment: Environment, store: Path
) -> tuple[WheelRequest, ...]:
    """Return the wheels that the lines of requirements files name.

    A line whose marker does not hold in the target is passed over.  Raises as
    `requests_of_arguments` does.
    """
    return _Store(store, environment).requests(lines)


def _of_file(wheel: Path) -> WheelRequest:
    """Return the request for a wheel, under a path that is the same however it was given."""
    absolute = wheel.absolute()
    if ".." in absolute.parts:  # behind a link, that is not what stands before it
        absolute = Path(os.path.realpath(absolute.parent), absolute.name)
    return WheelRequest(absolute, direct_url=direct_url(absolute))


class _Store:
    """A wheel store, which is listed once, and only where a wheel is meant by its name."""

    def __init__(self, directory: Path, environment: Environment) -> None:
        self._directory = directory
        self._environment = environment

    @cached_property
    def _wheels(self) -> tuple[StoredWheel, ...]:
        from sage_pkginstall.builds.store import stored_wheels  # noqa: PLC0415 - for names only

        return stored_wheels(self._directory)

    def requests(self, lines: Iterable[RequirementLine]) -> tuple[WheelRequest, ...]:
        """Return the wheels that lines name whose marker holds in the target."""
        return tuple(self._request(line) for line in lines if line.applies(self._environment))

    def _request(self, line: RequirementLine) -> WheelRequest:
        if line.wheel is not None:
            return _of_file(line.verified_wheel())
        from packaging.requirements import Requirement  # noqa: PLC0415 - for names only

        from sage_pkginstall.builds.store import find_wheel  # noqa: PLC0415 - for names only

        found = find_wheel(self._wheels, Requirement(line.requirement), self._environment)
        if found is None:
            raise RequirementError(line.text, f"there is no fitting wheel in {self._directory}")
        return WheelRequest(line._replace(wheel=found.path).verified_wheel())


def direct_url(wheel: Path, *, kept_at: Path | None = None) -> str:
    """Return the ``direct_url.json`` of a wheel given by its path (PEP 610), as pip writes it.

    ``kept_at`` is where the wheel will lie, if that is somewhere else.
    """
    try:
        if not wheel.is_file() and wheel.exists():
            raise WheelError(wheel, "it is no regular file")  # a pipe would make us wait
        with wheel.open("rb") as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
    except FileNotFoundError:
        raise WheelError(wheel, f"there is no file {wheel}") from None
    except OSError as error:
        raise WheelError(wheel, f"{error.strerror}: {wheel}") from error
    value = digest.hexdigest()
    archive = {"hash": f"sha256={value}", "hashes": {"sha256": value}}
    url = (kept_at or wheel).as_uri()
    return json.dumps({"archive_info": archive, "url": url}, sort_keys=True)


def editable_url(source: Path) -> str:
    """Return the ``direct_url.json`` of an editable wheel of ``source`` (PEP 610, PEP 660)."""
    origin = {"dir_info": {"editable": True}, "url": source.resolve().as_uri()}
    return json.dumps(origin, sort_keys=True)
