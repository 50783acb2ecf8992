"""What is fed to the readers of files, and what must come of it.

Each `Feed` makes inputs, good ones that were damaged and such as are built to be odd, and
gives one to the code that reads it.  That ends with a result or with an error of ours
(`sage_pkginstall.errors`), and touches nothing but its own directory; anything else is a
finding.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import stat
import struct
import tempfile
import venv
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from sage_pkginstall.cli.main import main
from sage_pkginstall.engine.journal import Journal
from sage_pkginstall.engine.plan import Operation
from sage_pkginstall.engine.tree import Tree, TreeSettings
from sage_pkginstall.environment import Environment, target_environment
from sage_pkginstall.errors import PkgInstallError
from sage_pkginstall.spkg.checksums import read_tarballs
from sage_pkginstall.wheels.bytecode import staged_compiler
from sage_pkginstall.wheels.staging import WheelRequest, stage_wheel
from tests.foowheel import FILE, INFO
from tests.trees import tree
from tests.wheelmaker import Member, make_wheel, members, record_of, write_zip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hypothesis.strategies import SearchStrategy

__all__ = ["FEEDS", "Feed", "Ground"]

TAKEN, REFUSED = "taken", "refused"


@dataclass(frozen=True)
class Ground:
    """Where inputs are tried: in a directory of their own each, or in ``environment``."""

    directory: Path
    environment: Environment

    @classmethod
    def make(cls, directory: Path) -> Ground:
        """Lay out the ground below an empty directory."""
        prefix = directory / "venv"
        venv.EnvBuilder(symlinks=True, with_pip=False).create(prefix)
        environment = target_environment(prefix)
        run_command("install", prefix, str(make_wheel(directory, "other", "1.0")))
        (directory / "outside").mkdir()
        (directory / "outside" / "precious").write_bytes(b"precious")
        return cls(directory, environment)

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give a directory for one input; only what lies in it may change."""
        path = Path(tempfile.mkdtemp(dir=self.directory))
        before = set(os.listdir(self.directory))  # noqa: PTH208 -- names are enough
        try:
            yield path
            assert set(os.listdir(self.directory)) == before  # noqa: PTH208
            assert tree(self.directory / "outside") == {"precious": b"precious"}
        finally:
            shutil.rmtree(path)


@dataclass(frozen=True)
class Feed:
    """Inputs of one kind, and who eats them: ``eat`` returns `TAKEN` or `REFUSED`."""

    inputs: SearchStrategy[Any]
    eat: Callable[[Ground, Any], str]


# ------------------------------------------------------------------------------ ingredients

NASTY = (b"\0", b"\xff\xff", b"\xff" * 4, b"\x7f\xff\xff\xff", b"..", b"/", b"\n", b'"', b"PK\1\2")
TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
JSON_TEXT = st.text(max_size=12) | st.sampled_from(["\0", "..", "/", "\ud800", "\udcff", "a/../.."])


def mutated(seeds: Sequence[bytes]) -> SearchStrategy[bytes]:
    """Good inputs, with some bytes overwritten, inserted, removed, doubled or cut off."""
    edit = st.tuples(
        st.sampled_from(["overwrite", "insert", "remove", "double", "cut", "flip"]),
        st.integers(0, 1 << 16),
        st.sampled_from(NASTY) | st.binary(min_size=1, max_size=9),
    )
    return st.builds(_edited, st.sampled_from(seeds), st.lists(edit, min_size=1, max_size=6))


def _edited(data: bytes, edits: Sequence[tuple[str, int, bytes]]) -> bytes:
    for kind, number, piece in edits:
        at = number % (len(data) + 1)
        if kind == "cut" and number % 7 == 0:
            data = data[:at]
        elif kind == "overwrite":
            data = data[:at] + piece + data[at + len(piece) :]
        elif kind == "insert":
            data = data[:at] + piece + data[at:]
        elif kind == "remove":
            data = data[:at] + data[at + len(piece) :]
        elif kind == "double":
            data = data[: at + 99] + data[at:]
        elif at < len(data):
            data = data[:at] + bytes([data[at] ^ 1 << number % 8]) + data[at + 1 :]
    return data


def documents(good: dict[str, Any]) -> SearchStrategy[bytes]:
    """JSON documents: ``good`` with values of any kind in some places, and damaged ones."""
    text = json.dumps(good).encode()
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | JSON_TEXT
    values = st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(JSON_TEXT, inner, max_size=3),
        max_leaves=8,
    )
    changed = st.fixed_dictionaries({key: st.just(value) | values for key, value in good.items()})
    return (
        mutated([text])
        | changed.map(lambda document: json.dumps(document).encode())
        | values.map(lambda value: json.dumps(value).encode())
    )


