"""``sage-spkg`` and ``sage-spkg-uninstall``: a package comes to a tree, or leaves it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path

from sage_pkginstall.builds.descendants import descendants
from sage_pkginstall.cli.main import os_reason
from sage_pkginstall.cli.make_flags import make_letters
from sage_pkginstall.cli.options import Options
from sage_pkginstall.cli.summary import summary_line
from sage_pkginstall.cli.target import Talk, tree_settings
from sage_pkginstall.cli.terminal import shown, tell
from sage_pkginstall.environment import environment_of
from sage_pkginstall.errors import EnvironmentFactsError, PackageError, PkgInstallError, UsageError
from sage_pkginstall.operations.events import begin_job
from sage_pkginstall.spkg.install import describe, run_job
from sage_pkginstall.spkg.job import Effects, Job, JobOptions
from sage_pkginstall.spkg.logger import LOGGED, logged
from sage_pkginstall.spkg.package import read_package, split_name
from sage_pkginstall.spkg.phases import ScriptError
from sage_pkginstall.spkg.programs import run_program
from sage_pkginstall.spkg.progress import Progress
from sage_pkginstall.spkg.scripts import find_tools
from sage_pkginstall.spkg.sources import download_url
from sage_pkginstall.spkg.uninstall import Removal, is_installed, uninstall_package
from sage_pkginstall.spkg.variables import PackageVariables, Variables, read_variables

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence
    from typing import NoReturn

    from sage_pkginstall.environment import Environment
    from sage_pkginstall.spkg.job import Mode
    from sage_pkginstall.spkg.package import Package
    from sage_pkginstall.spkg.variables import Check

__all__ = ["install", "uninstall"]

_MODES: dict[Mode, tuple[str, str, str]] = {
    "download": ("-d", "--download-only", "fetch and verify the sources"),
    "stage": ("-b", "--build-and-stage-only", "stop before anything reaches the tree"),
    "post-install": ("-p", "--post-install-only", "go on after -b"),
    "check": ("-x", "--check-only", "run the check of the package"),
    "erase": ("-e", "--erase-build-directory-only", "delete the build directory"),
}

_CHOICES = (
    ("-y", "--yes", "answer", "yes", "install an experimental package without a question"),
    ("-n", "--no", "answer", "no", "do not install an experimental package"),
    ("-c", "--check", "check", "yes", "run the check of the package, which must pass"),
    ("-w", "--check-warning-only", "check", "warn", "run it; its failure is a warning"),
)


# ------------------------------------------------------------------------------- sage-spkg


def install(arguments: Sequence[str]) -> int:
    """Build a package of build/pkgs and install it: sources, build, check, one transaction."""
    given = _spkg_options().parse_args(arguments)
    modes = given.modes or []
    if len(modes) > 1:
        raise PkgInstallError("cannot do two things at once: give one mode at most")
    asked = _make_asks(os.environ.get("MAKEFLAGS", ""))
    if asked is not None:
        return asked
    _end_as_with_ctrl_c()
    begin_job()
    common = read_variables(os.environ)
    package = _package(common, given.name)
    place = _place(common, given.tree, package)
    if "info" in modes:
        print(describe(package))
        return 0
    mode: Mode = modes[0] if modes else "all"
    if mode == "all" and package.type == "experimental" and not _confirmed(given, package):
        raise PackageError(package.name, "it is experimental, and the answer was no")
    options = JobOptions(
        mode=mode,
        check=_check_option(given, common, mode),
        keep_build=given.keep_build or common.keep_build,
        keep_existing=given.keep_existing,
        allow_upstream=given.allow_upstream,
    )
    with _logging(place, common.logs):
        return _told("sage-spkg", lambda: _run_job(package, place, options), common.logs)


def _end_as_with_ctrl_c() -> None:
    """Let SIGTERM, and SIGHUP of a terminal that is gone, end us as Ctrl-C in one does.

    That is with all that scripts have started, and with what is temporary deleted.
    """

    def interrupt(_number: int, _frame: object) -> NoReturn:
        for one in descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError, PermissionError):  # ended, or root's
                os.kill(one, signal.SIGINT)
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, interrupt)


def _run_job(package: Package, place: PackageVariables, options: JobOptions) -> int:
    place, environment = _target(place)
    job = Job(
        package=package,
        place=place,
        options=options,
        environment=environment,
        tools=find_tools(os.environ, place.common.root),
        settings=tree_settings(Talk("sage-spkg")),
        effects=_effects(),
    )
    installed = run_job(job)
    if installed is not None:
        print(summary_line(f"{package.name} {package.version}", installed), flush=True)
    return 0


def _spkg_options() -> Options:
    options = Options("sage-spkg", install.__doc__ or "")
    for mode, (short, long, text) in _MODES.items():
        options.add_argument(
            short, long, dest="modes", action="append_const", const=mode, help=text
        )
    options.add_argument(
        "--info", dest="modes", action="append_const", const="info", help="tell what it is"
    )
    for short, long, name, value, text in _CHOICES:
        options.add_argument(short, long, dest=name, action="store_const", const=value, help=text)
    options.add_argument("-s", dest="keep_build", action="store_true", help="keep what was built")
    options.add_argument(
        "-k", "--keep-existing", action="store_true", help="leave files of the older version there"
    )
    options.add_argument(
        "-o", "--allow-upstream", action="store_true", help="download from upstream's own site"
    )
    options.add_argument("name", metavar="NAME[-VERSION]", help="a directory of build/pkgs")
    options.add_argument(
        "tree", metavar="TREE", nargs="?", help="default: the first tree of the package"
    )
    return options


def _make_asks(flags: str) -> int | None:
    """Return the status that make's -n, -t (0) or -q (1) want without any work."""
    letters = make_letters(flags.partition(" ")[0])
    if "q" in letters:
        return 1
    return 0 if letters & set("nt") else None


