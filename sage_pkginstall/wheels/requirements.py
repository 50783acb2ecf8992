"""Requirements: those of wheels against what is installed, and files that list them.

Of pip's requirements files (https://pip.pypa.io/en/stable/reference/requirements-file-format/)
this understands what needs no index:

    # a comment; a line may go on after a backslash; ${VARIABLE} is replaced
    NAME @ file:///DIRECTORY/WHEEL       the wheel of a distribution
    DIRECTORY/WHEEL.whl                  the same; relative to the current directory
    NAME, NAME==1.0; MARKER              a name, where no wheel is needed
    -r FILE                              relative to this file

A marker and ``--hash`` may follow each.  Options that say where or how to search
(``--no-index``, ``--find-links`` …) are ignored, as nothing is searched; any other option
(``-c``, ``-e`` …) and any other URL is refused.

Where only the names count, for uninstalling, any line of pip's is understood:

    NAME @ https://…, git+https://…#egg=NAME, -e DIRECTORY#egg=NAME, NAME --config-settings=…
    -c FILE and the like             are passed over
    git+https://…, -e DIRECTORY      names nothing, for pip neither: see `unnamed_lines`
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion

from sage_pkginstall.errors import RequirementError
from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.names import canonical_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sage_pkginstall.environment import Environment

__all__ = [
    "RequirementLine",
    "Unmet",
    "names_only",
    "parse_requirement_line",
    "parse_requirements_file",
    "requirement_name",
    "search_options",
    "unmet",
    "unmet_by",
    "unnamed_lines",
]

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_DIRECT = re.compile(r"(?P<name>[^@\[\s]+)\s*(?:\[[^\]]*\])?\s*@\s*(?P<url>.+)", re.DOTALL)
_COMMENT = re.compile(r"(?:^|\s)#.*$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_HASH = re.compile(r"\s--hash[=\s]([a-z0-9]+):([0-9a-fA-F]+)(?=\s|$)")
_EGG = re.compile(r"[#&]egg=(?P<name>[^&\[\s]+)")
_EDITABLE = re.compile(r"(?:-e\s*|--editable[=\s]\s*)")
_WHEEL = re.compile(r"(?:^|/)(?P<name>[^/-]+)-[^/]*\.whl(?=$|[#;\s])", re.IGNORECASE)
_MARKER = re.compile(r"\s*;\s|\s;")
_IGNORED = frozenset(
    {
        "--no-index",
        "--pre",
        "--prefer-binary",
        "--require-hashes",
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
_CHUNK = 1 << 18


class RequirementLine(NamedTuple):
    """A line of a requirements file: a name (canonical), and its wheel if it gives one."""

    text: str
    name: str
    wheel: Path | None = None
    marker: str | None = None
    hashes: tuple[tuple[str, str], ...] = ()

    def applies(self, environment: Environment) -> bool:
        """Tell whether the marker, if there is one, holds in the target."""
        return self.marker is None or _holds(Marker(self.marker), environment, ())

    def verified_wheel(self) -> Path:
        """Return the wheel, which has one of the line's hashes if it gives any.

        Only of a line that names one.  Raises RequirementError.
        """
        assert self.wheel is not None
        if not self.wheel.is_file():
            raise RequirementError(self.text, f"there is no file {self.wheel}")
        if self.hashes and not any(_digest(self.wheel, a) == value for a, value in self.hashes):
            raise RequirementError(self.text, f"{self.wheel} has none of the hashes given")
        return self.wheel


# Requirements of wheels


class Unmet(NamedTuple):
    """A requirement of distribution ``name`` that is not met; ``found`` is the version there is."""

    name: str
    requirement: str
    found: str | None

    def __str__(self) -> str:
        if self.found is None:
            return f"{self.name} needs {self.requirement}, which is not installed"
        return f"{self.name} needs {self.requirement}, but version {self.found} is installed"


def unmet_by(
    name: str, requires: Iterable[str], environment: Environment, installed: Mapping[str, str]
) -> Iterator[Unmet]:
    """Yield each requirement of distribution ``name`` that is not met, once; see `unmet`."""
    for line in dict.fromkeys(unmet(requires, environment, installed)):
        found = None
        with contextlib.suppress(InvalidRequirement):
            found = installed.get(canonical_name(Requirement(line).name))
        yield Unmet(name, line, found)


def unmet(
    requires: Iterable[str],
    environment: Environment,
    installed: Mapping[str, str],
    *,
    extras: Iterable[str] = (),
) -> tuple[str, ...]:
    """Return the lines of ``requires`` that are not met, as they stand there.

    ``installed`` has versions by canonical names.  Markers are those of the target;
    requirements of extras count only for ``extras``.  Pre-releases meet a requirement.
    What cannot be read is not met.
    """
    wanted = tuple(extras)
    return tuple(line for line in requires if not _is_met(line, environment, installed, wanted))


def _is_met(
    line: str, environment: Environment, installed: Mapping[str, str], extras: tuple[str, ...]
) -> bool:
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        return False
    if requirement.marker and not _holds(requirement.marker, environment, extras):
        return True
    version = installed.get(canonical_name(requirement.name))
    if version is None:
        return False
    if not requirement.specifier:
        return True
    try:
        return requirement.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return False


def _holds(marker: Marker, environment: Environment, extras: tuple[str, ...]) -> bool:
    facts = dict(environment.markers)
    return any(marker.evaluate({**facts, "extra": extra}) for extra in ("", *extras))


# Lines and files of them


def requirement_name(line: str) -> str:
    """Return the canonical name of the distribution that a requirement line is about.

    Raises RequirementError.
    """
    return parse_requirement_line(line).name


def parse_requirement_line(line: str) -> RequirementLine:
    """Return what one line without comment says; RequirementError if it is refused."""
    text = line.strip()
    hashes = tuple((a, value.lower()) for a, value in _HASH.findall(text))
    rest = _HASH.sub("", text)
    if " --" in rest:
        raise RequirementError(text, "it has an option that is not supported; remove it")
    direct = _DIRECT.fullmatch(rest)
    if direct is not None:
        name, url = direct["name"], direct["url"]
        if _NAME.fullmatch(name) is None:
            raise RequirementError(text, f"{name!r} is no name of a distribution")
    elif _is_place(rest):
        name, url = None, rest
    else:
        return _named(text, rest, hashes)
    place, marker = _split_marker(text, url)
    wheel = _file(text, place)
    if name is None:
        name = wheel.name.partition("-")[0]
    return RequirementLine(text, canonical_name(name), wheel, marker, hashes)


def parse_requirements_file(path: Path) -> tuple[RequirementLine, ...]:
    """Return the requirement lines of a file, those of nested files in their places.

    Raises RequirementError, which names the file and the line.
    """
    return tuple(_requirements_of(path))


def names_only(path: Path) -> tuple[str, ...]:
    """Return the canonical names in a requirements file, each once, in its order.

    Raises RequirementError for what is no requirement of pip's.
    """
    return tuple(dict.fromkeys(name for _, name in _names_of(path) if name is not None))


def unnamed_lines(path: Path) -> tuple[str, ...]:
    """Return the lines of a requirements file that ask for something and do not name it.

    Raises RequirementError for what is no requirement of pip's.
    """
    return tuple(line for line, name in _names_of(path) if name is None)


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
    if "@" in text or _is_place(text) or "/" in text or text.startswith("."):
        return _said_name(text)
    return _named(line, text, ()).name


def _said_name(text: str) -> str | None:
    """Return the canonical name that a line with a path or a URL says; None if it says none."""
    said = _DIRECT.fullmatch(text) or _EGG.search(text) or _WHEEL.search(text)
    if said is None or _NAME.fullmatch(said["name"]) is None:
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
    return tuple(_search_options(path, set()))


def _search_options(path: Path, seen: set[Path]) -> Iterator[str]:
    if path.resolve() in seen:
        return
    seen.add(path.resolve())
    try:
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError:
        return
    for _number, line in _logical_lines(text):
        nested = _nested(line, (*_NESTED, "--constraint", "-c"))
        if nested is not None:
            yield from _search_options(path.parent / nested, seen)
        elif line.startswith("-"):
            yield from _search_words(line, path.parent)


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
            option = word if word in _IGNORED and word != "--require-hashes" else ""
            if option:
                yield option
        elif option:
            beside = directory / word
            is_link = option in {"-f", "--find-links"}
            yield os.fspath(beside.absolute()) if is_link and beside.exists() else word


def _option_and_value(word: str) -> Iterator[str]:
    option, equals, value = word.partition("=")
    yield from (option, value) if equals and word.startswith("--") else (word,)


def _lines_of(path: Path, above: tuple[Path, ...]) -> Iterator[tuple[Path, int, str]]:
    """Yield (file, number, line) of a requirements file and those that it includes."""
    if path.resolve() in above:
        raise RequirementError(f"-r {path}", "the files include each other")
    try:
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise RequirementError(f"-r {path}", error.strerror or str(error)) from error
    for number, line in _logical_lines(text):
        nested = _nested(line)
        if nested is not None:
            yield from _lines_of(path.parent / nested, (*above, path.resolve()))
        else:
            yield path, number, line


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield (number of the first line, line) without comments, continuations and blanks."""
    joined, first = "", 0
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        first = first or number
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            joined += line[:-1]
            continue
        whole = _COMMENT.sub("", joined + line).strip()
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


