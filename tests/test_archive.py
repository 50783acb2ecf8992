"""What a wheel must be like, and that everything else is refused before it is read."""

from __future__ import annotations

import io
import os
import stat
import struct
import unicodedata
import venv
import zipfile
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.environment import Environment, target_environment
from sage_pkginstall.errors import WheelError
from sage_pkginstall.wheels.archive import Limits, WheelArchive, WheelMetadata
from tests.wheelmaker import TIME, Member, make_wheel, members, record_of, write_zip

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILE = "foo-1.0-py3-none-any.whl"
INFO = "foo-1.0.dist-info"


def refusal(path: Path, *, limits: Limits | None = None) -> str:
    """The reason why the wheel is refused; it is one printable line."""
    with pytest.raises(WheelError) as caught:
        WheelArchive.open(path, limits=limits)
    assert str(caught.value) == f"cannot install {path.name}: {caught.value.reason}"
    assert caught.value.reason.isprintable()
    return caught.value.reason


def reading_refusal(path: Path) -> str:
    """The reason why the wheel is refused only when its content is read."""
    with WheelArchive.open(path) as archive, pytest.raises(WheelError) as caught:
        archive.validate_record()
    return caught.value.reason


def foo(tmp_path: Path, *more: Member, drop: str = "\0", record: Member | None = None) -> Path:
    """A wheel of foo 1.0 with ``more`` entries that RECORD lists, without ``drop``."""
    content = [m for m in members("foo", "1.0")[:-1] if not m.name.endswith(drop)]
    content += more
    return write_zip(tmp_path / FILE, [*content, record or record_of(content, f"{INFO}/RECORD")])


def contents(path: Path) -> dict[str, tuple[bytes, bool]]:
    """What an installer gets to see of the wheel."""
    with WheelArchive.open(path) as archive:
        return {
            row[0]: (stream.read(), executable)
            for row, stream, executable in archive.get_contents()
        }


# ------------------------------------------------------------------------------ good wheels


def test_good_wheel_tells_what_it_is(tmp_path: Path) -> None:
    path = make_wheel(
        tmp_path,
        "Foo.bar",
        "1.0.post1",
        metadata=["Requires-Python: >=3.8", "Requires-Dist: a (>1);\n  python_version<'3'"],
        tag="py2.py3-none-any",
    )
    with WheelArchive.open(path) as archive:
        assert (archive.path, archive.name, archive.version) == (path, "foo-bar", "1.0.post1")
        assert archive.tags == {"py2-none-any", "py3-none-any"}
        assert archive.dist_info_dir == "Foo.bar-1.0.post1.dist-info"
        assert archive.data_dir == "Foo.bar-1.0.post1.data"
        assert sorted(archive.dist_info_filenames) == ["METADATA", "RECORD", "WHEEL"]
        assert archive.metadata == WheelMetadata(
            name="Foo.bar",
            version="1.0.post1",
            requires_python=">=3.8",
            requires_dist=("a (>1); python_version<'3'",),
        )


def test_contents_are_the_files_with_their_rows_of_record(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "foo", "1.0", {"foo.py": b"x = 1\n", "bin/x": b"#!/bin/sh\n"})
    with WheelArchive.open(path) as archive:
        rows = [row for row, _, _ in archive.get_contents()]
    assert rows[0] == ("foo.py", "sha256=nia_NpkRxFwkPGhBR7I_yeHc_PJX0pmhxjIBam_NM_Q", "6")
    found = contents(path)
    assert found.pop("bin/x") == (b"#!/bin/sh\n", True)
    assert {name for name, (_, executable) in found.items() if not executable} == {
        "foo.py",
        f"{INFO}/METADATA",
        f"{INFO}/WHEEL",
    }


def test_streams_give_any_number_of_bytes_and_may_be_read_at_once(tmp_path: Path) -> None:
    data = os.urandom(3 << 20) + bytes(3 << 20)
    names = ["deflated", "stored"]
    path = foo(tmp_path, Member(names[0], data), Member(names[1], data, deflated=False))
    with WheelArchive.open(path) as archive:
        streams = {row[0]: stream for row, stream, _ in archive.get_contents()}
        assert [streams[n].read(1000) for n in names] == [data[:1000]] * 2
        assert [streams[n].read(2 << 20) for n in names] == [data[1000 : (2 << 20) + 1000]] * 2
        assert [streams[n].read() for n in names] == [data[(2 << 20) + 1000 :]] * 2
        assert [streams[n].read() for n in names] == [b""] * 2


