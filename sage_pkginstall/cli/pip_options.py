"""Which of pip's options can be taken apart into resolving, building and installing."""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import NoReturn

__all__ = ["Split", "command_of", "for_wheel_too", "goes_elsewhere", "is_told", "split"]

# Options of `pip install` that change where, how or which files are put: pip does that itself.
_OPAQUE_FLAGS = ("--user", "--dry-run", "--ignore-requires-python")
_OPAQUE_VALUES = ("-e", "--editable", "--src")
_ELSEWHERE_VALUES = ("-t", "--target", "--prefix", "--root", "--python")
_ELSEWHERE_VARIABLES = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON")
_OPAQUE_VARIABLES = (
    "PIP_USER", "PIP_DRY_RUN", "PIP_IGNORE_REQUIRES_PYTHON", *_ELSEWHERE_VARIABLES
)  # fmt: skip
_NO = ("", "0", "false", "no", "off", "n", "f")

# Options that are passed on and change nothing here.  Those of one letter may be joined with
# others (-Ut DIR), and whatever may be abbreviated must be told from what is listed above.
_OTHER_FLAGS = ("-U", "--upgrade", "-I", "--ignore-installed", "-v", "--verbose")
_OTHER_VALUES = ("--root-user-action",)

# Options of all commands; they may stand before the command, too.
_GENERAL_FLAGS = (
    "--debug", "--isolated", "--require-virtualenv", "--no-input", "--no-proxy-env",
    "--no-cache-dir", "--disable-pip-version-check", "--no-color", "--no-python-version-warning",
)  # fmt: skip
_GENERAL_VALUES = (
    "--log", "--log-file", "--local-log", "--keyring-provider", "--proxy", "--retries",
    "--timeout", "--default-timeout", "--exists-action", "--trusted-host", "--cert",
    "--client-cert", "--cache-dir", "--use-feature", "--use-deprecated", "--resume-retries",
)  # fmt: skip

# Options that `pip wheel` has as well and that matter for getting the chosen wheels.
_SHARED_FLAGS = (
    *_GENERAL_FLAGS,
    "--no-index", "--prefer-binary", "--no-build-isolation", "--use-pep517", "--no-use-pep517",
    "--pre", "--no-clean", "--check-build-dependencies", "--no-verify-ssl",
)  # fmt: skip
_LINKS = ("-f", "--find-links")
_SHARED_VALUES = (
    *_GENERAL_VALUES, *_LINKS,
    "-i", "--index-url", "--pypi-url", "--extra-index-url",
    "--no-binary", "--only-binary", "--global-option", "--build-constraint", "--progress-bar",
    "--all-releases", "--only-final", "--uploaded-prior-to", "--refresh-package",
)  # fmt: skip

# Settings for the build of what the words name; not of what it needs, nor of what is listed.
_SETTINGS = ("-C", "--config-settings", "--config-setting")
_SETTINGS_VARIABLES = ("PIP_CONFIG_SETTINGS",)
_LISTS = ("-r", "--requirement")
_OTHER_LISTS = ("--group", "--requirements-from-script")


class Split(NamedTuple):
    """A command line of pip taken apart.

    ``words`` are its arguments without the command, ``for_wheel`` those that ``pip
    wheel`` needs, too.
    """

    words: tuple[str, ...]
    for_wheel: tuple[str, ...] = ()
    no_compile: bool = False
    yes: bool = False
    only_in_venv: bool = False
    quiet: bool = False
    report: str | None = None
    named: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def names(self) -> tuple[str, ...]:
        """Return the canonical names of what is named directly and in the requirements files."""
        from sage_pkginstall.wheels.requirements_file import name_said, names_only  # noqa: PLC0415

        listed = [name for file in self.files for name in names_only(Path(file))]
        return (*map(name_said, self.named), *listed)


