from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.errors import PackageError
from sage_pkginstall.spkg.checksums import read_tarballs
from tests.trees import plant

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc/passwd", "a\0b"])
def test_what_is_no_file_name_is_refused(tmp_path: Path, name: str) -> None:
    plant(tmp_path / "foo", {"checksums.ini": f"tarball={name}\n".encode()})
    with pytest.raises(PackageError, match=r"names no file"):
        read_tarballs(tmp_path / "foo", "1.0")
