from __future__ import annotations

import os
from pathlib import Path

import pytest

from sage_pkginstall.errors import UsageError
from sage_pkginstall.spkg.variables import PackageVariables, read_variables
from tests.trees import plant


def test_defaults_follow_from_the_root() -> None:
    variables = read_variables({"SAGE_ROOT": "/r", "SAGE_LOCAL": ""})
    assert variables.local == Path("/r/local")
    assert variables.share == Path("/r/local/share")
    assert variables.distfiles == Path("/r/upstream")
    assert variables.logs == Path("/r/logs/pkgs")
    assert variables.packages == Path("/r/build/pkgs")
    assert variables.sudo == ()
    assert variables.check == "no"


def test_root_is_needed() -> None:
    with pytest.raises(UsageError, match="SAGE_ROOT"):
        read_variables({})


def test_venv_is_the_newest_below_local_or_local(tmp_path: Path) -> None:
    def venv() -> Path:
        return read_variables({"SAGE_ROOT": "/r", "SAGE_LOCAL": str(tmp_path)}).venv

    above = tmp_path / "var/lib/sage"
    assert venv().parent == above
    plant(tmp_path, {"bin/python3": b""})
    assert venv() == tmp_path
    plant(above, {"venv-python3.9/bin/python3": b"", "venv-python3.11/bin/python3": b""})
    plant(above, {"venv-python3.12-old/bin/python3": b"", "venv-python3.13/bin/python": b""})
    assert venv() == above / "venv-python3.11"


def test_package_exports() -> None:
    common = read_variables({"SAGE_ROOT": "/r", "SAGE_VENV": "/v", "X": "y"})
    package = PackageVariables(common, Path("/v"), "foo", "1.2.p3")
    build = "/v/var/tmp/sage/build"
    assert {**package.exports(), **package.staging_exports()} == {
        "X": "y",
        "UNAME": os.uname().sysname,
        "SAGE_ROOT": "/r",
        "SAGE_LOCAL": "/r/local",
        "SAGE_VENV": "/v",
        "SAGE_SHARE": "/r/local/share",
        "SAGE_DISTFILES": "/r/upstream",
        "SAGE_LOGS": "/r/logs/pkgs",
        "SAGE_INST_LOCAL": "/v",
        "SAGE_BUILD_DIR": build,
        "SAGE_SPKG_INST": "/v/var/lib/sage/installed",
        "SAGE_SPKG_SCRIPTS": "/v/var/lib/sage/scripts",
        "SAGE_SPKG_WHEELS": "/v/var/lib/sage/wheels",
        "SAGE_DESTDIR": f"{build}/foo-1.2.p3/inst",
        "SAGE_DESTDIR_LOCAL": f"{build}/foo-1.2.p3/inst/v",
        "SAGE_PKGINSTALL_PACKAGE_DIR": f"{build}/foo-1.2.p3/.sage-pkginstall",
        "PKG_BASE": "foo",
        "PKG_VER": "1.2.p3",
        "PKG_NAME": "foo-1.2.p3",
    }
