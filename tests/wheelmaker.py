"""Tiny wheels for tests: good ones, and such as no builder would make.

`make_wheel` makes a wheel from what is in it.  A bad wheel is a good one with a change:
take its `members`, change them, and write them with `write_zip`; or patch the bytes.
"""

from __future__ import annotations

import base64
import hashlib
import stat
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    Files = Mapping[str, str | bytes]

__all__ = ["Member", "make_wheel", "members", "record_of", "write_zip"]

TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Member:
    """One entry of a zip file; ``mode`` is the whole ``st_mode``, 0 for none."""

    name: str
    data: bytes = b""
    mode: int = stat.S_IFREG | 0o644
    deflated: bool = True


def make_wheel(
    directory: Path,
    name: str,
    version: str,
    files: Files | None = None,
    *,
    scripts: Mapping[str, str] | None = None,
    metadata: Iterable[str] = (),
    data: Files | None = None,
    tag: str = "py3-none-any",
    record: str | bytes | None = None,
    purelib: bool = True,
) -> Path:
    """Write the wheel of distribution ``name`` into ``directory`` and return its path.

    ``files`` are the files of its root (default: a module that knows its version),
    ``data`` those of its ``.data`` directory ("scripts/x", "data/share/y"), ``scripts``
    its entry points ("x": "module:function"), ``metadata`` more lines for METADATA.
    Files that start with ``#!`` are executable.  ``record`` replaces RECORD.
    """
    content = members(
        name,
        version,
        files,
        scripts=scripts,
        metadata=metadata,
        data=data,
        tag=tag,
        purelib=purelib,
    )
    if record is not None:
        content = [m for m in content if not m.name.endswith(".dist-info/RECORD")]
        content.append(Member(f"{stem(name, version)}.dist-info/RECORD", _bytes(record)))
    return write_zip(directory / f"{stem(name, version)}-{tag}.whl", content)


def members(
    name: str,
    version: str,
    files: Files | None = None,
    *,
    scripts: Mapping[str, str] | None = None,
    metadata: Iterable[str] = (),
    data: Files | None = None,
    tag: str = "py3-none-any",
    purelib: bool = True,
) -> list[Member]:
    """Return the entries of a good wheel, RECORD last; see `make_wheel`."""
    start = stem(name, version)
    if files is None:
        files = {f"{name.replace('-', '_').replace('.', '_')}.py": f"version = {version!r}\n"}
    content = dict(files)
    content.update({f"{start}.data/{path}": text for path, text in (data or {}).items()})
    content[f"{start}.dist-info/METADATA"] = "\n".join(
        ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *metadata, "", "Text."]
    )
    content[f"{start}.dist-info/WHEEL"] = _wheel_file(tag, purelib=purelib)
    if scripts:
        lines = [f"{script} = {target}" for script, target in scripts.items()]
        content[f"{start}.dist-info/entry_points.txt"] = "\n".join(
            ["[console_scripts]", *lines, ""]
        )
    made = [_member(path, _bytes(text)) for path, text in content.items()]
    return [*made, record_of(made, f"{start}.dist-info/RECORD")]


def record_of(content: Iterable[Member], name: str, algorithm: str = "sha256") -> Member:
    """Return the RECORD, called ``name``, that lists ``content``."""
    rows = []
    for member in content:
        if not member.name.endswith("/"):
            digest = hashlib.new(algorithm, member.data).digest()
            value = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            rows.append(f"{_field(member.name)},{algorithm}={value},{len(member.data)}\n")
    rows.append(f"{_field(name)},,\n")
    return Member(name, "".join(rows).encode())


def write_zip(path: Path, content: Iterable[Member]) -> Path:
    """Write a zip file with these entries, in this order, whatever their names are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for member in content:
            info = zipfile.ZipInfo("placeholder", TIME)
            info.filename = member.name  # ZipInfo would mend an odd name
            info.external_attr = member.mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED if member.deflated else zipfile.ZIP_STORED
            with archive.open(info, "w") as file:
                file.write(member.data)
    return path


def stem(name: str, version: str) -> str:
    """Return the NAME-VERSION that starts a wheel's file name and its directories."""
    return f"{name.replace('-', '_')}-{version}"


def _wheel_file(tag: str, *, purelib: bool) -> str:
    interpreters, abis, platforms = (part.split(".") for part in tag.split("-"))
    tags = [f"Tag: {i}-{a}-{p}" for i in interpreters for a in abis for p in platforms]
    root = f"Root-Is-Purelib: {str(purelib).lower()}"
    return "\n".join(["Wheel-Version: 1.0", "Generator: tests", root, *tags, ""])


def _member(name: str, data: bytes) -> Member:
    executable = 0o755 if data.startswith(b"#!") else 0o644
    return Member(name, data, stat.S_IFREG | executable)


def _field(text: str) -> str:
    """Quote a field of RECORD; csv.writer refuses a NUL before Python 3.11."""
    quoted = text.replace('"', '""')
    return f'"{quoted}"' if set(text) & set(',"\r\n') else text


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
