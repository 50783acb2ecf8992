"""What names of paths tell."""

from __future__ import annotations

import pytest

from sage_pkginstall.engine.paths import bytecode_source


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("p/__pycache__/a.cpython-311.pyc", "p/a.py"),
        ("p/__pycache__/a.cpython-311.opt-2.pyc", "p/a.py"),
        ("__pycache__/a.b.pypy39.pyc", "a.b.py"),
        ("p/a.pyc", None),
        ("p/__pycache__/a.py", None),
        ("p/__pycache__/a.pyc", None),
        ("p/not__pycache__/a.cpython-311.pyc", None),
    ],
)
def test_source_of_bytecode(path: str, source: str | None) -> None:
    assert bytecode_source(path) == source
