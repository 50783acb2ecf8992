"""The owner index: few claims that cover all files, kept and read again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sage_pkginstall.wheels.owner_index import OwnerClaims, OwnerIndex, claims_of

if TYPE_CHECKING:
    from pathlib import Path


def test_claims_cover_all_files_with_few_names() -> None:
    paths = [
        "lib/s/foo/__init__.py",
        "lib/s/foo/sub/deep/er/x.py",
        "lib/s/top.py",
        "lib/s/ns/loose.py",
        "lib/s/ns/part/__init__.py",
        "lib/s/ns/part/x/y.py",
        "lib/s/raw/a/b/c/d.txt",
        "lib/s/data.libs/x.so",
        "bin/foo",
        "README",
        "share/man/man1/foo.1",
        "share/x/y/z/w/v.txt",
    ]
    assert claims_of(paths, ["lib/s"]) == {
        "lib/s/foo/",
        "lib/s/top.py",
        "lib/s/ns/loose.py",
        "lib/s/ns/part/",
        "lib/s/raw/a/b/",
        "lib/s/data.libs/x.so",
        "bin/foo",
        "README",
        "share/man/man1/foo.1",
        "share/x/y/z/",
    }


def test_many_files_of_one_directory_are_claimed_together() -> None:
    many = [f"share/doc/{n}" for n in range(33)] + [f"bin/{n}" for n in range(33)]
    claims = claims_of(many, ["lib/s"])
    assert "share/doc/" in claims
    assert len(claims) == 34


def test_index_is_read_as_it_was_written(tmp_path: Path) -> None:
    owners = {
        "s/a-1.dist-info": OwnerClaims("1 2", {"s/a/", "s/x\n%25.py"}, "a"),
        "s/b-1.dist-info": OwnerClaims("none", {"s/a/"}),
        "s/c%0A-1.dist-info": OwnerClaims("3 4", frozenset(), "c\n"),
    }
    index = OwnerIndex.of(owners)
    index.keep(tmp_path / "index", "about\nit")
    again = OwnerIndex.load(tmp_path / "index", "about\nit")
    assert {o: OwnerClaims(c.identity, set(c.claims), c.name) for o, c in again.items()} == owners
    assert list(again.holders_of("s/a/")) == ["s/a-1.dist-info", "s/b-1.dist-info"]
    assert list(again.holders_of("s/a")) == []
    assert list(again.holders_below("s/")) == [
        "s/a-1.dist-info",
        "s/b-1.dist-info",
        "s/a-1.dist-info",
    ]
    assert tuple(OwnerIndex.load(tmp_path / "index", "else").owners) == ()
