"""docs/reference/json.md says what --json prints: all of it, with its types."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import ROOT
from tests.sources import make_source
from tests.trees import plant
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import RunCli

PAGE = (ROOT / "docs" / "reference" / "json.md").read_text()
TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def documented(section: str, under: str = "") -> dict[str, set[str]]:
    """The keys that a section of the page names, with their possible types."""
    (text,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    keys: dict[str, set[str]] = {}
    for name, kinds in re.findall(r"^\| `(.*?)` \| (.*?) \|", text, re.MULTILINE):
        keys[under + name] = set(kinds.split(" or ")) - {"transaction"}
        if "transaction" in kinds:
            keys.update(documented("transaction", f"{under}{name}."))
    return keys


def printed(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """The keys that a document has, with their types."""
    if isinstance(value, dict):
        if name.endswith("operations"):
            yield name, "counts"
            return
        for key, one in value.items():
            yield from printed(one, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for one in value:
            yield from printed(one, f"{name}[]")
    else:
        yield name, TYPES[type(value)]


@pytest.fixture
def prefix(venv: Path, tmp_path: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A prefix in which every command has something to tell."""
    monkeypatch.setenv("SAGE_LOGS", str(tmp_path / "logs"))
    monkeypatch.chdir(tmp_path)
    make_source(tmp_path / "source")
    needs = ["Requires-Dist: bar"]
    for name, metadata in (("foo", needs), ("guest", ()), ("old", ())):
        wheel = make_wheel(tmp_path, name, "1", metadata=metadata)
        run_cli("install", "--prefix", venv, wheel)
    run_cli("uninstall", "--prefix", venv, "old")
    (site,) = (venv / "lib").glob("python3*/site-packages")
    (site / "guest-1.dist-info" / "INSTALLER").write_text("pip\n")
    (site / "mine.py").write_text("")
    records = "var/lib/sage"
    line = b"foo @ file:///wheels/foo-2-py3-none-any.whl\n"
    stamp = {"files": ["share/gone"], "install_date": "today", "test_result": "no"}
    plant(venv, {f"{records}/installed/foo-2": json.dumps(stamp).encode()})
    plant(venv, {f"{records}/scripts/foo/spkg-requirements.txt": line})
    return venv


CASES: list[tuple[list[str], int]] = [
    (["install", "foo-1-py3-none-any.whl"], 0),
    (["uninstall", "foo", "nothing"], 1),
    (["build", "source"], 0),
    (["merge", "staged"], 0),
    (["recover"], 0),
    (["recover", "--discard"], 0),
    (["verify"], 1),
    (["verify", "--fix"], 1),
    (["list"], 0),
    (["show", "foo"], 0),
    (["files", "foo"], 0),
    (["owner", "share", "bin"], 1),
    (["status"], 0),
    (["log"], 0),
    (["doctor"], 0),
]


@pytest.mark.parametrize(("words", "status"), CASES, ids=str)
def test_page_names_every_key_and_its_type(
    words: list[str], status: int, prefix: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    plant(tmp_path, {"staged/share/x": b""})
    given = [str(tmp_path / w) if (tmp_path / w).exists() else w for w in words]
    ended = run_cli(given[0], "--json", "--prefix", prefix, *given[1:], status=status)
    assert len(ended.stdout.splitlines()) == 1
    document: dict[str, Any] = json.loads(ended.stdout)
    assert document.pop("schema") == 1
    keys = documented(words[0])
    wrong = {(name, kind) for name, kind in printed(document) if kind not in keys.get(name, ())}
    wrong -= {("repaired", "null")}  # with all that is in it
    wrong = {(n, k) for n, k in wrong if not (k == "integer" and "number" in keys.get(n, ()))}
    assert wrong == set()
    optional = {"discarded", "reason"}
    top = {re.split(r"[.\[]", name)[0] for name in keys}
    assert top - set(document) <= optional
