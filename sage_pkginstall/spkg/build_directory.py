"""The build directory of a package: one process at a time works in it.

    $SAGE_BUILD_DIR/NAME-VERSION/         sources, and the directories below
        inst/                             SAGE_DESTDIR: the package's staged tree
        .sage-pkginstall/                 what helpers leave for sage-spkg
    $SAGE_BUILD_DIR/.NAME-VERSION.lock    flocked by the process that works there

The lock keeps two builds of one package from deleting each other's sources.  Scripts inherit
it: what goes on when sage-spkg was killed would write into the next build's staged tree, so
that one waits for its end; and what goes on when a script has failed, or was interrupted, is
known by it, and ended.  It has nothing to do with the lock of the tree, which is not held
while anything is built.
"""

from __future__ import annotations

import contextlib
import fcntl
import os

from sage_pkginstall.builds.descendants import end_heirs
from sage_pkginstall.engine.files import delete_tree, naming
from sage_pkginstall.engine.trust import trusted_users, user_name
from sage_pkginstall.errors import PackageError
from sage_pkginstall.spkg.programs import Program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sage_pkginstall.spkg.programs import Run
    from sage_pkginstall.spkg.variables import PackageVariables

__all__ = ["erase", "is_staged", "make_fresh", "mark_staged", "mark_unfinished", "occupied"]

_SCRIPTS_TAKE = 20  # descriptors: scripts, those of autoconf say, open smaller ones by number
_STAGED = "staged"
_UNFINISHED = "unfinished"


@contextlib.contextmanager
def occupied(place: PackageVariables, say: Callable[[str], None], run: Run) -> Iterator[None]:
    """Keep others out of the package's build directory, waiting until they are.

    The area of all build directories is made, by SAGE_SUDO where we may not, and removed
    again if it is the tree's own and nothing is left there.  Raises PackageError if it cannot
    be made.
    """
    path = place.build_area / f".{place.full_name}.lock"
    descriptor = None
    while descriptor is None:
        _make_area(place, run)
        with contextlib.suppress(FileNotFoundError):  # others have just removed the area
            descriptor = _locked(path, lambda: say(_waiting(place)))
    try:
        with _inherited(descriptor) as inherited:
            try:
                yield
            except BaseException:
                end_heirs(inherited)
                raise
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # whatever daemons have inherited
        os.close(descriptor)
        if place.common.build is None:
            with contextlib.suppress(OSError):
                place.build_area.rmdir()


def make_fresh(place: PackageVariables, run: Run) -> None:
    """Make the build directory, empty whatever was there before, but for the mark `erase` keeps.

    It is ours.  Raises PackageError.
    """
    _make(place, unfinished=_delete(place, run))
    place.destdir.mkdir()


def erase(place: PackageVariables, run: Run) -> None:
    """Delete the build directory, if there is one.  Raises PackageError if it cannot be.

    What SAGE_SUDO left there is deleted by SAGE_SUDO.  The mark of an unfinished package stays:
    the next build may fail, or be of its wheel only, and what is installed is as it was then.
    """
    if _delete(place, run):
        _make(place, unfinished=True)


def _delete(place: PackageVariables, run: Run) -> bool:
    """Delete the build directory, if there is one; tell whether the mark of `erase` was there."""
    path = place.build_directory
    mark = place.private_directory / _UNFINISHED
    unfinished = os.path.exists(mark)  # noqa: PTH110 -- False also where we may not look
    try:
        delete_tree(path)
    except OSError as error:
        command = [*place.common.sudo, "rm", "-rf", os.fspath(path)]
        if (
            not place.common.sudo
            or run(Program(command, place.build_area, place.common.environ)) != 0
        ):
            reason = f"its build directory {path} cannot be deleted: {error}"
            raise PackageError(place.name, reason) from error
    return unfinished


def _make(place: PackageVariables, *, unfinished: bool) -> None:
    """Make the build directory: where everybody may build, what others make there is not taken."""
    try:
        place.build_directory.mkdir()
    except FileExistsError as error:
        reason = f"somebody else has just made {place.build_directory}; remove it"
        raise PackageError(place.name, reason) from error
    place.private_directory.mkdir()
    if unfinished:
        mark_unfinished(place, unfinished=True)


def mark_staged(place: PackageVariables, *, staged: bool) -> None:
    """Note that the staged tree is complete, or that it is not (or no longer)."""
    _mark(place, _STAGED, there=staged)


def mark_unfinished(place: PackageVariables, *, unfinished: bool) -> None:
    """Note that scripts are to run once the package is installed, or that they have run.

    make looks for this mark: where one of them failed, or was killed, the package is
    installed, and still not done.
    """
    _mark(place, _UNFINISHED, there=unfinished)


def _mark(place: PackageVariables, name: str, *, there: bool) -> None:
    mark = place.private_directory / name
    if there:
        mark.touch()
    else:
        mark.unlink(missing_ok=True)


def is_staged(place: PackageVariables) -> bool:
    """Tell whether a complete staged tree lies in the build directory.

    Raises PackageError if somebody put it there who may not build for us.
    """
    if not (place.private_directory / _STAGED).exists():
        return False
    owner = place.build_directory.lstat().st_uid
    if owner not in trusted_users(place.build_area):
        reason = f"{place.build_directory} belongs to user {user_name(owner)}; remove it"
        raise PackageError(place.name, reason)
    return True


def _make_area(place: PackageVariables, run: Run) -> None:
    area = place.build_area
    try:
        area.mkdir(parents=True, exist_ok=True)
    except PermissionError as error:
        sudo = place.common.sudo
        if not sudo:
            raise PackageError(place.name, f"cannot make {area}: {error.strerror}") from error
        # As /tmp: everybody builds here, nobody deletes what others build.
        command = [*sudo, "mkdir", "-p", "-m", "1777", os.fspath(area)]
        if run(Program(command, place.common.root, place.common.environ)) != 0:
            raise PackageError(place.name, f"{sudo[0]} cannot make {area}") from error


def _waiting(place: PackageVariables) -> str:
    what = f"another build of {place.full_name}, or what one that was killed has left running"
    return f"waiting for {what} in {place.build_directory}"


@contextlib.contextmanager
def _inherited(descriptor: int) -> Iterator[int]:
    """Have what we run keep the lock as long as it runs, should it outlive us."""
    copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD, _SCRIPTS_TAKE)
    try:
        yield copy
    finally:
        os.close(copy)


def _locked(path: Path, waiting: Callable[[], None]) -> int:
    """Return a descriptor with an exclusive flock on ``path``, which is made at need."""
    told = False
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
        with naming(path):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not told:
                    waiting()
                told = True
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        if _is(descriptor, path):
            return descriptor
        os.close(descriptor)  # whoever held it has removed it


def _is(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
