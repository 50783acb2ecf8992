"""The hooks of a backend share one import, and nothing else."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pyproject_hooks
import pytest

from sage_pkginstall.builds import frontend
from sage_pkginstall.builds.composed import BuildEnvironment
from sage_pkginstall.builds.frontend import Backend, Hooks
from sage_pkginstall.builds.log import BuildLog
from sage_pkginstall.builds.source import BuildSystem
from sage_pkginstall.errors import BuildError
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

PATIENCE = 60

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
            (root / name).mkdir(exist_ok=True)
        if not (root / "modules" / "backend.py").exists():
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
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    yield Yard(tmp_path)
    os.close(writing)
    ended, _, _ = select.select([reading], [], [], PATIENCE)
    assert ended  # so no process is left that has the other end
    os.close(reading)


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


WAITING = """
import os, signal
def wait(*_):
    signal.signal(signal.SIGTERM, signal.{0})
    signal.signal(signal.SIGINT, signal.{0})
    open(os.environ["YARD"] + "/waits", "w").close()
    while True:
        signal.pause()
get_requires_for_build_wheel = build_wheel = wait
"""


@pytest.mark.parametrize("hook", ["requires", "build"])
@pytest.mark.parametrize("handler", ["SIG_DFL", "SIG_IGN"])
@pytest.mark.parametrize("everybody", [True, False])
def test_interrupted_hook_is_ended(yard: Yard, hook: str, handler: str, everybody: bool) -> None:
    yard.write(WAITING.format(handler))
    program = f"""
import sys
from pathlib import Path
from tests.test_hooks import Yard
yard = Yard(Path(sys.argv[1]))
hooks = yard.hooks()
try:
    {'hooks.requires("wheel")' if hook == "requires" else 'hooks.build("wheel", yard.root)'}
except KeyboardInterrupt:
    hooks.close()
    sys.exit("interrupted")
"""
    command = [sys.executable, "-c", program, os.fspath(yard.root)]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        close_fds=False,
    ) as process:
        wait_for(yard.root / "yard" / "waits")
        (os.killpg if everybody else os.kill)(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
    assert said == "interrupted\n"


def wait_for(path: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_source_may_have_modules_named_like_those_of_python(yard: Yard) -> None:
    for name in ("json", "enum", "types", "signal", "re"):
        (yard.root / "source" / f"{name}.py").write_text("raise SystemExit('imported')\n")
    yard.ask_and_build()


def test_daemon_that_the_import_left_does_not_hold_up_the_end(yard: Yard) -> None:
    yard.write(
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.open(os.environ['YARD'] + '/daemon', os.O_CREAT)\n"
        "    while os.path.exists(os.environ['YARD']): time.sleep(0.01)\n"
        "    os._exit(0)\n"
        "def get_requires_for_build_wheel(_): return []\n"
        "def build_wheel(directory, *_):\n"
        "    with open(directory + '/a.whl', 'w') as file: file.write('null')\n"
        "    return 'a.whl'\n"
    )
    yard.ask_and_build()
    wait_for(yard.root / "yard" / "daemon")
    (yard.root / "yard").rename(yard.root / "gone")


def test_fork_ends_as_python_would(yard: Yard) -> None:
    """Exit functions and threads of the hook are waited for, what is printed comes once."""
    yard.write(
        "import atexit, os, sys, threading, time\n"
        "sys.stdout.write('import '); sys.stderr.write('import ')\n"
        "kept = open(os.environ['YARD'] + '/kept', 'w'); kept.write('once')\n"
        "def slow(): time.sleep(0.2); print('thread')\n"
        "def get_requires_for_build_wheel(_):\n"
        "    threading.Thread(target=slow).start()\n"
        "    atexit.register(print, 'exit'); atexit.register(lambda: 1 / 0)\n"
        "    print('hook'); return []\n"
    )
    hooks = yard.hooks()
    assert hooks.requires("wheel") == ()
    hooks.close()
    said = yard.log.path.read_text()
    assert said.count("import ") == 2
    assert [said.count(word) for word in ("hook", "thread", "exit\n")] == [1, 1, 1]
    assert (yard.root / "yard" / "kept").read_text() == "once"


def test_executor_of_the_backend_is_told_to_end(yard: Yard) -> None:
    """Its threads wait for work until Python's end tells them that there is none."""
    yard.write(
        "import json\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "pool = ThreadPoolExecutor(1)\n"
        "def get_requires_for_build_wheel(_): return [pool.submit(lambda: '1').result()]\n"
        "def build_wheel(directory, *_):\n"
        "    open(directory + '/a.whl', 'w').write(pool.submit(lambda: '2').result())\n"
        "    return 'a.whl'\n"
    )
    assert [*map(str, yard.ask_and_build())] == ["1", "2"]