def test_data_descriptors_are_understood(tmp_path: Path) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError

        def seek(self, *_: object) -> int:
            raise OSError

    pipe = Pipe()
    content = members("foo", "1.0")
    with zipfile.ZipFile(pipe, "w") as archive:
        for member in content:
            archive.writestr(zipfile.ZipInfo(member.name, TIME), member.data)
    path = tmp_path / FILE
    path.write_bytes(pipe.getvalue())
    assert b"PK\x07\x08" in pipe.getvalue()
    assert set(contents(path)) == {m.name for m in content[:-1]}


def test_zip64_is_understood(tmp_path: Path) -> None:
    content = members("foo", "1.0")
    path = tmp_path / FILE
    with zipfile.ZipFile(path, "w") as archive:
        for member in content:
            with archive.open(zipfile.ZipInfo(member.name, TIME), "w", force_zip64=True) as file:
                file.write(member.data)
    data = path.read_bytes()
    at = data.rindex(b"PK\x05\x06")
    count, size, start = struct.unpack_from("<H2L", data, at + 10)
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, at, 1)
    full = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    path.write_bytes(data[:at] + end64 + locator + full)
    assert set(contents(path)) == {m.name for m in content[:-1]}
    path.write_bytes(data[:at] + end64 + b"x" + locator + full)
    assert "zip64" in refusal(path)


@pytest.mark.parametrize("algorithm", ["sha384", "sha512", "sha3_256", "blake2b"])
def test_better_hashes_are_taken(tmp_path: Path, algorithm: str) -> None:
    content = members("foo", "1.0")[:-1]
    path = write_zip(tmp_path / FILE, [*content, record_of(content, f"{INFO}/RECORD", algorithm)])
    assert set(contents(path)) == {m.name for m in content}


def test_directory_entries_are_nothing(tmp_path: Path) -> None:
    path = foo(tmp_path, Member("empty/", mode=stat.S_IFDIR | 0o755), Member("a/"))
    assert "empty/" not in refusal(path)
    path = foo(tmp_path, Member("empty/", mode=stat.S_IFDIR | 0o755), Member("a/", mode=0))
    assert set(contents(path)) == {"foo.py", f"{INFO}/METADATA", f"{INFO}/WHEEL"}


def test_names_that_differ_in_case_or_unicode_form_are_different_files(tmp_path: Path) -> None:
    names = [
        "A.txt",
        "a.txt",
        "\u00e9.txt",
        unicodedata.normalize("NFD", "\u00e9.txt"),
        'x y,".txt',
    ]
    found = contents(foo(tmp_path, *(Member(name, name.encode()) for name in names)))
    assert {name: found[name][0] for name in names} == {n: n.encode() for n in names}


def test_signatures_need_not_be_in_record(tmp_path: Path) -> None:
    content = members("foo", "1.0")
    path = write_zip(tmp_path / FILE, [*content, Member(f"{INFO}/RECORD.jws", b"{}")])
    assert contents(path)[f"{INFO}/RECORD.jws"] == (b"{}", False)


def test_bytecode_and_files_of_installers_are_left_out(tmp_path: Path) -> None:
    left_out = [
        "foo/__pycache__/a.cpython-311.pyc",
        "foo/__pycache__/deep/x.txt",
        "foo/a.pyc",
        "foo-1.0.data/purelib/__pycache__/x.pyc",
        f"{INFO}/INSTALLER",
        f"{INFO}/REQUESTED",
        f"{INFO}/direct_url.json",
    ]
    kept = ["foo/a.py", "foo/without_source.pyc", "foo/sub/INSTALLER"]
    found = contents(foo(tmp_path, *(Member(name) for name in [*left_out, *kept])))
    assert set(found) == {"foo.py", f"{INFO}/METADATA", f"{INFO}/WHEEL", *kept}


def test_special_bits_are_no_reason_to_be_executable(tmp_path: Path) -> None:
    setuid = Member("setuid", b"x", mode=stat.S_IFREG | 0o6644)
    assert contents(foo(tmp_path, setuid))["setuid"] == (b"x", False)


# ------------------------------------------------------------------------------ no zip file


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip file" * 10, b"PK\5\6" + bytes(18)])
def test_refused_no_zip_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / FILE
    path.write_bytes(content)
    assert refusal(path)


def test_refused_what_is_no_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / FILE) == "No such file or directory"
    (tmp_path / FILE).mkdir()
    assert refusal(tmp_path / FILE) == "it is no regular file"
    fifo = tmp_path / "bar-1.0-py3-none-any.whl"
    os.mkfifo(fifo)
    assert refusal(fifo) == "it is no regular file"


def test_refused_truncated_anywhere(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "foo", "1.0")
    data = path.read_bytes()
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        assert refusal(path)


