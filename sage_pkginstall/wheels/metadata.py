"""METADATA, WHEEL and entry_points.txt of a wheel: what they must say, and what they say.

Specifications: PyPA's "Core metadata", "Binary distribution format" and "Entry points".
"""

from __future__ import annotations

import re
from configparser import Error as ConfigParserError

from installer.utils import parse_entrypoints, parse_metadata_file

from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.names import (
    canonical_name,
    is_component,
    is_name,
    same_version,
)
from sage_pkginstall.wheels.refusal import RefusalError, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from email.message import Message

    from sage_pkginstall.wheels.names import WheelFileName

__all__ = [
    "WheelMetadata",
    "check_entry_points",
    "check_wheel_file",
    "read_metadata",
]

_SCRIPTS = frozenset(("console_scripts", "gui_scripts"))
_EMPTY_LINE = re.compile(r"(?<=\n)\r?\n")


class WheelMetadata(NamedTuple):
    """What METADATA says, as it is written there."""

    name: str
    version: str
    requires_python: str | None
    requires_dist: tuple[str, ...]


def read_metadata(text: str, file_name: WheelFileName, most: int) -> WheelMetadata:
    """Return what METADATA says, once it is of the distribution that the file name says.

    Refuses fields of more than ``most`` characters; what follows them may be of any length.
    """
    fields = _fields(text)
    if len(fields) > most:
        raise RefusalError(f"METADATA has fields of {len(fields)} characters (allowed: {most})")
    headers = parse_metadata_file(fields)
    name = _only(headers, "Name")
    version = _only(headers, "Version")
    if not is_name(name) or canonical_name(name) != canonical_name(file_name.distribution):
        raise RefusalError(
            f"METADATA has the name {quoted(name)}, the file {file_name.distribution!r}"
        )
    if not same_version(file_name.version, version):
        raise RefusalError(
            f"METADATA has version {quoted(version)}, the file {file_name.version!r}"
        )
    requires = headers["Requires-Python"]
    return WheelMetadata(
        name=name,
        version=version,
        requires_python=None if requires is None else _unfolded(requires),
        requires_dist=tuple(map(_unfolded, headers.get_all("Requires-Dist", ()))),
    )


def check_wheel_file(text: str) -> bool:
    """Return Root-Is-Purelib; refuses a WHEEL that is not understood.

    Its tags are not looked at, as by others: builders rename wheels when they publish them
    (playwright, py-spy, PyTorch), and leave WHEEL alone.
    """
    headers = parse_metadata_file(_fields(text))
    version = str(headers["Wheel-Version"] or "").strip()
    if re.fullmatch(r"1\.[0-9]{1,9}", version) is None:
        raise RefusalError(f"WHEEL has Wheel-Version {quoted(version)}; 1.x is understood")
    root = str(headers["Root-Is-Purelib"] or "false").strip()
    if root.lower() not in {"true", "false"}:  # "True" of pdm-pep517, as pip takes it
        raise RefusalError(f"WHEEL has Root-Is-Purelib {quoted(root)}, not true or false")
    return root.lower() == "true"


def check_entry_points(text: str, most: int) -> None:
    """Refuse entry points that cannot become a script of the ``scripts`` scheme, and too many."""
    try:
        scripts = list(parse_entrypoints(text))
    except (ConfigParserError, AssertionError, AttributeError) as error:
        # installer asserts that a value has the form module:attribute.
        said = str(error).splitlines()
        reason = quoted(said[0]) if said else "a script is no module:attribute"
        raise RefusalError(f"entry_points.txt cannot be read: {reason}") from None
    if len(scripts) > most:
        raise RefusalError(f"entry_points.txt has {len(scripts)} scripts (allowed: {most})")
    for name, *_ in scripts:
        if not is_component(name) or name != name.strip() or name == "__pycache__":
            raise RefusalError(f"entry point {quoted(name)} is no name for a script")
    seen = {(f"{section}_scripts", name) for name, _, _, section in scripts}
    for _, name in seen ^ _scripts_for_python(text):
        raise RefusalError(f"entry_points.txt has the script {quoted(name)} for one reader only")


def _scripts_for_python(text: str) -> set[tuple[str, str]]:
    """Return section and name of each script that ``importlib.metadata`` sees, as pip does.

    Refuses a line that ends it with an error: nobody could ask for entry points any more, whichever
    distribution of the environment has them.
    """
    found: set[tuple[str, str]] = set()
    section: str | None = None
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            section = line.strip("[]")
        elif line and not line.startswith("#") and section is not None:
            name, equals, _ = line.partition("=")
            if not equals:
                raise RefusalError(f"entry_points.txt has the line {quoted(line)}, without =")
            found.add((section, name.strip()))
    return {(section, name) for section, name in found if section in _SCRIPTS}


def _fields(text: str) -> str:
    """Return what stands above the first empty line of METADATA or WHEEL.

    What follows is a description.  `parse_metadata_file` takes the fields apart with the standard
    library's parser, which ``installer`` has imported already.
    """
    return _EMPTY_LINE.split(text, maxsplit=1)[0]


def _only(headers: Message, field: str) -> str:
    values = headers.get_all(field, ())
    if len(values) != 1:
        raise RefusalError(f"METADATA has {len(values)} {field} fields")
    return str(values[0]).strip()


def _unfolded(value: object) -> str:
    return " ".join(str(value).split())
