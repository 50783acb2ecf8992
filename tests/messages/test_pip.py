"""Messages where pip is run, and does not do what it should."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.environment import target_environment
from sage_pkginstall.errors import PkgInstallError
from sage_pkginstall.operations.pip import PipError, choose_wheels
from sage_pkginstall.operations.run_pip import pip_runner
from tests.messages.desk import produces
from tests.trees import plant

if TYPE_CHECKING:
    from tests.messages.desk import Desk

# Says what it would install, and makes no wheel of it.
PIP = """import json, sys
if "--report" in sys.argv:
    info = {"url": "https://localhost/foo-1.tar.gz"}
    item = {"metadata": {"name": "foo", "version": "1"}, "download_info": info}
    report = {"install": [{**item, "is_direct": False, "requested": True}]}
    open(sys.argv[sys.argv.index("--report") + 1], "w").write(json.dumps(report))
"""


@produces(
    "cannot run pip for {prefix}: it has none, nor has {python}, which runs the tool; install pip"
    " for that, or a wheel of pip with 'sage-pkginstall install'",
)
def test_no_pip_anywhere(desk: Desk) -> str:
    environment = target_environment(desk.prefix)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.executable", str(environment.interpreter))
        with pytest.raises(PkgInstallError) as caught:
            pip_runner(environment)(["list"])
    return str(caught.value)


@produces(
    "cannot meet requirement '{text}': it does not name what it brought; uninstall that by its name"
)
def test_directory_names_nothing_to_uninstall(desk: Desk) -> str:
    """It may hold another distribution than that of its name; pip takes it for none, either."""
    desk.install("foo")
    plant(desk.directory, {"foo/pyproject.toml": b""})
    desk.patch.chdir(desk.directory)
    sage = {"SAGE_VENV": str(desk.prefix)}
    said = ""
    for word in ("./foo", str(desk.directory / "foo"), "file:foo", "git+https://localhost/foo"):
        said += desk.cli("pip-uninstall", word, status=1, env=sage).stderr
        said += desk.cli("pip", "uninstall", "-y", word, status=1, env=sage).stderr
    assert desk.run("list") == "foo  1\n"
    return said


@produces(
    "cannot go on: pip {command} ended with status {status}",
    "cannot install {name} {version}: pip made no wheel of it",
    "cannot uninstall {names}: pip ended with status {status}",
)
def test_pip_at_fault(desk: Desk) -> str:
    sage = {"SAGE_VENV": str(desk.prefix)}
    with pytest.raises(PipError) as caught:  # the command leaves the last word to pip
        choose_wheels(["foo"], [], lambda _: 3, desk.directory)
    said = f"{caught.value}\n"
    old = "old-1-py3.11.egg-info"
    plant(desk.site, {"pip/__init__.py": b"", "pip/__main__.py": PIP.encode()})
    said += desk.cli("pip", "install", "foo", status=1, env=sage).stderr
    plant(desk.site, {"pip/__main__.py": b"raise SystemExit(3)", old: b"Name: old\nVersion: 1\n"})
    return said + desk.run("uninstall", "old", status=1)