def test_refused_or_same_content_with_any_byte_changed(tmp_path: Path) -> None:
    """No flipped bit of a wheel goes unseen, but in what has no meaning for an install."""
    path = make_wheel(tmp_path, "foo", "1.0", {"foo.py": "x = 1\n"})
    data = path.read_bytes()
    good = contents(path)
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        try:
            found = contents(path)
        except WheelError:
            continue
        assert {name: found[name][0] for name in found} == {n: good[n][0] for n in good}


@pytest.mark.parametrize(
    ("before", "after"), [(b"#!/bin/sh\n", b""), (b"", b"x"), (b"", b"PK\5\6" + bytes(18))]
)
def test_refused_bytes_before_or_after(tmp_path: Path, before: bytes, after: bytes) -> None:
    path = make_wheel(tmp_path, "foo", "1.0")
    path.write_bytes(before + path.read_bytes() + after)
    assert refusal(path)


def test_refused_archive_comment(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "foo", "1.0")
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"hello"
    assert "something follows its end" in refusal(path)


def patched(path: Path, signature: bytes, offset: int, value: bytes) -> Path:
    """Overwrite ``value`` at ``offset`` of the first record with this signature."""
    data = bytearray(path.read_bytes())
    at = data.index(signature) + offset
    data[at : at + len(value)] = value
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        (0, b"PK\3\5", "no local header"),
        (6, b"\x02\x08", "other flags or method"),
        (8, b"\x00\x00", "other flags or method"),
        (14, b"abcd", "another size or CRC"),
        (18, b"\x01\x00\x00\x00", "another size or CRC"),
        (22, b"\x01\x00\x00\x00", "another size or CRC"),
        (26, b"\x05\x00", "another name"),
        (30, b"bar.py", "another name"),
    ],
)
def test_refused_local_header_that_disagrees(
    tmp_path: Path, offset: int, value: bytes, reason: str
) -> None:
    path = patched(make_wheel(tmp_path, "foo", "1.0"), b"PK\3\4", offset, value)
    assert reason in refusal(path)


def test_refused_encrypted_entry(tmp_path: Path) -> None:
    path = patched(make_wheel(tmp_path, "foo", "1.0"), b"PK\1\2", 8, b"\x01\x00")
    assert "entry 'foo.py' is encrypted" in refusal(path)


def test_refused_unknown_flags(tmp_path: Path) -> None:
    path = patched(make_wheel(tmp_path, "foo", "1.0"), b"PK\1\2", 8, b"\x20\x00")
    assert "unknown flags" in refusal(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_refused_unusual_compression(tmp_path: Path, method: int) -> None:
    path = tmp_path / FILE
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("foo.py", "x")
    assert refusal(path) == f"entry 'foo.py' uses compression method {method}"


def test_refused_stored_with_two_sizes(tmp_path: Path) -> None:
    path = patched(make_wheel(tmp_path, "foo", "1.0"), b"PK\1\2", 10, b"\x00\x00")
    assert "is stored, and has two sizes" in refusal(path)


def test_refused_name_in_an_extra_field(tmp_path: Path) -> None:
    path = tmp_path / FILE
    info = zipfile.ZipInfo("foo.py", TIME)
    info.extra = struct.pack("<2HBL", 0x7075, 8, 1, zlib.crc32(b"foo.py")) + b"a.c"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, "x")
    assert "contradicts its header" in refusal(path)


def test_refused_overlapping_entries(tmp_path: Path) -> None:
    """Two names for the same compressed bytes are how the better bombs are made."""
    path = tmp_path / FILE
    entry = (
        b"PK\3\4" + struct.pack("<5H3L2H", 20, 0, 0, 0, 33, zlib.crc32(b"x"), 1, 1, 1, 0) + b"ax"
    )
    central = struct.pack("<6H3L5H2L", 20, 20, 0, 0, 0, 33, zlib.crc32(b"x"), 1, 1, 1, *([0] * 6))
    central = b"PK\1\2" + central + b"a"
    for count, reason in ((1, "'foo-1.0.dist-info"), (2, "twice")):
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(central) * count, 32, 0)
        path.write_bytes(entry + central * count + end)
        assert ("dist-info" if count == 1 else reason) in refusal(path)
    # The second one starts within the first one's data.
    inner = entry.replace(b"ax", b"bx")
    outer = b"PK\3\4" + struct.pack("<5H3L2H", 20, 0, 0, 0, 33, 0, 32, 32, 1, 0) + b"a" + inner
    first = struct.pack("<6H3L5H2L", 20, 20, 0, 0, 0, 33, 0, 32, 32, 1, *([0] * 6))
    second = struct.pack(
        "<6H3L5H2L", 20, 20, 0, 0, 0, 33, zlib.crc32(b"x"), 1, 1, 1, *([0] * 5), 31
    )
    directory = b"PK\1\2" + first + b"a" + b"PK\1\2" + second + b"b"
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 2, 2, len(directory), len(outer), 0)
    path.write_bytes(outer + directory + end)
    assert refusal(path) == "entry 'b' overlaps another one"


