"""The hash of each file that a build is made from.

A file counts with its content and whether it may be executed, a link with its text, a
directory with its name.  Times, owners and the other mode bits do not count: unpacking the
same sources again gives others.  But what Cython made counts as old if the source beside it is
newer, as it is made anew then.  Of a checkout, ``.git`` counts as the commit and what differs
from it (see `checkout`), because its files change while nothing does.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from pathlib import Path

from sage_pkginstall.errors import BuildError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["UnknownInputError", "checkout", "hash_file", "hash_files"]

_BLOCK = 1 << 20
_SECONDS = 120
_CYTHON = frozenset((".pyx", ".pxd"))
_MADE_BY_CYTHON = (".c", ".cpp")
_OF_CHECKS = (".pytest_cache", ".hypothesis", ".coverage", ".mypy_cache", ".ruff_cache")
_NO_SOURCE = frozenset((".git", "__pycache__", *_OF_CHECKS))
"""What lies in a source and is none of it; tests and linters leave something else each time."""
_TAG = "--format=%(refname) %(objectname)"


class UnknownInputError(BuildError):
    """What a build depends on cannot be told: so its wheel is not kept, nor another taken.

    It can be built all the same, so its text is the reason alone.
    """

    def __str__(self) -> str:
        return self.reason


def hash_files(directory: Path, left_out: Collection[Path] = ()) -> dict[str, str]:
    """Return ``{path: what it is and its hash}`` for all that lies in ``directory``.

    Byte-code, ``.git``, what tests and linters leave, and what is ``left_out`` do not count; of a
    checkout in there, a submodule, say, what git tells of its commit and tags does.  Raises
    UnknownInputError for what is neither file, link nor directory, for a link that leads out of
    ``directory``, and if something cannot be read.
    """
    root = os.path.realpath(directory)
    skipped = {os.path.realpath(path) for path in left_out}
    try:
        return dict(_entries(directory, root, skipped))
    except OSError as error:
        raise UnknownInputError(directory, f"{error.filename}: {error.strerror}") from error


def hash_file(path: str | Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:  # noqa: PTH123 -- hot
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def checkout(directory: Path, *, above: bool = True) -> dict[str, str]:
    """Return what git says of the checkout that ``directory`` is or, if ``above``, lies in.

    Versions are often made of that (setuptools-scm, hatch-vcs), of any tag and of the branch; and
    what git ignores is left out of wheels (hatchling, poetry-core, scikit-build-core).
    Raises UnknownInputError if there is a checkout and git does not answer.
    """
    places = (directory, *directory.parents) if above else (directory,)
    if not any((place / ".git").exists() for place in places):
        return {}
    described = _git(directory, "describe", "--always", "--long", "--tags", "--dirty")
    asked = ("HEAD", "--git-path", "shallow", "--symbolic-full-name", "HEAD")
    commit, shallow, branch = _git(directory, "rev-parse", *asked).splitlines()
    tags = _git(directory, "for-each-ref", "--merged=HEAD", _TAG, "refs/tags")
    changed = _git(directory, "diff", "--no-ext-diff", "--binary", "HEAD")
    return {
        "described": described.decode(errors="replace").strip(),
        "commit": commit.decode(),
        "branch": branch.decode(errors="replace"),
        "tags": hashlib.sha256(tags).hexdigest(),
        "history": _history(directory / os.fsdecode(shallow)),
        "changes": hashlib.sha256(changed).hexdigest(),
        "ignored": _ignored(directory),
    }


def _ignored(directory: Path) -> str:
    """Return the hash of the rules by which git ignores files, but for those in ``directory``."""
    asked = ("--git-path", "info/exclude", "--show-cdup")
    exclude, *way_up = _git(directory, "rev-parse", *asked).splitlines()
    own = _git(directory, "config", "--default", "", "--path", "core.excludesFile")
    files = [directory / os.fsdecode(exclude), _excludes_file(os.fsdecode(own.rstrip(b"\n")))]
    above = directory.resolve().parents
    levels = b"".join(way_up).count(b"../")
    files += [parent / ".gitignore" for parent in above[:levels]]
    digest = hashlib.sha256()
    for file in files:
        with contextlib.suppress(OSError):  # of one that is not there: git does without it, too
            digest.update(file.read_bytes())
        digest.update(b"\0")
    return digest.hexdigest()


def _excludes_file(given: str) -> Path:
    """Return the file with what the user has git ignore everywhere (gitignore(5))."""
    if given:
        return Path(given)
    home = os.environ.get("HOME") or os.devnull  # git asks for no other
    return Path(os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config", "git/ignore")


def _history(shallow: Path) -> str:
    """Return where the history ends that git has: a version may be how many commits there are."""
    try:
        return f"from {hash_file(shallow)}"
    except FileNotFoundError:
        return "whole"
    except OSError as error:
        raise UnknownInputError(shallow, f"it cannot be read: {error.strerror}") from error


def _entries(directory: Path, root: str, skipped: Collection[str]) -> Iterator[tuple[str, str]]:
    pending = [""]
    while pending:
        below = pending.pop()
        with os.scandir(os.path.join(root, below)) as found:  # noqa: PTH118 -- hot
            entries = list(found)
        old = _made_anew_by_cython(entries)
        for entry in entries:
            name = below + entry.name
            if entry.name == ".git" and below:
                yield name, _nested_checkout(os.path.join(root, below))  # noqa: PTH118
            if entry.path in skipped or entry.name in _NO_SOURCE:
                continue
            if entry.is_symlink():
                yield name, _link(directory, root, entry.path)
            elif entry.is_dir(follow_symlinks=False):
                yield name + "/", "directory"
                pending.append(name + "/")
            elif entry.is_file(follow_symlinks=False):
                yield name, _file(entry.path) + (" old" if entry.name in old else "")
            else:
                raise UnknownInputError(directory, f"{name} is neither file, link nor directory")


def _made_anew_by_cython(entries: Collection[os.DirEntry[str]]) -> frozenset[str]:
    """Return the names of files that are older than the Cython source they are made of.

    Of several that make the same file the newest counts: ``x.pyx`` and its ``x.pxd``.
    """
    times: dict[str, int] = {}
    for entry in entries:
        stem, end = os.path.splitext(entry.name)  # noqa: PTH122 -- hot
        if end in _CYTHON:
            times[stem] = max(times.get(stem, 0), _time(entry))
    names = {f"{stem}{end}": when for stem, when in times.items() for end in _MADE_BY_CYTHON}
    made = (entry for entry in entries if entry.name in names) if names else ()
    return frozenset(entry.name for entry in made if _time(entry) < names[entry.name])


def _time(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_mtime_ns
    except FileNotFoundError:  # a link that leads nowhere
        return 0


def _nested_checkout(path: str) -> str:
    """Return the hash of what versions are made of there.

    Where git does not know it (a tarball may hold a ``.git`` that leads nowhere), no build can ask.
    """
    directory = Path(path)
    try:
        described = _git(directory, "describe", "--always", "--long", "--tags", "--dirty")
        tags = _git(directory, "for-each-ref", "--merged=HEAD", _TAG, "refs/tags")
    except UnknownInputError:
        return "a checkout that git does not know"
    return f"checkout {hashlib.sha256(described + tags).hexdigest()}"


def _file(path: str) -> str:
    kind = "x" if os.stat(path).st_mode & stat.S_IXUSR else "-"  # noqa: PTH116 -- hot
    return f"{kind} {hash_file(path)}"


def _link(directory: Path, root: str, path: str) -> str:
    text = os.readlink(path)  # noqa: PTH115 -- hot
    target = os.path.realpath(path)
    if not f"{target}/".startswith(f"{root}/"):
        if not os.path.isfile(target):  # noqa: PTH113 -- hot
            reason = f"{os.path.relpath(path, root)} leads out of it, to {text}"
            raise UnknownInputError(directory, reason)
        return f"link to a file outside {_file(target)}"
    return f"link {text}"


def _git(directory: Path, *words: str) -> bytes:
    import subprocess  # noqa: PLC0415 -- checkouts only

    try:
        ended = subprocess.run(
            ["git", "-C", os.fspath(directory), *words],  # noqa: S607 -- as backends find it
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnknownInputError(directory, f"git does not tell of its checkout: {error}") from error
    if ended.returncode != 0:
        said = ended.stderr.decode(errors="replace").strip()
        raise UnknownInputError(directory, f"git does not tell of its checkout: {said}")
    return ended.stdout