def refused(error: PkgInstallError) -> str:
    """Return `REFUSED`, once the error is one printable line."""
    assert str(error).isprintable(), error
    return REFUSED


def run_command(command: str, prefix: Path, *arguments: str) -> int:
    """Run the command line in this process, its output going to UTF-8 files."""
    with contextlib.ExitStack() as stack:
        for redirect in (contextlib.redirect_stdout, contextlib.redirect_stderr):
            file = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
            stack.enter_context(redirect(file))
        return main([command, "--prefix", str(prefix), *arguments])


# ------------------------------------------------------------------------------------ wheels

GOOD_FILES = {"foo/__init__.py": "x = 1\n", "foo/data.txt": "text " * 40, "foo.pth": "# path\n"}
GOOD_DATA = {"scripts/run": "#!python\npass\n", "data/share/x": "x", "headers/h.h": "int x;"}


def _good_members() -> list[Member]:
    return members("foo", "1.0", GOOD_FILES, data=GOOD_DATA, scripts={"foo": "foo:main"})


def _zip64(data: bytes) -> bytes:
    """Return the archive with the end record of a large one."""
    at = data.rindex(b"PK\5\6")
    count, size, start = struct.unpack_from("<H2L", data, at + 10)
    end = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, at, 1)
    return data[:at] + end + locator + b"PK\5\6" + bytes(4) + b"\xff" * 12 + bytes(2)


def _wheel_seeds() -> list[bytes]:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        plain = make_wheel(directory, "foo", "1.0").read_bytes()
        rich = write_zip(directory / FILE, _good_members()).read_bytes()
        stored = [replace(member, deflated=False) for member in _good_members()]
        loose = write_zip(directory / FILE, stored).read_bytes()
    return [plain, rich, loose, _zip64(plain)]


def eat_wheel(ground: Ground, data: bytes) -> str:
    """Stage a wheel made of these bytes."""
    with ground.scratch() as scratch:
        path = scratch / FILE
        path.write_bytes(data)
        root = scratch / "staged"
        root.mkdir()
        try:
            staged = stage_wheel(
                WheelRequest(path), ground.environment, root, compiler=staged_compiler
            )
        except PkgInstallError as error:
            return refused(error)
        finally:
            assert set(os.listdir(scratch)) == {FILE, "staged"}  # noqa: PTH208
        found = tree(root)
        assert set(found) == staged.paths
        assert all(isinstance(entry, bytes) for entry in found.values())
        return TAKEN


DULL = st.sampled_from(["foo", "a", "b.py", "__init__.py", "é", "e\u0301", "A", "x.pth", "c.pyc"])
PART = DULL | st.sampled_from(
    [
        *["..", ".", "", "__pycache__", INFO, "foo-1.0.data", "purelib", "scripts", "headers"],
        *["data", "RECORD", "INSTALLER", "con", "C:", "\0", "\\", "pyvenv.cfg", "lib", "bin"],
        *["python3", "var", "sage", "x" * 200, "bar-1.dist-info", "a\nb", " ", "-x"],
    ]
)
SCHEME = st.sampled_from(["scripts", "data", "headers", "purelib", "platlib"])
START: SearchStrategy[list[str]] = st.just([]) | SCHEME.map(lambda scheme: ["foo-1.0.data", scheme])
DULL_NAME = st.builds(lambda start, parts: [*start, *parts], START, st.lists(DULL, min_size=1))
ODD_NAME = st.lists(PART | TEXT, min_size=1, max_size=5)
NAME = (DULL_NAME | DULL_NAME | ODD_NAME).map("/".join)
REGULAR = st.sampled_from([0, stat.S_IFREG | 0o644, stat.S_IFREG | 0o755, stat.S_IFREG | 0o7777])
MODE = st.booleans().flatmap(lambda odd: st.integers(0, 0xFFFF) if odd else REGULAR)
BODY = st.binary(max_size=40) | st.sampled_from([b"#!python\nx", b"#!pythonw -x\r\n", b"x = 1\n"])
MEMBER = st.builds(Member, NAME, BODY, REGULAR | REGULAR | MODE, st.booleans())
LINE = st.lists(
    st.sampled_from(["[console_scripts]", "[gui_scripts]", "x", "=", ":", "foo", "main", " ", "\t"])
    | st.sampled_from(["Name:", "Version:", "foo", "1.0", "Tag:", "py3-none-any", "Wheel-Version:"])
    | TEXT,
    max_size=8,
).map("".join)
LINES = st.lists(LINE, max_size=6).map("\n".join)


