"""Links of a prefix to directories, and the one name that a directory has there."""

from __future__ import annotations

import contextlib
import os

__all__ = ["followed", "links_at_top"]


def followed(root: str, link: str) -> str | None:
    """Return where the link to a directory leads, relative to the prefix ``root``.

    That is the directory itself if it lies in the prefix (``lib64 -> lib``).  If it lies outside,
    it is the last link of the prefix on the way there: where ``lib`` leads to another
    disk, that is ``lib`` for ``lib64``, and None for ``lib``.  What lies below such a ``lib``
    has its name there: ``lib/doc`` for a link to it, wherever that stands.
    """
    real_root = os.path.realpath(root or "/").rstrip("/")
    real = os.path.realpath(link)
    inside = f"{real}/".removeprefix(f"{real_root}/")
    if not inside.startswith("/"):
        return inside.rstrip("/")
    return _behind_another(real_root, link, real) or _last_link(real_root, link)


def _last_link(real_root: str, link: str) -> str | None:
    """Return the last link of the prefix on the way that ``link`` leads out of it."""
    last = None
    while True:  # it has an end, which is outside
        hop = os.path.join(os.path.dirname(link), os.readlink(link).rstrip("/"))
        link = os.path.join(os.path.realpath(os.path.dirname(hop)), os.path.basename(hop))
        if not (link.startswith(f"{real_root}/") and os.path.islink(link)):
            return last
        last = link[len(real_root) + 1 :]


def _behind_another(real_root: str, link: str, real: str) -> str | None:
    """Return the name of ``real``, to which ``link`` leads, behind another link at the top.

    Not where that leads to the same place as ``link`` beside it, nor to what the prefix lies in.
    """
    is_at_top = os.path.realpath(os.path.dirname(link)) == real_root
    for place, other in links_at_top(real_root):
        is_behind = f"{real}/".startswith(f"{place}/") and not (is_at_top and real == place)
        holds_prefix = f"{real_root}/".startswith(f"{place}/")
        if is_behind and not holds_prefix and _last_link(real_root, other) is None:
            return os.path.basename(other) + real[len(place) :]
    return None


def links_at_top(root: str) -> list[tuple[str, str]]:
    """Return where each link at the top of a prefix leads, and its own path; sorted."""
    links: list[str] = []
    with contextlib.suppress(OSError), os.scandir(root or "/") as entries:  # it may be missing
        links += (entry.path for entry in entries if entry.is_symlink())
    return sorted((os.path.realpath(link), link) for link in links)
