"""A wheel that was staged before: laid out again without reading the wheel.

What was found good once is in a pack by the hash of the wheel: its files, the bodies of
its scripts, what it needs; and, for one Python, its byte-code.  What depends on the
prefix (interpreters in scripts, paths in byte-code, RECORD) is made anew, by the same
`StagedWheel` that takes the files of an archive.
"""

from __future__ import annotations

import contextlib

from sage_pkginstall import __version__
from sage_pkginstall.wheels.fitness import Needs
from sage_pkginstall.wheels.packs import (
    PackedFile,
    PackWriter,
    Piece,
    digest_of,
    open_pack,
)
from sage_pkginstall.wheels.shebang import bare_script, script_for
from sage_pkginstall.wheels.staged_wheel import WheelIdentity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from sage_pkginstall.environment import Environment
    from sage_pkginstall.wheels.archive import WheelArchive
    from sage_pkginstall.wheels.linked_files import LinkedFiles
    from sage_pkginstall.wheels.packs import Pack
    from sage_pkginstall.wheels.staged_wheel import StagedWheel

__all__ = ["PackedWheel", "WheelPacks"]

_FORMAT = 2
_MOST_FILES = 20_000
_ANY_BYTES = "latin-1"  # each byte is a character


class WheelPacks:
    """The packs of one wheel in the cache ``directory``; raises OSError without the wheel."""

    def __init__(self, directory: Path, wheel: Path) -> None:
        self._wheel = wheel
        self._directory = directory / "packs"
        self._digest, self._state = digest_of(wheel)

    def find(self, links: LinkedFiles | None = None) -> PackedWheel | None:
        """Return the wheel if it was kept; close it after use.

        If all its files are in ``links``, the pack is only asked which these are.
        """
        pack = self._open(f"{self._digest}.files")
        if pack is None:
            return None
        packed = PackedWheel(self._wheel, pack)
        named = pack.index["wheel"] == self._wheel.name  # which says its tags
        if named and ((links and packed.is_linked(links)) or pack.is_intact()):
            return packed
        pack.close()
        return None

    def is_of(self, archive: WheelArchive) -> bool:
        """Tell whether ``archive`` is open on the wheel as it was when it was looked up.

        Another build may have put another one in its place.
        """
        return archive.state == self._state

    @contextlib.contextmanager
    def keeping(
        self, archive: WheelArchive, staged: StagedWheel, interpreter: str
    ) -> Iterator[None]:
        """Keep a wheel while it is staged from ``archive`` for ``interpreter``."""
        if archive.count > _MOST_FILES:
            yield
            return
        name = f"{self._digest}.files"
        with PackWriter(self._directory / name) as writer:
            offsets: list[int] = []
            entries: list[tuple[int, str]] = []
            archive.on_begin = lambda stream: offsets.append(writer.align(stream.size))
            archive.on_piece = writer.add
            archive.on_entry = lambda stream: entries.append((stream.size, stream.verified_hash()))
            yield
            archive.on_begin = archive.on_piece = archive.on_entry = None
            files = _file_rows(staged, offsets, entries)
            scripts = _script_rows(staged, interpreter)
            index = {**_facts(archive), "scripts": scripts, "files": files}
            writer.finish(self._index(name, index))

    def find_code(self, environment: Environment) -> Pack | None:
        """Return the pack of byte-code for the Python of ``environment``; close it after use."""
        pack = self._open(self._code(environment))
        if pack is None or pack.is_intact():
            return pack
        pack.close()
        return None

    def keep_code(
        self, environment: Environment, take: Callable[[PackWriter], list[tuple[int, ...]]]
    ) -> None:
        """Keep the byte-code that ``take`` writes; see `packed_code.take_code`."""
        name = self._code(environment)
        with PackWriter(self._directory / name) as writer:
            rows = take(writer)
            writer.finish(self._index(name, {"code": rows}))

    def _code(self, environment: Environment) -> str:
        return f"{self._digest}-{environment.cache_tag}-{environment.magic.hex()}.code"

    def _open(self, name: str) -> Pack | None:
        pack = open_pack(self._directory / name)
        if pack is not None and (pack.index["format"], pack.index["name"]) != (_format(), name):
            pack.close()
            return None
        return pack

    def _index(self, name: str, index: dict[str, object]) -> dict[str, object]:
        """Return the index of a pack that says which it is: its name could have been changed."""
        return {"format": _format(), "name": name, **index}


def _format() -> str:
    """Return what a pack is good for: another version may refuse what this one has taken."""
    return f"{_FORMAT} of {__version__}"


class PackedWheel:
    """The files of a wheel in a pack, and what else is to be known of it."""

    def __init__(self, wheel: Path, pack: Pack) -> None:
        index = pack.index
        self._pack = pack
        self.identity = WheelIdentity(wheel, index["distribution"], index["info"])
        self.version: str = index["version"]
        self.needs = Needs(frozenset(index["tags"]), index["requires_python"])
        self.requires: tuple[str, ...] = tuple(index["requires"])
        self.root_scheme: str = index["root_scheme"]

    def close(self) -> None:
        """Close the pack."""
        self._pack.close()

    def is_linked(self, links: LinkedFiles) -> bool:
        """Tell whether all its files are in ``links``."""
        return all(
            links.find(known, size, executable=executable)
            for _, _, executable, _, size, known in self._pack.index["files"]
        )

    def lay(self, staged: StagedWheel, interpreter: str) -> None:
        """Write scripts and files, in the order of ``installer.install``."""
        for name, body in self._pack.index["scripts"]:
            staged.add_script(name, script_for(body.encode(_ANY_BYTES), interpreter))
        for scheme, name, executable, offset, size, known in self._pack.index["files"]:
            stream: BinaryIO = PackedFile(self._pack, Piece(offset, size), known)  # type: ignore[assignment]  # read only
            staged.add_file(scheme, name, stream, executable=executable)


def _facts(archive: WheelArchive) -> dict[str, object]:
    return {
        "wheel": archive.path.name,
        "distribution": archive.name,
        "version": archive.version,
        "info": archive.dist_info_dir,
        "root_scheme": archive.root_scheme,
        "tags": sorted(archive.tags),
        "requires_python": archive.metadata.requires_python,
        "requires": archive.metadata.requires_dist,
    }


def _file_rows(
    staged: StagedWheel, offsets: Iterable[int], entries: Iterable[tuple[int, str]]
) -> list[tuple[str, str, bool, int, int, str]]:
    """Return a row for each entry of the wheel."""
    rows = []
    # Metadata of ours follows the entries.
    for file, offset, (size, known) in zip(staged.files, offsets, entries, strict=False):
        rows.append((file.scheme, file.name, file.executable, offset, size, known))
    return rows


def _script_rows(staged: StagedWheel, interpreter: str) -> list[tuple[str, str]]:
    return [
        (name, bare_script(staged.place(path).read_bytes(), interpreter).decode(_ANY_BYTES))
        for name, path in staged.scripts
    ]
