"""The first line of scripts: which interpreter runs them.

What ``installer.scripts`` writes is the reference.  A plain path is written here, because
importing it costs as much time as installing a small wheel; the ways round blanks and the
kernel's limit of 127 bytes are its own: sh runs the interpreter, by lines that are a string to
Python.
"""

from __future__ import annotations

import re

__all__ = ["bare_script", "below_shebang", "script_for", "with_interpreter"]

_PLAIN = re.compile(r"[!-~]{1,124}")
"""Without blanks, and with ``#!`` and the end of the line within the limit of the kernel."""
_COMMENTS = re.compile(rb"(?:[ \t]*(?:#[^\n]*)?\n)*")
_STRING = re.compile(rb"[rRuU]?['\"]")


def with_interpreter(script: bytes, interpreter: str) -> bytes:
    """Return a script that begins with ``#!python…`` as one that ``interpreter`` runs.

    The rest of the first line stays in a comment no more than with ``installer``: it goes.
    """
    _, _, body = script.partition(b"\n")
    return below_shebang(script_for(b"", interpreter), body)


def below_shebang(shebang: bytes, body: bytes) -> bytes:
    """Return the script of ``body`` with a first line, and with lines for sh if those follow it.

    These come after the comments, of which the first may name the encoding, and a docstring
    goes on with them: it remains one, and ``from __future__ import`` may follow.
    """
    first, _, for_sh = shebang.partition(b"\n")
    if not for_sh:
        return shebang + body
    comments = _leading_comments(body)
    code = body[len(comments) :]
    if _STRING.match(code):
        for_sh = for_sh[:-1] + b" \\\n"
    return first + b"\n" + comments + for_sh + code


def _leading_comments(body: bytes) -> bytes:
    found = _COMMENTS.match(body)
    assert found is not None  # no lines, at least
    return found[0]


def script_for(body: bytes, interpreter: str) -> bytes:
    """Return ``body`` below the line that names ``interpreter``."""
    return b"#!" + _shebang(interpreter).encode() + b"\n" + body


def bare_script(script: bytes, interpreter: str) -> bytes:
    """Return what is below that line of a script for ``interpreter``."""
    return script.removeprefix(b"#!" + _shebang(interpreter).encode() + b"\n")


def _shebang(interpreter: str) -> str:
    """Return what ``installer.scripts`` writes behind ``#!`` for ``interpreter``.

    What follows it in a script does not depend on the interpreter, so that another one
    shows where it ends.
    """
    if _PLAIN.fullmatch(interpreter):
        return interpreter
    from installer.scripts import Script  # noqa: PLC0415 -- see above

    script = Script("name", "module", "function", "console")
    code = script.generate("/", "posix")[1].removeprefix(b"#!/\n")
    return script.generate(interpreter, "posix")[1].removesuffix(code)[2:-1].decode()
