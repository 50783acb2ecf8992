"""sage-spkg-uninstall: a package leaves its tree in one transaction.

prerm → an own pip-uninstall script → **the transaction** (distributions, files of the
manifest, directories left empty, scripts, stamps) → postrm.

A prerm that fails ends everything with its status, and nothing has been removed.  The
pip-uninstall script that sage-spkg writes is not run: what it would do is part of the
transaction.  A hand-made or older one is run before.  Packages that depend on this one
are never touched.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from sage_pkginstall.engine.tree import Tree
from sage_pkginstall.errors import PackageError
from sage_pkginstall.spkg.commit import commit_package
from sage_pkginstall.spkg.commit_by_sudo import commit_by_sudo
from sage_pkginstall.spkg.commit_request import CommitRequest
from sage_pkginstall.spkg.distributions import required_by_others
from sage_pkginstall.spkg.phases import ScriptError
from sage_pkginstall.spkg.programs import Program, by_sudo, script_command
from sage_pkginstall.spkg.scripts import Wrapper, is_generated_piprm, script_text, write_script
from sage_pkginstall.spkg.search_paths import search_paths
from sage_pkginstall.spkg.stamp import find_stamps, package_stamps
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sage_pkginstall.engine.tree import TreeSettings
    from sage_pkginstall.environment import Environment
    from sage_pkginstall.spkg.job import Effects
    from sage_pkginstall.spkg.package import Script
    from sage_pkginstall.spkg.variables import PackageVariables

__all__ = ["Removal", "is_installed", "remove_unlisted", "uninstall_package"]


class Removal(NamedTuple):
    """A package that is to leave a tree.

    ``legacy`` is its spkg-legacy-uninstall, for records without a list of files.
    ``requirements`` is the file of a package of kind pip, which has no record.
    """

    place: PackageVariables
    environment: Environment | None
    tools: Path
    settings: TreeSettings
    effects: Effects
    keep_files: bool = False
    legacy: Script | None = None
    requirements: Path | None = None

    def variables(self) -> dict[str, str]:
        """Return what the package's scripts see."""
        return {**self.place.exports(), **search_paths(self.place, self.tools)}


def is_installed(place: PackageVariables) -> bool:
    """Tell whether the tree has a record of the package."""
    return bool(find_stamps(place.tree, place.name)) or place.own_scripts.is_dir()


def uninstall_package(removal: Removal) -> tuple[str, ...] | None:
    """Uninstall the package; return what was removed, None if it was not installed.

    A directory that went as a whole stands for all that was in it.  What SAGE_SUDO removed
    is not known here.

    Raises ScriptError if a script forbids it, and what the transaction raises.
    """
    if removal.requirements is not None and removal.environment and not removal.keep_files:
        _uninstall_with_pip(removal, removal.requirements)
    if not is_installed(removal.place):
        _finish_what_was_begun(removal)
    if not is_installed(removal.place):
        return None
    with _scratch(removal) as scratch:
        postrm = scratch / "spkg-postrm"
        if not removal.keep_files:
            _keep_aside(removal.place.own_scripts / "spkg-postrm", postrm)
            _before(removal, scratch)
        removed = _remove(removal, scratch)
        if postrm.exists():
            _run_postrm(removal, postrm)
    return removed


def _finish_what_was_begun(removal: Removal) -> None:
    """Carry out what a dead process began: of a package that is half gone, the records are first.

    What root began SAGE_SUDO finishes, by a removal for which there is nothing more to do.
    """
    tree = Tree(removal.place.tree, removal.settings)
    if not tree.journal.path.exists() and not tree.journal.is_undoing():
        return
    if not removal.place.common.sudo:
        tree.recover()
        return
    with _scratch(removal) as scratch:
        _remove(removal, scratch)


def _before(removal: Removal, scratch: Path) -> None:
    """Run what is to run before anything is removed."""
    own = removal.place.own_scripts
    _run_script(removal, own / "spkg-prerm")
    piprm = own / "spkg-piprm"
    if not is_generated_piprm(piprm):
        _run_script(removal, piprm)
    _run_legacy(removal, scratch)


def remove_unlisted(removal: Removal) -> None:
    """Have the package's spkg-legacy-uninstall remove what no record lists.

    For an upgrade, once all that is to come is staged.  Raises ScriptError.
    """
    with _scratch(removal) as scratch:
        _run_legacy(removal, scratch)


def _run_legacy(removal: Removal, scratch: Path) -> None:
    if removal.legacy is not None and _lacks_manifest(removal.place):
        _run_script(removal, _ready(removal, removal.legacy, scratch))


