"""The wheels that a package's scripts asked to have installed, in the order of asking.

    $SAGE_PKGINSTALL_PACKAGE_DIR/wheels.jsonl    {"wheel": PATH, "options": [...]} a line
    $SAGE_PKGINSTALL_PACKAGE_DIR/editable/       editable wheels, which no store keeps

The helpers of install scripts add lines with ``sage-pkginstall stage-wheel``; sage-spkg
stages the wheels when the script has succeeded.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from sage_pkginstall.engine.trust import open_trusted
from sage_pkginstall.errors import RecordError, WheelError
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["QUEUE", "QueuedWheel", "queue_wheel", "queued_wheels"]

QUEUE = "wheels.jsonl"
_EDITABLE = "editable"


class QueuedWheel(NamedTuple):
    """A wheel to be installed, and the options of sage-pip-install that go with it."""

    path: Path
    options: tuple[str, ...]

    @property
    def compile(self) -> bool:
        """Whether byte-code is wanted."""
        return "--no-compile" not in self.options

    @property
    def editable_source(self) -> str | None:
        """The directory that an editable installation leads to."""
        if "--editable" not in self.options:
            return None
        place = self.options.index("--editable") + 1
        return self.options[place] if place < len(self.options) else None


def queue_wheel(directory: Path, wheel: Path, options: Sequence[str]) -> None:
    """Add a wheel to the queue in ``directory``.  Raises WheelError if there is no such file.

    An editable one, which is not stored, is kept there: what the script builds next empties
    ``dist/``.
    """
    if not wheel.is_file():
        raise WheelError(wheel, f"there is no file {wheel}")
    if "--editable" in options:
        kept = directory / _EDITABLE / wheel.name
        kept.parent.mkdir(exist_ok=True)
        wheel = shutil.copyfile(wheel, kept)
    line = json.dumps({"wheel": os.fspath(wheel.absolute()), "options": list(options)})
    with (directory / QUEUE).open("a", encoding="ascii") as file:
        file.write(line + "\n")  # one write of one line: jobs of a script may do this at once


def queued_wheels(directory: Path) -> tuple[QueuedWheel, ...]:
    """Return the queue; of several wheels of one distribution the last one counts.

    SAGE_SUDO reads it, too, so no link is followed, nor a pipe waited for.  Raises RecordError
    for a queue that cannot be read.
    """
    path = directory / QUEUE
    try:
        with open(open_trusted(path, os.O_RDONLY, directory), encoding="ascii") as file:  # noqa: PTH123
            lines = file.read().splitlines()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise RecordError(path, error.strerror or str(error)) from error
    except ValueError as error:
        raise RecordError(path, f"it is not ASCII: {error}") from error
    from sage_pkginstall.wheels.names import canonical_name  # noqa: PLC0415 -- not to queue a wheel

    found: dict[str, QueuedWheel] = {}
    for line in lines:
        try:
            document = json.loads(line)
            wheel = QueuedWheel(Path(document["wheel"]), tuple(map(str, document["options"])))
        except (ValueError, KeyError, TypeError) as error:
            raise RecordError(path, f"it has a line that is none of ours: {line}") from error
        name = canonical_name(wheel.path.name.partition("-")[0])
        found.pop(name, None)
        found[name] = wheel
    return tuple(found.values())
