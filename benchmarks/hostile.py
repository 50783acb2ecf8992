"""What installers do with hostile wheels: ours, pip, uv and ``python -m installer``.

    python -m benchmarks.hostile [--write] [CASE...]

Each wheel of ``tests/hostile`` is given to each of them, in a fresh environment within a
directory that is compared before and after.  ``--write`` puts the table into
``docs/reference/hostile-wheels.md``; else it is printed.  The exit status is 1 if ours
does anything but what the corpus expects.
"""

# ruff: noqa: T201 - a program that prints what it measured

from __future__ import annotations

import argparse
import csv
import io
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import venv
import zipfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from tests.conftest import KEPT, START
from tests.hostile import GROUPS
from tests.sitepackages import SITE
from tests.trees import Link, modes, tree
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.hostile.case import Case
    from tests.trees import Entry

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "hostile-wheels.md"
BEGIN, END = "<!-- begin: generated -->\n", "<!-- end: generated -->\n"

TOOLS = ("sage-pkginstall", "pip", "uv", "installer")
SECONDS = 300
CPU_SECONDS = 60
FILE_SIZE = 1 << 30


def main() -> int:
    """Try every case with every tool; print or write the table."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--write", action="store_true")
    options.add_argument("cases", nargs="*", metavar="CASE", help="part of a case's name")
    given = options.parse_args()
    groups = {
        group: {
            name: case
            for name, case in cases.items()
            if not given.cases or any(part in f"{group}: {name}" for part in given.cases)
        }
        for group, cases in GROUPS.items()
    }
    with tempfile.TemporaryDirectory() as directory:
        ground = Ground.make(Path(directory))
        rows = {group: dict(_rows(ground, cases)) for group, cases in groups.items() if cases}
    text = _page(rows)
    if given.write:
        head, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(head + BEGIN + text + END + rest.partition(END)[2])
    else:
        print(text)
    return 1 if any(row.unexpected for cases in rows.values() for row in cases.values()) else 0


@dataclass(frozen=True)
class Row:
    """What each tool did with one wheel, and whether ours did what it should not."""

    outcomes: Mapping[str, str]
    unexpected: bool


def _rows(ground: Ground, cases: Mapping[str, Case]) -> Iterator[tuple[str, Row]]:
    for name, case in cases.items():
        outcomes = {tool: ground.outcome(tool, case) for tool in TOOLS}
        ours = outcomes[TOOLS[0]]
        unexpected = ours != ("refused" if case.reason else "installed")
        if case.reason and not unexpected:
            outcomes[TOOLS[0]] = f"refused: `{case.reason}`"
        print(f"{name}: {outcomes}", file=sys.stderr, flush=True)
        yield name, Row(outcomes, unexpected)


# ---------------------------------------------------------------------------------- a trial


@dataclass(frozen=True)
class Ground:
    """A sandbox: the environment, made anew from ``kept`` for each trial, and the wheel."""

    sandbox: Path
    kept: Path
    home: Path

    @classmethod
    def make(cls, directory: Path) -> Ground:
        """Lay it out, with a wheel of ``other`` installed in the environment."""
        ground = cls(directory / "sandbox", directory / "kept", directory / "home")
        ground.home.mkdir()
        venv.EnvBuilder(symlinks=True, with_pip=False).create(ground.prefix)
        wheel = make_wheel(directory, "other", "1.0")
        ended = ground.run([*_command("sage-pkginstall", ground.prefix), str(wheel)])
        assert ended is not None
        assert ended.returncode == 0, ended.stderr
        shutil.copytree(ground.prefix, ground.kept, symlinks=True)
        return ground

    @property
    def prefix(self) -> Path:
        """The environment."""
        return self.sandbox / "environment"

    def outcome(self, tool: str, case: Case) -> str:
        """Tell what one tool does with the wheel of one case."""
        shutil.rmtree(self.sandbox)
        wheels = self.sandbox / "wheels"
        wheels.mkdir(parents=True)
        shutil.copytree(self.kept, self.prefix, symlinks=True)
        wheel = case.make(wheels)
        before = _Snapshot.of(self.sandbox)
        ended = self.run([*_command(tool, self.prefix), str(wheel)])
        after = _Snapshot.of(self.sandbox)
        harm = list(_harm(before, after))
        if ended is None:
            return ", ".join(["**does not end**", *harm])
        if ended.returncode == 0:
            return ", ".join(["installed", *harm, *_lacking(wheel, before, after)])
        return ", ".join([_failure(ended), *harm, *_debris(before, after)])

    def run(self, words: list[str]) -> subprocess.CompletedProcess[str] | None:
        """Run a tool within bounds, without this machine's settings; None if it takes long."""
        environment = {k: v for k, v in os.environ.items() if k.startswith(KEPT)}
        environment |= {"HOME": str(self.home), "PIP_CONFIG_FILE": os.devnull}
        environment |= {"LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            return subprocess.run(
                words,
                env=environment,
                cwd=self.sandbox,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=SECONDS,
                preexec_fn=_limit,
            )
        except subprocess.TimeoutExpired:
            return None


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_SIZE, FILE_SIZE))
    os.umask(0o022)


