"""Where messages are produced: a prefix with its commands, and the list of what is produced.

@produces("cannot VERB {object}: REASON")
def test_what_is_wrong(desk: Desk) -> str:
    return desk.run("COMMAND", status=1)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

from sage_pkginstall.engine.tree import Tree
from sage_pkginstall.environment import target_environment
from sage_pkginstall.reports.doctor import examine
from sage_pkginstall.reports.finding import Examination
from tests.trees import plant, tree
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pytest

    from tests.conftest import RunCli

__all__ = ["PRODUCED", "Desk", "produces"]

PRODUCED: list[str] = []
"""The messages of all scenarios whose modules are imported."""


@dataclass
class Desk:
    """A prefix, and what can be asked of it."""

    prefix: Path
    directory: Path
    cli: RunCli
    patch: pytest.MonkeyPatch

    @property
    def site(self) -> Path:
        (found,) = (self.prefix / "lib").glob("python3*/site-packages")
        return found

    def run(self, *words: str | Path, status: int = 0, env: Mapping[str, str] | None = None) -> str:
        """What a command says about the prefix, on both streams."""
        command, *rest = words
        ended = self.cli(command, "--prefix", self.prefix, *rest, status=status, env=env)
        return ended.stdout + ended.stderr

    def install(self, name: str, version: str = "1", **files: str) -> Path:
        content = {f"{module}.py": text for module, text in files.items()}
        wheel = make_wheel(self.directory, name, version, content or None)
        self.run("install", wheel)
        return wheel

    def stamp(self, name: str, text: str) -> None:
        plant(self.prefix, {f"var/lib/sage/installed/{name}": text.encode()})

    def doctor(self, **facts: Any) -> str:
        """What doctor finds, in this process."""
        variables = {"PATH": str(self.prefix / "bin")}
        given = {"variables": variables, "which": lambda _: "/usr/bin/x", **facts}
        environment = target_environment(self.prefix)
        examination = Examination(Tree(self.prefix), environment, **given)
        before = tree(self.prefix)
        found = "\n".join(one.text for one in examine(examination) if one.level != "ok")
        assert tree(self.prefix) == before
        return found

    def die_in_a_transaction(self) -> Path:
        """Be killed where the journal is written and not yet carried out; return the journal."""
        journal = self.prefix / "var/tmp/sage/journal"
        for n in range(1, 60):
            wheel = make_wheel(self.directory, "dead", str(n))
            dies = {"SAGE_PKGINSTALL_FAIL": f"kill@{n}"}
            self.run("install", wheel, status=-9, env=dies)
            if journal.exists():
                return journal
        raise AssertionError("no journal")


def produces(*messages: str) -> Callable[[Callable[[Desk], str]], Callable[[Desk], None]]:
    """Make a scenario, which returns what was said, a test that ``messages`` are in that."""
    PRODUCED.extend(messages)

    def test_of(scenario: Callable[[Desk], str]) -> Callable[[Desk], None]:
        @wraps(scenario)
        def test(desk: Desk) -> None:
            said = scenario(desk)
            assert 'cli/main.py", line' not in said  # a traceback of ours; backends may have some
            missing = [text for text in messages if not re.search(_pattern(text), said)]
            assert missing == [], f"missing: {missing}\n{said}"

        return test

    return test_of


def _pattern(message: str) -> str:
    return re.sub(r"\\\{\w+\\\}", ".+", re.escape(message))