def test_refused_bytes_between_entries(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "foo", "1.0")
    with zipfile.ZipFile(path, "a") as archive:
        archive.getinfo("foo.py").filename = "bar.py"  # zipfile writes the directory anew
        archive.filelist.remove(archive.getinfo("foo.py"))
        archive.NameToInfo.pop("foo.py")
        archive.writestr("x", "")
    assert "bytes that belong to nothing" in refusal(path)


def test_refused_duplicate_entries(tmp_path: Path) -> None:
    content = members("foo", "1.0")
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = write_zip_with_duplicates(tmp_path / FILE, [content[0], *content])
    assert refusal(path) == "entry 'foo.py' is there twice"


def write_zip_with_duplicates(path: Path, content: list[Member]) -> Path:
    """As `write_zip`, where zipfile sees the final name and warns."""
    with zipfile.ZipFile(path, "w") as archive:
        for member in content:
            archive.writestr(member.name, member.data)
    return path


# ------------------------------------------------------------------------------ too much


def test_refused_too_many_entries(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "foo", "1.0", {f"f{i}": "" for i in range(10)})
    assert refusal(path, limits=Limits(entries=12)) == "it has 13 entries (allowed: 12)"


def test_refused_bomb_by_total_and_by_ratio(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "foo", "1.0", {"zeros": bytes(1 << 20)})
    WheelArchive.open(path).close()
    assert "more than 100000 bytes" in refusal(path, limits=Limits(size=100_000))
    ratio = refusal(path, limits=Limits(floor=1000, ratio=10))
    assert ratio == f"it would inflate to more than {10 * path.stat().st_size} bytes"


def test_refused_entry_larger_or_smaller_than_it_says(tmp_path: Path) -> None:
    for claimed in (99_999, 100_001):
        path = make_wheel(tmp_path, "foo", "1.0", {"zeros": bytes(100_000)})
        data = path.read_bytes().replace(struct.pack("<L", 100_000), struct.pack("<L", claimed))
        path.write_bytes(data)
        assert f"RECORD gives the size '100000' for 'zeros', which has {claimed}" in refusal(path)
        content = members("foo", "1.0", {"zeros": bytes(100_000)})
        content[-1] = replace(
            content[-1], data=content[-1].data.replace(b"100000", b"%d" % claimed)
        )
        path = write_zip(tmp_path / FILE, content)
        data = path.read_bytes().replace(struct.pack("<L", 100_000), struct.pack("<L", claimed))
        path.write_bytes(data)
        kind = "longer" if claimed < 100_000 else "shorter"
        assert (
            reading_refusal(path)
            == f"entry 'zeros' is {kind} than the {claimed} bytes it should have"
        )


def test_refused_record_or_metadata_of_too_many_bytes(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "foo", "1.0", metadata=["Keywords: " + "x" * 5000])
    assert f"'{INFO}/METADATA' has" in refusal(path, limits=Limits(text=4000))


def test_refused_bytes_after_compressed_data(tmp_path: Path) -> None:
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(b"x" * 100) + packer.flush() + b"hidden"
    crc = zlib.crc32(b"x" * 100)
    path = tmp_path / FILE
    content = members("foo", "1.0", {"a": b"x" * 100})
    write_zip(path, content)
    data = path.read_bytes()
    clean = packed.removesuffix(b"hidden")
    assert data.count(clean) == 1
    data = data.replace(clean, packed)
    sizes = struct.pack("<3L", crc, len(clean), 100)
    data = data.replace(sizes, struct.pack("<3L", crc, len(packed), 100))
    data = moved_directory(data, 6)
    path.write_bytes(data)
    assert reading_refusal(path) == "entry 'a' has bytes after its compressed data"


def moved_directory(data: bytes, by: int) -> bytes:
    """Mend the offsets of a zip file whose first entry became longer."""
    result = bytearray(data)
    end = data.rindex(b"PK\5\6")
    (start,) = struct.unpack_from("<L", data, end + 16)
    struct.pack_into("<L", result, end + 16, start + by)
    at = start + by
    while result[at : at + 4] == b"PK\1\2":
        lengths = struct.unpack_from("<3H", result, at + 28)
        (offset,) = struct.unpack_from("<L", result, at + 42)
        struct.pack_into("<L", result, at + 42, offset + by if offset else 0)
        at += 46 + sum(lengths)
    return bytes(result)


