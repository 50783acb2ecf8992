"""The engine against a model of ownership, with random trees, crashes and faults.

The model knows which paths each package has put into the prefix, and what lies there.
After each change the whole prefix is as the model says; after a crash or a fault it is
as before that change or as after it, and the model learns which.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from sage_pkginstall.engine import failpoints, files
from sage_pkginstall.engine.plan import PlanRequest
from sage_pkginstall.engine.planner import make_plan
from sage_pkginstall.engine.tree import Prepared, Tree, TreeSettings
from sage_pkginstall.errors import ConflictError, TransactionError
from tests.planning import is_independent
from tests.trees import EMPTY, Entry, Link, plant, tree

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

Files: TypeAlias = "dict[str, Entry]"

PACKAGES = st.sampled_from(["one", "two", "three"])
TOPS = st.sampled_from(["bin", "lib", "lib64", "share"])
PARTS = st.sampled_from(["a", "b", "c.py", "é ü", "-x", "new\nline", "\udcff", "__pycache__"])
FAR = st.builds(lambda top, parts: "/".join([top, *parts]), TOPS, st.lists(PARTS, max_size=3))
NEAR = st.builds("share/{}/{}".format, st.sampled_from("ab"), st.sampled_from("ab"))
PATHS = st.one_of(FAR, NEAR)
CONTENTS = st.one_of(
    st.sampled_from([b"", b"x", b"y"]), st.sampled_from([Link("nowhere"), Link("a"), Link("b")])
)
STEPS = st.integers(1, 40)
ERRORS = st.sampled_from([errno.ENOSPC, errno.EACCES, errno.EIO])


class Crash(BaseException):
    """What happens to a process that is killed; nothing in the engine may catch it."""


@dataclass
class Owners:
    """Whose paths are whose, but for those of one package."""

    packages: Mapping[str, frozenset[str]]

    def owners(self, path: str) -> frozenset[str]:
        return frozenset(name for name, paths in self.packages.items() if path in paths)

    def others_within(self, directory: str) -> bool:
        everything = (path for paths in self.packages.values() for path in paths)
        return any(path.startswith(f"{directory}/") for path in everything)


@dataclass
class Fault:
    """Raises something at the n-th step of the engine, once."""

    step: int
    error: BaseException | None

    def __call__(self, _path: str) -> None:
        self.step -= 1
        if self.step == 0 and self.error is not None:
            raise self.error


def is_tree(paths: set[str]) -> bool:
    """Tell whether these can all be files of one tree."""
    return not any(
        path.startswith(f"{other}/") for path in paths for other in paths if path != other
    )


def without_filled(there: Files) -> Files:
    """Return what is there, but for directories that are not empty, or lie in what is a file."""
    full = entries_of(path.rpartition("/")[0] for path in there)
    files = {path for path, entry in there.items() if entry != EMPTY}
    return {
        path: entry
        for path, entry in there.items()
        if entry != EMPTY or not (path in full or files & entries_of([path]))
    }


def entries_of(paths: Iterable[str]) -> set[str]:
    """Return these files and the directories that they lie in."""
    return {
        path[:end]
        for path in paths
        for end in range(1, len(path) + 1)
        if path[end : end + 1] in ("/", "")
    }


def places(there: Files, paths: Iterable[str], replaceable: Collection[str] = ()) -> list[str]:
    """Return where each path leads; links in ``replaceable`` are not followed but replaced."""
    return [place(there, path, replaceable) for path in paths]


def place(there: Files, path: str, replaceable: Collection[str] = ()) -> str:
    """Return where a path leads: through links to directories, its last part aside."""
    *above, name = path.split("/")
    here = ""
    for part in above:
        here = f"{here}/{part}".lstrip("/")
        if here not in replaceable:
            here = target(there, here) or here
    return f"{here}/{name}"


def target(there: Files, path: str) -> str | None:
    """Return the directory that a link leads to; in the prefix, lib64 is a link to lib."""
    if path == "lib64":
        return "lib"
    for _ in there:
        entry = there.get(path)
        if not isinstance(entry, Link):
            break
        path = f"{path.rpartition('/')[0]}/{entry.target}"
    is_directory = any(p.startswith(f"{path}/") for p in there) or there.get(path) == EMPTY
    return path if is_directory else None


class Model(RuleBasedStateMachine):
    """Packages come, change and go in one prefix."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="model"))
        self.prefix = self.directory / "prefix"
        self.there: Files = {}
        self.packages: dict[str, frozenset[str]] = {}
        self.renamer = files._rename_with_flags

    def teardown(self) -> None:
        files._rename_with_flags = self.renamer
        failpoints._fail_point = None
        shutil.rmtree(self.directory)

    @initialize(exchange=st.booleans(), link=st.sampled_from(["a", "b", None]))
    def begin(self, *, exchange: bool, link: str | None) -> None:
        """Make a prefix with a link of the user's in it; without renameat2, sometimes."""
        plant(self.prefix, {"lib": EMPTY, "lib64": Link("lib")})
        if not exchange:
            files._rename_with_flags = None
        if link is not None:
            self.user_writes(f"share/{'b' if link == 'a' else 'a'}", Link(link))
        self.engine = Tree(self.prefix, TreeSettings(durable=False))

    @rule(name=PACKAGES, contents=st.dictionaries(PATHS, CONTENTS, max_size=6), fault=st.none())
    def install(self, name: str, contents: Files, fault: Fault | None) -> None:
        """Install or change a package."""
        staged = {path: data for path, data in contents.items() if "/" in path}
        if is_tree(set(staged)):
            self.change(name, staged, fault or Fault(0, None))

    @rule(
        name=PACKAGES,
        contents=st.dictionaries(PATHS, CONTENTS, max_size=6),
        step=STEPS,
        number=st.one_of(st.none(), ERRORS),
    )
    def install_in_vain(self, name: str, contents: Files, step: int, number: int | None) -> None:
        """Install or change a package, but for a crash or an error."""
        error = Crash() if number is None else OSError(number, os.strerror(number), "a fault")
        self.install(name, contents, Fault(step, error))

    @rule(name=PACKAGES, contents=st.dictionaries(NEAR, st.just(b"near"), max_size=3))
    def install_near(self, name: str, contents: Files) -> None:
        """Install or change a package that meets others, and links to what it has."""
        self.install(name, contents, None)

    @rule(name=PACKAGES)
    def uninstall(self, name: str) -> None:
        """Take a package away."""
        self.change(name, {}, Fault(0, None))

    @rule(path=PATHS, content=CONTENTS)
    def user_writes(self, path: str, content: Entry) -> None:
        """Put a file there that no package owns, where there is room for it."""
        if "/" not in path:
            return
        path = place(self.there, path)
        files = {p for p, entry in self.there.items() if entry != EMPTY}
        if not self.is_directory(path) and is_tree({*files, path}):
            plant(self.prefix, {path: content})
            self.there = without_filled({**self.there, path: content})

    @rule(path=PATHS)
    def user_makes(self, path: str) -> None:
        """Make a directory, and put nothing into it."""
        self.user_writes(path, EMPTY)

    def is_directory(self, path: str) -> bool:
        """Tell whether there is a directory at a path, or a file."""
        return path in entries_of(self.there)

    @rule(path=PATHS)
    def user_deletes(self, path: str) -> None:
        """Delete a file, if it is there, and the directories that become empty.

        No rule depends on what is there: at which step a fault comes is a matter of time, too
        (a plan is made again if the clock cannot tell whether it still holds).
        """
        path = place(self.there, path)
        if self.there.get(path, EMPTY) == EMPTY:
            return
        del self.there[path]
        (self.prefix / path).unlink()
        for directory in (self.prefix / path).parents:
            if directory == self.prefix or any(directory.iterdir()):
                break
            if directory.name != "lib" or directory.parent != self.prefix:
                directory.rmdir()

    def change(self, name: str, staged: Files, fault: Fault) -> None:
        """Let the engine change a package, and compare with what the model says."""
        own = self.packages.get(name, frozenset())
        others = {n: paths for n, paths in self.packages.items() if n != name}
        theirs = frozenset().union(*others.values())
        entries = entries_of(staged)
        twins = len(set(places(self.there, entries, own - theirs))) < len(entries)
        new = {place(self.there, path, own - theirs): data for path, data in staged.items()}
        after = self.after(own, theirs, new)
        taken = twins or self.hides(own - theirs, new) or self.covers(theirs, new)
        possible = not taken and is_tree(set(after))
        try:
            self.commit(staged, PlanRequest(own, Owners(others), frozenset({"lib"})), fault)
        except ConflictError:
            assert not possible
            return
        except TransactionError:
            assert self.state() == self.there
            return
        except (Crash, OSError):
            self.engine.recover()
            if self.state() != after or not possible:
                return  # the invariant says whether it is the old state
        assert possible
        self.there = after
        self.packages = {**others, name: frozenset(new)} if new else others

    def hides(self, replaceable: Collection[str], new: Files) -> bool:
        """Tell whether a file is to take the place of a link to a directory that others may use."""
        return any(
            isinstance(self.there.get(path), Link) and target(self.there, path) is not None
            for path, data in new.items()
            if path not in replaceable and not isinstance(data, Link)
        )

    def covers(self, theirs: frozenset[str], new: Files) -> bool:
        """Tell whether something is to take the place of a directory that others' records name."""
        files = {path for path, entry in self.there.items() if entry != EMPTY}
        return bool((entries_of(self.there) - files) & entries_of(theirs) & set(new))

    def void(self, own: frozenset[str], theirs: frozenset[str], new: Files) -> set[str]:
        """Return the directories with nothing in them that go with ``own``: where these lie."""
        coming, named = entries_of(new) | {"lib"}, entries_of(theirs)
        going = {
            directory
            for directory in {path.rpartition("/")[0] for path in own} - coming - named
            if all(
                path in own or entry == EMPTY
                for path, entry in self.there.items()
                if path.startswith(f"{directory}/")
            )
        }
        return {
            path
            for path, entry in self.there.items()
            if entry == EMPTY and going & entries_of([path])
        }

    def after(self, own: frozenset[str], theirs: frozenset[str], new: Files) -> Files:
        """Return what is there when ``own`` goes and ``new`` comes.

        What others' records name is theirs, also when it is gone: a directory there stays.
        """
        gone = (own - theirs) | self.void(own, theirs, new)
        after = {p: data for p, data in self.there.items() if p not in gone} | new
        emptied = {d for d in entries_of(self.there) if d in theirs and d not in self.there}
        full = entries_of(after)
        after |= {d: EMPTY for d in emptied if d not in full}
        return without_filled(after)

    def commit(self, staged: Files, request: PlanRequest, fault: Fault) -> None:
        """Carry out one transaction, with a fault in it."""
        with self.engine.workspace() as workspace:
            plant(workspace.tree, staged)
            exchange = self.engine.can_exchange(workspace)
            failpoints._fail_point = fault  # type: ignore[assignment]
            try:
                done = self.engine.commit(
                    workspace,
                    "model",
                    lambda _: Prepared(make_plan(workspace, request, exchange=exchange)),
                )
            finally:
                failpoints._fail_point = None
        assert is_independent(done.plan)
        if done.warning is not None:  # the journal could not be removed: the next command does
            assert self.engine.recover() is not None

    def state(self) -> Files:
        """Return what lies in the prefix, but for what every prefix has."""
        state = tree(self.prefix, ignore=("var", "lib64"))
        state.pop("lib", None)  # empty
        return state

    @invariant()
    def prefix_is_as_the_model_says(self) -> None:
        """Compare everything, and look for debris."""
        if not self.prefix.exists():
            return
        assert self.state() == self.there
        area = self.prefix / "var" / "tmp" / "sage"
        assert not area.exists() or list(area.iterdir()) == []


@pytest.mark.parametrize(
    ("examples", "steps"),
    [
        pytest.param(12, 10, id="quick"),
        pytest.param(100, 20, marks=pytest.mark.slow, id="more"),
        pytest.param(3000, 30, marks=pytest.mark.torture, id="many"),
    ],
)
def test_engine_does_what_the_model_says(examples: int, steps: int) -> None:
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        print_blob=True,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Model, settings=chosen)
