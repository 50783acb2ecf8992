"""A target sees its own distributions, and those of its base if it is to."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.environment import target_environment
from sage_pkginstall.wheels.names import canonical_name
from sage_pkginstall.wheels.visible import visible_versions
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunCli

NAMES = """import json
from importlib.metadata import distributions
print(json.dumps([one.metadata["Name"] for one in distributions() if one.metadata["Name"]]))
"""


@pytest.mark.parametrize("options", [[], ["--system-site-packages"]])
def test_what_python_sees_is_no_unmet_requirement(
    options: list[str], tmp_path: Path, run_cli: RunCli
) -> None:
    venv = tmp_path / "venv"
    command = [sys.executable, "-m", "venv", "--without-pip", *options, str(venv)]
    subprocess.run(command, check=True)
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "own", "1.0"))
    text = subprocess.check_output([venv / "bin/python3", "-I", "-c", NAMES], text=True)
    names = set(map(canonical_name, json.loads(text)))
    assert set(visible_versions(target_environment(venv))) == names
    wanted = [f"Requires-Dist: {name}" for name in (*sorted(names), "missing-one")]
    wheel = make_wheel(tmp_path, "foo", "1.0", metadata=wanted)
    said = run_cli("install", "--prefix", venv, wheel).stderr
    assert said.count("is not installed") == 1
    assert "foo needs missing-one" in said