# ------------------------------------------------------------------------------ names


@pytest.mark.parametrize(
    "name",
    [
        "../evil.py",
        "foo/../../evil.py",
        "foo/..",
        "/etc/evil",
        "//etc/evil",
        "C:/evil.py",
        "c:evil.py",
        "foo\\evil.py",
        "..\\evil.py",
        "foo/\0evil.py",
        "foo/./evil.py",
        "./foo/evil.py",
        "foo//evil.py",
        "foo/new\nline.py",
        "foo/carriage\rreturn.py",
        "foo/escape\x1b[2J.py",
        "foo/next\x85line.py",
        "foo/line\u2028separator.py",
        "foo-1.0.data/data/../../evil",
        "foo-1.0.data/scripts//evil",
        "foo-1.0.data/../evil",
        "./foo-1.0.data/data/evil",
        "foo/" + "x" * 256,
        "foo/" + "\u00e9" * 128,
        "x/" * 600 + "x",
        "foo/__pycache__",
        "",
    ],
)
def test_refused_name(tmp_path: Path, name: str) -> None:
    assert "entry " in refusal(foo(tmp_path, Member(name, b"evil")))


def test_refused_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = foo(tmp_path, Member("\u00e9\u00e9", b"x"))
    path.write_bytes(path.read_bytes().replace("\u00e9\u00e9".encode(), b"\xe9\xe9\xe9\xe9"))
    assert refusal(path) == r"entry b'\xe9\xe9\xe9\xe9' has a name that is not UTF-8"


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        (stat.S_IFLNK | 0o777, "a symbolic link"),
        (stat.S_IFCHR | 0o666, "a device"),
        (stat.S_IFBLK | 0o666, "a device"),
        (stat.S_IFIFO | 0o666, "a FIFO"),
        (stat.S_IFSOCK | 0o666, "a socket"),
        (stat.S_IFDIR | 0o755, "a directory and not named like one"),
    ],
)
def test_refused_what_is_no_regular_file(tmp_path: Path, mode: int, kind: str) -> None:
    assert refusal(foo(tmp_path, Member("odd", b"/etc", mode))) == f"entry 'odd' is {kind}"


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFREG | 0o644])
def test_refused_directory_that_is_none(tmp_path: Path, mode: int) -> None:
    reason = refusal(foo(tmp_path, Member("odd/", b"", mode)))
    assert reason == "entry 'odd/' is named like a directory and is none"
    assert "named like a directory" in refusal(foo(tmp_path, Member("odd/", b"x", 0)))


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b/c", "a"), ("a/b", "a/b/c/d")])
def test_refused_file_and_directory_of_one_name(tmp_path: Path, names: tuple[str, str]) -> None:
    reason = refusal(foo(tmp_path, *(Member(name, b"") for name in names)))
    assert reason == f"entry {min(names, key=len)!r} is a file and a directory"


# ------------------------------------------------------------------------------ the wheel


@pytest.mark.parametrize(
    "name",
    [
        "foo.whl",
        "foo-1.0.whl",
        "foo-1.0-py3-none-any.zip",
        "foo-1.0-py3-none-any",
        "foo-1.0-x-py3-none-any.whl",
        "foo-1.0-1-1-py3-none-any.whl",
        "-1.0-py3-none-any.whl",
    ],
)
def test_refused_file_name(tmp_path: Path, name: str) -> None:
    path = write_zip(tmp_path / name, members("foo", "1.0"))
    assert "its file name" in refusal(path)


@pytest.mark.parametrize(
    "name",
    [
        "foo-1.0-7-py3-none-any.whl",
        "Foo-1.0-7a-py3-none-any.whl",
        "foo-1-py3-none-any.whl",
        "foo-1.0.0-py3-none-any.whl",
    ],
)
def test_file_name_may_write_name_and_version_in_another_way(tmp_path: Path, name: str) -> None:
    WheelArchive.open(write_zip(tmp_path / name, members("foo", "1.0"))).close()


@pytest.mark.parametrize("name", ["bar-1.0-py3-none-any.whl", "foo-1.1-py3-none-any.whl"])
def test_refused_file_name_of_another_distribution(tmp_path: Path, name: str) -> None:
    reason = refusal(write_zip(tmp_path / name, members("foo", "1.0")))
    assert reason.startswith("its directory 'foo-1.0.dist-info' is not that of")


