"""Where ``installer.install`` writes: a `StagedWheel`, and never anything outside of it."""

from __future__ import annotations

import os

from installer.destinations import WheelDestination
from installer.records import Hash, RecordEntry
from installer.scripts import Script

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO

    from installer.scripts import ScriptSection
    from installer.utils import Scheme

    from sage_pkginstall.wheels.staged_root import Content
    from sage_pkginstall.wheels.staged_wheel import StagedWheel

__all__ = ["StagedDestination"]


class StagedDestination(WheelDestination):
    """Lays a wheel out in ``staged``; the paths of scripts are those of ``interpreter``."""

    def __init__(self, staged: StagedWheel, interpreter: str) -> None:
        super().__init__()
        self._staged = staged
        self._interpreter = interpreter

    def write_script(
        self, name: str, module: str, attr: str, section: ScriptSection
    ) -> RecordEntry:
        """Write the script of an entry point."""
        _, content = Script(name, module, attr, section).generate(self._interpreter, "posix")
        return _entry(name, self._staged.add_script(name, content)[1])

    def write_file(
        self,
        scheme: Scheme,
        path: str | os.PathLike[str],
        stream: BinaryIO,
        is_executable: bool,  # noqa: FBT001 -- installer calls it so
    ) -> RecordEntry:
        """Write a file of the wheel; reading ``stream`` checks what is in it."""
        name = os.fspath(path)
        _, content = self._staged.add_file(scheme, name, stream, executable=is_executable)
        return _entry(name, content)

    def finalize_installation(
        self,
        scheme: Scheme,
        record_file_path: str,
        records: Iterable[tuple[Scheme, RecordEntry]],  # noqa: ARG002 -- they are known
    ) -> None:
        """Remember where RECORD goes: it is written after compilation."""
        self._staged.set_record(scheme, record_file_path)


def _entry(name: str, content: Content) -> RecordEntry:
    return RecordEntry(name, Hash.parse(content.hash), content.size)
