"""``install`` and ``uninstall``."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from sage_pkginstall.cli.options import Options
from sage_pkginstall.cli.plans import outcome_document, plan_lines, tell_operations
from sage_pkginstall.cli.target import add_options, talk_of, target_of
from sage_pkginstall.cli.terminal import shown
from sage_pkginstall.engine.tree import Tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    from sage_pkginstall.cli.target import Talk
    from sage_pkginstall.operations.install import Installation
    from sage_pkginstall.operations.uninstall import Uninstallation

__all__ = [
    "add_link_mode",
    "add_managed",
    "below",
    "install",
    "staging_bar",
    "store_of",
    "tell_installation",
    "tell_uninstallation",
    "uninstall",
]


def install(arguments: Sequence[str]) -> int:
    """Install wheels, all of them in one transaction."""
    options = Options("sage-pkginstall install", install.__doc__ or "")
    options.add_argument(
        "wheels", nargs="+", metavar="WHEEL", help="a wheel, or NAME from the store"
    )
    options.add_argument("--store", metavar="DIR", help="wheel store for names")
    options.add_argument("--root", metavar="DIR", help="install below DIR instead of /")
    options.add_argument("--no-compile", action="store_true", help="write no byte-code")
    add_link_mode(options)
    options.add_argument(
        "--conflicts",
        choices=("warn", "error"),
        default="warn",
        help="what becomes of files of others with another content",
    )
    add_managed(options)
    add_options(options, changes=True)
    given = options.parse_args(arguments)
    from sage_pkginstall.operations.install import InstallOptions  # noqa: PLC0415
    from sage_pkginstall.operations.install import install as install_wheels  # noqa: PLC0415
    from sage_pkginstall.operations.managed import refuse_managed  # noqa: PLC0415
    from sage_pkginstall.operations.requests import requests_of_arguments  # noqa: PLC0415

    talk = talk_of("sage-pkginstall install", given)
    target = target_of(given, talk)
    environment = target.python_environment()
    if not (given.break_system_packages or given.root or given.dry_run):
        refuse_managed(environment)
    store = store_of(given.store, target.tree.prefix)
    requests = requests_of_arguments(given.wheels, environment, store)
    requests = tuple(request._replace(compile=not given.no_compile) for request in requests)
    how = InstallOptions(given.conflicts, dry_run=given.dry_run, link_mode=given.link_mode)
    tree = Tree(below(given.root, target.tree.prefix), target.tree.settings)
    made = _made(tree, for_good=not given.dry_run)
    with made, staging_bar(len(requests), talk) as staged:
        result = install_wheels(tree, environment, requests, how._replace(staged=staged))
    tell_installation(result, talk, dry_run=given.dry_run)
    return 0


@contextlib.contextmanager
def _made(tree: Tree, *, for_good: bool) -> Iterator[None]:
    """Make the directory of a tree at need; unless ``for_good``, it goes again as far as empty."""
    missing = [path for path in (tree.prefix, *tree.prefix.parents) if not path.exists()]
    tree.prefix.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        if missing and not for_good:
            area = tree.area.path
            for directory in (area, area.parent, area.parent.parent, *missing):
                with contextlib.suppress(OSError):
                    directory.rmdir()


def add_link_mode(options: Options) -> None:
    """Add the option that says whether prefixes share files, called as uv calls it."""
    options.add_argument(
        "--link-mode",
        choices=("copy", "hardlink"),
        help="hardlink: share files with other prefixes, read-only",
    )


def add_managed(options: argparse.ArgumentParser | Options) -> None:
    """Add the option that overrides the refusal of `refuse_managed`, called as pip calls it."""
    options.add_argument(
        "--break-system-packages",
        action="store_true",
        help="change an environment that the system manages (PEP 668)",
    )


def staging_bar(
    number: int, talk: Talk
) -> contextlib.AbstractContextManager[Callable[[str], object]]:
    """Return what gives a function that is to be told of each wheel that is staged.

    On a terminal, and for more than one wheel, it draws a bar.
    """
    wanted = number > 1 and not talk.quiet and not talk.as_json and sys.stderr.isatty()
    if not wanted or os.environ.get("TERM", "dumb") == "dumb" or not _has_rich():
        return contextlib.nullcontext(lambda _name: None)
    from sage_pkginstall.cli.bar import bar  # noqa: PLC0415 - loads rich

    return bar(number)


def _has_rich() -> bool:
    from importlib.util import find_spec  # noqa: PLC0415 - on terminals only

    return find_spec("rich") is not None


def below(root: str | None, prefix: Path) -> Path:
    """Return the place of ``prefix`` below ``root``, as DESTDIR means it: an empty one is none."""
    if not root:
        return prefix
    return Path(root).absolute() / prefix.relative_to(prefix.anchor)


def store_of(given: str | None, prefix: Path) -> Path:
    """Return the wheel store: as given, ``$SAGE_SPKG_WHEELS``, or that of the prefix."""
    named = given or os.environ.get("SAGE_SPKG_WHEELS")
    return Path(named) if named else prefix / "var" / "lib" / "sage" / "wheels"


def tell_installation(result: Installation, talk: Talk, *, dry_run: bool) -> None:
    """Print what was installed, and warn of what it lacks."""
    talk.warn(result.outcome.warnings)
    if result.unmet:
        _tell_unmet(result, talk)
    names = [f"{d.name} {d.version}" for d in result.distributions]
    document = {
        "installed": [{"name": d.name, "version": d.version} for d in result.distributions],
        "unmet": [one._asdict() for one in result.unmet],
    }
    lines = plan_lines(result.outcome) if dry_run else (f"installed {n}" for n in names)
    if not dry_run:
        tell_operations(result.outcome, talk)
    if dry_run or talk.as_json or not talk.quiet:
        talk.result(lines, {**document, "dry_run": dry_run, **outcome_document(result.outcome)})


def _tell_unmet(result: Installation, talk: Talk) -> None:
    from sage_pkginstall.builds.dependencies_file import dependencies_file  # noqa: PLC0415 - rare

    missing = f"install it, or add the package that provides it to {dependencies_file(os.environ)}"
    other = "install a version of one or the other that fits"
    talk.warn(f"{one}; {missing if one.found is None else other}" for one in result.unmet)


def uninstall(arguments: Sequence[str]) -> int:
    """Uninstall distributions, all of them in one transaction."""
    options = Options("sage-pkginstall uninstall", uninstall.__doc__ or "")
    options.add_argument("names", nargs="+", metavar="NAME", help="a distribution")
    add_managed(options)
    add_options(options, changes=True)
    given = options.parse_args(arguments)
    from sage_pkginstall.operations.managed import refuse_managed  # noqa: PLC0415
    from sage_pkginstall.operations.run_pip import pip_runner  # noqa: PLC0415
    from sage_pkginstall.operations.uninstall import (  # noqa: PLC0415
        require_installed,
    )
    from sage_pkginstall.operations.uninstall import uninstall as uninstall_names  # noqa: PLC0415

    talk = talk_of("sage-pkginstall uninstall", given)
    target = target_of(given, talk)
    environment = target.python_environment()
    if not (given.break_system_packages or given.dry_run):
        refuse_managed(environment)
    run_pip = pip_runner(environment)
    result = uninstall_names(target.tree, environment, given.names, run_pip, dry_run=given.dry_run)
    tell_uninstallation(result, talk, dry_run=given.dry_run)
    require_installed(result, target.tree)
    return 0


def tell_uninstallation(result: Uninstallation, talk: Talk, *, dry_run: bool) -> None:
    """Print what was uninstalled."""
    gone = [*result.distributions, *result.by_pip]
    document: dict[str, object] = {
        "uninstalled": [{"name": i.name, "version": i.version} for i in gone],
        "missing": list(result.missing),
        "dry_run": dry_run,
    }
    lines = [f"uninstalled {shown(i.name)} {shown(i.version)}" for i in gone]
    if dry_run:
        lines = [f"pip uninstall {shown(i.name)}" for i in result.by_pip]
    if result.outcome is not None:
        talk.warn(result.outcome.warnings)
        document.update(outcome_document(result.outcome))
        if dry_run:
            lines += plan_lines(result.outcome)
        else:
            tell_operations(result.outcome, talk)
    if dry_run or talk.as_json or not talk.quiet:
        talk.result(lines, document)