def _package(common: Variables, name: str) -> Package:
    base, version = split_name(name)
    package = read_package(common.packages / base)
    if version not in {None, package.version}:
        reason = f"its directory is that of version {package.version}, not {version}"
        raise PackageError(base, reason)
    return package


def _place(common: Variables, tree: str | None, package: Package) -> PackageVariables:
    """Return the tree that is named, or else the first one that the package goes to."""
    path = Path(os.path.abspath(tree)) if tree else common.tree(package.trees[0])  # noqa: PTH100
    if path is None:
        raise PackageError(package.name, f"its tree {package.trees[0]} is not set")
    return PackageVariables(common, path, package.name, package.version)


def _target(place: PackageVariables) -> tuple[PackageVariables, Environment | None]:
    """Return the target of the package's wheels: the tree itself, else SAGE_VENV.

    SAGE_LOCAL may have an interpreter of its own, from which SAGE_VENV was made: its packages
    go to SAGE_VENV all the same.  The scripts see the target as SAGE_VENV, so that they build
    for it.
    """
    prefixes = (place.tree, place.common.venv)
    if os.path.realpath(place.tree) == os.path.realpath(place.common.local):
        prefixes = (place.common.venv, place.tree)
    for prefix in prefixes:
        with_target = place._replace(common=place.common._replace(venv=prefix))
        try:
            environment = environment_of(prefix)
        except EnvironmentFactsError as error:  # the package may be what mends it
            tell(f"Warning: {shown(str(error))}")
            place = with_target
            continue
        if environment is not None:
            return with_target, environment
    return place, None


def _check_option(given: argparse.Namespace, common: Variables, mode: Mode) -> Check:
    if given.check:
        check: Check = given.check
        return check
    if mode == "check":
        return "yes"
    return common.check


def _confirmed(given: argparse.Namespace, package: Package) -> bool:
    """Tell whether an experimental package is wanted; ask if somebody is there to answer."""
    if given.answer:
        return bool(given.answer == "yes")
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    print(f"{package.name} is experimental. Install it? [Y/n] ", end="", file=sys.stderr)
    try:
        return not input().lower().startswith("n")
    except EOFError:  # Ctrl-D
        print(file=sys.stderr)
        return False


# --------------------------------------------------------------------- sage-spkg-uninstall


