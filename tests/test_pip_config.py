"""What pip's configuration files say, as variables: as pip itself has it.

The section is not called ``global``, as this machine's files may have one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.operations.pip_config import configured

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".config" / "pip").mkdir(parents=True)
    return tmp_path


def test_the_last_file_and_the_section_of_the_command_count(home: Path) -> None:
    """Files first by the key with its section, then sections: what is for all never wins."""
    machine, prefix = home / "xdg", home / "prefix"
    for directory in (machine / "pip", prefix):
        directory.mkdir(parents=True)
    (machine / "pip" / "pip.conf").write_text("[mine]\nno_index = yes\ntarget = a\n")
    (home / ".config/pip/pip.conf").write_text("[all]\ntarget = b\nretries: 1\n[list]\na = b\n")
    (prefix / "pip.conf").write_text("[mine]\ntrusted-host = x.org\n  y.org\n")
    assert configured(("all", "mine"), prefix, {"XDG_CONFIG_DIRS": str(machine)}) == {
        "PIP_NO_INDEX": "yes",
        "PIP_TARGET": "a",
        "PIP_RETRIES": "1",
        "PIP_TRUSTED_HOST": "x.org\ny.org",
    }


def test_file_that_a_variable_names_takes_the_place_of_the_users(home: Path) -> None:
    (home / ".config/pip/pip.conf").write_text("[all]\na = 1\n")
    named = home / "named"
    variables = {"PIP_CONFIG_FILE": str(named), "XDG_CONFIG_DIRS": str(home / "gone")}
    assert configured(("all",), home / "gone", variables) == {"PIP_A": "1"}
    named.write_text("[all]\nb = 2\n")
    assert configured(("all",), home / "gone", variables) == {"PIP_B": "2"}
    variables["PIP_CONFIG_FILE"] = os.devnull
    assert configured(("all",), home / "gone", variables) == {}


def test_file_that_cannot_be_read_says_nothing(home: Path) -> None:
    (home / ".config/pip/pip.conf").write_bytes(b"a\xff = 1\n[all")
    (home / "pip.conf").mkdir()
    assert configured(("all",), home, {"XDG_CONFIG_DIRS": str(home / "gone")}) == {}
