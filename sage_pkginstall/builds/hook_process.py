"""A process of a build environment that has imported a backend, and runs its hooks.

To start Python and to import the backend takes longer than the hook that tells what else is
required, so that is done once for it and the build; `hook_server` keeps the two apart.
"""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import suppress

from sage_pkginstall.builds.descendants import terminate
from sage_pkginstall.program_text import program_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sage_pkginstall.builds.composed import BuildEnvironment

__all__ = ["HookProcess"]


class HookProcess:
    """Runs commands that call a hook each, in the directory ``source``.

    ``module`` is the backend, "" if only the hooks can find it; all output goes to the
    descriptor ``output``.  Who has one calls `end` or `kill`.
    """

    def __init__(self, place: BuildEnvironment, module: str, source: Path, output: int) -> None:
        self._process: subprocess.Popen[bytes] = subprocess.Popen(
            [os.fspath(place.python), "-c", program_text("builds.hook_server"), module],
            cwd=source,
            env=place.variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            close_fds=False,  # make's jobserver passes; Python's own are not inheritable
        )
        assert self._process.stdin is not None  # both are pipes
        assert self._process.stdout is not None
        self._requests = self._process.stdin
        self._statuses = self._process.stdout

    def run(
        self, command: Sequence[str], directory: str, variables: Mapping[str, str], *, last: bool
    ) -> int:
        """Run ``command`` to its end; return its exit status, -N if signal N ended it."""
        request = json.dumps([last, command, directory, dict(variables)])
        with suppress(BrokenPipeError):  # it has ended, and its status says why
            self._requests.write(request.encode() + b"\n")
            self._requests.flush()
        if last:
            self.end()
            return self._process.returncode
        status = self._statuses.readline()
        return int(status) if status else self._process.wait()

    def end(self) -> None:
        """Let it end: there are no more requests."""
        # A daemon that the backend has left may hold the other ends open: nothing is read.
        for pipe in (self._requests, self._statuses):
            with suppress(BrokenPipeError):
                pipe.close()
        self._process.wait()

    def kill(self) -> None:
        """End it, the hook that it runs, and the compilers that this has started."""
        terminate(self._process)
        self.end()