class _CannotTakeApartError(Exception):
    """The command line has something that only pip itself can do."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _CannotTakeApartError(message)


class _Collect(argparse.Action):
    """Collects an option with its value for `pip wheel`."""

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[str] | None,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, values)
        collected: list[str] = namespace.shared
        collected.append(str(option_string))
        if isinstance(values, str):
            collected.append(values)


def command_of(words: Sequence[str]) -> str | None:
    """Return the command in the words for pip, which general options may precede; or None."""
    is_value = False
    for word in words:
        if not word.startswith("-") and not is_value:
            return word
        # pip takes abbreviations of options
        options = ("--python", *_GENERAL_VALUES)
        is_value = len(word) > len("--") and any(o.startswith(word) for o in options)
    return None


def split(command: str, words: Sequence[str], variables: Mapping[str, str]) -> Split | None:
    """Return ``pip WORDS`` taken apart, None if only pip itself can do that.

    ``variables`` are those of the process: pip takes options from them, too (PIP_TARGET), and
    those that stand for its configuration.
    """
    rest = list(words)
    rest.remove(command)
    try:
        if command != "install":
            return _split_uninstall(rest, variables)
        if any(is_told(name, variables) for name in _OPAQUE_VARIABLES):
            return None
        return _split_install(rest, variables)
    except _CannotTakeApartError:
        return None


def for_wheel_too(variables: Mapping[str, str]) -> dict[str, str]:
    """Return those variables for ``pip install`` that ``pip wheel`` needs, too."""
    options = (*_SHARED_FLAGS, *_SHARED_VALUES, *_SETTINGS)
    names = {f"PIP_{option.lstrip('-').replace('-', '_').upper()}" for option in options}
    return {name: value for name, value in variables.items() if name in names}


def is_told(variable: str, variables: Mapping[str, str]) -> bool:
    """Tell whether a variable says yes, or something else that is not no."""
    return variables.get(variable, "").lower() not in _NO


def goes_elsewhere(command: str, words: Sequence[str], variables: Mapping[str, str]) -> bool:
    """Tell whether ``pip WORDS`` installs, and somewhere else than into its environment."""
    if command != "install":
        return False
    try:
        given, _others = _install_parser().parse_known_args(words)
    except _CannotTakeApartError:
        return False
    return bool(given.elsewhere) or any(is_told(name, variables) for name in _ELSEWHERE_VARIABLES)


def _install_parser() -> _Parser:
    parser = _Parser(add_help=False)  # pip takes abbreviations of options
    parser.set_defaults(shared=[])
    for flag in _SHARED_FLAGS:
        parser.add_argument(flag, action=_Collect, nargs=0)
    for option in _SHARED_VALUES:
        parser.add_argument(option, action=_Collect)
    for option in (*_OPAQUE_FLAGS, *_OPAQUE_VALUES):
        parser.add_argument(option, dest="opaque", nargs="?", const="", action="append")
    for option in _ELSEWHERE_VALUES:
        parser.add_argument(option, dest="elsewhere", nargs="?", const="", action="append")
    for flag in _OTHER_FLAGS:
        parser.add_argument(flag, dest="other", action="store_true")
    for option in _OTHER_VALUES:
        parser.add_argument(option, dest="other")
    parser.add_argument(*_SETTINGS, action=_Collect, dest="settings")
    parser.add_argument(*_LISTS, dest="files", action="append", default=[])
    parser.add_argument(*_OTHER_LISTS, dest="lists", action="append", default=[])
    parser.add_argument("-c", "--constraint", dest="constraints", action="append", default=[])
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--report")
    parser.add_argument("-q", "--quiet", action="count", default=0)
    return parser


def _split_install(words: list[str], variables: Mapping[str, str]) -> Split:
    from sage_pkginstall.passwords import has_password  # noqa: PLC0415
    from sage_pkginstall.wheels.requirements_file import search_options  # noqa: PLC0415

    given, others = _install_parser().parse_known_args(words)
    if given.opaque or given.elsewhere:
        raise _CannotTakeApartError
    if any(has_password(place) for place in (*others, *_links(given.shared, variables))):
        raise _CannotTakeApartError
    has_settings = given.settings is not None or any(
        is_told(name, variables) for name in _SETTINGS_VARIABLES
    )
    if has_settings and (given.files or given.lists):
        raise _CannotTakeApartError
    files = tuple(Path(file) for file in (*given.constraints, *given.files))  # in pip's order
    if any(map(_is_only_for_pip, files)):
        raise _CannotTakeApartError
    searching = [word for file in files for word in search_options(file)]
    return Split(
        tuple(words),
        (*given.shared, *searching),  # the last counts; a file's do with pip
        no_compile=given.no_compile or not _compiles(variables),
        quiet=given.quiet > 0 or is_told("PIP_QUIET", variables),
        report=given.report or variables.get("PIP_REPORT") or None,
    )


def _compiles(variables: Mapping[str, str]) -> bool:
    """Tell whether byte-code is to be written; both variables are for pip values of --compile."""
    values = (variables.get(name) for name in ("PIP_COMPILE", "PIP_NO_COMPILE"))
    return all(value.lower() not in _NO for value in values if value)


def _links(shared: Sequence[str], variables: Mapping[str, str]) -> Iterator[str]:
    """Yield where wheels are looked for beside an index."""
    yield from (value for option, value in pairwise(shared) if option in _LINKS)
    yield from variables.get("PIP_FIND_LINKS", "").split()


def _is_only_for_pip(file: Path) -> bool:
    """Tell whether pip must do alone what a requirements file says: it can be read once, say."""
    from sage_pkginstall.wheels.requirements_file import is_only_for_pip  # noqa: PLC0415

    return (file.exists() and not file.is_file()) or is_only_for_pip(file)


def _split_uninstall(words: list[str], variables: Mapping[str, str]) -> Split:
    parser = _Parser(add_help=False)  # pip takes abbreviations of options
    for flag in _GENERAL_FLAGS:
        parser.add_argument(flag, action="store_true")
    for option in (*_GENERAL_VALUES, "--python", "--root-user-action"):
        parser.add_argument(option)
    parser.add_argument("-r", "--requirement", action="append", default=[])
    parser.add_argument("-y", "--yes", action="store_true")
    parser.add_argument("-q", "--quiet", action="count", default=0)
    parser.add_argument("-v", "--verbose", action="count", default=0)
    parser.add_argument("--break-system-packages", action="store_true")
    given, others = parser.parse_known_args(words)
    names = [word for word in others if word != "--"]
    unknown = any(name.startswith("-") for name in names)
    elsewhere = given.python is not None or is_told("PIP_PYTHON", variables)
    if unknown or elsewhere or not (names or given.requirement):
        raise _CannotTakeApartError
    yes = given.yes or is_told("PIP_YES", variables)
    if (given.no_input or is_told("PIP_NO_INPUT", variables)) and not yes:
        raise _CannotTakeApartError  # pip says that it would have to ask
    return Split(
        tuple(words),
        yes=yes,
        only_in_venv=given.require_virtualenv or is_told("PIP_REQUIRE_VIRTUALENV", variables),
        quiet=given.quiet > 0 or is_told("PIP_QUIET", variables),
        named=tuple(names),
        files=tuple(given.requirement),
    )
