"""``sage -pip``: the target's pip for end users, with this tool's transactions.

``install`` lets pip resolve, download and build without the lock, and installs the
wheels in one transaction; ``uninstall`` is ours.  What changes the tree in a way that we
cannot take apart runs as pip under the lock; everything else is simply pip.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sage_pkginstall.cli.install import staging_bar, tell_installation, tell_uninstallation
from sage_pkginstall.cli.pip_options import (
    Split,
    command_of,
    for_wheel_too,
    goes_elsewhere,
    is_told,
    split,
)
from sage_pkginstall.cli.target import Talk, sage_target
from sage_pkginstall.operations.history import logged_lock, note_recovered
from sage_pkginstall.operations.managed import refuse_managed
from sage_pkginstall.operations.pip import (
    REPORT,
    PipError,
    can_report,
    choose_wheels,
    replaces_unrecorded,
    unmet_of_others,
)
from sage_pkginstall.operations.pip_config import configured
from sage_pkginstall.operations.run_pip import pip_command, pip_runner
from sage_pkginstall.spkg.programs import exit_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sage_pkginstall.cli.target import Target

__all__ = ["pip"]

# fmt: off
_READS_ONLY = frozenset((
    "cache", "check", "completion", "config", "debug", "download", "freeze", "hash", "help",
    "index", "inspect", "list", "lock", "search", "show", "wheel",
))
# fmt: on


def pip(arguments: Sequence[str]) -> int:
    """Run pip on the target; whatever changes it is a transaction or holds the lock."""
    words = list(arguments)
    talk = Talk("sage -pip")
    target = sage_target(talk)
    command = command_of(words)
    if command is None or command in _READS_ONLY or _only_tells(words):
        return _become_pip(target, words)
    variables = _variables(command, words, target)
    if not (_breaks_system_packages(words, variables) or goes_elsewhere(command, words, variables)):
        refuse_managed(target.python_environment())
    if target.tree.journal.exists():
        target.tree.recover()  # what is half there or half gone would be taken for all or nothing
        note_recovered(target.tree)
    taken = split(command, words, variables) if command in ("install", "uninstall") else None
    try:
        if taken is None:
            return _under_lock(target, words)
        if command == "install":
            return _install(target, words, taken, talk)
        if taken.only_in_venv and not (target.tree.prefix / "pyvenv.cfg").exists():
            return _under_lock(target, words)  # pip refuses that
        return _uninstall(target, taken, talk._replace(quiet=taken.quiet))
    except PipError as error:
        return exit_status(error.status)  # pip said itself what is wrong


def _variables(command: str, words: Sequence[str], target: Target) -> dict[str, str]:
    """Return the variables from which pip takes options, and those that its configuration means."""
    if "--isolated" in words:
        return {}
    said = configured(("global", command), target.tree.prefix, os.environ)
    return {**said, **os.environ}


def _only_tells(words: Sequence[str]) -> bool:
    return any(word in ("-h", "--help", "--dry-run") for word in words)


def _breaks_system_packages(words: Sequence[str], variables: Mapping[str, str]) -> bool:
    """Tell whether pip's option, or the variable that stands for it, is set (PEP 668)."""
    return "--break-system-packages" in words or is_told("PIP_BREAK_SYSTEM_PACKAGES", variables)


def _become_pip(target: Target, words: Sequence[str]) -> int:
    command = [*pip_command(target.python_environment()), *words]
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 - that is the point


def _under_lock(target: Target, words: Sequence[str]) -> int:
    run = pip_runner(target.python_environment())
    with logged_lock(target.tree, f"pip {' '.join(words)}") as ended:
        return ended(exit_status(run(words)))


def _install(target: Target, words: Sequence[str], taken: Split, talk: Talk) -> int:
    from sage_pkginstall.operations.install import InstallOptions, install  # noqa: PLC0415

    environment = target.python_environment()
    if not can_report(environment):
        return _under_lock(target, words)
    with target.tree.workspace() as workspace:
        run = pip_runner(environment, _for_both(environment.prefix))
        requests = choose_wheels(taken.words, taken.for_wheel, run, workspace.scratch)
        if requests is None:
            return _under_lock(target, words)
        report = workspace.scratch / REPORT
        if taken.report is not None and report.exists():
            _hand_over(report, taken.report)
        if not requests:
            return 0
        if replaces_unrecorded(environment, requests):
            return _under_lock(target, words)
        compiled = tuple(r._replace(compile=not taken.no_compile) for r in requests)
        talk = talk._replace(quiet=taken.quiet)
        with staging_bar(len(compiled), talk) as staged:
            result = install(target.tree, environment, compiled, InstallOptions(staged=staged))
    others = unmet_of_others(environment, {one.name for one in result.distributions})
    result = result._replace(unmet=(*result.unmet, *others))
    tell_installation(result, talk, dry_run=False)
    return 0


def _for_both(prefix: Path) -> dict[str, str]:
    """Return what pip's configuration says of installing alone, and of building likewise."""
    return for_wheel_too(configured(("install",), prefix, os.environ))


def _hand_over(report: Path, destination: str) -> None:
    """Put pip's installation report where its ``--report`` asks for it, as pip does."""
    text = report.read_text(encoding="utf-8")
    if destination == "-":
        print(text)
    else:
        Path(destination).write_text(text, encoding="utf-8")


def _uninstall(target: Target, taken: Split, talk: Talk) -> int:
    from sage_pkginstall.operations.uninstall import uninstall  # noqa: PLC0415
    from sage_pkginstall.wheels.records import find_recorded  # noqa: PLC0415

    environment = target.python_environment()
    names = list(dict.fromkeys(taken.names()))
    found = [i for name in names for i in find_recorded(environment, name)]
    missing = [name for name in names if not any(i.canonical == name for i in found)]
    talk.warn(f"{name} is not installed, so there is nothing to uninstall" for name in missing)
    if not found:
        return 0
    if not taken.yes and not _confirmed([f"{i.name} {i.version}" for i in found]):
        return 0
    result = uninstall(
        target.tree, environment, [i.canonical for i in found], pip_runner(environment)
    )
    tell_uninstallation(result, talk, dry_run=False)
    return 0


def _confirmed(what: Sequence[str]) -> bool:
    """Ask as pip does; without anybody to ask, the answer is no."""
    print(f"Would uninstall: {', '.join(what)}")
    try:
        answer = input("Proceed (Y/n)? ")
    except EOFError:
        print()
        return False
    return answer.strip().lower() in ("", "y", "yes")
