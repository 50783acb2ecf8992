"""What was built, a wheel or the tar of a staged tree, under the hash of what it was built from.

    CACHE/built/KEY/about.json        see `About`
    CACHE/built/KEY/NAME-VERSION-….whl, or NAME-VERSION.tar
    CACHE/asked/KEY.json              {"requires": […]}: what a backend asked for besides
    CACHE/building/KEY                flocked by who builds the wheel of KEY
    CACHE/var/tmp/sage/T-…            an entry being made; see engine/workspace.py

An entry appears whole, by one rename, and never changes.  Its file is compared with its hash
whenever it is taken; one that does not fit is deleted, reported, and counts as missing.
A directory's mtime is when its entry was last used.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import shutil

from sage_pkginstall.builds.source_files import hash_file
from sage_pkginstall.engine.files import flush, rename
from sage_pkginstall.engine.workspace import StagingArea
from sage_pkginstall.errors import TransactionError
from sage_pkginstall.user_cache import mark_used, read_cached, write_cached
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from typing import Any

    from sage_pkginstall.builds.remote import Remote

__all__ = ["About", "Shelf"]

_HASH = re.compile(r"[0-9a-f]{64}")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of where a file is copied to, never of the entry."""

_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.!+~-]*\.(?:whl|tar)")


class About(NamedTuple):
    """What is known of a file that was built.

    ``inputs`` has the hash of each group of inputs; ``made`` is the time (ISO 8601, UTC).
    """

    file: str
    sha256: str
    size: int
    made: str
    inputs: Mapping[str, str]

    @classmethod
    def read(cls, data: bytes, inputs: Mapping[str, str] | None = None) -> About:
        """Return what ``data`` says.

        Raises ValueError unless it all can be, and if it tells of other ``inputs``.
        """
        document = _document(data)
        try:
            about = cls(
                file=str(document["file"]),
                sha256=str(document["sha256"]),
                size=int(document["size"]),
                made=str(document["made"]),
                inputs={str(name): str(text) for name, text in document["inputs"].items()},
            )
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError("it lacks what is to be known of it") from error
        if not _FILE_NAME.fullmatch(about.file):
            raise ValueError(f"{about.file!r} is no name of a wheel or tar")
        if not _HASH.fullmatch(about.sha256):
            raise ValueError(f"{about.sha256!r} is no SHA-256")
        if inputs is not None and about.inputs != inputs:
            raise ValueError("it tells of other inputs")
        return about

    def written(self) -> bytes:
        """Return what `read` reads."""
        return json.dumps(self._asdict(), indent=1).encode() + b"\n"


