"""The page and the tests name the same messages."""

from __future__ import annotations

import pkgutil
import re
from importlib import import_module
from typing import TYPE_CHECKING

from tests import messages
from tests.conftest import ROOT
from tests.messages.desk import PRODUCED

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = ROOT / "docs" / "reference" / "messages.md"


def _listed() -> Iterator[str]:
    """Yield the first column of the tables."""
    for line in PAGE.read_text().splitlines():
        found = re.match(r"\| `(.*?)` (?<!\\)\|", line)
        if found:
            yield found[1].replace("\\|", "|")


def test_page_has_each_message_once() -> None:
    for module in pkgutil.iter_modules(messages.__path__, "tests.messages."):
        import_module(module.name)
    listed = list(_listed())
    assert sorted(listed) == sorted(PRODUCED)
    assert len(listed) == len(set(listed))