def _is_place(text: str) -> bool:
    place = _MARKER.split(text, maxsplit=1)[0]
    return (
        "://" in place
        or place.startswith(("file:", "/", "./", "../"))
        or (place.lower().endswith(".whl"))
    )


def _named(text: str, rest: str, hashes: tuple[tuple[str, str], ...]) -> RequirementLine:
    try:
        requirement = Requirement(rest)
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0]
        raise RequirementError(text, f"it cannot be read: {reason}") from error
    marker = str(requirement.marker) if requirement.marker else None
    return RequirementLine(text, canonical_name(requirement.name), None, marker, hashes)


def _split_marker(text: str, url: str) -> tuple[str, str | None]:
    place, *markers = _MARKER.split(url, maxsplit=1)
    if not markers:
        return place.strip(), None
    try:
        return place.strip(), str(Marker(markers[0].strip()))
    except InvalidMarker as error:
        raise RequirementError(text, "its marker cannot be read") from error


def _file(text: str, place: str) -> Path:
    """Return the file that a file URL or a path means; blanks may stand as they are."""
    place = place.partition("#egg=")[0]
    if "#sha" in place or "#md5" in place:
        raise RequirementError(text, "a hash in a URL is not supported; write --hash=sha256:…")
    if place.startswith("file:"):
        path = place.removeprefix("file:").removeprefix("//localhost")
        path = "/" + path.lstrip("/")
        return _unquoted(path) if "%" in path and not Path(path).exists() else Path(path)
    if "://" in place or re.match(r"(git|hg|svn|bzr)\+", place):
        raise RequirementError(text, "only file:// URLs are supported, nothing is downloaded")
    return Path(place).absolute()


def _unquoted(path: str) -> Path:
    from urllib.parse import unquote_to_bytes  # noqa: PLC0415 -- rarely needed

    return Path(os.fsdecode(unquote_to_bytes(path.encode("utf-8", "surrogateescape"))))


def _digest(path: Path, algorithm: str) -> str:
    import hashlib  # noqa: PLC0415 -- rarely needed

    if algorithm not in {"sha256", "sha384", "sha512"}:
        return ""
    digest = hashlib.new(algorithm)
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