class Shelf(NamedTuple):
    """The files of one cache, and of the remote behind it.

    ``warn`` is told of entries that are damaged.  No failure to read or write them is one of
    the build: what cannot be read is missing, what cannot be written is not kept.  The names of
    the files end with ``suffix``.
    """

    cache: Path
    remote: Remote | None
    warn: Callable[[str], object]
    suffix: str = ".whl"

    def take(self, key: str, inputs: Mapping[str, str], directory: Path) -> About | None:
        """Copy the wheel of ``key`` into ``directory``; None if there is none.

        An entry that says of itself that it was made from other ``inputs`` is damaged.
        """
        about = self._take_here(key, inputs, directory)
        if about is None and self.remote is not None:
            about = self._fetch(self.remote, key, inputs, directory)
            if about is not None:
                self._keep_here(key, directory / about.file, about)
        return about

    def keep(self, key: str, wheel: Path, about: About) -> None:
        """Keep a copy of ``wheel``, here and with the remote."""
        self._keep_here(key, wheel, about)
        if self.remote is not None and self.remote.put_file(f"cas/{about.sha256}", wheel):
            self.remote.put(f"ac/{key}", about.written())

    def asked(self, key: str) -> tuple[str, ...] | None:
        """Return what a backend is known to have asked for, None if that is not known."""
        with contextlib.suppress(OSError, ValueError):
            return _requires(read_cached(self._note(key)))
        if self.remote is None:
            return None
        data = self.remote.get(f"ac/{_key_of_note(key)}")
        if data is None:
            return None
        try:
            requires = _requires(data)
            _check_requirements(requires)
        except ValueError as error:
            note = f"{self.remote.url}ac/{_key_of_note(key)}"
            self.warn(f"{note} is damaged ({error}): the backend is asked")
            return None
        write_cached(self._note(key), data)
        return requires

    def note(self, key: str, requires: tuple[str, ...]) -> None:
        """Remember what a backend asked for."""
        data = json.dumps({"requires": requires}).encode()
        write_cached(self._note(key), data)
        if self.remote is not None:
            self.remote.put(f"ac/{_key_of_note(key)}", data)

    @contextlib.contextmanager
    def building(self, key: str, wait: Callable[[], object]) -> Iterator[None]:
        """Keep other processes from building ``key``; ``wait`` is called before waiting.

        Without a lock (a cache that cannot be written, or on a file system that has none)
        nobody is kept from it: the wheel is then built twice.
        """
        descriptor = self._lock_file(key)
        if descriptor is None:
            yield
            return
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                wait()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            except OSError:
                pass  # there are no locks
            yield
        finally:
            os.close(descriptor)

    def _lock_file(self, key: str) -> int | None:
        path = self.cache / "building" / key
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(path, flags, 0o600)
        except OSError:
            return None

    def _take_here(self, key: str, inputs: Mapping[str, str], directory: Path) -> About | None:
        entry = self.cache / "built" / key
        about = None
        try:
            about = self._about(read_cached(entry / "about.json"), inputs)
            place = directory / about.file
            shutil.copyfile(entry / about.file, place)
            if hash_file(place) == about.sha256:
                mark_used(entry)
                return about
            place.unlink()
            reason = f"{about.file} is not what was put there"
        except (FileNotFoundError, NotADirectoryError):
            if not entry.exists():
                return None
            reason = "it is not whole"
        except (OSError, ValueError) as error:
            if about is not None and getattr(error, "errno", None) in _NO_ROOM:
                (directory / about.file).unlink(missing_ok=True)
                self.warn(f"{entry} cannot be taken ({error}): the wheel is built anew")
                return None
            reason = str(error)
        self.warn(f"{entry} is damaged ({reason}): the wheel is built anew")
        self._discard(entry)
        return None

    def _about(self, data: bytes, inputs: Mapping[str, str]) -> About:
        about = About.read(data, inputs)
        if not about.file.endswith(self.suffix):
            raise ValueError(f"{about.file!r} is no name of a *{self.suffix}")
        return about

    def _discard(self, entry: Path) -> None:
        with (
            contextlib.suppress(OSError, TransactionError),
            StagingArea(self.cache).workspace() as workspace,
        ):
            rename(entry, workspace.scratch / entry.name)

    def _keep_here(self, key: str, wheel: Path, about: About) -> None:
        entry = self.cache / "built" / key
        try:
            area = StagingArea(self.cache)
            area.collect()
            with area.workspace() as workspace:
                root = workspace.tree / key
                root.mkdir()
                shutil.copyfile(wheel, root / about.file)
                (root / about.file).chmod(0o444)
                (root / "about.json").write_bytes(about.written())
                (root / "about.json").chmod(0o644)
                for path in (root / about.file, root / "about.json", root):
                    flush(path)
                entry.parent.mkdir(exist_ok=True)
                self._publish(root, entry)
        except (OSError, TransactionError) as error:
            remedy = "SAGE_PKGINSTALL_CACHE may name another directory"
            self.warn(f"{about.file} is not kept in {self.cache}: {_cause(error)}; {remedy}")

    def _publish(self, root: Path, entry: Path) -> None:
        try:
            rename(root, entry)
        except OSError as error:
            if error.errno not in {errno.EEXIST, errno.ENOTEMPTY}:
                raise
            self._discard(entry)  # it was built anew though it was there
            with contextlib.suppress(OSError):
                rename(root, entry)

    def _fetch(
        self, remote: Remote, key: str, inputs: Mapping[str, str], directory: Path
    ) -> About | None:
        data = remote.get(f"ac/{key}")
        if data is None:
            return None
        try:
            about = self._about(data, inputs)
        except ValueError as error:
            self.warn(f"{remote.url}ac/{key} is damaged ({error}): the wheel is built")
            return None
        place = directory / about.file
        if not remote.get_file(f"cas/{about.sha256}", place, about.size):
            return None
        if hash_file(place) != about.sha256:
            place.unlink()
            reason = "its content has another hash than its name"
            self.warn(f"{remote.url}cas/{about.sha256} is damaged ({reason}): the wheel is built")
            return None
        return about

    def _note(self, key: str) -> Path:
        return self.cache / "asked" / f"{key}.json"


def _key_of_note(key: str) -> str:
    """Return a key for the note that is no key of a wheel."""
    from sage_pkginstall.builds.inputs import digest_of  # noqa: PLC0415 -- only with a remote

    return digest_of({"asked": key})


def _document(data: bytes) -> Any:  # noqa: ANN401 -- JSON
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _requires(data: bytes) -> tuple[str, ...]:
    document = _document(data)
    requires = document.get("requires") if isinstance(document, dict) else None
    if not isinstance(requires, list) or not all(isinstance(one, str) for one in requires):
        raise ValueError("it is no list of requirements")
    return tuple(requires)


def _check_requirements(requires: tuple[str, ...]) -> None:
    from packaging.requirements import Requirement  # noqa: PLC0415 -- only with a remote

    for one in requires:
        Requirement(one)


def _cause(error: OSError | TransactionError) -> str:
    """Return why the cache could not be written; what is said of a prefix does not matter here."""
    return error.reason if isinstance(error, TransactionError) else str(error)