@contextlib.contextmanager
def _scratch(removal: Removal) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sage-spkg-uninstall-") as name:
        scratch = Path(name)
        if removal.place.common.sudo:
            scratch.chmod(0o755)  # SAGE_SUDO may lead to another user than root
        yield scratch


def _lacks_manifest(place: PackageVariables) -> bool:
    return any(stamp.files is None for stamp in package_stamps(place.tree, place.name))


def _ready(removal: Removal, script: Script, scratch: Path) -> Path:
    """Return the path of a script that can be run, wrapped if it is to be."""
    if not script.wrapped:
        return script.path
    path = scratch / f"spkg-{script.name}"
    exports = {**removal.place.exports(), "SAGE_ROOT": os.fspath(removal.place.common.root)}
    for name in removal.place.common.environ:
        if not name.startswith(("SAGE_", "PKG_")):
            exports.pop(name, None)
    wrapper = Wrapper(exports, removal.tools, removal.place.common.root)
    title = f"spkg-{script.name} of {removal.place.name}"
    write_script(path, wrapper.wrap(title, script_text(removal.place.name, script)))
    return path


def _run_script(removal: Removal, script: Path) -> None:
    """Run a script in SAGE_ROOT, if it is there.  Raises ScriptError."""
    if not script.exists():
        return
    removal.effects.say(f"running {script.name}")
    status = removal.effects.run_script(_program(removal, script))
    if status != 0:
        raise ScriptError(removal.place.name, script.name, status)


def _run_postrm(removal: Removal, script: Path) -> None:
    removal.effects.say(f"running {script.name}")
    status = removal.effects.run_script(_program(removal, script))
    if status != 0:
        removal.effects.warn(
            f"{removal.place.name} is uninstalled, but its script {script.name} failed"
            f" (exit status {status})"
        )


def _program(removal: Removal, script: Path) -> Program:
    variables = removal.variables()
    return Program(
        by_sudo(removal.place.common.sudo, script_command(script), variables),
        removal.place.common.root,
        variables,
    )


def _keep_aside(script: Path, copy: Path) -> None:
    """Copy a script that the transaction is about to remove."""
    if script.exists():
        shutil.copyfile(script, copy)
        copy.chmod(0o755)


def _remove(removal: Removal, scratch: Path) -> tuple[str, ...]:
    """Make the one change to the tree, by SAGE_SUDO if that is set."""
    place = removal.place
    request = CommitRequest(
        action="remove",
        tree=os.fspath(place.tree),
        package=place.name,
        version="",
        python=os.fspath(removal.environment.interpreter) if removal.environment else "",
        keep=removal.keep_files,
        local=place.common.local_with_target(removal.environment),
    )
    if not place.common.sudo:
        committed = commit_package(request, removal.settings)
        for warning in committed.warnings:
            removal.effects.warn(warning)
        operations = [one for outcome in committed.outcomes for one in outcome.plan.operations]
        return tuple(one.path for one in operations if one.kind == "remove")
    status = commit_by_sudo(request, scratch, place.common, removal.tools, removal.effects.run)
    _require_success(removal, status)
    return ()


def _uninstall_with_pip(removal: Removal, requirements: Path) -> None:
    """Uninstall what a package of kind pip asks for, but for what other packages have, too."""
    words = _of_this_package_alone(removal, requirements)
    if words:
        command = [os.fspath(removal.tools / "sage-pkginstall"), "pip-uninstall", *words]
        _run(removal, by_sudo(removal.place.common.sudo, command, removal.variables()))


def _of_this_package_alone(removal: Removal, requirements: Path) -> tuple[str, ...]:
    from sage_pkginstall.wheels.requirements_file import names_only  # noqa: PLC0415 -- pip only

    place, environment = removal.place, removal.environment
    trees = {place.tree, place.common.local, *([environment.prefix] if environment else [])}
    theirs = required_by_others(trees, place.name)
    names = names_only(requirements)
    if theirs.isdisjoint(names):
        return ("-r", os.fspath(requirements))
    return tuple(name for name in names if name not in theirs)


def _run(removal: Removal, command: tuple[str, ...]) -> None:
    """Run a command of ours.  Raises PackageError if it fails; it has said why."""
    program = Program(command, removal.place.common.root, removal.variables())
    _require_success(removal, removal.effects.run(program))


def _require_success(removal: Removal, status: int) -> None:
    if status != 0:
        reason = f"it could not be uninstalled from {removal.place.tree} (exit status {status})"
        raise PackageError(removal.place.name, reason)
