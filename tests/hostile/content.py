"""Files that do harm where they are installed, or while they are."""

from __future__ import annotations

from tests.foowheel import foo
from tests.hostile.case import SCRIPT, adding, installed, refused
from tests.sitepackages import SITE
from tests.wheelmaker import Member

__all__ = ["CONTENT"]

DATA = "foo-1.0.data"
LONG = b"#!/" + b"x" * 297 + b"\n"
DEEP = b"-" * 200_000 + b"1\n"
NESTED = b"(" * 100_000 + b"\n"

CONTENT = {
    "`__pycache__` inside": installed(
        adding("__pycache__/foo.cpython-311.pyc", b"not the byte-code of foo.py")
    ),
    "`__pycache__` by a scheme": installed(
        adding(f"{DATA}/purelib/__pycache__/foo.cpython-311.pyc", b"not the byte-code of foo.py")
    ),
    "`__pycache__` as a file": refused(adding("__pycache__"), "entry '__pycache__' is a file"),
    "`.pyc` beside its source": installed(adding("foo.pyc", b"not the byte-code of foo.py")),
    "`.pyc` without source": installed(adding("bar.pyc", b"x"), {f"{SITE}/bar.pyc": b"x"}),
    "`.pth` file": installed(
        adding("foo.pth", b"import foo\n"), {f"{SITE}/foo.pth": b"import foo\n"}
    ),
    "script with a shebang of 300 bytes": installed(
        adding(f"{DATA}/scripts/x", LONG, 0o100755), {"bin/x": LONG}, {"bin/x": 0o755}
    ),
    "script with `#!python` and 300 bytes": installed(
        adding(f"{DATA}/scripts/x", b"#!python " + b"x" * 291 + b"\npass\n", 0o100755),
        {"bin/x": SCRIPT},
        {"bin/x": 0o755},
    ),
    "`#!python` script of 65 MiB": refused(
        adding(f"{DATA}/scripts/x", b"#!python\n" + b"#" * (65 << 20), 0o100755),
        "is a Python script of more than 67108864 bytes",
    ),
    "source that overflows the compiler": installed(
        lambda d: foo(d, Member("deep.py", DEEP), Member("nested.py", NESTED)),
        {f"{SITE}/deep.py": DEEP, f"{SITE}/nested.py": NESTED},
    ),
    "source that is no Python": installed(
        adding("bar.py", b"\xff\0\n"), {f"{SITE}/bar.py": b"\xff\0\n"}
    ),
}
