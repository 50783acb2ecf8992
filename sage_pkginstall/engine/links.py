"""Links of a prefix to directories, and the one name that a directory has there."""

from __future__ import annotations

import os

__all__ = ["followed"]


def followed(root: str, link: str) -> str | None:
    """Return where the link to a directory leads, relative to the prefix ``root``.

    That is the directory itself if it lies in the prefix (``lib64 -> lib``).  If it lies outside,
    it is the last link of the prefix on the way there: where ``lib`` leads to another
    disk, that is ``lib`` for ``lib64``, and None for ``lib``.
    """
    real_root = os.path.realpath(root or "/").rstrip("/")
    inside = f"{os.path.realpath(link)}/".removeprefix(f"{real_root}/")
    if not inside.startswith("/"):
        return inside.rstrip("/")
    last = None
    while True:  # it has an end, which is outside
        hop = os.path.join(os.path.dirname(link), os.readlink(link).rstrip("/"))
        link = os.path.join(os.path.realpath(os.path.dirname(hop)), os.path.basename(hop))
        if not (link.startswith(f"{real_root}/") and os.path.islink(link)):
            return last
        last = link[len(real_root) + 1 :]
