"""Power failures: what a disk may hold of the changes that were made before one.

The primitive steps of the engine are recorded while a command really runs.  Then disks
are made that hold what was there at the last ``syncfs``, and of the steps since then:

- all that a flush made last: the steps that touched the flushed directory, and what those
  rest on (earlier steps at the same paths);
- any of the others, or not, each by itself: steps need not reach the disk in their order.
  One that rests on a step which did not reach it is lost: its name is not there, or taken,
  or it changes the names of a file whose names an earlier step changed (its count of links);
- a file written and not flushed has its name, and no content.

That is less than ext4, xfs or btrfs promise, which keep the order of changes of names.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sage_pkginstall.engine import files
from sage_pkginstall.engine.journal import identity_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

__all__ = ["Recording", "Step", "lasting", "possible", "recorded", "replay"]


@dataclass(frozen=True)
class Step:
    """One step: its kind, the paths it touched (relative to the prefix), data if it wrote."""

    kind: str  # link, rename (to a free name), replace, exchange, unlink, write, flush …
    paths: tuple[str, ...]
    inodes: frozenset[int] = frozenset()
    data: bytes = b""
    flushed: bool = False

    def directories(self) -> frozenset[str]:
        """Return the directories whose entries it changed."""
        return frozenset(path.rpartition("/")[0] for path in self.paths)

    def is_cause_of(self, later: Step) -> bool:
        """Tell whether both change names of one file, so that they keep their order."""
        return bool(self.inodes & later.inodes)


@dataclass
class Recording:
    """The steps since everything was flushed, and a copy of what was there then."""

    prefix: Path
    base: Path
    fail_at: int = 0
    steps: list[Step] = field(default_factory=list)

    def note(self, kind: str, *paths: Any, data: bytes = b"", flushed: bool = False) -> None:
        """Note a step; one of them is to fail before it is made."""
        relative = tuple(_relative(self.prefix, path) for path in paths)
        if len(self.steps) + 1 == self.fail_at:
            self.fail_at = 0
            raise OSError(5, "a failure that the test asked for", relative[0])
        inodes = () if kind.startswith("flush") else filter(None, map(files.inode, paths))
        self.steps.append(Step(kind, relative, frozenset(inodes), data, flushed))

    def begin(self) -> None:
        """Take what is there as what the disk holds."""
        shutil.rmtree(self.base, ignore_errors=True)
        shutil.copytree(self.prefix, self.base, symlinks=True)
        self.steps.clear()


def _relative(prefix: Path, path: Any) -> str:
    relative = os.path.relpath(path, prefix)
    return "" if relative == "." else relative


@contextlib.contextmanager
def recorded(recording: Recording, *, exchange: bool = True) -> Iterator[None]:
    """Record the steps of the engine; without ``exchange`` as where renameat2 is missing."""
    recorder = _Recorder(recording, exchange=exchange)
    originals = {name: getattr(files, name) for name in _RECORDED.split()}
    renamer = files._rename_with_flags
    try:
        for name in _RECORDED.split():
            setattr(files, name, getattr(recorder, name))
        if not exchange:
            files._rename_with_flags = None
        yield
    finally:
        files._rename_with_flags = renamer
        for name, original in originals.items():
            setattr(files, name, original)


_exchange = files.exchange  # the real ones, of which some are used below
_delete_tree = files.delete_tree
_RECORDED = """
    rename_new exchange rename link unlink remove_if_empty make_directory write_new
    flush flush_file_system delete_tree