def uninstall(arguments: Sequence[str]) -> int:
    """Uninstall a package: its distributions, files, scripts and record in one transaction."""
    options = Options("sage-spkg-uninstall", uninstall.__doc__ or "")
    options.add_argument("-v", "--verbose", action="store_true", help="name each file")
    options.add_argument("-k", "--keep-files", action="store_true", help="remove the stamps only")
    options.add_argument("--log-directory", metavar="DIR", help="where the output is kept")
    options.add_argument("name", metavar="NAME", help="a package")
    options.add_argument(
        "tree",
        metavar="TREE",
        nargs="?",
        help="default: the first tree of the package; without its directory, one that has it",
    )
    given = options.parse_args(arguments)
    common = read_variables(os.environ)
    base, _ = split_name(given.name)
    package = _package_if_any(common, base)
    place = _place_of_removal(common, given.tree, base, package)
    if not place.tree.is_dir():
        raise UsageError(f"cannot uninstall {base} from {place.tree}: it is not a directory")
    directory = Path(given.log_directory).absolute() if given.log_directory else common.logs
    is_logged = is_installed(place)
    with _logging(place, directory) if is_logged else contextlib.nullcontext():
        return _told("sage-spkg-uninstall", lambda: _uninstall(given, place, package), directory)


def _uninstall(given: argparse.Namespace, place: PackageVariables, package: Package | None) -> int:
    place, environment = _target(place)
    is_pip = package is not None and package.kind == "pip"
    removal = Removal(
        place=place,
        environment=environment,
        tools=find_tools(os.environ, place.common.root),
        settings=tree_settings(Talk("sage-spkg-uninstall")),
        effects=_effects(),
        keep_files=given.keep_files,
        legacy=package.script("legacy-uninstall") if package else None,
        requirements=package.directory / "requirements.txt" if package and is_pip else None,
    )
    try:
        removed = uninstall_package(removal)
    except ScriptError as error:
        is_first = error.script == "spkg-prerm" and not is_pip
        left = "nothing was removed" if is_first else "its record stays"
        tell(f"sage-spkg-uninstall: {error}; {left}")
        return error.status
    if removed is not None:
        for path in removed if given.verbose else ():
            print(f"removed {shown(path)}")
        print(f"uninstalled {place.name} from {place.tree}")
    return 0


def _package_if_any(common: Variables, name: str) -> Package | None:
    """Return the package directory; a package can be uninstalled when that is long gone."""
    try:
        return read_package(common.packages / name)
    except PackageError:
        return None


def _place_of_removal(
    common: Variables, tree: str | None, name: str, package: Package | None
) -> PackageVariables:
    """Return the tree to remove a package from; without its directory, one that has a record."""
    if package is not None:
        return _place(common, tree, package)
    paths = [Path(os.path.abspath(tree))] if tree else [common.local, common.venv]  # noqa: PTH100
    places = [PackageVariables(common, path, name, "none") for path in paths]
    return next(filter(is_installed, places), places[0])


# ----------------------------------------------------------------------------------- talk


def _effects() -> Effects:
    return Effects(
        run=run_program,
        download=download_url,
        say=lambda line: print(line, flush=True),
        warn=lambda line: tell(f"Warning: {shown(line)}"),
        progress=Progress(),
    )


@contextlib.contextmanager
def _logging(place: PackageVariables, directory: Path) -> Iterator[None]:
    """Put our output under the package's prefix and into its log, unless sage-logger does."""
    if os.environ.get(LOGGED):
        yield
        return
    with logged(f"[{place.full_name}] ", directory / f"{place.full_name}.log"):
        yield


def _told(program: str, work: Callable[[], int], logs: Path) -> int:
    """Return the status of ``work``; errors are told here, so that the log has them, too."""
    try:
        return work()
    except ScriptError as error:
        tell(f"{program}: {error}; its log lies in {logs}")
        return error.exit_status
    except PkgInstallError as error:
        tell(f"{program}: {error}")
        return error.exit_status
    except BrokenPipeError:
        raise
    except OSError as error:
        tell(f"{program}: cannot go on: {os_reason(error)}")
        return 1
