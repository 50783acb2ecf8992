"""Requirements files: which requirements they list, which names, and where pip shall search.

Of pip's format (https://pip.pypa.io/en/stable/reference/requirements-file-format/):

    # a comment; a line may go on after a backslash; ${VARIABLE} is replaced
    a requirement line                   see `requirements`
    -r FILE                              relative to this file

Options that say where or how to search (``--no-index``, ``--find-links`` …) are ignored, as
nothing is searched; any other option (``-c``, ``-e`` …) is refused.

Where only the names count, for uninstalling, any line of pip's is understood:

    NAME @ https://…, git+https://…#egg=NAME, -e DIRECTORY#egg=NAME, NAME --config-settings=…
    -c FILE and the like             are passed over
    git+https://…, -e DIRECTORY      names nothing, for pip neither: see `Named`

Where only the wheels count (`wheels_only`), all that names none is passed over.
"""

from __future__ import annotations

import contextlib
import os
import re

from sage_pkginstall.errors import RequirementError
from sage_pkginstall.passwords import has_password
from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.names import canonical_name, is_name
from sage_pkginstall.wheels.requirements import (
    DIRECT,
    is_place,
    parse_requirement_line,
    requirement_name,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from sage_pkginstall.wheels.requirements import RequirementLine

__all__ = [
    "Named",
    "is_only_for_pip",
    "name_said",
    "names_in",
    "names_only",
    "parse_requirements_file",
    "search_options",
    "wheels_only",
]

_COMMENT = re.compile(r"(?:^|\s)#.*$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_EGG = re.compile(r"[#&]egg=(?P<name>[^&\[\s]+)")
_EDITABLE = re.compile(r"(?:-e\s*|--editable[=\s]\s*)")
_LINE_OPTION = re.compile(r"\s-(?!-hash[=\s])")
_WHEEL = re.compile(r"(?:^|/)(?P<name>[^/-]+)-[^/]*\.whl(?=$|[#;\s])", re.IGNORECASE)
_IGNORED = frozenset(
    {
        "--no-index",
        "--pre",
        "--all-releases",
        "--only-final",
        "--prefer-binary",
        "--require-hashes",
        "--no-require-hashes",
        "--find-links",
        "--index-url",
        "--extra-index-url",
        "--pypi-url",
        "--trusted-host",
        "--no-binary",
        "--only-binary",
        "--use-feature",
        "-f",
        "-i",
    }
)
_NESTED = ("--requirement", "-r")
_INDEXES = ("--index-url", "--extra-index-url", "--pypi-url", "-i")  # pip finds their passwords


class Named(NamedTuple):
    """The canonical names in a requirements file, each once and in its order.

    ``unnamed`` are its lines that ask for something and do not name it.
    """

    names: tuple[str, ...]
    unnamed: tuple[str, ...]


def parse_requirements_file(path: Path) -> tuple[RequirementLine, ...]:
    """Return the requirement lines of a file, those of nested files in their places.

    Raises RequirementError, which names the file and the line.
    """
    return tuple(_requirements_of(path))


def names_in(path: Path) -> Named:
    """Return what a requirements file names, and does not; it is read once, so it may be a pipe.

    Raises RequirementError for what is no requirement of pip's.
    """
    lines = tuple(_names_of(path))
    names = dict.fromkeys(name for _, name in lines if name is not None)
    return Named(tuple(names), tuple(line for line, name in lines if name is None))


def names_only(path: Path) -> tuple[str, ...]:
    """Return the canonical names in a requirements file, as `names_in` does."""
    return names_in(path).names


def name_said(word: str) -> str:
    """Return the canonical name of what a word of a command line stands for, as pip takes it.

    Raises RequirementError for what names nothing: a directory may hold anything.
    """
    name = _name_of(word.strip())
    if name is None:
        raise RequirementError(word, "it does not name what it brought; uninstall that by its name")
    return name


def wheels_only(path: Path) -> tuple[Path, ...]:
    """Return the wheels that a requirements file names, there or not, whatever else it says.

    Lines that cannot be read, and files that it includes and that are not there, name none.
    """
    found: list[Path] = []
    with contextlib.suppress(RequirementError):
        for _, _, line in _lines_of(path, ()):
            with contextlib.suppress(RequirementError):
                wheel = parse_requirement_line(line).wheel
                if wheel is not None:
                    found.append(wheel)
    return tuple(found)


def _names_of(path: Path) -> Iterator[tuple[str, str | None]]:
    """Yield each line but those of options only, and its canonical name if it has one."""
    for file, number, line in _lines_of(path, ()):
        editable = _EDITABLE.match(line)
        if editable:
            yield line, _said_name(line[editable.end() :])
        elif not line.startswith("-"):
            with _told_place(file, number, line):
                yield line, _name_of(line)


def _name_of(line: str) -> str | None:
    text = re.split(r"\s-", line, maxsplit=1)[0]  # its own options follow
    if "@" in text or is_place(text) or "/" in text or text.startswith("."):
        return _said_name(text)
    return requirement_name(text)


def _said_name(text: str) -> str | None:
    """Return the canonical name that a line with a path or a URL says; None if it says none."""
    said = DIRECT.fullmatch(text) or _EGG.search(text) or _WHEEL.search(text)
    if said is None or not is_name(said["name"]):
        return None
    return canonical_name(said["name"])


def _requirements_of(path: Path) -> Iterator[RequirementLine]:
    for file, number, line in _lines_of(path, ()):
        if not _is_ignored(file, number, line):
            with _told_place(file, number, line):
                yield parse_requirement_line(line)


@contextlib.contextmanager
def _told_place(path: Path, number: int, line: str) -> Iterator[None]:
    """Name the place of a line that is refused."""
    try:
        yield
    except RequirementError as error:
        raise RequirementError(line, f"{error.reason} ({path}:{number})") from error


def search_options(path: Path) -> tuple[str, ...]:
    """Return what a requirements file says about where and how to search, for pip's command line.

    So do the files that it includes.  What cannot be read (a URL, say) says nothing.
    """
    lines = _readable_lines(path, set())
    options = ((directory, line) for directory, line in lines if line.startswith("-"))
    return tuple(word for directory, line in options for word in _search_words(line, directory))


def is_only_for_pip(path: Path) -> bool:
    """Tell whether a file asks for what cannot be asked for again, once pip has chosen.

    That is a requirement with options of its own, such as settings for a build (hashes do not
    count), and one by a URL with a password, which pip's report leaves out.  What cannot be
    read asks for none, as in `search_options`.
    """
    lines = [line for _, line in _readable_lines(path, set()) if not line.startswith(_INDEXES)]
    wanted = (line for line in lines if not line.startswith("-"))
    return any(map(_LINE_OPTION.search, wanted)) or any(map(has_password, lines))


def _readable_lines(path: Path, seen: set[str]) -> Iterator[tuple[Path, str]]:
    """Yield (directory of the file, line) of a file, and those that it includes or names."""
    try:
        real = os.path.realpath(path)
        if real in seen:
            return
        seen.add(real)
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except (OSError, ValueError):  # a NUL in its name
        return
    for _number, line in _logical_lines(text):
        nested = _nested(line, (*_NESTED, "--constraint", "-c"))
        if nested is not None:
            yield from _readable_lines(path.parent / nested, seen)
        else:
            yield path.parent, line


def _search_words(line: str, directory: Path) -> Iterator[str]:
    """Yield the words of a line of options; links are relative to the file if they are there."""
    import shlex  # noqa: PLC0415 -- rarely needed

    try:
        words = shlex.split(re.sub(r"(^|\s)(-[fi])(?=[^\s=])", r"\1\2 ", line))
    except ValueError:
        return  # pip has said so
    option = ""
    for word in (part for w in words for part in _option_and_value(w)):
        if word.startswith("-"):
            option = word if word in _IGNORED and not word.endswith("-hashes") else ""
            if option:
                yield option
        elif option:
            beside = directory / word
            is_link = option in {"-f", "--find-links"}
            yield os.fspath(beside.absolute()) if is_link and beside.exists() else word


def _option_and_value(word: str) -> Iterator[str]:
    option, equals, value = word.partition("=")
    yield from (option, value) if equals and word.startswith("--") else (word,)


def _lines_of(path: Path, above: tuple[str, ...]) -> Iterator[tuple[Path, int, str]]:
    """Yield (file, number, line) of a requirements file and those that it includes."""
    try:
        real = os.path.realpath(path)
        if real in above:
            raise RequirementError(f"-r {path}", "the files include each other")
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise RequirementError(f"-r {path}", error.strerror or str(error)) from error
    except ValueError as error:  # a NUL
        raise RequirementError(f"-r {path}", "no file can be called that") from error
    for number, line in _logical_lines(text):
        nested = _nested(line)
        if nested is not None:
            yield from _lines_of(path.parent / nested, (*above, real))
        else:
            yield path, number, line


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield (number of the first line, line) without comments, continuations and blanks."""
    joined, first = "", 0
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        first = first or number
        is_comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not is_comment:
            joined += line[:-1]
            continue
        whole = _COMMENT.sub("", f"{joined} {line}" if is_comment else joined + line).strip()
        if whole:
            yield first, _VARIABLE.sub(lambda m: os.environ.get(m[1], m[0]), whole)
        joined, first = "", 0


def _nested(line: str, options: Iterable[str] = _NESTED) -> str | None:
    for option in options:
        if line.startswith(option):
            rest = line[len(option) :]
            if not option.startswith("--") or rest[:1] in {"=", " ", "\t"}:
                return rest.lstrip("= \t")
    return None


def _is_ignored(path: Path, number: int, line: str) -> bool:
    if not line.startswith("-"):
        return False
    option = re.split(r"[=\s]", line, maxsplit=1)[0]
    if option in _IGNORED or option[:2] in {"-f", "-i"}:
        return True
    reason = f"the option {option} is not supported here ({path}:{number})"
    raise RequirementError(line, reason)
