"""The phases of a build: each takes the build directory one step further.

Nothing here reaches the prefix.  A script that fails ends everything with PackageError,
which carries the script's exit status.
"""

from __future__ import annotations

import os
import shutil

from sage_pkginstall.errors import PackageError
from sage_pkginstall.spkg import scripts, staged
from sage_pkginstall.spkg.build_directory import make_fresh, mark_staged
from sage_pkginstall.spkg.followed import copy_followed
from sage_pkginstall.spkg.programs import Program, by_sudo, script_command
from sage_pkginstall.spkg.queue import queued_wheels
from sage_pkginstall.spkg.sources import Sources, choose_tarball
from sage_pkginstall.spkg.unpack import unpack
from sage_pkginstall.wheels.names import canonical_name
from sage_pkginstall.wheels.record_directory import REQUIREMENTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from sage_pkginstall.spkg.job import Job

__all__ = [
    "FINAL_SCRIPTS",
    "ScriptError",
    "bring_package_files",
    "build",
    "fetch",
    "has_final_scripts",
    "prepare",
    "run_phase",
    "stage_records",
]

_DEFAULT_OF_WHEELS = "sdh_store_and_pip_install_wheel .\n"
_DEFAULT_OF_SOURCES = "cd src && sdh_pip_install .\n"  # of a wheel package, where none fits
FINAL_SCRIPTS = ("pipinst", "postinst")
"""The scripts that run when the package is installed, and change the tree itself."""
_BUILD_SCRIPTS = ("preinst", "build", "install", "check", *FINAL_SCRIPTS)


class ScriptError(PackageError):
    """A script of a package failed; ``status`` is its exit status."""

    def __init__(self, package: str, script: str, status: int) -> None:
        super().__init__(package, f"its script {script} failed (exit status {status})")
        self.script = script
        self.status = status


def fetch(job: Job) -> Path | None:
    """Return the package's file in SAGE_DISTFILES, fetched and checked; None if it has none."""
    if job.package.kind not in {"normal", "wheel"}:
        return None
    tags = job.environment.tags if job.environment else ()
    tarball = choose_tarball(job.package, tags)
    sources = Sources(
        job.place.common.distfiles,
        job.pip(),
        job.place.common.environ,
        job.effects.run,
        job.effects.download,
    )
    with job.effects.progress.phase("fetch"):
        return sources.fetch(job.package, tarball, allow_upstream=job.options.allow_upstream)


def prepare(job: Job) -> None:
    """Make the build directory anew: sources, patched, and the scripts, wrapped."""
    tarball = fetch(job)
    with job.effects.progress.phase("unpack"):
        make_fresh(job.place, job.effects.run)
        _lay_out(job, tarball)
        source = job.place.build_directory / "src"
        if source.is_dir() and not source.is_symlink():  # what is linked is not ours to change
            for patch in job.package.patches:
                _apply(job, patch)
        bring_package_files(job)


def _lay_out(job: Job, tarball: Path | None) -> None:
    directory = job.place.build_directory
    if tarball is None:
        own = job.package.directory / "src"
        source = own if own.exists() else job.place.common.root
        if own.is_dir() and job.package.patches:
            shutil.copytree(own, directory / "src", symlinks=True)
        else:
            (directory / "src").symlink_to(source.resolve(), target_is_directory=True)
    elif tarball.suffix == ".whl":
        (directory / "dist").mkdir()
        shutil.copyfile(tarball, directory / "dist" / tarball.name)
    else:
        unpack(tarball, directory / "src")


def _apply(job: Job, patch: Path) -> None:
    job.effects.say(f"applying {patch.name}")
    directory = job.place.build_directory / "src"
    command = ["patch", "-p1", "--forward", "--batch", "--input", os.fspath(patch)]
    status = job.effects.run(Program(command, directory, job.build_variables()))
    if status != 0:
        raise PackageError(job.package.name, f"{patch.name} does not apply (exit status {status})")


def bring_package_files(job: Job) -> None:
    """Put what the package directory holds into the build directory, scripts wrapped.

    So a script finds what lies beside it, ``patches/Makefile`` say, and may change it.
    """
    directory = job.place.build_directory
    for entry in sorted(job.package.directory.iterdir()):
        copy = directory / entry.name
        if os.path.lexists(copy):  # src, dist, and what is ours
            continue
        if entry.is_dir():
            copy_followed(entry, copy)
        elif entry.is_file():
            shutil.copyfile(entry, copy)
            copy.chmod(0o755 if _is_program(entry) else 0o644)
    _wrap_scripts(job)


def _is_program(path: Path) -> bool:
    """Tell whether a file is one to be run, also where a download has lost its mode."""
    is_script = path.name.startswith("spkg-") and not path.suffix
    return is_script or os.access(path, os.X_OK)


