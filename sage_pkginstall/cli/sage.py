"""``sage-pip-install`` and ``sage-pip-uninstall``: what Sage's package scripts call."""

from __future__ import annotations

import os
from pathlib import Path

from sage_pkginstall.cli.install import (
    add_link_mode,
    add_managed,
    below,
    staging_bar,
    store_of,
    tell_installation,
    tell_uninstallation,
)
from sage_pkginstall.cli.options import Options
from sage_pkginstall.cli.paths import given_path
from sage_pkginstall.cli.target import Talk, sage_target, tree_settings
from sage_pkginstall.engine.tree import Tree
from sage_pkginstall.errors import UsageError
from sage_pkginstall.wheels.names import canonical_name, is_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sage_pkginstall.wheels.requirements import RequirementLine
    from sage_pkginstall.wheels.staging import WheelRequest

__all__ = ["pip_install", "pip_uninstall"]


def pip_install(arguments: Sequence[str]) -> int:
    """Install wheels into $SAGE_VENV, under its lock, in one transaction; no index is asked."""
    flags = _flags(os.environ.get("SAGE_PIP_INSTALL_FLAGS", ""))
    given = _install_options().parse_args([*flags, *arguments])
    from sage_pkginstall.operations.install import InstallOptions, install  # noqa: PLC0415
    from sage_pkginstall.operations.managed import refuse_managed  # noqa: PLC0415
    from sage_pkginstall.operations.requests import (  # noqa: PLC0415
        requests_of_arguments,
        requests_of_lines,
    )

    talk = Talk("sage-pip-install", given.verbose, given.quiet > 0)
    target = sage_target(talk)
    environment = target.python_environment()
    if not (given.break_system_packages or given.root):
        refuse_managed(environment)
    lines = _requirements(given.requirement)
    if not given.wheels and not given.requirement:
        raise UsageError("cannot install nothing: name a wheel, or -r FILE")
    store = store_of(given.find_links, environment.prefix)
    requests = (
        *requests_of_arguments(given.wheels, environment, store),
        *requests_of_lines(lines, environment, store),
    )
    if given.editable is not None:
        requests = _editable(requests, given_path(given.editable, "the source"))
    if given.no_compile:
        requests = tuple(request._replace(compile=False) for request in requests)
    tree = Tree(below(given.root, environment.prefix), tree_settings(talk))
    tree.prefix.mkdir(parents=True, exist_ok=True)
    how = InstallOptions(link_mode=given.link_mode)
    with staging_bar(len(requests), talk) as staged:
        result = install(tree, environment, requests, how._replace(staged=staged))
    tell_installation(result, talk, dry_run=False)
    return 0


def _install_options() -> Options:
    options = Options("sage-pip-install", pip_install.__doc__ or "")
    options.add_argument(
        "wheels", nargs="*", metavar="WHEEL", help="a wheel, or NAME from the store"
    )
    _add_requirement(options)
    options.add_argument("--root", metavar="DIR", help="install below DIR instead of /")
    options.add_argument(
        "-e", "--editable", metavar="DIR", help="the one wheel is an editable one of this source"
    )
    options.add_argument("--no-compile", action="store_true", help="write no byte-code")
    add_link_mode(options)
    options.add_argument("--find-links", "-f", metavar="DIR", help="the wheel store")
    _add_pip_options(options)
    add_managed(options)
    return options


def _add_requirement(options: Options) -> None:
    options.add_argument(
        "-r",
        "--requirement",
        action="append",
        default=[],
        metavar="FILE",
        help="a requirements file",
    )


def _flags(text: str) -> list[str]:
    if not text:
        return []
    import shlex  # noqa: PLC0415 - for flags only

    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"cannot use SAGE_PIP_INSTALL_FLAGS={text!r}: {error}") from None


def _editable(requests: tuple[WheelRequest, ...], source: Path) -> tuple[WheelRequest, ...]:
    from sage_pkginstall.operations.requests import editable_url  # noqa: PLC0415

    if len(requests) != 1 or not source.is_dir():
        reason = "--editable takes a source directory, and the one wheel that was built of it"
        raise UsageError(f"cannot install {source} editable: {reason}")
    return (requests[0]._replace(direct_url=editable_url(source)),)


def _add_pip_options(options: Options) -> None:
    """Options of pip that describe what we do anyway, and are accepted for that reason."""
    for flag in (
        "--no-deps",
        "--ignore-installed",
        "--no-index",
        "--force-reinstall",
        "--upgrade",
        "--no-build-isolation",
        "--no-cache-dir",
        "--disable-pip-version-check",
        "--no-warn-script-location",
        "--root-user-action=ignore",
    ):
        name = flag.partition("=")[0]
        if "=" in flag:
            options.add_argument(name, help="accepted; changes nothing here")
        else:
            options.add_argument(name, action="store_true", help="accepted; this is what is done")
    options.add_argument("-I", "-U", dest="ignored", action="store_true", help="accepted")
    options.add_argument("-v", "--verbose", action="count", default=0, help="name each operation")
    options.add_argument("-q", "--quiet", action="count", default=0, help="say less")


def pip_uninstall(arguments: Sequence[str]) -> int:
    """Uninstall distributions from $SAGE_VENV; what is not installed is passed over."""
    options = Options("sage-pip-uninstall", pip_uninstall.__doc__ or "")
    options.add_argument("names", nargs="*", metavar="NAME", help="a distribution")
    _add_requirement(options)
    options.add_argument("-y", "--yes", action="store_true", help="accepted; nothing is asked")
    add_managed(options)
    options.add_argument("-v", "--verbose", action="count", default=0, help="name each operation")
    options.add_argument("-q", "--quiet", action="count", default=0, help="say less")
    given = options.parse_args(arguments)
    from sage_pkginstall.operations.managed import refuse_managed  # noqa: PLC0415
    from sage_pkginstall.operations.run_pip import pip_runner  # noqa: PLC0415
    from sage_pkginstall.operations.uninstall import uninstall  # noqa: PLC0415

    talk = Talk("sage-pip-uninstall", given.verbose, given.quiet > 0)
    target = sage_target(talk)
    environment = target.python_environment()
    if not given.break_system_packages:
        refuse_managed(environment)
    names = [_name(word) for word in given.names]
    names += _names_in([Path(file) for file in given.requirement], talk)
    result = uninstall(target.tree, environment, names, pip_runner(environment))
    if result.distributions or result.by_pip:
        tell_uninstallation(result, talk, dry_run=False)
    return 0


def _name(word: str) -> str:
    """Return the canonical name of what a user wants to be uninstalled."""
    if is_name(word):
        return canonical_name(word)
    from sage_pkginstall.wheels.requirements_file import name_said  # noqa: PLC0415 - slow

    return name_said(word)


def _names_in(files: Sequence[Path], talk: Talk) -> list[str]:
    """Return the names in requirements files; warn of what they do not name."""
    if not files:
        return []
    from sage_pkginstall.wheels.requirements_file import names_in  # noqa: PLC0415

    names: list[str] = []
    for file in files:
        named = names_in(file)
        talk.warn(
            f"{file} does not name what '{line}' brought; uninstall that by its name"
            for line in named.unnamed
        )
        names += named.names
    return names


def _requirements(files: Sequence[str]) -> list[RequirementLine]:
    if not files:
        return []
    from sage_pkginstall.wheels.requirements_file import parse_requirements_file  # noqa: PLC0415

    return [line for file in files for line in parse_requirements_file(Path(file))]
