"""Files that a command is asked to write: replaced as a whole, as somebody may be reading them."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_output"]


def write_output(path: Path, text: str, *, time_ns: int | None = None) -> None:
    """Have ``path`` hold ``text``: readers see the old file or the new one.

    The new file has the time ``time_ns``, if that is given.  What is there and no file, such as
    /dev/stdout, is written to: it stays what it is.
    """
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    new = path.with_name(f".{path.name}.{os.urandom(8).hex()}")  # others may write there, too
    try:
        with new.open("x", encoding="utf-8") as file:
            file.write(text)
        if time_ns is not None:
            os.utime(new, ns=(time_ns, time_ns))
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
