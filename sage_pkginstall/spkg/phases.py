"""The phases of a build: each takes the build directory one step further.

Nothing here reaches the prefix.  A script that fails ends everything with PackageError,
which carries the script's exit status.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from sage_pkginstall.errors import PackageError
from sage_pkginstall.spkg import scripts, staged
from sage_pkginstall.spkg.build_directory import make_fresh, mark_staged
from sage_pkginstall.spkg.programs import Program
from sage_pkginstall.spkg.sources import Sources, choose_tarball
from sage_pkginstall.spkg.unpack import unpack

if TYPE_CHECKING:
    from pathlib import Path

    from sage_pkginstall.spkg.job import Job

__all__ = ["ScriptError", "build", "fetch", "prepare", "run_phase", "wrap_scripts"]

_DEFAULT_OF_WHEELS = "sdh_store_and_pip_install_wheel .\n"
_BUILD_SCRIPTS = ("preinst", "build", "install", "check", "pipinst", "postinst")


class ScriptError(PackageError):
    """A script of a package failed; ``status`` is its exit status."""

    def __init__(self, package: str, script: str, status: int) -> None:
        super().__init__(package, f"its script {script} failed (exit status {status})")
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
        for patch in job.package.patches:
            _apply(job, patch)
        wrap_scripts(job)


def _lay_out(job: Job, tarball: Path | None) -> None:
    directory = job.place.build_directory
    if tarball is None:
        own = job.package.directory / "src"
        source = own if own.exists() else job.place.common.root
        (directory / "src").symlink_to(source.resolve(), target_is_directory=True)
    elif tarball.suffix == ".whl":
        (directory / "dist").mkdir()
        shutil.copyfile(tarball, directory / "dist" / tarball.name)
    else:
        unpack(tarball, directory / "src")


def _apply(job: Job, patch: Path) -> None:
    job.effects.say(f"applying {patch.name}")
    directory = job.place.build_directory / "src"
    command = ["patch", "-p1", "--forward", "--input", os.fspath(patch)]
    status = job.effects.run(Program(command, directory, job.build_variables()))
    if status != 0:
        raise PackageError(job.package.name, f"{patch.name} does not apply (exit status {status})")


def wrap_scripts(job: Job) -> None:
    """Write the scripts that run in the build directory, wrapped."""
    wrapper = job.build_wrapper()
    for name in _BUILD_SCRIPTS:
        text = _wrapped_text(job, name)
        if text is not None:
            title = f"spkg-{name} of {job.package.full_name}"
            path = job.place.build_directory / f"spkg-{name}"
            scripts.write_script(path, wrapper.wrap(title, text))


def _wrapped_text(job: Job, name: str) -> str | None:
    """Return the text of a script that is to be wrapped, None if there is none."""
    script = job.package.script(name)
    if script is not None:
        return scripts.script_text(job.package.name, script) if script.wrapped else None
    default = name == "install" and job.package.kind == "wheel"
    return _DEFAULT_OF_WHEELS if default else None


def build(job: Job) -> None:
    """Run the scripts that build the package and fill its staged tree.

    Raises ScriptError if one fails, PackageError if there is nothing to run.
    """
    install = job.place.build_directory / "spkg-install"
    if not install.exists() and job.package.script("install") is None:
        raise PackageError(job.package.name, "it has no script spkg-install")
    mark_staged(job.place, staged=False)
    with job.effects.progress.phase("build"):
        staged.open_for_scripts(job.place)
        run_phase(job, "preinst")
        has_build = run_phase(job, "build")
        run_phase(job, "install", sudo=has_build)
        staged.finish(job.place)
        _stage_records(job)
    mark_staged(job.place, staged=True)


def run_phase(
    job: Job, name: str, *, sudo: bool = False, variables: dict[str, str] | None = None
) -> bool:
    """Run the script ``spkg-NAME`` in the build directory; return False if there is none.

    ``variables`` are put before those that all scripts see.  Raises ScriptError.
    """
    path = _script_path(job, name)
    if path is None:
        return False
    job.effects.say(f"running {path.name}")
    before = job.place.common.sudo if sudo else ()
    status = job.effects.run(
        Program(
            [*before, os.fspath(path)],
            job.place.build_directory,
            {**job.build_variables(), **(variables or {})},
        )
    )
    if status != 0:
        raise ScriptError(job.package.name, path.name, status)
    return True


def _script_path(job: Job, name: str) -> Path | None:
    wrapped = job.place.build_directory / f"spkg-{name}"
    if wrapped.exists():
        return wrapped
    script = job.package.script(name)
    return script.path if script is not None and not script.wrapped else None


def _stage_records(job: Job) -> None:
    """Put the scripts that stay in the tree into the staged tree.

    A package that stored wheels gets its pip-uninstall script, unless it has its own.
    """
    own_scripts = _staged_scripts(job)
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
    if (own_scripts / "spkg-requirements.txt").exists() and not piprm.exists():
        scripts.write_script(piprm, scripts.piprm_text(wrapper, job.package.name))


def _staged_scripts(job: Job) -> Path:
    return job.place.destdir_tree / job.place.own_scripts.relative_to(job.place.tree)
