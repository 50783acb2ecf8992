"""sage-spkg: the life of a package from its directory to the tree.

fetch, verify → fresh build directory → unpack → patch → wrap → preinst → build, install →
check → **one transaction** (files, distributions, stored wheels, scripts, stamp) → pipinst
→ postinst → delete the build directory.

What comes before the check is left out if it would stage what it staged before; see
staged_once.py.

Up to the transaction nothing reaches the tree, so whatever fails leaves the installed
version as it was (but for files that no record lists: its spkg-legacy-uninstall removes
them right before).  What runs after it can fail, too; then the package is installed, the
error says so, and make installs it again the next time (see build_directory.py).
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from sage_pkginstall.errors import PackageError
from sage_pkginstall.spkg import build_directory, phases, staged
from sage_pkginstall.spkg.checks import check
from sage_pkginstall.spkg.commit import commit_package
from sage_pkginstall.spkg.commit_by_sudo import commit_by_sudo
from sage_pkginstall.spkg.commit_request import CommitRequest
from sage_pkginstall.spkg.distributions import keep_requirements
from sage_pkginstall.spkg.programs import Program, by_sudo
from sage_pkginstall.spkg.progress import Installed, told_job
from sage_pkginstall.spkg.queue import queued_wheels
from sage_pkginstall.spkg.staged_once import staged_once
from sage_pkginstall.spkg.uninstall import Removal, remove_unlisted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sage_pkginstall.spkg.commit import Committed
    from sage_pkginstall.spkg.job import Job
    from sage_pkginstall.spkg.package import Package

__all__ = ["describe", "run_job"]


def run_job(job: Job) -> Installed | None:
    """Do what the job's mode says; return what it brought into the tree, if it did.

    Raises PackageError, and what the transaction raises.
    """
    with told_job(job):
        with build_directory.occupied(job.place, job.effects.say, job.effects.run):
            _MODES[job.options.mode](job)
        return job.effects.progress.installed


def _download(job: Job) -> None:
    phases.fetch(job)


def _erase(job: Job) -> None:
    build_directory.erase(job.place, job.effects.run)


def _stage(job: Job) -> None:
    if job.package.kind == "pip":
        return
    if job.package.kind == "none":
        reason = "there is nothing to install: it stands for a package of the system"
        raise PackageError(job.package.name, f"{reason}; install that one")
    phases.prepare(job)
    phases.build(job)
    _inspect(job)


def _install(job: Job) -> None:
    if job.package.kind == "pip":
        _install_with_pip(job)
        return
    before = staged_once(job)
    if before is None:
        _stage(job)
    elif not before.take():
        _stage(job)
        before.keep()
    _bring_in(job, check(job), move=not job.options.keep_build)
    _finish(job)


def _post_install(job: Job) -> None:
    if job.package.kind == "pip":
        _install_with_pip(job)
        return
    if not build_directory.is_staged(job.place):
        reason = f"nothing is built and staged in {job.place.build_directory}"
        raise PackageError(job.package.name, f"{reason}; run sage-spkg without -p")
    _inspect(job)
    _bring_in(job, check(job), move=False)
    _finish(job)


def _check(job: Job) -> None:
    """Run the check where the package was built; if that is gone, build it for that."""
    if job.package.script("check") is None:
        job.effects.say("there is no check")
        return
    kept = build_directory.is_staged(job.place)
    if not kept:
        phases.prepare(job)
        if job.package.kind == "normal" and not job.package.is_python:
            phases.build(job)
    check(job)
    if not kept and not job.options.keep_build:
        _erase(job)


def _inspect(job: Job) -> None:
    """Refuse a staged tree that must not be installed, warn of what will not be."""
    sites = []
    if job.environment is not None:
        prefix = job.environment.prefix
        sites = [prefix / site for site in job.environment.site_directories]
    warning = staged.refuse_python(job.place, sites)
    if warning:
        job.effects.warn(warning)
    strays = staged.strays(job.place)
    if strays:
        shown = ", ".join("/" + path for path in strays[:3])
        job.effects.warn(
            f"{len(strays)} staged files are left out, as they do not belong to"
            f" {job.place.tree}: {shown}"
        )


def _bring_in(job: Job, test_result: str, *, move: bool) -> None:
    """Make the one change to the tree, by SAGE_SUDO if that is set."""
    if job.options.keep_existing:
        keep_requirements(job.place.tree, job.place.destdir_tree, job.package.name)
    else:
        _remove_unlisted(job)
    sudo = job.place.common.sudo
    request = CommitRequest(
        action="install",
        tree=os.fspath(job.place.tree),
        package=job.package.name,
        version=job.package.version,
        python=os.fspath(job.environment.interpreter) if job.environment else "",
        staged=os.fspath(job.place.destdir_tree),
        private=os.fspath(job.place.private_directory),
        move=move and not sudo,
        keep=job.options.keep_existing,
        test_result=test_result,
        sage_version=_sage_version(job.place.common.root),
        dependencies_file=os.fspath(job.package.directory / "dependencies"),
        local=job.place.common.local_with_target(job.environment),
    )
    if request.move:
        build_directory.mark_staged(job.place, staged=False)
    if phases.has_final_scripts(job):
        build_directory.mark_unfinished(job.place, unfinished=True)
    progress = job.effects.progress
    built = progress.seconds.get("build", 0.0)
    began = time.monotonic()
    if sudo:
        wheels = len(queued_wheels(job.place.private_directory))
        with progress.phase("install"):
            _commit_by_sudo(job, request)
        progress.installed = Installed(wheels, built)
        return
    with progress.phase("install"):
        committed = commit_package(request, job.settings)
    progress.installed = _counted(committed, built, time.monotonic() - began)
    for warning in committed.warnings:
        job.effects.warn(warning)
    for one in committed.distributions:
        job.effects.say(f"installed distribution {one.name} {one.version}")


def _remove_unlisted(job: Job) -> None:
    """Remove files of a version so old that its record does not list them."""
    legacy = job.package.script("legacy-uninstall")
    if legacy is not None:
        removal = Removal(
            job.place, job.environment, job.tools, job.settings, job.effects, legacy=legacy
        )
        remove_unlisted(removal)


def _counted(committed: Committed, built: float, took: float) -> Installed:
    waited = sum(outcome.waited for outcome in committed.outcomes)
    held = sum(outcome.held for outcome in committed.outcomes)
    return Installed(
        wheels=len(committed.distributions),
        built=built,
        files=committed.files + sum(len(one.paths) for one in committed.distributions),
        staged=took - waited - held,
        waited=waited,
        held=held,
    )


def _commit_by_sudo(job: Job, request: CommitRequest) -> None:
    """Have SAGE_SUDO carry out a request.  Raises PackageError if it fails; it has said why."""
    common, directory = job.place.common, job.place.private_directory
    status = commit_by_sudo(request, directory, common, job.tools, job.effects.run)
    if status != 0:
        reason = f"{common.sudo[0]} could not change {request.tree} (exit status {status})"
        raise PackageError(job.package.name, reason)


def _finish(job: Job) -> None:
    """Run what is to run once the package is installed, and delete the build directory."""
    job.effects.say(f"installed {job.package.full_name} into {job.place.tree}")
    with job.effects.progress.phase("finish"):
        try:
            for name in phases.FINAL_SCRIPTS:
                phases.run_phase(job, name, sudo=True, variables=job.final_variables())
        except phases.ScriptError as error:
            reason = f"it is installed in {job.place.tree}, but {error.reason}"
            raise PackageError(job.package.name, reason) from error
        build_directory.mark_unfinished(job.place, unfinished=False)
        if _is_needed(job):
            warning = f"{job.place.build_directory} is kept: an editable distribution is there"
            job.effects.warn(warning)
        elif not job.options.keep_build:
            _erase_after_all(job)


def _erase_after_all(job: Job) -> None:
    """Delete the build directory of what is installed, and stays so if that fails."""
    try:
        _erase(job)
    except PackageError as error:
        job.effects.warn(f"{job.package.name} is installed, but {error.reason}")


def _is_needed(job: Job) -> bool:
    """Tell whether an editable distribution leads into the build directory."""
    directory = job.place.build_directory.resolve()
    sources = (wheel.editable_source for wheel in queued_wheels(job.place.private_directory))
    return any(one and Path(one).resolve().is_relative_to(directory) for one in sources)


def _install_with_pip(job: Job) -> None:
    """Install a package of kind pip: no record is kept, pip's own are enough."""
    build_directory.make_fresh(job.place, job.effects.run)
    phases.bring_package_files(job)
    phases.run_phase(job, "preinst")
    requirements = os.fspath(job.package.directory / "requirements.txt")
    tool = os.fspath(job.tools / "sage-pkginstall")
    variables = job.build_variables()
    for name in job.place.staging_exports():
        variables.pop(name)
    install = [tool, "pip", "install", "-r", requirements]
    command = by_sudo(job.place.common.sudo, install, variables)
    with job.effects.progress.phase("install"):
        status = job.effects.run(Program(command, job.package.directory, variables))
    if status != 0:
        reason = f"pip could not install its requirements (exit status {status})"
        raise PackageError(job.package.name, reason)
    check(job)
    job.effects.progress.installed = Installed(0, job.effects.progress.seconds["install"])
    _finish(job)


def _sage_version(root: Path) -> str:
    try:
        lines = (root / "VERSION.txt").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return lines[0] if lines else ""


def describe(package: Package) -> str:
    """Return what a package is, for people: its SPKG.rst, or what its directory tells."""
    for name in ("SPKG.rst", "SPKG.txt"):
        path = package.directory / name
        if path.is_file():
            return path.read_text(encoding="utf-8", errors="replace").rstrip()
    return f"{package.name} {package.version}: {package.type} package of kind {package.kind}"


_MODES: dict[str, Callable[[Job], None]] = {
    "all": _install,
    "download": _download,
    "stage": _stage,
    "post-install": _post_install,
    "check": _check,
    "erase": _erase,
}
