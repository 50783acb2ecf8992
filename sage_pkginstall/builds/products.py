"""What a build leaves: one wheel, and nothing else."""

from __future__ import annotations

from sage_pkginstall.errors import BuildError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["only_wheel"]


def only_wheel(directory: Path, source: Path) -> Path:
    """Return the one wheel that building ``source`` left in ``directory``.

    Raises BuildError if there is none or more than one.
    """
    wheels = sorted(directory.glob("*.whl"))
    if not wheels:
        raise BuildError(source, "no wheel found after building")
    if len(wheels) > 1:
        names = ", ".join(wheel.name for wheel in wheels)
        raise BuildError(source, f"more than one wheel found after building: {names}")
    return wheels[0]
