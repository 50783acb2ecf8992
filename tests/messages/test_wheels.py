"""Messages of wheels that are at fault: those of ``tests/hostile``, and some more."""

from __future__ import annotations

import io
import os
import struct
import zlib
from contextlib import redirect_stderr
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.cli.main import main
from sage_pkginstall.errors import WheelError
from sage_pkginstall.wheels.archive import WheelArchive
from sage_pkginstall.wheels.container import Limits
from tests.foowheel import FILE, INFO, foo, with_file
from tests.hostile import GROUPS
from tests.hostile.case import adding
from tests.hostile.container import CENTRAL, END, LOCAL, changed, patched, zip64
from tests.messages.desk import produces
from tests.wheelmaker import Member, make_wheel, members, record_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.hostile.case import Case
    from tests.messages.desk import Desk

SOME = struct.pack("<H", 3)
FLAG = struct.pack("<H", 8)


def refusals(desk: Desk, makers: Mapping[str, Callable[[Path], Path]]) -> str:
    """What installing each of the wheels, in this process, says."""
    directory = desk.directory / "wheels"
    directory.mkdir(exist_ok=True)
    said = io.StringIO()
    with redirect_stderr(said):
        for make in makers.values():
            command = ["install", "--prefix", str(desk.prefix), str(make(directory))]
            assert main(command) == 1
    return said.getvalue()


def refused(*groups: str) -> dict[str, Callable[[Path], Path]]:
    cases: dict[str, Case] = {}
    for group in groups:
        cases.update(GROUPS[group])
    return {name: case.make for name, case in cases.items() if case.reason}


def counted(difference: int) -> Callable[[Path], Path]:
    """Return a maker of wheels whose end counts other entries than there are."""

    def change(data: bytes) -> bytes:
        at = data.rindex(END)
        count = struct.unpack_from("<H", data, at + 8)[0] + difference
        return data[: at + 8] + struct.pack("<2H", count, count) + data[at + 12 :]

    return changed(change)


def lacking_size(data: bytes) -> bytes:
    """Say that a size is in the field for large files, which has none."""
    at, end = data.index(CENTRAL), data.rindex(END)
    behind = at + 46 + struct.unpack_from("<H", data, at + 28)[0]
    central = data[at : at + 24] + b"\xff" * 4 + data[at + 28 : at + 30] + struct.pack("<H", 4)
    central += data[at + 32 : behind] + struct.pack("<2H", 1, 0) + data[behind:end]
    size = struct.pack("<L", len(central))
    return data[:at] + central + data[end : end + 12] + size + data[end + 16 :]


def loosened(data: bytes) -> bytes:
    """Put bytes between the last entry and the central directory."""
    at, end = data.index(CENTRAL), data.rindex(END)
    moved = data[: end + 16] + struct.pack("<L", at + 4) + data[end + 20 :]
    return moved[:at] + bytes(4) + moved[at:]


def sparse(directory: Path) -> Path:
    """Return a file that is a central directory of 300 MiB, nearly all of it a hole."""
    path = directory / FILE
    size = 300 << 20
    with path.open("wb") as file:
        file.seek(size)
        file.write(END + struct.pack("<4H2LH", 0, 0, 1, 1, size, 0, 0))
    return path


def without_end64(directory: Path) -> Path:
    path = directory / FILE
    path.write_bytes(END + struct.pack("<4H2LH", 0, 0, 0, 0, 0, 0xFFFFFFFF, 0))
    return path


def unfinished(directory: Path) -> Path:
    """Return a wheel with an entry that inflates to a byte, and then has no end."""
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = deflater.compress(b"x") + deflater.flush(zlib.Z_SYNC_FLUSH)
    listed = [*members("foo", "1.0")[:-1], Member("odd", b"x")]
    record = record_of(listed, f"{INFO}/RECORD")
    path = foo(directory, Member("odd", packed, deflated=False), record=record)
    data = bytearray(path.read_bytes())
    for signature, name, method, crc, size in ((LOCAL, 30, 8, 14, 22), (CENTRAL, 46, 10, 16, 24)):
        at = data.index(signature)
        while not data.startswith(b"odd", at + name):
            at = data.index(signature, at + 1)
        struct.pack_into("<H", data, at + method, 8)
        struct.pack_into("<L", data, at + crc, zlib.crc32(b"x"))
        struct.pack_into("<L", data, at + size, 1)
    path.write_bytes(data)
    return path


def later(data: bytes) -> bytes:
    """Say that a size follows the data of the first entry, where it does not."""
    for signature, offset in ((LOCAL, 6), (CENTRAL, 8)):
        at = data.index(signature) + offset
        data = data[:at] + FLAG + data[at + 2 :]
    return data