def _command(tool: str, prefix: Path) -> list[str]:
    python, target = sys.executable, str(prefix / "bin" / "python3")
    if tool == "pip":
        words = ["install", "--no-index", "--no-deps", "--no-cache-dir", "--quiet"]
        return [python, "-m", "pip", "--python", target, *words]
    if tool == "uv":
        uv = shutil.which("uv", path=str(Path(python).parent)) or "uv"
        words = ["pip", "install", "--no-deps", "--compile-bytecode", "--python", target]
        return [uv, "--offline", "--no-cache", "--no-config", *words]
    if tool == "installer":
        return [python, "-m", "installer", "--prefix", str(prefix)]
    return [python, "-I", "-c", START, str(ROOT), "install", "--prefix", str(prefix)]


@dataclass(frozen=True)
class _Snapshot:
    entries: Mapping[str, Entry]
    modes: Mapping[str, int]

    @classmethod
    def of(cls, sandbox: Path) -> _Snapshot:
        ignore = ["environment/var/lock", "environment/.lock"]  # ours, uv's
        return cls(tree(sandbox, ignore=ignore), modes(sandbox, ignore=ignore))

    def new(self, before: _Snapshot) -> set[str]:
        return self.entries.keys() - before.entries.keys()

    def written(self, before: _Snapshot) -> set[str]:
        return {path for path, entry in self.entries.items() if before.entries.get(path) != entry}


def _harm(before: _Snapshot, after: _Snapshot) -> Iterator[str]:
    """Yield what no installer should do, whatever it is given."""
    new = after.new(before)
    if any(not path.startswith("environment/") for path in new):
        yield "**writes outside**"
    changed = {path for path, entry in before.entries.items() if after.entries.get(path) != entry}
    for path in sorted(changed - {"environment/lib", "environment/include"}):
        if after.entries.get(path) is not None or isinstance(before.entries[path], bytes):
            yield f"**changes `{PurePosixPath(path).name}`**"
    links = [path for path in new if isinstance(after.entries[path], Link)]
    if links:
        yield "**makes a link**"
    bits = stat.S_ISUID | stat.S_ISGID
    if any(after.modes.get(path, 0) & bits for path in new):
        yield "**setuid**"
    if any(after.modes.get(path, 0) & stat.S_IWOTH for path in new):
        yield "**writable for all**"
    if any("\n" in path or "\x1b" in path for path in new):
        yield "control characters in a name"


