"""What a build depends on, as a value: its hash is the key of the wheel that it makes.

    {"source": {"setup.py": "x 3f…", …}, "requirements": {"setuptools-80.whl": "9a…"},
     "variables": {"CFLAGS": "-O2"}, …}

A group maps names to texts.  What a text means is the business of who wrote it; two builds
have the same inputs if all texts of all groups are the same.
"""

from __future__ import annotations

import hashlib
import json

from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

__all__ = ["Inputs", "changed_since", "differences", "digest_of"]

_LONGEST_SHOWN = 80


class Inputs(NamedTuple):
    """Groups of inputs by their names, as the head of this module shows them."""

    groups: Mapping[str, Mapping[str, str]]

    @property
    def key(self) -> str:
        """The hash of all groups: 64 hexadecimal digits."""
        return digest_of({name: dict(group) for name, group in self.groups.items()})

    def with_group(self, name: str, group: Mapping[str, str]) -> Inputs:
        """Return these inputs with one more group, or another in its place."""
        return Inputs({**self.groups, name: group})

    def digests(self) -> dict[str, str]:
        """Return a hash for each group: what an entry tells of itself, in few bytes."""
        return {name: digest_of(dict(group)) for name, group in sorted(self.groups.items())}


def digest_of(document: object) -> str:
    """Return the SHA-256, in hexadecimal, of what JSON can hold."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def differences(old: Inputs, new: Inputs) -> Iterator[str]:
    """Yield a line for each input that is not the same: ``variables: CFLAGS: -O1 → -O2``."""
    for group in sorted({*old.groups, *new.groups}):
        before: Mapping[str, Any] = old.groups.get(group, {})
        after: Mapping[str, Any] = new.groups.get(group, {})
        for name in sorted({*before, *after}):
            if before.get(name) == after.get(name):
                continue
            if name not in before:
                yield f"{group}: {name}: new ({_shown(after[name])})"
            elif name not in after:
                yield f"{group}: {name}: gone"
            else:
                yield f"{group}: {name}: {_shown(before[name])} → {_shown(after[name])}"


def changed_since(began: Inputs, ended: Inputs) -> str:
    """Say what a build did not find all the time that it took; nothing if it found the same."""
    change = next(differences(began, ended), "")
    return f"{change} since the build began" if change else ""


def _shown(text: str) -> str:
    words = [word[:12] if _is_hash(word) else word for word in text.split(" ")]
    shown = " ".join(words)
    if len(shown) > _LONGEST_SHOWN:
        return shown[: _LONGEST_SHOWN - 1] + "…"
    return shown or "''"


def _is_hash(word: str) -> bool:
    return len(word) == hashlib.sha256().digest_size * 2 and not word.strip("0123456789abcdef")
