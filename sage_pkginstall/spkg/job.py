"""One run of sage-spkg: which package goes to which tree, how, and with which effects."""

from __future__ import annotations

from sage_pkginstall.spkg.scripts import Wrapper
from sage_pkginstall.spkg.search_paths import search_paths
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import Literal, TypeAlias

    from sage_pkginstall.engine.tree import TreeSettings
    from sage_pkginstall.environment import Environment
    from sage_pkginstall.spkg.package import Package
    from sage_pkginstall.spkg.programs import Program, Run
    from sage_pkginstall.spkg.progress import Progress
    from sage_pkginstall.spkg.sources import DownloadUrl
    from sage_pkginstall.spkg.variables import Check, PackageVariables

__all__ = ["Effects", "Job", "JobOptions", "Mode"]

Mode: TypeAlias = "Literal['all', 'download', 'stage', 'post-install', 'check', 'erase']"


class JobOptions(NamedTuple):
    """The options of sage-spkg.

    ``keep_existing``: files of the older version that the new one lacks stay.
    """

    mode: Mode = "all"
    check: Check = "no"
    keep_build: bool = False
    keep_existing: bool = False
    allow_upstream: bool = False


_NOT_RUN, _NOT_FOUND = 126, 127  # exit statuses


class Effects(NamedTuple):
    """What reaches the world: programs, the network, the lines that are told to people.

    ``progress`` is told of the phases.
    """

    run: Run
    download: DownloadUrl
    say: Callable[[str], None]
    warn: Callable[[str], None]
    progress: Progress

    def run_script(self, program: Program) -> int:
        """Run a script; one that cannot be started ends as shells have it, with 126 or 127."""
        try:
            return self.run(program)
        except OSError as error:
            script = program.command[-1]
            if isinstance(error, FileNotFoundError):  # which the kernel says of both
                self.warn(f"{script}, or the program that its first line names, is not there")
                return _NOT_FOUND
            self.warn(f"{script} cannot be run: {error.strerror}")
            return _NOT_RUN


class Job(NamedTuple):
    """A package that goes to a tree.

    ``environment`` is the target of its wheels, None if there is none.  ``tools`` is the
    directory of our commands.
    """

    package: Package
    place: PackageVariables
    options: JobOptions
    environment: Environment | None
    tools: Path
    settings: TreeSettings
    effects: Effects

    def build_variables(self) -> dict[str, str]:
        """Return what scripts see while the package is built."""
        return {
            **self.place.exports(),
            **search_paths(self.place, self.tools),
            **self.place.staging_exports(),
        }

    def final_variables(self) -> dict[str, str]:
        """Return what scripts see once the package is installed: nothing is staged any more."""
        variables = {**self.build_variables(), **self.place.final_exports()}
        return {name: value for name, value in variables.items() if value is not None}

    def build_wrapper(self, variables: Mapping[str, str]) -> Wrapper:
        """Return how scripts that run in the build directory are wrapped."""
        given = self.place.common.environ
        exports = {
            name: value
            for name, value in variables.items()
            if given.get(name) != value or name.startswith(("SAGE_", "PKG_"))
        }
        return Wrapper(exports, self.tools, self.place.build_directory)

    def installed_wrapper(self) -> Wrapper:
        """Return how scripts that stay in the tree are wrapped; they run in SAGE_ROOT."""
        given = self.place.common.environ
        kept = ("SAGE_INST_LOCAL", "SAGE_ROOT", "SAGE_LOCAL", "SAGE_VENV", "SAGE_SHARE")
        exports = {
            name: value
            for name, value in self.place.exports().items()
            if name in kept or name.startswith(("PKG_", "SAGE_SPKG_")) or name not in given
        }
        return Wrapper(exports, self.tools, self.place.common.root)

    def pip(self) -> tuple[str, ...]:
        """Return the command that runs a pip for downloads.

        The tool's own, because other jobs may be upgrading the target's; where the tool is
        one file without pip, the target's.
        """
        import sys  # noqa: PLC0415 -- rarely
        from importlib.util import find_spec  # noqa: PLC0415

        from sage_pkginstall.operations.run_pip import pip_command  # noqa: PLC0415

        if self.environment is not None and find_spec("pip") is None:
            return tuple(pip_command(self.environment))
        return (sys.executable, "-m", "pip", "--disable-pip-version-check")
