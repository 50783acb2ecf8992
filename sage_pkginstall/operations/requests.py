"""From what a user names to the wheels to be installed; never through an index."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement

from sage_pkginstall.builds.store import find_wheel
from sage_pkginstall.errors import RequirementError, WheelError
from sage_pkginstall.wheels.staging import WheelRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sage_pkginstall.environment import Environment

__all__ = ["resolve_requests"]


def resolve_requests(
    arguments: Iterable[str],
    environment: Environment,
    store: Path | None,
    *,
    compile: bool = True,  # noqa: A002
) -> tuple[WheelRequest, ...]:
    """Return the wheels that ``arguments`` name, each asked for by the user.

    An argument is the path of a wheel, ``NAME @ file:///PATH.whl``, or a requirement
    that the best wheel of ``store`` meets.  Raises `WheelError` for a file that is no
    wheel, `RequirementError` for what cannot be had here.
    """
    return tuple(_request(a, environment, store, compile_=compile) for a in arguments)


def _request(
    argument: str, environment: Environment, store: Path | None, *, compile_: bool
) -> WheelRequest:
    if argument.endswith(".whl") and "@" not in argument:
        return _by_path(Path(_local_path(argument)), compile_=compile_)
    if Path(argument).exists():
        remedy = "build it first, with 'sage-pkginstall build'"
        raise WheelError(Path(argument), f"it is not a wheel (NAME-VERSION-TAGS.whl); {remedy}")
    requirement = _parse(argument)
    if requirement.url is not None:
        return _by_path(Path(_local_path(requirement.url)), compile_=compile_)
    wheel = find_wheel(store, requirement, environment) if store is not None else None
    if wheel is None:
        where = store if store is not None else "a wheel store, as none is named"
        raise RequirementError(argument, f"there is no fitting wheel in {where}")
    return WheelRequest(wheel.path, requested=True, direct_url=None, compile=compile_)


def _parse(argument: str) -> Requirement:
    try:
        return Requirement(argument)
    except InvalidRequirement as error:
        reason = f"it is neither a wheel nor a requirement ({str(error).splitlines()[0]})"
        raise RequirementError(argument, reason) from None


def _local_path(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("", "file") or parts.netloc not in ("", "localhost"):
        raise RequirementError(url, "only local files are installed; nothing is downloaded")
    return unquote(parts.path) if parts.scheme == "file" else url


def _by_path(wheel: Path, *, compile_: bool) -> WheelRequest:
    wheel = wheel.absolute()
    return WheelRequest(wheel, requested=True, direct_url=direct_url(wheel), compile=compile_)


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
