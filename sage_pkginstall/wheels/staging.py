"""A wheel, laid out in a staged tree as it shall lie in the prefix.

Before: a staged tree, private to us.  After `stage_wheel`: the same with the files of one
distribution, byte-code and RECORD included.  After an error: with some of them; the
staged tree is to be thrown away, and nothing else has been written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import installer

from sage_pkginstall.wheels.archive import WheelArchive
from sage_pkginstall.wheels.destination import StagedDestination

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sage_pkginstall.environment import Environment

__all__ = ["StagedDistribution", "StagingCompiler", "WheelRequest", "stage_wheel"]


class StagingCompiler(Protocol):
    """Compiles staged sources; `sage_pkginstall.wheels.bytecode.compile_staged` is one."""

    def __call__(
        self, root: Path, sources: Sequence[str], environment: Environment
    ) -> Sequence[str]:
        """Write byte-code of ``sources`` below ``root``; return the paths of what is there.

        All paths are relative to the prefix.  What does not compile is left out.
        """


class WheelRequest(NamedTuple):
    """A wheel to be installed, and what its ``*.dist-info`` shall say about that."""

    path: Path
    requested: bool = True
    direct_url: str | None = None
    """Text of direct_url.json (PEP 610)."""
    compile: bool = True


class StagedDistribution(NamedTuple):
    """What was staged; paths are relative to the prefix."""

    name: str
    """Canonical."""
    version: str
    info: str
    """The ``*.dist-info`` directory."""
    paths: frozenset[str]
    """All files, byte-code and RECORD included."""
    requires: tuple[str, ...]
    """Values of Requires-Dist."""
    replaced: frozenset[str] = frozenset()
    """Files that another wheel or package had staged here with another content.

    They are this distribution's now, and the other one's RECORD does not fit them.
    """


def stage_wheel(
    request: WheelRequest,
    environment: Environment,
    root: Path,
    *,
    compiler: StagingCompiler,
) -> StagedDistribution:
    """Lay the wheel out below ``root``, compile it and write its RECORD.

    Raises WheelError for a wheel that is none, is damaged or does not fit, before
    anything is written wherever that can be known; ConflictError where something else
    in the staged tree is in the way.
    """
    with WheelArchive.open(request.path) as archive:
        archive.check_fits(environment)
        with StagedDestination(archive, environment, root) as destination:
            installer.install(archive, destination, _additional_metadata(request))
            compiled: Sequence[str] = ()
            if request.compile:
                compiled = compiler(root, destination.sources, environment)
            destination.write_record(compiled)
            return StagedDistribution(
                name=archive.name,
                version=archive.version,
                info=destination.info,
                paths=destination.paths | frozenset(compiled),
                requires=archive.metadata.requires_dist,
                replaced=destination.replaced,
            )


def _additional_metadata(request: WheelRequest) -> dict[str, bytes]:
    files = {"INSTALLER": b"sage-pkginstall\n"}
    if request.requested:
        files["REQUESTED"] = b""
    if request.direct_url is not None:
        files["direct_url.json"] = request.direct_url.encode()
    return files
