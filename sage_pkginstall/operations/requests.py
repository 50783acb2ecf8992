"""From what a user names to the wheels to be installed; never through an index."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from sage_pkginstall.builds.store import find_wheel
from sage_pkginstall.errors import RequirementError, WheelError
from sage_pkginstall.wheels.requirements import parse_requirement_line
from sage_pkginstall.wheels.staging import WheelRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sage_pkginstall.environment import Environment
    from sage_pkginstall.wheels.requirements import RequirementLine

__all__ = ["direct_url", "parse_argument", "resolve_requests"]


def resolve_requests(
    lines: Iterable[RequirementLine],
    environment: Environment,
    store: Path | None,
    *,
    compile_sources: bool = True,
) -> tuple[WheelRequest, ...]:
    """Return the wheels that ``lines`` name, each asked for by the user.

    A line gives the wheel itself, or a requirement that the best wheel of ``store``
    meets; one whose marker does not hold in the target is passed over.  Raises
    `WheelError` for a file that is no wheel, `RequirementError` for what is not here.
    """
    return tuple(
        replace(_request(line, environment, store), compile=compile_sources)
        for line in lines
        if line.applies(environment)
    )


def parse_argument(argument: str) -> RequirementLine:
    """Return what a user named on the command line: a wheel, or a requirement.

    Raises `WheelError` for another file, `RequirementError` for what is neither.
    """
    path = Path(argument)
    if not argument.endswith(".whl") and " @ " not in argument and path.exists():
        remedy = "build it first, with 'sage-pkginstall build'"
        raise WheelError(path, f"it is not a wheel (NAME-VERSION-TAGS.whl); {remedy}")
    if argument.endswith(".whl") and " @ " not in argument and not path.exists():
        raise WheelError(path, f"there is no file {path}")
    return parse_requirement_line(argument)


def _request(line: RequirementLine, environment: Environment, store: Path | None) -> WheelRequest:
    if line.wheel is not None:
        wheel = line.verified_wheel().absolute()
        return WheelRequest(wheel, direct_url=direct_url(wheel))
    found = None
    if store is not None:
        found = find_wheel(store, Requirement(line.text.partition(" --hash")[0]), environment)
    if found is None:
        where = store or "a wheel store, as none is named"
        raise RequirementError(line.text, f"there is no fitting wheel in {where}")
    return WheelRequest(replace(line, wheel=found.path).verified_wheel())


def direct_url(wheel: Path) -> str:
    """Return the ``direct_url.json`` of a wheel given by its path (PEP 610), as pip writes it."""
    try:
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
    return json.dumps({"archive_info": archive, "url": wheel.as_uri()}, sort_keys=True)
