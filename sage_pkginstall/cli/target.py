"""Options that commands share: which prefix, how to lock it, how much to say."""

from __future__ import annotations

import json
import os
from pathlib import Path

from sage_pkginstall.cli.paths import given_path
from sage_pkginstall.cli.terminal import shown, tell
from sage_pkginstall.engine.lock import LockSettings
from sage_pkginstall.engine.tree import Tree, TreeSettings
from sage_pkginstall.environment import Environment, environment_of, target_environment
from sage_pkginstall.errors import UsageError
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from sage_pkginstall.cli.options import Options

__all__ = [
    "Talk",
    "Target",
    "add_options",
    "sage_target",
    "talk_of",
    "target_of",
    "tree_settings",
]

_LOCK_TIMEOUT = 3600.0  # seconds; a commit takes milliseconds, a pip run under the lock minutes

_PREFIX = "the prefix (default: $SAGE_VENV, else $VIRTUAL_ENV, else $SAGE_LOCAL)"


def add_options(options: argparse.ArgumentParser | Options, *, changes: bool) -> None:
    """Add the options of a command that reads, or also changes, a prefix."""
    options.add_argument("--prefix", metavar="DIR", help=_PREFIX)
    options.add_argument("--python", metavar="EXE", help="the target interpreter")
    options.add_argument("--json", action="store_true", help="print the result as JSON")
    more = "name each operation, too" if changes else "accepted: all is said anyway"
    options.add_argument("-v", "--verbose", action="count", default=0, help=more)
    options.add_argument("-q", "--quiet", action="store_true", help="say only what went wrong")
    options.add_argument(
        "--lock-timeout", type=float, metavar="SECONDS", help="give up waiting for the lock then"
    )
    if changes:
        options.add_argument("--dry-run", action="store_true", help="print the plan, do nothing")


class Talk(NamedTuple):
    """What a command says, and how: results on stdout, everything else on stderr."""

    program: str
    verbose: int = 0
    quiet: bool = False
    as_json: bool = False

    def say(self, line: str) -> None:
        """Tell how things go, unless asked to be quiet."""
        if not self.quiet:
            tell(line)

    def warn(self, warnings: Iterable[str]) -> None:
        """Tell what the user should look at."""
        for warning in warnings:
            tell(f"Warning: {shown(warning)}")

    def result(self, lines: Iterable[str], document: Mapping[str, object]) -> None:
        """Print the result: lines for people, or one JSON document for programs."""
        if self.as_json:
            print(json.dumps({"schema": 1, **document}))
        else:
            for line in lines:
                print(line)


class Target(NamedTuple):
    """The prefix that a command works on; ``environment`` is None without one of its own."""

    tree: Tree
    environment: Environment | None

    def python_environment(self) -> Environment:
        """Return the environment; raise `UsageError` if the prefix has none."""
        if self.environment is None:
            prefix = self.tree.prefix
            reason = f"{_lacks(prefix)}, or make it a virtual environment"
            raise UsageError(f"cannot install wheels into {prefix}: {reason}")
        return self.environment


def _lacks(prefix: Path) -> str:
    """Return why a prefix has no environment, and what could be meant."""
    if not (prefix / "bin" / "python3").exists():
        return "it has no bin/python3; give --python"
    other = target_environment(prefix).prefix
    return f"its bin/python3 is that of {other}; give --python if that is meant"


def talk_of(program: str, arguments: argparse.Namespace) -> Talk:
    """Return how a command with these arguments talks."""
    return Talk(program, arguments.verbose, arguments.quiet, arguments.json)


def tree_settings(talk: Talk, lock_timeout: float | None = None) -> TreeSettings:
    """Return the settings of a tree from variables and options.

    ``SAGE_LOCK_TIMEOUT`` (seconds), ``SAGE_PKGINSTALL_DURABLE`` (``0``: do not flush).
    """
    timeout = _timeout() if lock_timeout is None else lock_timeout
    if not timeout >= 0:  # a number may be nan, too
        raise UsageError(f"cannot wait {timeout:g} s for the lock: that is no time")
    durable = os.environ.get("SAGE_PKGINSTALL_DURABLE", "1") not in ("0", "no", "none")
    notify = lambda message: tell(f"{talk.program}: {shown(message)}")  # noqa: E731
    return TreeSettings(LockSettings(timeout, notify, _tell_of_waiting), durable=durable)


def _timeout() -> float:
    text = os.environ.get("SAGE_LOCK_TIMEOUT") or str(_LOCK_TIMEOUT)
    try:
        return float(text)
    except ValueError:
        reason = "it is no number of seconds"
        raise UsageError(f"cannot use SAGE_LOCK_TIMEOUT={text!r}: {reason}") from None


def _tell_of_waiting() -> None:
    from sage_pkginstall.operations.events import tell  # noqa: PLC0415 - only who waits

    tell("waits")


def target_of(arguments: argparse.Namespace, talk: Talk) -> Target:
    """Return the target that the arguments or the variables of Sage name."""
    settings = tree_settings(talk, arguments.lock_timeout)
    python = None if arguments.python is None else given_path(arguments.python, "--python")
    prefix = None if arguments.prefix is None else given_path(arguments.prefix, "--prefix")
    if python is not None:
        environment = target_environment(python)
        if prefix is not None and not environment.is_of(prefix):
            reason = f"the prefix of {python} is {environment.prefix}"
            raise UsageError(f"cannot use --prefix {prefix}: {reason}")
        return Target(Tree(environment.prefix, settings), environment)
    path = Path(os.path.abspath(prefix or _default_prefix()))  # noqa: PTH100 - links stay as given
    if not path.is_dir():
        raise UsageError(f"cannot use prefix {path}: it is not a directory")
    return Target(Tree(path, settings), environment_of(path))


def _default_prefix() -> str:
    for variable in ("SAGE_VENV", "VIRTUAL_ENV", "SAGE_LOCAL"):
        if os.environ.get(variable):
            return os.environ[variable]
    raise UsageError(
        "cannot tell the prefix: give --prefix or --python, or set SAGE_VENV or VIRTUAL_ENV"
    )


def sage_target(talk: Talk) -> Target:
    """Return the target of Sage's own commands: ``$SAGE_VENV``, else that of ``$SAGE_LOCAL``."""
    prefix = os.environ.get("SAGE_VENV") or _target_in(os.environ.get("SAGE_LOCAL"))
    if not prefix:
        raise UsageError("cannot tell the target: SAGE_VENV is not set; run 'sage --buildsh'?")
    environment = target_environment(Path(prefix))
    if not environment.is_of(Path(prefix)):
        reason = f"its bin/python3 is that of {environment.prefix}"
        remedy = "make it a virtual environment, or set SAGE_VENV to one"
        raise UsageError(f"cannot install wheels into {prefix}: {reason}; {remedy}")
    return Target(Tree(environment.prefix, tree_settings(talk)), environment)


def _target_in(local: str | None) -> Path | None:
    """Return the target that sage-spkg takes in SAGE_LOCAL; itself, if there is none yet."""
    if not local:
        return None
    from sage_pkginstall.spkg.variables import default_venv  # noqa: PLC0415 - rarely

    venv = default_venv(Path(local).absolute())
    return venv if (venv / "bin" / "python3").exists() else Path(local)
