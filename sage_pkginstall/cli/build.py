"""``build``: from a source to a wheel, build requirements from the store only."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

from sage_pkginstall.cli.install import store_of
from sage_pkginstall.cli.options import Options
from sage_pkginstall.cli.paths import given_path
from sage_pkginstall.cli.target import add_options, talk_of, target_of
from sage_pkginstall.errors import PkgInstallError, UsageError
from sage_pkginstall.user_cache import cache_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from sage_pkginstall.builds.inputs import Inputs
    from sage_pkginstall.builds.log import BuildLog
    from sage_pkginstall.builds.once import Once
    from sage_pkginstall.environment import Environment

__all__ = ["build"]

_SETTING_OPTIONS = ("-C", "--config-settings", "--config-setting")
_SETUPTOOLS_OPTIONS = ("--global-option", "--build-option")

# Options of pip that ask for what is done anyway: scripts hand all that they have to helpers.
_ACCEPTED_FLAGS = (
    "--no-deps", "--no-index", "--upgrade", "--no-cache-dir", "--use-pep517",
    "--ignore-requires-python", "--no-clean", "--disable-pip-version-check",
)  # fmt: skip
_ACCEPTED_OPTIONS = ("-f", "--find-links", "--no-binary", "--only-binary")


def build(arguments: Sequence[str]) -> int:
    """Build a wheel from a source directory or an sdist; no index is asked."""
    options = Options("sage-pkginstall build", build.__doc__ or "")
    options.add_argument("source", metavar="SOURCE", help="a source directory or an sdist")
    options.add_argument("-w", "--wheel-dir", default="dist", metavar="DIR", help="emptied first")
    options.add_argument("--store", metavar="DIR", help="where build requirements come from")
    options.add_argument("--log", metavar="FILE", help="where the output of the backend goes")
    _add_build_options(options)
    add_options(options, changes=False)
    given = options.parse_args(_with_settings(arguments))
    from sage_pkginstall.builds.build import BuildRequest, build_wheel  # noqa: PLC0415
    from sage_pkginstall.builds.log import BuildLog, log_file  # noqa: PLC0415

    talk = talk_of("sage-pkginstall build", given)
    target = target_of(given, talk)
    request = BuildRequest(
        source=_source(given.source),
        isolation=given.isolation,
        config_settings=tuple(map(_setting, given.config_settings)),
        sdist_first=given.sdist_first,
        editable=given.editable,
    )
    destination = given_path(given.wheel_dir, "--wheel-dir").absolute()
    named = None if given.log is None else given_path(given.log, "--log").absolute()
    environment = target.python_environment()
    store = store_of(given.store, target.tree.prefix)
    known: list[Inputs] = []
    _unwind_when_ended()
    with log_file(named, named=talk.as_json) as file:
        log = BuildLog(file, None if talk.quiet else _show, _tell_of_cache, _tell_of_wheel)
        once = _once(request.source, environment, log, rebuild=given.rebuild)
        wheel = build_wheel(
            request,
            environment,
            store,
            destination,
            log=log,
            once=once and once._replace(on_known=lambda _wheel, inputs: known.append(inputs)),
        )
    _note(wheel, store, known[-1] if known else None)
    talk.result([os.fspath(wheel)], {"wheel": os.fspath(wheel), "log": os.fspath(file)})
    return 0


def _source(text: str) -> Path:
    """Return the source that is meant: a wheel is the same with and without ``[EXTRAS]``."""
    path = given_path(text, "SOURCE").absolute()
    directory, _, extras = text.rpartition("[")
    if directory and extras.endswith("]") and not os.path.lexists(path):
        return given_path(directory, "SOURCE").absolute()
    return path


def _unwind_when_ended() -> None:
    """Have the backend ended with us, and what is temporary deleted, whoever ends us."""

    def unwind(number: int, _frame: object) -> NoReturn:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, unwind)


def _show(data: bytes) -> None:
    with suppress(OSError):  # a full disk, a terminal that is gone: the build goes on
        sys.stderr.buffer.write(data)
        sys.stderr.buffer.flush()  # now, not when the build has ended


def _tell_of_cache(hits: int, misses: int) -> None:
    from sage_pkginstall.operations.events import tell  # noqa: PLC0415 -- isolated builds only

    tell("cached", hits=hits, misses=misses)


def _tell_of_wheel(taken: bool) -> None:  # noqa: FBT001 - one of two answers
    from sage_pkginstall.operations.events import tell  # noqa: PLC0415 -- builds only

    tell("wheel", taken=taken)


def _once(source: Path, environment: Environment, log: BuildLog, *, rebuild: bool) -> Once | None:
    """Return where wheels that were built before are looked for, None if they are not."""
    if os.environ.get("SAGE_PKGINSTALL_BUILT") == "no":
        return None
    from sage_pkginstall.builds.once import Once, reason_to_rebuild  # noqa: PLC0415
    from sage_pkginstall.builds.shelf import Shelf  # noqa: PLC0415
    from sage_pkginstall.spkg.seen import surroundings  # noqa: PLC0415

    warn = lambda text: log.write(f"Warning: {text}")  # noqa: E731
    look = partial(surroundings, os.environ, environment, source)
    try:
        around = look()
    except PkgInstallError as error:  # a stamp that cannot be read, say
        log.write(f"Built without looking into the cache: {error}")
        return None
    remote = None
    if os.environ.get("SAGE_PKGINSTALL_REMOTE"):
        from sage_pkginstall.builds.remote_settings import remote_of  # noqa: PLC0415

        remote = remote_of(os.environ, warn)
    shelf = Shelf(cache_directory(), remote, warn)
    reason = reason_to_rebuild(os.environ, asked=rebuild)
    return Once(shelf, around, os.environ, reason, surroundings_now=look)


def _note(wheel: Path, store: Path, inputs: Inputs | None) -> None:
    """Note a build for sage-spkg, if a script of a package runs this."""
    directory = os.environ.get("SAGE_PKGINSTALL_PACKAGE_DIR")
    if directory:
        from sage_pkginstall.spkg.noted_builds import NotedBuild, note_build  # noqa: PLC0415

        seen = None if inputs is None else inputs.groups.get("requirements", {})
        note_build(Path(directory), NotedBuild(wheel.name, store, seen))


def _add_build_options(options: Options) -> None:
    for flag, value, text in (
        ("--build-isolation", "yes", "only the build requirements can be imported"),
        ("--no-build-isolation", "no", "the packages of the target can be imported"),
        ("--no-isolation", "no", "the same"),
    ):
        options.add_argument(
            flag, dest="isolation", action="store_const", const=value, default="auto", help=text
        )
    options.add_argument(
        "--sdist-then-wheel",
        dest="sdist_first",
        action="store_true",
        help="build the wheel from an sdist that is built first",
    )
    options.add_argument("--editable", action="store_true", help="PEP 660")
    options.add_argument("--rebuild", action="store_true", help="take no wheel from the cache")
    for flag in _ACCEPTED_FLAGS:
        options.add_argument(flag, action="store_true", help="accepted, as pip has it")
    for option in _ACCEPTED_OPTIONS:
        options.add_argument(option, metavar="X", help="accepted, as pip has it")
    for option in _SETUPTOOLS_OPTIONS:
        text = f"-C {option}=WORD"
        options.add_argument(option, action="append", default=[], metavar="WORD", help=text)
    options.add_argument(
        *_SETTING_OPTIONS,
        action="append",
        default=[],
        metavar="K=V",
        help="a setting for the build backend; may be repeated",
    )


def _with_settings(arguments: Sequence[str]) -> list[str]:
    """Write options of setuptools as settings, ``--global-option=W`` as ``-C--global-option=W``.

    And join ``-C`` with its value, which may start with dashes: ``-C --global-option=-q``.
    """
    words: list[str] = []
    rest = iter(arguments)
    for word in rest:
        option, equals, value = word.partition("=")
        if word.startswith("-") and words and words[-1] in _SETTING_OPTIONS:
            words[-1] += word if words[-1] == "-C" else f"={word}"
        elif option in _SETUPTOOLS_OPTIONS:
            given = value if equals else next(rest, None)
            words.append(word if given is None else f"--config-settings={option}={given}")
        else:
            words.append(word)
    return words


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise UsageError(f"cannot use -C {text!r}: it is not KEY=VALUE")
    return key, value
