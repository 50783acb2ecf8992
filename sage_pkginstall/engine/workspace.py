"""The staging area: private directories on the prefix's own file system.

On disk, below ``TREE/var/tmp/sage/``::

    journal, undo           the transaction in progress, see journal.py
    T-PID-RANDOM.lock       flocked by the living owner of the workspace
    T-PID-RANDOM/           a workspace, mode 0700
        tree/               the staged tree, laid out like the prefix
        old/                what the transaction took out of the prefix
        scratch/            whatever else the owner needs
        aside-N             the old entry of the N-th operation, between two renames that
                            exchange it (see transaction.py)
        volumes             directories of this workspace on other file systems, each after
                            the identity of the workspace; relative to the prefix, which may
                            be moved, if they lie in it

The lock file is made and locked before the directory, and removed after it: so a
workspace whose lock can be taken belongs to a dead process and is debris.

Renames do not cross file systems, nor mounts of one.  Where a directory of the prefix lies on
another one (a mounted ``site-packages``), the workspace has a *volume*: a hidden directory at the
root of that file system, or as near to it as we may write, where its entries are staged.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat

from sage_pkginstall.engine import files
from sage_pkginstall.engine.journal import JournalFile, identity_of
from sage_pkginstall.engine.mounts import mount_points
from sage_pkginstall.engine.trust import make_closed, open_trusted, trusted_users
from sage_pkginstall.errors import JournalError, TransactionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["StagingArea", "Workspace"]

_LOCK_SUFFIX = ".lock"


class Workspace:
    """A private directory for one transaction of a living process.

    It is deleted when its ``with`` ends.
    """

    def __init__(self, prefix: Path, path: Path) -> None:
        self.prefix = prefix
        self.path = path
        self.tree = path / "tree"
        self.old = path / "old"
        self.scratch = path / "scratch"
        self.identity = identity_of(path)
        self._mount_points = mount_points()
        self._below = below = os.path.realpath(prefix).rstrip("/") + "/"
        inside = (p.removeprefix(below) for p in self._mount_points if p.startswith(below))
        self.mounts = frozenset(inside)  # relative to the prefix
        self._mounted: dict[tuple[str, int, int], str] = {}
        self._volumes: dict[tuple[int, str], Path] = {self._mount_of(path): path}
        self._exchanging: dict[Path, bool] = {}
        self._copies = 0
        self._unflushed: set[Path] = set()

    @property
    def name(self) -> str:
        """The name of the workspace in the staging area."""
        return self.path.name

    def is_empty(self) -> bool:
        """Tell whether nothing is staged."""
        with os.scandir(self.tree) as entries:
            return next(entries, None) is None

    def volume_of(self, directory: Path) -> Path:
        """Return where entries of this directory of the prefix are staged.

        That is the workspace itself, or a directory of it on the file system of
        ``directory``, which is made at need.
        """
        mount = self._mount_of(directory)
        if mount not in self._volumes:
            self._volumes[mount] = self._make_volume(directory, *mount)
        return self._volumes[mount]

    def can_exchange(self, directory: Path) -> bool:
        """Tell whether two entries can be exchanged on the file system of ``directory``."""
        volume = self.volume_of(directory)
        if volume not in self._exchanging:
            self._exchanging[volume] = files.can_exchange(volume)
        return self._exchanging[volume]

    def _mount_of(self, directory: Path) -> tuple[int, str]:
        """Return the device of a directory, and where what it lies in is mounted.

        That is not looked for again while the directory is the same.
        """
        status = os.stat(directory)
        key = (os.fspath(directory), status.st_dev, status.st_ino)
        mount = self._mounted.get(key)
        if mount is None:
            mount = os.path.realpath(directory)
            while mount not in self._mount_points and mount != os.path.dirname(mount):
                mount = os.path.dirname(mount)
            self._mounted[key] = mount
        return status.st_dev, mount

    def _make_volume(self, directory: Path, device: int, mount: str) -> Path:
        root = directory.resolve()
        while os.fspath(root) != mount and _may_climb(root, device):
            root = root.parent
        inside = os.fspath(root / f".{self.name}").removeprefix(self._below)
        with (self.path / "volumes").open("ab") as listing:
            listing.write(_mark(self.identity) + os.fsencode(inside) + b"\0")
        volume = self.prefix / inside  # by the name of the prefix that we were given
        for path in (volume, volume / "tree", volume / "old"):
            path.mkdir(0o700)
        return volume

    def slot_for_removal(self, directory: Path, name: str) -> Path:
        """Return where an entry that a plan removes goes to, by a ``name`` of that plan's own.

        That is a place on the file system of ``directory``.
        """
        return self.volume_of(directory) / "old" / name

    def obstacle(self, directory: Path) -> Path:
        """Return a directory that is not empty, on the file system of ``directory``."""
        obstacle = self.volume_of(directory) / "obstacle"
        if not obstacle.exists():
            (obstacle / "full").mkdir(parents=True)
        return obstacle

    def move_to_volume(self, staged: Path, directory: Path) -> Path:
        """Copy a staged entry to the volume of the directory it is meant for."""
        volume = self.volume_of(directory)
        if volume == self.path:
            return staged
        self._copies += 1
        return self._copy(staged, volume / "tree" / str(self._copies), volume)

    def renew(self, staged: Path) -> None:
        """Put a copy in place of a staged entry: the same, but for its inode number."""
        volume = self.volume_of(staged.parent)
        self._copies += 1
        copy = self._copy(staged, volume / f"copy-{self._copies}", volume)
        if _is_directory(staged):
            files.delete_tree(staged)
            os.rename(copy, staged)
        else:
            os.replace(copy, staged)

    def _copy(self, staged: Path, copy: Path, volume: Path) -> Path:
        from sage_pkginstall.engine.staged import copy_entry  # noqa: PLC0415 -- seldom needed

        self._unflushed.add(volume)
        copy_entry(staged, copy)
        return copy

    def note_change(self) -> None:
        """Note that planning changed the staged tree."""
        self._unflushed.add(self.path)

    def flush_changes(self) -> None:
        """Have the copies and changes that planning made written to the disk."""
        while self._unflushed:
            files.flush_file_system(self._unflushed.pop())


class StagingArea:
    """The staging area of one prefix."""

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        self.path = prefix / "var" / "tmp" / "sage"

    @contextlib.contextmanager
    def workspace(self) -> Iterator[Workspace]:
        """Make a workspace for the length of a ``with`` statement.

        What cannot be deleted at the end is left to `collect`: a failing clean-up makes no
        failure of what was done, and hides no error.
        """
        self._make()
        name = f"T-{os.getpid()}-{os.urandom(4).hex()}"
        lock_path = self.path / (name + _LOCK_SUFFIX)
        descriptor = self._new_lock(lock_path)
        path = self.path / name
        try:
            files.make_directory(path, 0o700)
            for part in ("tree", "old", "scratch"):
                os.mkdir(path / part)
            yield Workspace(self.prefix, path)
        finally:
            with contextlib.suppress(OSError):
                self._dispose(path, lock_path)
            os.close(descriptor)

    def _make(self) -> None:
        try:
            make_closed(self.path, self.prefix)
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from error

    def _unusable(self, reason: str) -> TransactionError:
        fault = f"its staging area {self.path} cannot be used: {reason}"
        return TransactionError(self.prefix, fault)

    def _new_lock(self, path: Path) -> int:
        """Create and lock ``path``, even while a collector is looking at it."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        while True:
            descriptor = os.open(path, flags, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            except OSError as error:
                os.close(descriptor)
                with contextlib.suppress(OSError):
                    os.unlink(path)
                reason = f"the file system gives no flock ({error.strerror})"
                raise self._unusable(reason) from error
            if files.inode(path) == os.fstat(descriptor).st_ino:
                return descriptor
            os.close(descriptor)

    def _dispose(self, path: Path, lock_path: Path) -> None:
        """Delete a workspace, but never one that the journal still needs."""
        if self._is_needed(path.name):
            return
        _delete_workspace(path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(lock_path)

    def _is_needed(self, name: str) -> bool:
        """Tell whether the journal, if there is one, names this workspace."""
        for journal in ("journal", "undo"):
            with contextlib.suppress(FileNotFoundError, PermissionError):
                descriptor = open_trusted(self.path / journal, os.O_RDONLY, self.prefix)
                with open(descriptor, "rb") as file:
                    if os.fsencode(name) in file.read():
                        return True
        return False

    def collect(self) -> tuple[str, ...]:
        """Delete the workspaces of dead processes; return their names.

        Those of users who are not trusted here (see trust.py) are left alone.  None goes
        while the journal cannot be read: it may be needed.
        """
        try:
            JournalFile(self.path).read()
        except (JournalError, OSError):
            return ()
        collected = []
        for path, lock_path in self._dead():
            with contextlib.suppress(OSError):
                self._dispose(path, lock_path)
                collected.append(path.name)
        return tuple(collected)

    def move_dead(self, place: Path, named: str | None) -> None:
        """Move the workspaces of dead processes, and the one ``named``, into a directory.

        That one is moved also if somebody holds its lock: who collects does so to look whether it
        is needed, and would delete it next time.  Those of users who are not trusted here are
        left alone.  What they have on other file systems stays there.
        """
        if named is not None and self._is_trusted(self.path / named):
            self._move(self.path / named, place)
        for path, _ in self._dead():
            self._move(path, place)

    def _move(self, path: Path, place: Path) -> None:
        with contextlib.suppress(FileNotFoundError):  # killed before it made one
            path.rename(place / path.name)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{path}{_LOCK_SUFFIX}")

    def _dead(self) -> Iterator[tuple[Path, Path]]:
        """Yield each workspace that no living process holds, and its lock, which we hold then."""
        try:
            entries = os.listdir(self.path)
        except FileNotFoundError:
            return
        for entry in sorted(entries):
            if entry.startswith("T-") and entry.endswith(_LOCK_SUFFIX):
                path, lock_path = self.path / entry.removesuffix(_LOCK_SUFFIX), self.path / entry
                with self._taken(lock_path) as is_taken:
                    if is_taken and self._is_trusted(path):
                        yield path, lock_path

    @contextlib.contextmanager
    def _taken(self, lock_path: Path) -> Iterator[bool]:
        """Hold the lock of a workspace, if nobody does; tell whether that is so."""
        try:
            descriptor = open_trusted(lock_path, os.O_RDWR, self.prefix)  # see open_lock
        except OSError:
            yield False
            return
        try:
            yield _lock_at_once(descriptor) and (
                files.inode(lock_path) == os.fstat(descriptor).st_ino
            )
        finally:
            os.close(descriptor)

    def _is_trusted(self, path: Path) -> bool:
        """Tell whether an entry is what its name says, or missing: a directory of ours."""
        status = files.lstat(path)
        if status is None:
            return True
        return stat.S_ISDIR(status.st_mode) and status.st_uid in trusted_users(self.prefix)


def _lock_at_once(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _may_climb(directory: Path, device: int) -> bool:
    """Tell whether the parent is another directory of the same file system, and writable."""
    parent = directory.parent
    is_same = parent != directory and os.stat(parent).st_dev == device
    return is_same and os.access(parent, os.W_OK)


def _is_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _mark(identity: tuple[int, int]) -> bytes:
    return b"%d %d " % identity


def _delete_workspace(path: Path) -> None:
    mark = _mark(identity_of(path))
    with contextlib.suppress(FileNotFoundError):
        for row in (path / "volumes").read_bytes().split(b"\0"):
            volume = row.removeprefix(mark)
            place = path.parents[3] / os.fsdecode(volume)
            # Only what _make_volume could have named: the list survives, names may not.
            # And a copy of the prefix has the list, but not the volumes.
            if volume != row and os.path.basename(volume) == b"." + os.fsencode(path.name):
                files.delete_tree(place)
    files.delete_tree(path)
