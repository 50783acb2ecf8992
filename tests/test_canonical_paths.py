"""One name for each directory of a prefix with links."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.engine.canonical_paths import canonical_directory

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("lib/a", "lib/a"),
        ("lib64/a", "lib/a"),
        ("lib64", "lib"),
        ("/lib//a/./b/", "lib/a/b"),
        ("lib/a/../b", "lib/b"),
        ("deep/x", "lib/sub/x"),
        ("self/lib64", "lib"),
        ("out/x", "out/x"),
        ("absolute/x", "lib/x"),
        ("dangling/x", "nowhere/x"),
        ("by-out/x", "out/x"),
        ("by-out-and-back/prefix/lib/x", "by-out-and-back/prefix/lib/x"),
        ("missing/x", "missing/x"),
        ("", ""),
        (".", ""),
    ],
)
def test_canonical_directory_follows_links_inside(
    tmp_path: Path, name: str, canonical: str
) -> None:
    prefix = tmp_path / "prefix"
    (prefix / "lib/sub").mkdir(parents=True)
    (prefix / "lib64").symlink_to("lib")
    (prefix / "deep").symlink_to("lib64/sub")
    (prefix / "self").symlink_to(".")
    (prefix / "out").symlink_to(tmp_path)
    (prefix / "absolute").symlink_to(prefix / "lib")
    (prefix / "dangling").symlink_to("nowhere")
    (prefix / "by-out").symlink_to("self/out/")
    (prefix / "by-out-and-back").symlink_to("out/.")
    assert canonical_directory(prefix, name) == canonical
    (tmp_path / "link").symlink_to("prefix")
    assert canonical_directory(tmp_path / "link", name) == canonical


def test_canonical_directory_refuses_to_leave(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="leaves the prefix"):
        canonical_directory(tmp_path, "lib/../../x")


@pytest.mark.parametrize("depth", [1500, 50_000])
def test_canonical_directory_may_be_of_any_depth(tmp_path: Path, depth: int) -> None:
    """A RECORD may name what it likes; it need not be there."""
    (tmp_path / "lib64").symlink_to("lib")
    name = "/".join(["lib64", *["a"] * depth])
    canonical = canonical_directory(tmp_path, name)
    assert canonical in {name, name.replace("lib64", "lib", 1)}
    assert (canonical == name) is (depth > 2048)  # nothing has so long a name