def test_local_version_is_escaped_in_names(tmp_path: Path) -> None:
    with WheelArchive.open(make_wheel(tmp_path, "foo", "1.0+ab.1")) as archive:
        assert archive.version == "1.0+ab.1"


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("bar-1.0.dist-info/METADATA", "it has 2 *.dist-info directories"),
        ("foo-2.0.dist-info/METADATA", "it has 2 *.dist-info directories"),
        ("bar-1.0.dist-info", "entry 'bar-1.0.dist-info' is a file"),
        ("foo-1.0.data", "entry 'foo-1.0.data' is a file"),
        ("foo-1.0.data/evil/x", "is not below one of"),
        ("foo-1.0.data/scripts", "is not below one of"),
        ("bar-1.0.data/data/x", "its directory 'bar-1.0.data' is not that of"),
        ("foo-1.0.data/purelib/bar-1.dist-info/RECORD", "makes a second *.dist-info directory"),
        ("foo-1.0.data/platlib/foo-1.0.dist-info/RECORD", "makes a second *.dist-info directory"),
    ],
)
def test_refused_layout(tmp_path: Path, entry: str, reason: str) -> None:
    assert reason in refusal(foo(tmp_path, Member(entry, b"")))


def test_refused_two_data_directories(tmp_path: Path) -> None:
    path = foo(tmp_path, Member("foo-1.0.data/data/a"), Member("Foo-1.0.data/data/b"))
    assert refusal(path) == "it has 2 *.data directories"


def test_refused_without_dist_info(tmp_path: Path) -> None:
    path = write_zip(tmp_path / FILE, [Member("foo.py")])
    assert refusal(path) == "it has 0 *.dist-info directories"


@pytest.mark.parametrize("name", ["METADATA", "WHEEL", "RECORD"])
def test_refused_missing_or_undecodable(tmp_path: Path, name: str) -> None:
    content = [m for m in members("foo", "1.0")[:-1] if not m.name.endswith(name)]
    if name != "RECORD":
        content.append(record_of(content, f"{INFO}/RECORD"))
    path = write_zip(tmp_path / FILE, content)
    assert refusal(path) == f"it has no '{INFO}/{name}'"
    content = [m for m in content if not m.name.endswith("RECORD")]
    content.append(Member(f"{INFO}/{name}", b"Name: \xff\n"))
    if name != "RECORD":
        content.append(record_of(content, f"{INFO}/RECORD"))
    path = write_zip(tmp_path / FILE, content)
    assert refusal(path) == f"'{INFO}/{name}' is not UTF-8 (byte 6)"


def with_file(tmp_path: Path, name: str, text: str) -> Path:
    return foo(tmp_path, Member(f"{INFO}/{name}", text.encode()), drop=f"/{name}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Wheel-Version: 2.0\n", "WHEEL has Wheel-Version '2.0'; 1.x is understood"),
        ("Wheel-Version: 1.x\n", "WHEEL has Wheel-Version '1.x'; 1.x is understood"),
        ("Generator: x\n", "WHEEL has Wheel-Version ''; 1.x is understood"),
        ("", "WHEEL has Wheel-Version ''; 1.x is understood"),
        (
            "Wheel-Version: 1.0\nRoot-Is-Purelib: True\n",
            "has Root-Is-Purelib 'True', not true or false",
        ),
        ("Wheel-Version: 1.0\nTag: " + "a." * 999 + "-" + "b." * 99 + "-c", "more than 10000 tags"),
        ("Wheel-Version: 1.0\nTag: py2-none-any\n", "has the tag py3-none-any, its WHEEL only"),
    ],
)
def test_refused_wheel_file(tmp_path: Path, text: str, reason: str) -> None:
    assert reason in refusal(with_file(tmp_path, "WHEEL", text))


@pytest.mark.parametrize(
    "text",
    [
        "Wheel-Version: 1.0\n",
        "Wheel-Version: 1.9\r\nRoot-Is-Purelib: true\r\nTag: py3-none-any\r\n",
        "Wheel-Version: 1.0\nTag: py2-none-any\nTag: py3-none-any\n",
        "Wheel-Version: 1.0\nTag: py2.py3-none-any\n",
    ],
)
def test_wheel_file_may_say_more_tags_than_the_file_name(tmp_path: Path, text: str) -> None:
    WheelArchive.open(with_file(tmp_path, "WHEEL", text)).close()


