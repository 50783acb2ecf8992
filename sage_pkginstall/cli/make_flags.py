"""What make was told by single letters: ``-n``, ``-q`` and ``-t`` want nothing to be done."""

from __future__ import annotations

import re

__all__ = ["make_letters"]

_LETTERS = re.compile(r"-?([BdeikLnpqrRsStvw]*)")  # of the options that take no argument


def make_letters(word: str) -> frozenset[str]:
    """Return the letters in a word of make's command line, or in the first of MAKEFLAGS.

    There are none in anything else: ``-Oline`` is an option with its argument.
    """
    found = _LETTERS.fullmatch(word)
    return frozenset(found[1]) if found else frozenset()