def _lacking(wheel: Path, before: _Snapshot, after: _Snapshot) -> Iterator[str]:
    """Yield where what was installed, the wheel and RECORD differ."""
    new = after.written(before)
    names = {path.rpartition("/")[2] for path in new}
    with zipfile.ZipFile(wheel) as archive:
        entries = [name for name in archive.namelist() if not name.endswith("/")]
    left_out = {PurePosixPath(name.replace("\\", "/")).name for name in entries} - names
    left_out -= {"INSTALLER", "direct_url.json", ""}
    if left_out:
        yield f"leaves out {_some(left_out)}"
    inside = {path.removeprefix("environment/") for path in new}
    listed = set(_listed(after))
    missing = {path for path in listed if path not in inside and not path.endswith(".pyc")}
    unlisted = {path for path in inside - listed if not path.endswith(".pyc")}
    if missing:
        yield f"RECORD lists {_some(missing)} in vain"
    if unlisted:
        yield f"RECORD lacks {_some(unlisted)}"
    codes = [after.entries[path] for path in new if path.endswith(".pyc")]
    if any(isinstance(code, bytes) and code.startswith(b"not ") for code in codes):
        yield "with the wheel's byte-code"


def _listed(after: _Snapshot) -> Iterator[str]:
    """Yield the paths that RECORD lists, relative to the environment."""
    for path, entry in after.entries.items():
        if path.endswith("/foo-1.0.dist-info/RECORD") and isinstance(entry, bytes):
            text = entry.decode("utf-8", "replace").replace("\0", "")
            for row in csv.reader(io.StringIO(text, newline="")):
                if row:
                    yield os.path.normpath(f"{SITE}/{row[0]}")


def _some(paths: Iterable[str]) -> str:
    first, *more = sorted(PurePosixPath(path).name for path in paths)
    shown = first if first.isprintable() and len(first) < 30 else "a file"  # noqa: PLR2004
    return f"`{shown}`" + (f" and {len(more)} more" if more else "")


def _failure(ended: subprocess.CompletedProcess[str]) -> str:
    if -ended.returncode in {signal.SIGXCPU, signal.SIGKILL}:
        return "**does not end**"
    if ended.returncode < 0:
        return f"**killed by signal {-ended.returncode}**"
    if "Traceback (most recent call last)" in ended.stderr + ended.stdout:
        return "traceback"
    return "refused"


def _debris(before: _Snapshot, after: _Snapshot) -> Iterator[str]:
    new = [path for path in after.new(before) if path.startswith("environment/")]
    if new:
        yield f"**leaves {len(new)} {'files' if len(new) > 1 else 'file'}**"


# ------------------------------------------------------------------------------- the page


def _page(rows: Mapping[str, Mapping[str, Row]]) -> str:
    everything = [row for cases in rows.values() for row in cases.values()]
    tools = ", ".join(f"{tool} {version(tool)}" for tool in TOOLS[1:])
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    lines = [
        f"{len(everything)} wheels; {TOOLS[0]}, {tools}, on Python {python}.",
        "",
        f"| outcome | {' | '.join(TOOLS)} |",
        "|---" * 5 + "|",
    ]
    for title, words in _SUMMARY.items():
        counts = (
            sum(any(word in row.outcomes[tool] for word in words) for row in everything)
            for tool in TOOLS
        )
        lines.append(f"| {title} | {' | '.join(map(str, counts))} |")
    for group, cases in rows.items():
        lines += ["", f"### {group}", "", f"| wheel | {' | '.join(TOOLS)} |", "|---" * 5 + "|"]
        for name, row in cases.items():
            cells = (row.outcomes[tool].replace("|", "\\|") for tool in TOOLS)
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


_SUMMARY = {
    "refused": ("refused",),
    "refused by a traceback": ("traceback",),
    "installed": ("installed",),
    "writes outside of the environment": ("writes outside",),
    "changes files of others": ("**changes",),
    "leaves files although it failed": ("**leaves",),
    "installed something else than the wheel lists": ("leaves out", "in vain", "RECORD lacks"),
    "did not end, or was killed": ("does not end", "killed by"),
}

if __name__ == "__main__":
    sys.exit(main())
