"""The page and the tests name the same messages."""

from __future__ import annotations

import pkgutil
import re
from importlib import import_module
from typing import TYPE_CHECKING

from tests import messages
from tests.conftest import ROOT
from tests.messages.desk import PRODUCED
from tests.messages.sources import HOLE, templates

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = ROOT / "docs" / "reference" / "messages.md"


def _listed() -> Iterator[str]:
    """Yield the first column of the tables."""
    for line in PAGE.read_text().splitlines():
        found = re.match(r"\| `(.*?)` (?<!\\)\|", line)
        if found:
            yield found[1].replace("\\|", "|")


def _plain(text: str) -> str:
    """Return a message without the name of a command, and without what is in parentheses.

    There, a system's or a program's own words stand.
    """
    first = text.split("\n", maxsplit=1)[0]
    named = re.sub(
        rf"^(?:sage-)?(?:[a-z][a-z-]*|{HOLE}): (?=cannot|Warning|waiting|{HOLE})", "", first
    )
    return re.sub(r"\([^()]*\)", "()", named).strip()


def _lists(row: str, template: str) -> bool:
    """Tell whether a row of the page stands for a message.

    ``{reason}`` stands for what is said elsewhere; other words in braces also for more words.
    """
    holes = re.sub(f"{HOLE}+", ".*", re.escape(template).replace(f"\\{HOLE}", HOLE))
    if re.fullmatch(holes, re.sub(r"\{\w+\}", HOLE, row)):
        return True
    words = re.sub(r"\\\{(?!reason\\)\w+\\\}", ".+", re.escape(row))
    return re.fullmatch(words.replace(r"\{reason\}", HOLE), template) is not None


def test_page_lacks_no_message() -> None:
    rows = [_plain(row) for row in _listed()]
    missing = [
        f"{place}: {_plain(text).replace(HOLE, '…')}"
        for text, place in templates().items()
        if re.search(r"\w", _plain(text)) and not any(_lists(row, _plain(text)) for row in rows)
    ]
    assert missing == []


def test_page_has_each_message_once() -> None:
    for module in pkgutil.iter_modules(messages.__path__, "tests.messages."):
        import_module(module.name)
    listed = list(_listed())
    assert sorted(listed) == sorted(PRODUCED)
    assert len(listed) == len(set(listed))
