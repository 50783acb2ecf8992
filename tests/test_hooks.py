"""The hooks of a backend share one import, and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pyproject_hooks
import pytest

from sage_pkginstall.builds.composed import BuildEnvironment
from sage_pkginstall.builds.frontend import Backend, Hooks
from sage_pkginstall.builds.log import BuildLog
from sage_pkginstall.builds.source import BuildSystem
from sage_pkginstall.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

# Says what it sees, and leaves traces everywhere.
BACKEND = """
import atexit, json, os, sys, tempfile
from pathlib import Path

made = tempfile.mkdtemp(dir=os.environ["YARD"])
atexit.register(os.rmdir, made)
with open(os.environ["YARD"] + "/imports", "a") as file:
    file.write("imported\\n")
count = 0

def seen():
    global count
    count += 1
    report = {
        "count": count,
        "made": os.path.isdir(made),
        "directory": os.getcwd(),
        "variables": {n: v for n, v in os.environ.items() if n not in ("LC_CTYPE", "_")},
        "path": sys.path,
        "arguments": [os.path.basename(word) for word in sys.argv[:2]],
        "main": os.path.basename(sys.modules["__main__"].__file__),
        "executable": sys.executable,
        "flags": str(sys.flags),
        "stdin": sys.stdin.read() + os.read(0, 9).decode(),
        "modules": "trace" in sys.modules,
        "inherited": sorted(os.listdir("/proc/self/fd")),
    }
    os.environ["TRACE"] = "left"
    os.chdir("/")
    import trace
    return report

def get_requires_for_build_wheel(config_settings=None):
    print("asked")
    return [json.dumps(seen())]

def build_wheel(directory, config_settings=None, metadata_directory=None):
    print("built")
    Path(directory, "a-1-py3-none-any.whl").write_text(json.dumps(seen()))
    return "a-1-py3-none-any.whl"
"""


class Yard:
    """A directory with a backend that is importable, a source and a log."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log = BuildLog(root / "log")
        for name in ("source", "modules", "out", "yard"):
            (root / name).mkdir()
        self.write(BACKEND)
        self.variables = {
            **os.environ,
            "PYTHONPATH": str(root / "modules"),
            "YARD": str(root / "yard"),
        }

    def write(self, backend: str) -> None:
        (self.root / "modules" / "backend.py").write_text(backend)

    def hooks(self) -> Hooks:
        system = BuildSystem((), "backend", ())
        place = BuildEnvironment(self.root / "python", self.variables)
        if not place.python.is_symlink():
            place.python.symlink_to(sys.executable)
        return Hooks(Backend(self.root / "source", system, {}, self.log), place)

    def ask_and_build(self) -> tuple[dict[str, object], dict[str, object]]:
        """Return what both hooks see."""
        hooks = self.hooks()
        try:
            (asked, *_) = *hooks.requires("wheel"), "null"
            built = hooks.build("wheel", self.root / "out")
        finally:
            hooks.close()
        return json.loads(asked), json.loads(built.read_text())

    def by_the_library(self) -> tuple[dict[str, object], dict[str, object]]:
        """Return what both hooks see if `pyproject_hooks` runs them."""
        caller = pyproject_hooks.BuildBackendHookCaller(
            str(self.root / "source"), "backend", python_executable=str(self.root / "python"),
            runner=self.run_quietly,
        )  # fmt: skip
        (asked,) = caller.get_requires_for_build_wheel()
        name = caller.build_wheel(str(self.root / "out"))
        return json.loads(asked), json.loads((self.root / "out" / name).read_text())

    def run_quietly(
        self,
        cmd: Sequence[str],
        cwd: str | None = None,
        extra_environ: Mapping[str, str] | None = None,
    ) -> None:
        subprocess.run(
            cmd,
            cwd=cwd,
            env={**self.variables, **(extra_environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            close_fds=False,
            check=True,
        )


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    yard = Yard(tmp_path)
    yield yard
    with pytest.raises(ChildProcessError):  # nothing was left behind
        os.waitpid(-1, os.WNOHANG)


def test_hooks_see_what_they_see_in_processes_of_their_own(yard: Yard) -> None:
    asked, built = yard.ask_and_build()
    assert (yard.root / "yard" / "imports").read_text() == "imported\n"
    assert (yard.root / "log").read_text() == "asked\nbuilt\n"
    asked_alone, built_alone = yard.by_the_library()
    assert asked == asked_alone
    assert built == built_alone
    assert built_alone["made"] is True
    assert [path.name for path in (yard.root / "yard").iterdir()] == ["imports"]


def test_what_the_backend_asks_for_may_take_another_environment(yard: Yard) -> None:
    hooks = yard.hooks()
    hooks.requires("wheel")
    hooks.close()
    assert list((yard.root / "yard").iterdir()) == [yard.root / "yard" / "imports"]


def test_many_hooks_are_asked_before_the_last(yard: Yard) -> None:
    hooks = yard.hooks()
    assert hooks.requires("wheel") == hooks.requires("wheel")
    assert hooks.requires("editable") == ()
    hooks.close()
    assert (yard.root / "yard" / "imports").read_text() == "imported\n"


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("raise SystemExit(7)", "failed (exit status 7)"),
        ("os.kill(os.getpid(), 9)", "failed (exit status -9)"),
        ("os._exit(0)", "ended without an answer"),
        ("raise ValueError('so it is')", "ValueError: so it is"),
    ],
)
@pytest.mark.parametrize("place", ["import", "requires", "build"])
def test_end_of_a_process_is_told(yard: Yard, place: str, end: str, said: str) -> None:
    code = dict.fromkeys(("import", "requires", "build"), "pass") | {place: end}
    yard.write(
        f"import os, sys\n"
        f"print('imported'); {code['import']}\n"
        f"def get_requires_for_build_wheel(_):\n    print('asked'); {code['requires']}; return []\n"
        f"def build_wheel(*_):\n    print('built'); {code['build']}; return 'a.whl'\n"
    )
    with pytest.raises(BuildError) as caught:
        yard.ask_and_build()
    assert said in str(caught.value)


def test_output_of_both_hooks_is_shown_in_its_order(yard: Yard) -> None:
    shown: list[bytes] = []
    yard.log = yard.log._replace(echo=shown.append)
    yard.ask_and_build()
    assert b"".join(shown) == yard.log.path.read_bytes() == b"asked\nbuilt\n"


@pytest.mark.parametrize("hook", ["requires", "build"])
@pytest.mark.parametrize("handler", ["SIG_DFL", "SIG_IGN"])
def test_interrupted_hook_is_ended(yard: Yard, hook: str, handler: str) -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    yard.write(
        f"import os, signal\n"
        f"def wait(*_):\n"
        f"    signal.signal(signal.SIGTERM, signal.{handler})\n"
        f"    os.write({writing}, b'+'); signal.pause()\n"
        f"get_requires_for_build_wheel = build_wheel = wait\n"
    )
    hooks = yard.hooks()

    def interrupt() -> None:
        os.read(reading, 1)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        hooks.requires("wheel") if hook == "requires" else hooks.build("wheel", yard.root)
    os.close(writing)
    assert os.read(reading, 1) == b""  # no process has the other end
    os.close(reading)
    hooks.close()