def test_threads_that_the_import_left_are_there_for_each_hook(yard: Yard) -> None:
    yard.write(
        "import os\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "pool = ThreadPoolExecutor(1)\n"
        "pool.submit(os.putenv, 'SEEN', '1').result()\n"
        "os.environ['LEFT'] = os.environ.get('LEFT', '') + '1'\n"
        "def get_requires_for_build_wheel(_):\n"
        "    return [pool.submit(lambda: os.environ['LEFT']).result()]\n"
        "def build_wheel(directory, *_):\n"
        "    open(directory + '/a.whl', 'w').write(pool.submit(lambda: '2').result())\n"
        "    return 'a.whl'\n"
    )
    assert [*map(str, yard.ask_and_build())] == ["1", "2"]


@pytest.mark.parametrize("hook", ["requires", "build"])
def test_import_that_failed_is_tried_by_a_python_that_has_not_tried_before(
    yard: Yard, hook: str
) -> None:
    """numpy, or what is written in Rust, says the second time that it was imported before."""
    yard.write(
        "import sys\n"
        "if hasattr(sys, 'tried'): raise ImportError('only once for each process')\n"
        "sys.tried = True\n"
        "raise ImportError('libfoo.so is missing')\n"
    )
    hooks = yard.hooks()
    with pytest.raises(BuildError, match=r"libfoo\.so is missing"):
        _ = hooks.requires("wheel") if hook == "requires" else hooks.build("wheel", yard.root)
    assert "only once" not in yard.log.path.read_text()


def test_who_started_us_may_ignore_the_end_of_children(yard: Yard) -> None:
    yard.write(
        "import signal\n"
        "def get_requires_for_build_wheel(_): return [str(int(signal.getsignal(signal.SIGCHLD)))]\n"
        "def build_wheel(directory, *_):\n"
        "    open(directory + '/a.whl', 'w').write('2'); return 'a.whl'\n"
    )
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        asked, built = yard.ask_and_build()
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert [str(asked), str(built)] == [str(int(signal.SIG_IGN)), "2"]


def test_warnings_may_be_errors(yard: Yard) -> None:
    yard.variables |= {"PYTHONWARNINGS": "error", "PYTHONWARNDEFAULTENCODING": "1"}
    yard.write(BACKEND.replace('"a") as', '"a", encoding="utf-8") as').replace(
        "dumps(seen()))", 'dumps(seen()), "utf-8")'))  # fmt: skip
    yard.ask_and_build()


def test_where_a_fork_cannot_do_all_each_hook_has_a_process(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frontend, "_FORKS", False)
    yard.ask_and_build()
    assert (yard.root / "yard" / "imports").read_text() == "imported\n" * 2


def test_answer_that_is_no_json_is_told(yard: Yard) -> None:
    yard.write(
        "import os, sys\n"
        "def build_wheel(*_):\n"
        "    open(sys.argv[2] + '/output.json', 'w').close(); os._exit(0)\n"
    )
    with pytest.raises(BuildError, match="build_wheel ended without an answer"):
        yard.ask_and_build()