@st.composite
def structured_wheels(draw: st.DrawFn) -> bytes:
    """Wheels whose RECORD fits, so that what they hold is looked at in earnest."""
    content = _good_members()[:-1] if draw(st.booleans()) else members("foo", "1.0")[:-1]
    content += draw(st.lists(MEMBER, max_size=4))
    for name in ("METADATA", "WHEEL", "entry_points.txt"):
        if draw(st.integers(0, 3)) == 0:
            text = draw(LINES).encode("utf-8", "surrogatepass")
            good = next((m.data for m in content if m.name == f"{INFO}/{name}"), b"")
            data = draw(st.sampled_from([text, good + b"\n" + text, text + b"\n" + good]))
            content = [m for m in content if m.name != f"{INFO}/{name}"]
            content.append(Member(f"{INFO}/{name}", data))
    with tempfile.TemporaryDirectory() as directory:
        record = record_of(content, f"{INFO}/RECORD")
        return write_zip(Path(directory) / FILE, _encodable([*content, record])).read_bytes()


def _encodable(content: Sequence[Member]) -> list[Member]:
    """Return the entries that ``zipfile`` can write, each name once (it warns otherwise)."""
    return list({m.name: m for m in content if len(m.name.encode()) < 1 << 16}.values())


def eat_record(ground: Ground, data: bytes) -> str:
    """Stage a wheel with this RECORD."""
    content = [*_good_members()[:-1], Member(f"{INFO}/RECORD", data)]
    with tempfile.TemporaryDirectory() as name:
        return eat_wheel(ground, write_zip(Path(name) / FILE, content).read_bytes())


ROW = st.lists(
    st.sampled_from(["foo/__init__.py", "../../x", "/etc/passwd", "", '"', "sha256=", "md5=", "1"])
    | st.sampled_from(["99999999999999999999999", "\r", "\0", f"{INFO}/RECORD", "sha256=AAAA"])
    | TEXT,
    min_size=1,
    max_size=5,
).map(",".join)
ROWS = st.lists(ROW, max_size=8).map("\n".join)


def records() -> SearchStrategy[bytes]:
    """RECORDs, good ones that were damaged and such as are made of odd rows."""
    good = _good_members()[-1].data
    odd = ROWS.map(lambda text: text.encode("utf-8", "surrogatepass"))
    return mutated([good]) | odd | odd.map(lambda data: good + data)


# --------------------------------------------------------------------- what is in a prefix

QUESTIONS = (
    ("files", "foo"),
    ("verify",),
    ("list",),
    ("list", "--json"),
    ("show", "foo"),
    ("owner", "lib", "bin/foo"),
    ("status",),
    ("uninstall", "--dry-run", "foo"),
)


def _ask_everything(ground: Ground) -> str:
    codes = [run_command(words[0], ground.environment.prefix, *words[1:]) for words in QUESTIONS]
    assert set(codes) <= {0, 1, 2}, codes
    return REFUSED if codes[0] else TAKEN


def eat_installed_record(ground: Ground, data: bytes) -> str:
    """Ask for a distribution whose RECORD in the prefix is this one."""
    info = ground.environment.prefix / ground.environment.schemes["purelib"] / INFO
    with ground.scratch():
        info.mkdir()
        try:
            (info / "METADATA").write_text("Metadata-Version: 2.1\nName: foo\nVersion: 1.0\n")
            (info / "RECORD").write_bytes(data)
            return _ask_everything(ground)
        finally:
            shutil.rmtree(info)


STAMP = {
    "package_name": "foo",
    "package_version": "1.0",
    "install_date": "Thu Jan  1 00:00:00 UTC 1970",
    "system_uname": ["Linux", "host"],
    "sage_version": "10.8",
    "test_result": "not tested",
    "files": ["bin/foo", "share/foo/x", "lib/\udcff"],
}


def eat_stamp(ground: Ground, data: bytes) -> str:
    """Ask for a package whose stamp is this one."""
    stamps = ground.environment.prefix / "var" / "lib" / "sage" / "installed"
    with ground.scratch():
        stamps.mkdir(parents=True, exist_ok=True)
        (stamps / "foo-1.0").write_bytes(data)
        try:
            return _ask_everything(ground)
        finally:
            shutil.rmtree(stamps)


# ----------------------------------------------------------------------------------- journals