def test_linux_tag_may_have_been_published_as_manylinux(tmp_path: Path) -> None:
    content = members("foo", "1.0", tag="cp311-cp311-linux_x86_64")
    for platform in ("manylinux_2_17_x86_64.manylinux2014_x86_64", "musllinux_1_2_x86_64"):
        path = write_zip(tmp_path / f"foo-1.0-cp311-cp311-{platform}.whl", content)
        WheelArchive.open(path).close()
    for tag in ("cp311-cp311-manylinux_2_17_i686", "cp312-cp311-manylinux_2_17_x86_64"):
        assert "has the tag" in refusal(write_zip(tmp_path / f"foo-1.0-{tag}.whl", content))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Name: bar\nVersion: 1.0\n", "METADATA has the name 'bar', the file 'foo'"),
        ("Name: foo\nVersion: 1.1\n", "METADATA has version '1.1', the file '1.0'"),
        ("Name: foo\nVersion: 1.0-rc-evil\n", "METADATA has version"),
        ("Version: 1.0\n", "METADATA has 0 Name fields"),
        ("Name: foo\nName: foo\nVersion: 1.0\n", "METADATA has 2 Name fields"),
        ("Name: foo\n\nVersion: 1.0\n", "METADATA has 0 Version fields"),
        ("Name: foo\nVersion: 1." + "0" * 9999 + "1\n", "METADATA has version"),
        ("Name: foo\x1b[2J\nVersion: 1.0\n", "METADATA has the name 'foo\\x1b[2J'"),
        ("Name: _foo\nVersion: 1.0\n", "METADATA has the name '_foo'"),
    ],
)
def test_refused_metadata(tmp_path: Path, text: str, reason: str) -> None:
    assert reason in refusal(with_file(tmp_path, "METADATA", text))


@pytest.mark.parametrize(
    "name", ["../evil", "/bin/evil", "a/b", "..", ".", "a\\b", "a\x1bb", "x" * 256, "a\x00b"]
)
def test_refused_entry_point_name(tmp_path: Path, name: str) -> None:
    path = with_file(tmp_path, "entry_points.txt", f"[console_scripts]\n{name} = foo:main\n")
    assert "is no name for a script" in refusal(path)


@pytest.mark.parametrize(
    "text",
    [
        "[console_scripts]\nx = foo\n",
        "[console_scripts]\nx = foo:main; import os\n",
        "[gui_scripts]\nx = foo:main()\n",
        "[console_scripts]\nx = foo:%(y)s\n",
        "[console_scripts]\nx\n",
        "[console_scripts]\nx = a:b\nx = a:c\n",
        "x = a:b\n",
        "[console_scripts\nx = a:b\n",
    ],
)
def test_refused_entry_points(tmp_path: Path, text: str) -> None:
    path = with_file(tmp_path, "entry_points.txt", text)
    assert refusal(path).startswith("entry_points.txt cannot be read: ")


def test_entry_points_of_other_groups_are_nobodys_business(tmp_path: Path) -> None:
    text = "[other]\nx/y = anything % at all\n[console_scripts]\na-b.c = foo:main.sub [extra]\n"
    WheelArchive.open(with_file(tmp_path, "entry_points.txt", text)).close()


# ------------------------------------------------------------------------------ RECORD


def with_record(tmp_path: Path, change: Callable[[str], str]) -> Path:
    text = members("foo", "1.0")[-1].data.decode()
    changed = change(text)
    assert changed != text
    return make_wheel(tmp_path, "foo", "1.0", record=changed)


def test_record_may_leave_itself_out_and_list_directories(tmp_path: Path) -> None:
    path = with_record(tmp_path, lambda text: text.replace(f"{INFO}/RECORD,,\n", ""))
    WheelArchive.open(path).close()
    content = [*members("foo", "1.0")[:-1], Member("a/", mode=0)]
    record = record_of(content, f"{INFO}/RECORD")
    record = replace(record, data=record.data + b"a/,,\n")
    WheelArchive.open(write_zip(tmp_path / FILE, [*content, record])).close()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("foo.py,", "bar.py,", "RECORD lists 'bar.py', which is not there"),
        ("foo.py,", "./foo.py,", "RECORD lists './foo.py', which is not there"),
        ("foo.py,", "../foo.py,", "RECORD lists '../foo.py', which is not there"),
        ("foo.py,", '"foo.py\n",', "which is not there"),
        ("foo.py,sha256=", "foo.py,md5=", "no hash of sha256 or better for 'foo.py'"),
        ("foo.py,sha256=", "foo.py,sha1=", "no hash of sha256 or better for 'foo.py'"),
        ("foo.py,sha256=", "foo.py,shake_128=", "no hash of sha256 or better for 'foo.py'"),
        ("foo.py,sha256=", "foo.py,sha512=", "that is no sha512"),
        ("foo.py,sha256=", "foo.py,sha256=AAAA", "that is no sha256"),
        ("foo.py,sha256=", "foo.py,sha256=*", "that is no sha256"),
        (f"{INFO}/RECORD,,", f"{INFO}/RECORD,,,", "RECORD has a row of 4 fields"),
        (f"{INFO}/RECORD,,", "", "RECORD has a row of 0 fields"),
        (f"{INFO}/RECORD,,", f"{INFO}/RECORD,,7", "which cannot be"),
        (",16\n", ",15\n", "RECORD gives the size '15' for 'foo.py', which has 16 bytes"),
        (",16\n", ",\n", "RECORD gives the size '' for 'foo.py'"),
        (",16\n", ",+16\n", "RECORD gives the size '+16' for 'foo.py'"),
        (",16\n", ",\u0661\u0666\n", "RECORD gives the size"),
    ],
)
def test_refused_record(tmp_path: Path, old: str, new: str, reason: str) -> None:
    assert reason in refusal(with_record(tmp_path, lambda text: text.replace(old, new)))