"""


class _Recorder:
    """The primitive steps of `files`, noted and made."""

    def __init__(self, recording: Recording, *, exchange: bool) -> None:
        self.note = recording.note
        self.recording = recording
        self.can_exchange = exchange

    def rename_new(self, old: Path, new: Path) -> None:
        if self.can_exchange or _is_directory(old):
            self.note("rename", old, new)
            Path(old).rename(new)
        else:
            self.link(old, new)
            self.unlink(old)

    def exchange(self, first: Path, second: Path) -> bool:
        if not self.can_exchange:
            return False
        self.note("exchange", first, second)
        return _exchange(first, second)

    def rename(self, old: Path, new: Path) -> None:
        self.note("replace" if os.path.lexists(new) else "rename", old, new)
        Path(old).rename(new)

    def link(self, old: Path, new: Path) -> bool:
        self.note("link", old, new)
        os.link(old, new, follow_symlinks=False)
        return True

    def unlink(self, path: Path) -> None:
        self.note("unlink", path)
        Path(path).unlink()

    def remove_if_empty(self, path: Path) -> None:
        if Path(path).is_dir() and not any(Path(path).iterdir()):
            self.note("rmdir", path)
            Path(path).rmdir()

    def make_directory(self, path: Path, mode: int = 0o777) -> None:
        self.note("mkdir", path)
        Path(path).mkdir(mode)

    def write_new(
        self, path: Path, data: bytes, *, mode: int = 0o644, durable: bool = False
    ) -> None:
        self.note("write", path, data=data, flushed=durable)
        path.write_bytes(data)
        path.chmod(mode)

    def flush(self, path: Path) -> None:
        self.note("flush", path)

    def flush_file_system(self, _path: Path) -> None:
        self.recording.begin()

    def delete_tree(self, path: Path) -> None:
        self.note("delete", path)
        _delete_tree(path)


def _is_directory(path: Path) -> bool:
    return Path(path).is_dir() and not Path(path).is_symlink()


def lasting(steps: Sequence[Step]) -> frozenset[int]:
    """Return the numbers of the steps that flushes among ``steps`` made last."""
    found: set[int] = set()
    for number, step in enumerate(steps):
        if step.kind == "flush":
            touched = [n for n in range(number) if step.paths[0] in steps[n].directories()]
            found |= _with_causes(steps, touched)
    return frozenset(found)


def _with_causes(steps: Sequence[Step], wanted: Collection[int]) -> set[int]:
    """Return ``wanted`` and the earlier steps which they rest on."""
    found = set(wanted)
    pending = list(wanted)
    while pending:
        number = pending.pop()
        for earlier in range(number):
            if earlier in found:
                continue
            same_paths = set(steps[earlier].paths) & set(steps[number].paths)
            if same_paths or steps[earlier].is_cause_of(steps[number]):
                found.add(earlier)
                pending.append(earlier)
    return found


def possible(steps: Sequence[Step], wanted: Collection[int]) -> frozenset[int]:
    """Return those of the steps ``wanted`` on the disk of which no cause is lost."""
    kept: set[int] = set()
    for number in sorted(wanted):
        causes = {n for n in range(number) if steps[n].is_cause_of(steps[number])}
        if causes <= kept:
            kept.add(number)
    return frozenset(kept)


def replay(recording: Recording, kept: Collection[int], disk: Path) -> None:
    """Make ``disk`` hold the base of the recording and these steps of it."""
    shutil.copytree(recording.base, disk, symlinks=True)
    journals = _Journals(disk)
    for number in sorted(kept):
        step = recording.steps[number]
        paths = [disk / path for path in step.paths]
        with contextlib.suppress(OSError):  # what it rests on did not reach the disk
            _make(step, paths, journals)


def _make(step: Step, paths: list[Path], journals: _Journals) -> None:
    if step.kind == "exchange":
        _exchange(paths[0], paths[1])
    elif step.kind in ("rename", "replace"):
        if os.path.lexists(paths[1]) is (step.kind == "replace"):
            paths[0].rename(paths[1])
    elif step.kind == "link":
        os.link(paths[0], paths[1], follow_symlinks=False)
    elif step.kind == "write":
        paths[0].write_bytes(journals.adapted(step.data) if step.flushed else b"")
    else:
        _SIMPLE[step.kind](paths[0])


_SIMPLE: dict[str, Callable[[Path], object]] = {
    "delete": shutil.rmtree,
    "mkdir": Path.mkdir,
    "rmdir": Path.rmdir,
    "unlink": Path.unlink,
    "flush": lambda _path: None,
}


class _Journals:
    """Journals name inodes, which are others in a copy, but not on the disk that lost power."""

    def __init__(self, disk: Path) -> None:
        self.area = disk / "var" / "tmp" / "sage"
        self.numbers = {
            os.path.relpath(entry, disk): os.lstat(entry).st_ino for entry in disk.rglob("*")
        }

    def adapted(self, data: bytes) -> bytes:
        """Return a journal with the inode numbers of the copy, and its workspace's identity."""
        document = json.loads(data)
        document["identity"] = identity_of(self.area / document["workspace"])
        for row in document["operations"]:
            if row[0] == "swap":
                row[3] = self.numbers[row[2]]
        return json.dumps(document).encode()