@produces(
    "cannot install {wheel}: it is no zip file (too short)",
    "cannot install {wheel}: it is no zip file, or it is truncated, or something follows its end",
    "cannot install {wheel}: it is truncated",
    "cannot install {wheel}: it is one part of a zip file in several parts",
    "cannot install {wheel}: its central directory is not where its end says (bytes before"
    " or between)",
    "cannot install {wheel}: it has {number} entries (allowed: {limit})",
    "cannot install {wheel}: its central directory has {number} bytes (allowed: {limit})",
    "cannot install {wheel}: it would inflate to more than {number} bytes",
    "cannot install {wheel}: its zip64 end is missing",
    "cannot install {wheel}: its zip64 end is damaged",
    "cannot install {wheel}: its zip64 end contradicts its end",
    "cannot install {wheel}: its central directory is truncated",
    "cannot install {wheel}: its central directory is damaged",
    "cannot install {wheel}: its central directory has something after its last entry",
    "cannot install {wheel}: its entries overlap its central directory, or leave bytes before it",
    "cannot install {wheel}: there are bytes that belong to nothing before entry {name}",
    "cannot install {wheel}: entry {name} overlaps another one",
    "cannot install {wheel}: entry {name} is there twice",
    "cannot install {wheel}: entry {name} lies in another part",
    "cannot install {wheel}: entry {name} has a damaged extra field",
    "cannot install {wheel}: entry {name} has an extra field that contradicts its header",
    "cannot install {wheel}: entry {name} has a damaged zip64 field",
    "cannot install {wheel}: entry {name} is encrypted",
    "cannot install {wheel}: entry {name} has unknown flags ({flags})",
    "cannot install {wheel}: entry {name} uses compression method {number}",
    "cannot install {wheel}: entry {name} is stored, and has two sizes",
    "cannot install {wheel}: entry {name} has no local header where it should be",
    "cannot install {wheel}: entry {name} has another name in its local header",
    "cannot install {wheel}: entry {name} has other flags or method in its local header",
    "cannot install {wheel}: entry {name} has another size or CRC in its local header",
    "cannot install {wheel}: entry {name} has another size or CRC after its data",
    "cannot install {wheel}: entry {name} has a name that is not UTF-8",
    "cannot install {wheel}: entry {name}… has a name of {number} bytes",
    "cannot install {wheel}: entry {name} cannot be inflated ({reason})",
    "cannot install {wheel}: entry {name} is shorter than the {number} bytes it should have",
    "cannot install {wheel}: entry {name} is longer than the {number} bytes it should have",
    "cannot install {wheel}: entry {name} ends in the middle of its compressed data",
    "cannot install {wheel}: entry {name} has bytes after its compressed data",
    "cannot install {wheel}: entry {name} does not have the CRC that the archive gives",
)
def test_zip_files_at_fault(desk: Desk) -> str:
    groups = ("Damaged zip files", "Ambiguous zip files", "Unusual zip files", "Sizes")
    makers = refused(*groups, "Paths that lead elsewhere", "Two of one name")
    makers |= {
        "header beyond the end": patched(CENTRAL, 42, b"\xff\xff\xff\x7f"),
        "a directory of 300 MiB": sparse,
        "no zip64 end": without_end64,
        "two ends": changed(lambda data: zip64(data)[:-14] + b"\1\0" + zip64(data)[-12:]),
        "one entry too many": counted(1),
        "one entry too few": counted(-1),
        "no entry": patched(CENTRAL, 0, b"XX"),
        "another part": patched(CENTRAL, 34, b"\1\0"),
        "extra field cut off": patched(CENTRAL, 30, SOME),
        "zip64 field without a size": changed(lacking_size),
        "bytes before the directory": changed(loosened),
        "no size behind the data": changed(later),
        "no end of the data": unfinished,
    }
    return refusals(desk, makers)


@produces("cannot install {wheel}: entry {name} ends early: the file was cut while it was read")
def test_wheel_that_is_cut_while_it_is_read(desk: Desk) -> str:
    wheel = make_wheel(desk.directory, "foo", "1.0")
    with WheelArchive.open(wheel) as archive:
        os.truncate(wheel, 0)
        _, stream, _ = next(archive.get_contents())
        with pytest.raises(WheelError) as caught:
            stream.read()
    return str(caught.value)


