"""The check of a package, before anything of it is installed.

The check sees the package as it will be installed: its wheels are laid out in a directory
that comes first on PYTHONPATH, its programs and libraries are found in the staged tree.

    $SAGE_BUILD_DIR/NAME-VERSION/.sage-pkginstall/checked/    the wheels, laid out
"""

from __future__ import annotations

from sage_pkginstall.engine.files import delete_tree
from sage_pkginstall.spkg.phases import ScriptError, run_phase
from sage_pkginstall.spkg.queue import queued_wheels
from sage_pkginstall.spkg.search_paths import prepended
from sage_pkginstall.user_cache import cache_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from sage_pkginstall.spkg.job import Job

__all__ = ["check"]


def check(job: Job) -> str:
    """Run the package's check, as far as it is wanted; return the stamp's ``test_result``.

    That is "passed", "failed", or "" if there was no check.  Raises ScriptError if it fails
    and that is to count.
    """
    if job.options.check == "no":
        return ""
    try:
        with job.effects.progress.phase("check"):
            found = run_phase(job, "check", variables=_variables(job))
    except ScriptError as error:
        if job.options.check == "yes":
            raise
        job.effects.warn(str(error))
        return "failed"
    return "passed" if found else ""


def _variables(job: Job) -> dict[str, str]:
    given = job.build_variables()
    root = job.place.destdir_tree
    variables = {"LD_LIBRARY_PATH": prepended(given, "LD_LIBRARY_PATH", [root / "lib"])}
    binaries = [root / "bin"]
    python = _lay_out_wheels(job)
    if python is not None and job.environment is not None:
        sites = [python / site for site in job.environment.site_directories]
        variables["PYTHONPATH"] = prepended(given, "PYTHONPATH", sites)
        binaries.insert(0, python / job.environment.schemes["scripts"])
    variables["PATH"] = prepended(given, "PATH", binaries)
    return {**given, **variables}


def _lay_out_wheels(job: Job) -> Path | None:
    """Lay out the queued wheels; return the directory, None if there are none."""
    wheels = queued_wheels(job.place.private_directory)
    if not wheels or job.environment is None or job.package.script("check") is None:
        return None
    from sage_pkginstall.wheels.bytecode import staged_compiler  # noqa: PLC0415
    from sage_pkginstall.wheels.staging import WheelRequest, stage_wheels  # noqa: PLC0415

    root = job.place.private_directory / "checked"
    delete_tree(root)
    root.mkdir()
    requests = (WheelRequest(wheel.path, compile=False) for wheel in wheels)
    stage_wheels(requests, job.environment, root, compiler=staged_compiler, cache=cache_directory())
    return root