WORKSPACE = "T-1-00000000"
SLOTS = f"var/tmp/sage/{WORKSPACE}"
GOOD_JOURNAL = Journal(
    "install foo 1.0",
    WORKSPACE,
    (
        Operation("place", "lib/new", f"{SLOTS}/tree/lib/new"),
        Operation("swap", "lib/old", f"{SLOTS}/tree/lib/old", 1, 0o644, 1, 0),
        Operation("remove", "lib/gone", f"{SLOTS}/old/1"),
        Operation("prune", "lib/empty", "", 0, 0o755),
    ),
)
PATH = st.lists(
    st.sampled_from(["lib", "new", "old", "gone", "empty", "..", "", "var", "\0", "\ud800", "x"]),
    max_size=4,
).map("/".join)
SLOT = PATH | PATH.map(lambda path: f"{SLOTS}/{path}") | PATH.map(lambda path: f"/.{path}")
NUMBER = st.integers() | st.floats() | st.integers(0, 0o777)
OPERATION = st.tuples(st.sampled_from(["place", "swap", "remove", "prune"]), PATH, SLOT)
ODD_JOURNAL = st.builds(
    lambda workspace, rows: {
        "format": 3,
        "label": "",
        "workspace": workspace,
        "identity": [1, 1],
        "operations": rows,
    },
    st.just(WORKSPACE) | JSON_TEXT,
    st.lists(st.tuples(OPERATION, *[NUMBER] * 4).map(lambda row: [*row[0], *row[1:]]), max_size=4),
).map(lambda document: json.dumps(document).encode())


def eat_journal(ground: Ground, data: bytes) -> str:
    """Recover a prefix whose journal is this one."""
    with ground.scratch() as scratch:
        prefix = scratch / "prefix"
        for directory in ("lib/empty", f"{SLOTS}/tree/lib", f"{SLOTS}/old"):
            (prefix / directory).mkdir(parents=True)
        for file in ("lib/old", "lib/gone", f"{SLOTS}/tree/lib/new", f"{SLOTS}/tree/lib/old"):
            (prefix / file).write_bytes(b"")
        (prefix / f"{SLOTS}.lock").write_bytes(b"")
        (prefix / "var/tmp/sage/journal").write_bytes(data)
        try:
            Tree(prefix, TreeSettings(durable=False)).recover()
        except PkgInstallError as error:
            return refused(error)
        finally:
            assert os.listdir(scratch) == ["prefix"]  # noqa: PTH208
        return TAKEN


# --------------------------------------------------------------------------- checksums.ini

CHECKSUMS = (
    b"tarball=foo-VERSION.tar.gz\nsha256=" + b"a" * 64 + b"\nupstream_url=https://x.org/VERSION\n"
    b"[linux]\ntarball=foo-VERSION_MAJOR.VERSION_MINOR-py3-none-any.whl\nsha1=" + b"0" * 40 + b"\n"
)
CHECKSUM_LINE = st.lists(
    st.sampled_from(["tarball", "=", "sha256", "sha1", "upstream_url", "[", "]", "VERSION", "/"])
    | st.sampled_from(["a" * 64, "..", "#", "_MICRO", "\0", "md5", " "])
    | TEXT,
    max_size=6,
).map("".join)


def eat_checksums(ground: Ground, data: bytes) -> str:
    """Read a package directory's ``checksums.ini``."""
    with ground.scratch() as scratch:
        (scratch / "checksums.ini").write_bytes(data)
        try:
            tarballs = read_tarballs(scratch, "1.2.3")
        except PkgInstallError as error:
            return refused(error)
        for tarball in tarballs:
            assert "/" not in tarball.filename
            assert "\0" not in tarball.filename
        return TAKEN


def _checksums() -> SearchStrategy[bytes]:
    odd = st.lists(CHECKSUM_LINE, max_size=8).map(lambda lines: "\n".join(lines).encode())
    return mutated([CHECKSUMS]) | odd


FEEDS = {
    "wheel, damaged": Feed(mutated(_wheel_seeds()), eat_wheel),
    "wheel, odd": Feed(structured_wheels(), eat_wheel),
    "RECORD of a wheel": Feed(records(), eat_record),
    "RECORD in a prefix": Feed(records(), eat_installed_record),
    "journal": Feed(documents(json.loads(GOOD_JOURNAL.to_bytes())) | ODD_JOURNAL, eat_journal),
    "stamp": Feed(documents(STAMP), eat_stamp),
    "checksums.ini": Feed(_checksums(), eat_checksums),
}