@produces(
    "cannot install {wheel}: entry {name} has an absolute path",
    "cannot install {wheel}: entry {name} has {component} as a component of its path",
    "cannot install {wheel}: entry {name} has a backslash or control character in its name",
    "cannot install {wheel}: entry {name}… has a component of more than 255 bytes",
    "cannot install {wheel}: entry {name}… lies {number} directories deep",
    "cannot install {wheel}: entry {name} is {kind}",
    "cannot install {wheel}: entry {name} is named like a directory and is none",
    "cannot install {wheel}: entry {name} is a file and a directory",
    "cannot install {wheel}: entry {name} is a file",
    "cannot install {wheel}: entry {name} is not below one of {schemes}",
    "cannot install {wheel}: entry {name} makes a second *.dist-info directory",
    "cannot install {wheel}: its directory {name} is not that of {distribution} {version},"
    " which the file name says",
    "cannot install {wheel}: it has {number} *.data directories",
    "cannot install {wheel}: {path} belongs to the environment, not to a wheel",
    "cannot install {wheel}: {path} belongs to the records of another distribution",
    "cannot install {wheel}: {path} belongs to its own *.dist-info, to which no *.data may add",
    "cannot install {wheel}: {path} is in it twice, with different contents",
    "cannot install {wheel}: {path} and {other} are in it, a file and a directory of one name",
    "cannot install {wheel}: {path} is a Python script of more than {number} bytes",
)
def test_names_in_wheels_at_fault(desk: Desk) -> str:
    groups = ("Paths that lead elsewhere", "What is no regular file", "Two of one name")
    makers = refused(*groups, "Places that are not a wheel's", "Content")
    return refusals(desk, {**makers, "too deep": adding("a/" * 100 + "x")})


@produces(
    "cannot install {wheel}: RECORD is not in CSV ({reason})",
    "cannot install {wheel}: RECORD has a row of {number} fields: {row}",
    "cannot install {wheel}: RECORD lists {path} twice",
    "cannot install {wheel}: RECORD lists {path}, which is not there",
    "cannot install {wheel}: RECORD does not list {path}",
    "cannot install {wheel}: RECORD gives a hash or size for {path}, which cannot be",
    "cannot install {wheel}: RECORD gives the size {size} for {path}, which has {number} bytes",
    "cannot install {wheel}: RECORD has no hash of sha256 or better for {path}: {hash}",
    "cannot install {wheel}: RECORD has a hash for {path} that is no {algorithm}: {hash}",
    "cannot install {wheel}: entry {name} does not have the {algorithm} hash that RECORD gives",
)
def test_records_in_wheels_at_fault(desk: Desk) -> str:
    return refusals(desk, refused("RECORD"))


@produces(
    "cannot install {wheel}: its file name is not NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl",
    "cannot install {wheel}: its file name has the build number {text}",
    "cannot install {wheel}: the tag {tag} stands for more than {number} tags",
    "cannot install {wheel}: it has {number} *.dist-info directories",
    "cannot install {wheel}: it has no {path}",
    "cannot install {wheel}: {path} has {number} bytes (allowed: {limit})",
    "cannot install {wheel}: {path} is not UTF-8 (byte {number})",
    "cannot install {wheel}: METADATA has fields of {number} characters (allowed: {limit})",
    "cannot install {wheel}: METADATA has {number} Name fields",
    "cannot install {wheel}: METADATA has {number} Version fields",
    "cannot install {wheel}: METADATA has the name {name}, the file {other}",
    "cannot install {wheel}: METADATA has version {version}, the file {other}",
    "cannot install {wheel}: WHEEL has Wheel-Version {version}; 1.x is understood",
    "cannot install {wheel}: WHEEL has Root-Is-Purelib {text}, not true or false",
    "cannot install {wheel}: entry_points.txt cannot be read: {reason}",
    "cannot install {wheel}: entry_points.txt cannot be read: a script is no module:attribute",
    "cannot install {wheel}: entry_points.txt has the line {line}, without =",
    "cannot install {wheel}: entry_points.txt has the script {name} for one reader only",
    "cannot install {wheel}: entry_points.txt has {number} scripts (allowed: {limit})",
    "cannot install {wheel}: entry point {name} is no name for a script",
)
def test_metadata_in_wheels_at_fault(desk: Desk) -> str:
    scripts = {f"s{i}": "foo:main" for i in range(Limits().scripts + 1)}
    makers = refused("METADATA, WHEEL, names", "Entry points", "Sizes")
    points = "[DEFAULT]\nx = foo:x\n[console_scripts]\ny = foo:y\n"
    makers["two ways"] = lambda d: with_file(d, "entry_points.txt", points)
    makers["two lines"] = lambda d: with_file(d, "entry_points.txt", "[other]\nx =\n  a\n")
    makers["purelib"] = lambda d: with_file(
        d, "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: yes\n"
    )
    makers["many tags"] = lambda d: make_wheel(
        d, "foo", "1.0", tag="-".join(["a.b" + ".c" * 30] * 3)
    )
    makers["too many scripts"] = lambda d: make_wheel(d, "foo", "1.0", scripts=scripts)
    return refusals(desk, makers)