def _wrap_scripts(job: Job) -> None:
    for name in _BUILD_SCRIPTS:
        text = _wrapped_text(job, name)
        if text is not None:
            is_final = name in FINAL_SCRIPTS
            variables = job.final_variables() if is_final else job.build_variables()
            wrapper = job.build_wrapper(variables)
            title = f"spkg-{name} of {job.package.full_name}"
            path = job.place.build_directory / f"spkg-{name}"
            scripts.write_script(path, wrapper.wrap(title, text))


def _wrapped_text(job: Job, name: str) -> str | None:
    """Return the text of a script that is to be wrapped, None if there is none."""
    script = job.package.script(name)
    if script is not None:
        return scripts.script_text(job.package.name, script) if script.wrapped else None
    if name != "install" or job.package.kind != "wheel":
        return None
    has_wheel = (job.place.build_directory / "dist").is_dir()
    return _DEFAULT_OF_WHEELS if has_wheel else _DEFAULT_OF_SOURCES


def build(job: Job) -> None:
    """Run the scripts that build the package and fill its staged tree.

    Raises ScriptError if one fails, PackageError if there is nothing to run.
    """
    if not (job.place.build_directory / "spkg-install").exists():
        raise PackageError(job.package.name, "it has no script spkg-install; write spkg-install.in")
    mark_staged(job.place, staged=False)
    with job.effects.progress.phase("build"):
        staged.open_for_scripts(job.place)
        run_phase(job, "preinst")
        has_build = run_phase(job, "build")
        run_phase(job, "install", sudo=has_build)
        if not job.place.private_directory.is_dir():
            gone = job.place.build_directory
            raise PackageError(job.package.name, f"its scripts deleted {gone}, where it is staged")
        staged.finish(job.place)
        stage_records(job)
    mark_staged(job.place, staged=True)


def has_final_scripts(job: Job) -> bool:
    """Tell whether anything is to run once the package is installed."""
    return any((job.place.build_directory / f"spkg-{name}").exists() for name in FINAL_SCRIPTS)


def run_phase(
    job: Job, name: str, *, sudo: bool = False, variables: dict[str, str] | None = None
) -> bool:
    """Run the script ``spkg-NAME`` in the build directory; return False if there is none.

    It sees ``variables``, by default those of the build.  Raises ScriptError.
    """
    directory = job.place.build_directory
    path = directory / f"spkg-{name}"
    if not path.exists():
        return False
    job.effects.say(f"running {path.name}")
    seen = job.build_variables() if variables is None else variables
    command = by_sudo(job.place.common.sudo if sudo else (), script_command(path), seen)
    status = job.effects.run_script(Program(command, directory, seen))
    if status != 0:
        raise ScriptError(job.package.name, path.name, status)
    return True


def stage_records(job: Job) -> None:
    """Put the scripts that stay in the tree into the staged tree.

    A package that stored wheels gets its pip-uninstall script, unless it has its own.
    Raises RequirementError if its scripts wrote requirements that are none.
    """
    own_scripts = _staged_scripts(job)
    _require_queued(job, own_scripts / REQUIREMENTS)
    wrapper = job.installed_wrapper()
    for name in scripts.INSTALLED_SCRIPTS:
        script = job.package.script(name)
        if script is None:
            continue
        path = own_scripts / f"spkg-{name}"
        if script.wrapped:
            title = f"spkg-{name} of {job.package.full_name}"
            text = scripts.script_text(job.package.name, script)
            scripts.write_script(path, wrapper.wrap(title, text))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(script.path, path)
            path.chmod(0o755)
    piprm = own_scripts / "spkg-piprm"
    if (own_scripts / REQUIREMENTS).exists() and not piprm.exists():
        scripts.write_script(piprm, scripts.piprm_text(wrapper, job.package.name))


def _require_queued(job: Job, requirements: Path) -> None:
    """Name each wheel that is to be installed in the package's requirements.

    The helpers have, unless the script led them away from the staged tree, or did without.
    """
    queued = queued_wheels(job.place.private_directory)
    if not queued:
        return
    from sage_pkginstall.wheels.requirements_file import names_only  # noqa: PLC0415 -- Python only

    known = names_only(requirements) if requirements.exists() else ()
    names = [wheel.path.name.partition("-")[0] for wheel in queued]
    missing = [name for name in names if canonical_name(name) not in known]
    if missing:
        requirements.parent.mkdir(parents=True, exist_ok=True)
        with requirements.open("a", encoding="utf-8") as file:
            file.writelines(f"{name}\n" for name in missing)


def _staged_scripts(job: Job) -> Path:
    return job.place.destdir_tree / job.place.own_scripts.relative_to(job.place.tree)
