from __future__ import annotations

from sage_pkginstall.builds.embedded_paths import embedded_words


def test_library_whose_name_is_no_utf8_is_found() -> None:
    library = b"\x7fELF\0libm\xfcnz.so\0libc.so.6\0"
    assert embedded_words([library], ["libm\udcfcnz.so", "libother.so"]) == {"libm\udcfcnz.so"}


def test_only_libraries_name_libraries() -> None:
    assert embedded_words([b"text \0libc.so.6\0"], ["libc.so.6"]) == frozenset()