def test_refused_file_that_record_does_not_list_or_lists_twice(tmp_path: Path) -> None:
    row = members("foo", "1.0")[-1].data.decode().splitlines(keepends=True)[0]
    path = with_record(tmp_path, lambda text: text.replace(row, ""))
    assert refusal(path) == "RECORD does not list 'foo.py'"
    path = with_record(tmp_path, lambda text: text.replace(row, row * 2))
    assert refusal(path) == "RECORD lists 'foo.py' twice"


def test_refused_record_that_is_no_csv(tmp_path: Path) -> None:
    path = with_record(tmp_path, lambda text: text + '"' + "x" * 200_000)
    assert refusal(path).startswith("RECORD is not in CSV")


def test_refused_wrong_hash_when_it_is_read(tmp_path: Path) -> None:
    def change(text: str) -> str:
        at = text.index("foo.py,sha256=") + len("foo.py,sha256=")
        return text[:at] + ("B" if text[at] == "A" else "A") + text[at + 1 :]

    path = with_record(tmp_path, change)
    reason = "entry 'foo.py' does not have the sha256 hash that RECORD gives"
    assert reading_refusal(path) == reason
    with pytest.raises(WheelError, match="does not have the sha256 hash"):
        contents(path)


def test_refused_wrong_hash_of_metadata_at_once(tmp_path: Path) -> None:
    content = members("foo", "1.0")
    bad = [replace(m, data=m.data.replace(b"Text", b"text")) for m in content]
    path = write_zip(tmp_path / FILE, [*bad[:-1], content[-1]])
    assert f"entry '{INFO}/METADATA' does not have the sha256 hash" in refusal(path)


def test_refused_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = foo(tmp_path, Member("big", os.urandom(1 << 20)))
    with WheelArchive.open(path) as archive:
        os.truncate(path, 1000)
        with pytest.raises(WheelError, match="was cut while it was read"):
            archive.validate_record()


# ------------------------------------------------------------------------------ the target


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A real environment, but for what wheels are measured against."""
    prefix = tmp_path_factory.mktemp("venv")
    venv.EnvBuilder(symlinks=True).create(prefix)
    return replace(
        target_environment(prefix),
        implementation="cpython",
        version="3.11.7",
        tags=("cp311-cp311-linux_x86_64", "py3-none-any"),
    )


def misfit(path: Path, environment: Environment) -> str:
    with WheelArchive.open(path) as archive, pytest.raises(WheelError) as caught:
        archive.check_fits(environment)
    return caught.value.reason


def test_fits(tmp_path: Path, environment: Environment) -> None:
    for requires in (">=3.8", ">=3.11,<4", "==3.11.*", ">=3.6.*"):
        path = make_wheel(tmp_path, "foo", "1.0", metadata=[f"Requires-Python: {requires}"])
        with WheelArchive.open(path) as archive:
            archive.check_fits(environment)


def test_refused_other_python(tmp_path: Path, environment: Environment) -> None:
    path = make_wheel(tmp_path, "foo", "1.0", metadata=["Requires-Python: >=3.12"])
    python = environment.interpreter
    assert misfit(path, environment) == (f"it requires Python '>=3.12'; {python} is Python 3.11.7")


def test_refused_tags_that_do_not_fit(tmp_path: Path, environment: Environment) -> None:
    path = make_wheel(tmp_path, "foo", "1.0", tag="cp39.cp310-abi3-macosx_11_0_arm64")
    assert misfit(path, environment) == (
        "it is for cp310-abi3-macosx_11_0_arm64, cp39-abi3-macosx_11_0_arm64; "
        f"{environment.interpreter} is cpython 3.11.7 and takes wheels like "
        "cp311-cp311-linux_x86_64"
    )


@pytest.mark.slow
def test_hundred_thousand_tiny_files(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "foo", "1.0", {f"d{i % 100}/f{i}": "x" for i in range(100_000)})
    with WheelArchive.open(path) as archive:
        assert sum(1 for _ in archive.get_contents()) == 100_002
