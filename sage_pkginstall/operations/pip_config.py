"""What pip's configuration files say, told as the variables that would say the same.

Read are those that pip reads (https://pip.pypa.io/en/stable/topics/configuration/), of which the
last one counts::

    DIRECTORY/pip/pip.conf, /etc/pip.conf      each of $XDG_CONFIG_DIRS: the machine's
    ~/.pip/pip.conf, ~/.config/pip/pip.conf    the user's, unless $PIP_CONFIG_FILE is there
    PREFIX/pip.conf                            the environment's
    $PIP_CONFIG_FILE                           /dev/null: none is read at all

``[install]`` with ``no-index = yes`` is ``PIP_NO_INDEX=yes`` for ``pip install``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["configured"]

_NAME = "pip.conf"
_OF_A_MAC = "Library/Application Support/pip"


def configured(
    sections: Iterable[str], prefix: Path, variables: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables that stand for ``sections`` of the files; a later section counts more.

    ``prefix`` is that of the target, ``variables`` are those of the process.  Of a file that
    cannot be read pip tells, and it says nothing here.
    """
    said: dict[str, dict[str, str]] = {section: {} for section in sections}
    if variables.get("PIP_CONFIG_FILE") != os.devnull:
        for file in _files(prefix, variables):
            _read(file, said)
    return {name: value for values in said.values() for name, value in values.items()}


def _read(file: Path, said: Mapping[str, dict[str, str]]) -> None:
    try:
        text = file.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return
    import configparser  # noqa: PLC0415 -- few have such a file

    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text)
    except configparser.Error:
        return
    for section, values in said.items():
        if parser.has_section(section):
            values.update({_variable(name): value for name, value in parser.items(section)})


def _variable(name: str) -> str:
    return f"PIP_{name.removeprefix('--').replace('-', '_').upper()}"


def _files(prefix: Path, variables: Mapping[str, str]) -> Iterator[Path]:
    named = variables.get("PIP_CONFIG_FILE")
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 -- that of pathlib fails without a home
    is_mac = sys.platform == "darwin"
    if is_mac:
        yield Path("/") / _OF_A_MAC / _NAME
    else:
        directories = variables.get("XDG_CONFIG_DIRS") or "/etc/xdg"
        yield from (Path(one, "pip", _NAME) for one in directories.split(os.pathsep) if one)
        yield Path("/etc", _NAME)
    if not (named and Path(named).exists()):
        yield home / ".pip" / _NAME
        of_user = Path(variables.get("XDG_CONFIG_HOME") or home / ".config") / "pip"
        if is_mac:
            of_user = home / ".config" / "pip"
            of_user = home / _OF_A_MAC if (home / _OF_A_MAC).is_dir() else of_user
        yield of_user / _NAME
    yield prefix / _NAME
    if named:
        yield Path(named)
