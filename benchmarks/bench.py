"""What every work needs: the places, the tools, fresh environments, wheels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.environments import Environments, delete_removed, remove
from benchmarks.measuring import Job, measure
from benchmarks.tools import all_tools
from benchmarks.wheels import Wheels

if TYPE_CHECKING:
    import re
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.places import Places
    from benchmarks.tools import Tool

__all__ = ["Bench"]


@dataclass(frozen=True)
class Bench:
    """A set-up of the benchmarks: everything below ``places``, and which tools to compare."""

    places: Places
    wanted: re.Pattern[str]

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The tools whose label ``wanted`` is found in."""
        return tuple(t for t in all_tools(self.places) if self.wanted.search(t.label))

    @property
    def wheels(self) -> Wheels:
        """The wheels to install."""
        return Wheels(self.places)

    @property
    def log(self) -> Path:
        """What the last command said."""
        return self.places.logs / "output"

    def fresh(self, tool: Tool, name: str = "", change: Callable[[], object] | None = None) -> None:
        """Put a fresh environment for ``tool`` into place.

        With a ``name`` it is a copy of one that ``change()`` has changed, once.
        """
        environments = Environments(self.places)
        kind = tool.installer.template

        def base() -> None:
            if kind == "bare":
                environments.fresh("bare")
            else:
                self._fresh_with_pip()

        def make() -> None:
            base()
            if change:
                change()

        if name:
            environments.fresh(name, make)
        else:
            base()

    def begin(self) -> None:
        """Forget the environments and caches of the last run: a tool may have changed."""
        for path in (self.places.templates, self.places.caches, self.places.environment):
            remove(path)

    def end(self) -> None:
        """Delete what was removed: before a run, its first works would pay for that."""
        delete_removed(self.places.root)

    def run(self, job: Job) -> None:
        """Run a job that nobody measures."""
        measure(job, self.log)

    def _fresh_with_pip(self) -> None:
        environments = Environments(self.places)

        def make() -> None:
            environments.fresh("bare")
            python = str(self.places.environment / "bin" / "python3")
            pip = (str(self.places.programs / "python3"), "-m", "pip", "--python", python)
            words = ("install", "--quiet", "--no-deps", "--no-index", str(self.wheels.pip()))
            self.run(Job(((*pip, *words),), self.places.variables()))

        environments.fresh("pip", make)
