from __future__ import annotations

import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.spkg.staged_tar import CannotPackError, lay_out, names_below, pack
from tests.trees import EMPTY, Link, modes, plant, tree

if TYPE_CHECKING:
    from pathlib import Path

    from tests.trees import Entry


def test_what_is_laid_out_is_what_was_packed(tmp_path: Path) -> None:
    entries: dict[str, Entry] = {
        "bin/a": b"a",
        "lib/x": Link("/usr/lib"),
        "lib/y": Link("x/../y"),
        "share": EMPTY,
    }
    plant(tmp_path / "old", entries)
    (tmp_path / "old/bin").chmod(0o500)
    (tmp_path / "old/share").chmod(0o750)
    for directory in ("lib", "share"):
        os.utime(tmp_path / "old" / directory, (1, 978307200))
    pack(tmp_path / "old", tmp_path / "tar", names_below(tmp_path / "old", "", {"var"}))
    (tmp_path / "new").mkdir()
    lay_out(tmp_path / "tar", tmp_path / "new")
    assert tree(tmp_path / "new") == entries
    assert modes(tmp_path / "new") == modes(tmp_path / "old")
    for path in ("bin/a", "lib", "share"):
        time = (tmp_path / "old" / path).stat().st_mtime
        assert abs((tmp_path / "new" / path).stat().st_mtime - time) < 1e-3


def test_names_that_are_no_text_come_back(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    name = os.fsdecode(b"\xff")
    (tmp_path / "old" / name).write_bytes(b"1")
    pack(tmp_path / "old", tmp_path / "tar", names_below(tmp_path / "old", "", {"var"}))
    (tmp_path / "new").mkdir()
    lay_out(tmp_path / "tar", tmp_path / "new")
    assert [path.name for path in (tmp_path / "new").iterdir()] == [name]


def test_file_with_extended_attributes_cannot_be_packed(tmp_path: Path) -> None:
    """Without its access list, a file would let its group do what the list lets one user."""
    plant(tmp_path / "old", {"share/x": b""})
    setxattr = getattr(os, "setxattr", None)  # not on macOS
    try:
        assert setxattr is not None
        setxattr(tmp_path / "old" / "share", "user.mine", b"1")
    except (AssertionError, OSError):
        pytest.skip("there are no extended attributes")
    with pytest.raises(CannotPackError, match=r"share has the extended attribute user\.mine"):
        pack(tmp_path / "old", tmp_path / "tar", names_below(tmp_path / "old", "", ()))


def test_what_is_left_out_does_not_count(tmp_path: Path) -> None:
    plant(tmp_path / "old", {"var/lib/own/x": b"", "var/lib/more": EMPTY})
    with pytest.raises(CannotPackError, match="staged no file"):
        pack(tmp_path / "old", tmp_path / "tar", names_below(tmp_path / "old", "", {"var/lib/own"}))


@pytest.mark.parametrize(
    ("name", "link", "kind"),
    [
        ("../x", "", tarfile.REGTYPE),
        ("/x", "", tarfile.REGTYPE),
        ("a/../../x", "", tarfile.DIRTYPE),
        ("x", "../outside", tarfile.LNKTYPE),
        ("x", "/outside", tarfile.LNKTYPE),
        ("x", "", tarfile.FIFOTYPE),
    ],
)
def test_name_that_leads_elsewhere_is_refused(
    tmp_path: Path, name: str, link: str, kind: bytes
) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    with tarfile.open(tmp_path / "tar", "w") as tar:
        tar.addfile(member, io.BytesIO())
    (tmp_path / "outside").write_bytes(b"")
    (tmp_path / "new").mkdir()
    with pytest.raises(ValueError, match=r"leads elsewhere|is neither file"):
        lay_out(tmp_path / "tar", tmp_path / "new")
    assert tree(tmp_path / "new") == {}


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    link, file = tarfile.TarInfo("a"), tarfile.TarInfo("a/x")
    link.type, link.linkname = tarfile.SYMTYPE, os.fspath(tmp_path / "outside")
    with tarfile.open(tmp_path / "tar", "w") as tar:
        tar.addfile(link)
        tar.addfile(file, io.BytesIO())
    (tmp_path / "outside").mkdir()
    (tmp_path / "new").mkdir()
    with pytest.raises(OSError, match="No such file"):
        lay_out(tmp_path / "tar", tmp_path / "new")
    assert tree(tmp_path / "outside") == {}
