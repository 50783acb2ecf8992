"""The tags of the wheels that an interpreter takes, by what it said about itself.

`packaging` makes them, in our own process: the interpreter that is asked may be too old, or
too different, to run the `packaging` that we have.  Specification: platform compatibility
tags (PEP 425 and those that followed it).
"""

from __future__ import annotations

from packaging import tags as tags_of_packaging

from sage_pkginstall.introspection import build_facts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["tags_of"]

_SHORT = tags_of_packaging.INTERPRETER_SHORT_NAMES
_PARTS_OF_ABI = {"pypy": 2, "graalpy": 3}  # of EXT_SUFFIX: .pypy39-pp73-x86_64-linux-gnu.so
_GIL_CAN_GO = (3, 13)


def tags_of(facts: Mapping[str, Any]) -> list[str]:
    """Return the tags for `introspection.facts_of` an interpreter, the best first.

    Where it is of another machine or C library than ours (32 bits among 64, say), only
    wheels without compiled code have any: which others would run there we cannot tell.
    """
    version = _version(facts)
    name = _SHORT.get(facts["implementation"], facts["implementation"])
    interpreter = f"{name}{version[0]}{version[1]}"
    platforms = _platforms(facts["build"])
    if name == "cp":
        own = tags_of_packaging.cpython_tags(version, _cpython_abis(facts), platforms)
    else:
        own = tags_of_packaging.generic_tags(interpreter, _other_abis(facts), platforms)
        interpreter = f"{name}{version[0]}" if name == "pp" else ""
    others = tags_of_packaging.compatible_tags(version, interpreter or None, platforms)
    return [*map(str, own), *map(str, others)]


def _version(facts: Mapping[str, Any]) -> tuple[int, int]:
    major, minor, *_ = facts["version"].split(".")
    return int(major), int(minor)


def _platforms(build: Mapping[str, Any]) -> list[str]:
    ours = build_facts()
    same = all(build[fact] == ours[fact] for fact in ("system", "machine", "bits", "libc"))
    return list(tags_of_packaging.platform_tags()) if same else []


def _cpython_abis(facts: Mapping[str, Any]) -> list[str]:
    version = _version(facts)
    build = facts["build"]
    threads = "t" if version >= _GIL_CAN_GO and build["free_threaded"] else ""
    abi = f"cp{version[0]}{version[1]}{threads}"
    return [f"{abi}d", abi] if build["debug"] else [abi]


def _other_abis(facts: Mapping[str, Any]) -> list[str]:
    """Return what the names of extension modules say of the ABI, if they say anything."""
    parts = str(facts["build"]["extension"]).split(".")
    if len(parts) < 3 or not parts[1]:  # noqa: PLR2004 - .ABI.so
        return []
    abi = parts[1].split("-")
    count = _PARTS_OF_ABI.get(facts["implementation"], len(abi))
    return ["_".join(abi[:count])]
